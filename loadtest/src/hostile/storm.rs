//! The thread that all hostile behaviours run on.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quinn_proto::ConnectionHandle;
use tessera_protocol::JoinRequest;

use super::Behaviour;
use super::commands::Liars;
use super::datagrams::Mangled;
use super::flood::Flood;
use super::garbage::Garbage;
use super::hellos::Hellos;
use super::peer::Peer;
use super::slow::{Deaf, Drip};
use crate::bot::chance::Chance;
use crate::bot::wire::Wire;
use crate::tokens::Mint;

/// Sockets that the connections share.
const SOCKETS: usize = 4;
/// The loop looks whether it should end at least this often.
const NAP_MAX: Duration = Duration::from_millis(10);
/// How long the goodbyes may take to get out.
const LEAVE_TIME: Duration = Duration::from_millis(300);
/// Keeps the storm's chance apart from the bots', which number their own from 0.
const CHANCE: u64 = 1 << 32;

/// What was done, and what the server did about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// How much was thrown, by what it was.
    pub thrown: BTreeMap<String, u64>,
    /// How the server ended sessions, by reason.
    pub ended: BTreeMap<String, u64>,
    /// Sessions let into the match that no server may let in, by what was thrown. None of them is to be here.
    pub let_in: BTreeMap<String, u64>,
}

/// The tokens that hostile clients have.
#[derive(Clone, Debug)]
pub struct Purse {
    /// Makes their own.
    pub mint: Mint,
    /// What honest bots asked for that are in the match: their tokens have been used. At least one.
    pub used: Vec<JoinRequest>,
}

/// A running storm. Dropping it ends its thread soon after.
#[derive(Debug)]
pub struct Storm {
    /// Dropped to end it.
    running: Sender<()>,
    thread: JoinHandle<Result<Harm>>,
}

impl Storm {
    /// Begins, and ends after `time` if nobody ends it before. `purse` is for a server that asks for tokens.
    ///
    /// # Errors
    /// When the server isn't on this machine, or there are no sockets or no thread to be had.
    pub fn start(
        server: SocketAddr,
        purse: Option<Purse>,
        seed: u64,
        time: Duration,
    ) -> Result<Storm> {
        ensure!(
            server.ip().is_loopback(),
            "hostile clients attack a server on this machine only, not {server}"
        );
        let (running, watched) = mpsc::channel();
        let storm = Loop::new(server, purse, seed)?;
        let thread = std::thread::Builder::new()
            .name("hostile".into())
            .spawn(move || storm.run(time, &watched))
            .context("can't start the thread of the hostile clients")?;
        Ok(Storm { running, thread })
    }

    /// Ends it, and tells what was done.
    ///
    /// # Errors
    /// What ended it early.
    pub fn end(self) -> Result<Harm> {
        drop(self.running);
        match self.thread.join() {
            Ok(harm) => harm,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// A connection's number in the storm; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerId(u64);

/// What behaviours act with.
pub(super) struct Stage {
    /// Now, since the storm's beginning.
    pub(super) now: Duration,
    pub(super) server: SocketAddr,
    /// There if the server asks for tokens.
    pub(super) purse: Option<Purse>,
    pub(super) chance: Chance,
    wire: Wire,
    peers: BTreeMap<PeerId, Peer>,
    by_handle: HashMap<ConnectionHandle, PeerId>,
    next: u64,
    began: Instant,
    harm: Harm,
}

impl Stage {
    /// Begins a connection.
    pub(super) fn connect(&mut self) -> Result<PeerId> {
        let id = PeerId(self.next);
        let instant = self.began + self.now;
        let link = self
            .wire
            .connect(instant, self.server, self.next as usize)
            .context("can't begin a hostile connection")?;
        self.next += 1;
        self.by_handle.insert(link.handle(), id);
        self.peers.insert(id, Peer::new(self.now, link));
        self.flush(id);
        Ok(id)
    }

    /// A connection, as long as it stands or is being made.
    pub(super) fn peer(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers
            .get_mut(&id)
            .filter(|peer| peer.ended().is_none())
    }

    /// The connection in a place that is always to be filled: the one that is there, or a new one if that has ended.
    pub(super) fn fill(&mut self, place: &mut Option<PeerId>) -> Result<&mut Peer> {
        let id = match place.filter(|id| self.peer(*id).is_some()) {
            Some(id) => id,
            None => self.connect()?,
        };
        *place = Some(id);
        self.peers.get_mut(&id).context("it was there just now")
    }

    /// Joins the match with the connection in a place, as an honest client does, unless it has; tells whether it said
    /// hello just now.
    pub(super) fn join(&mut self, place: &mut Option<PeerId>, name: &str) -> Result<bool> {
        let (now, peer) = (self.now, self.fill(place)?);
        if !peer.is_connected() || peer.session.is_some() {
            return Ok(false);
        }
        let request = self.request(name)?;
        self.fill(place)?.join(now, request);
        Ok(true)
    }

    /// What an honest client asks for, with a token of its own where the server asks for one.
    pub(super) fn request(&mut self, name: &str) -> Result<JoinRequest> {
        let token = self.purse.as_mut().map(|purse| purse.mint.good(name));
        Ok(JoinRequest {
            name: name.to_owned(),
            token: token.transpose()?,
            ..JoinRequest::default()
        })
    }

    /// Leaves a connection in order.
    pub(super) fn leave(&mut self, id: PeerId) {
        let instant = self.began + self.now;
        if let Some(peer) = self.peer(id) {
            peer.leave(instant);
        }
    }

    /// Forgets a connection without a word: the server goes on waiting for it.
    pub(super) fn abandon(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.remove(&id) {
            self.by_handle.remove(&peer.link.handle());
        }
    }

    /// Counts what was thrown.
    pub(super) fn threw(&mut self, what: &str, count: u64) {
        *self.harm.thrown.entry(what.to_owned()).or_insert(0) += count;
    }

    /// Counts a session that no server may let in, and this one did.
    pub(super) fn let_in(&mut self, what: &str) {
        *self.harm.let_in.entry(what.to_owned()).or_insert(0) += 1;
    }

    /// Random bytes.
    pub(super) fn noise(&mut self, len: usize) -> Vec<u8> {
        let byte = |_| (self.chance.unit() * 256.0) as u8;
        (0..len).map(byte).collect()
    }

    /// A whole number in `[low, high)`.
    pub(super) fn pick(&mut self, low: usize, high: usize) -> usize {
        low + (self.chance.unit() * (high - low) as f64) as usize
    }

    fn receive(&mut self) {
        let (peers, by_handle) = (&mut self.peers, &self.by_handle);
        self.wire.receive(|handle, event| {
            // Answers to those that were abandoned are for nobody.
            if let Some(peer) = by_handle.get(&handle).and_then(|id| peers.get_mut(id)) {
                peer.link.connection.handle_event(event);
            }
        });
    }

    /// Lets all connections work and send, and clears away those that have ended.
    fn settle(&mut self) {
        let instant = self.began + self.now;
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            if peer.timeout.is_some_and(|timeout| timeout <= instant) {
                peer.link.connection.handle_timeout(instant);
            }
            peer.pump(self.now);
            self.flush(id);
            self.clear(id);
        }
    }

    fn flush(&mut self, id: PeerId) {
        let instant = self.began + self.now;
        if let Some(peer) = self.peers.get_mut(&id) {
            self.wire.flush(instant, &mut peer.link);
            peer.timeout = peer.link.connection.poll_timeout();
        }
    }

    fn clear(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if peer.link.connection.is_drained() {
            if let Some(why) = peer.ended() {
                *self.harm.ended.entry(why.to_owned()).or_insert(0) += 1;
            }
            self.by_handle.remove(&peer.link.handle());
            self.peers.remove(&id);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.timeout).min()
    }
}

struct Loop {
    stage: Stage,
    /// Each with when it acts next.
    behaviours: Vec<(Duration, Box<dyn Behaviour>)>,
}

impl Loop {
    fn new(server: SocketAddr, purse: Option<Purse>, seed: u64) -> Result<Loop> {
        let stage = Stage {
            now: Duration::ZERO,
            server,
            purse,
            chance: Chance::new(seed, CHANCE),
            wire: Wire::open(server, SOCKETS)?,
            peers: BTreeMap::new(),
            by_handle: HashMap::new(),
            next: 0,
            began: Instant::now(),
            harm: Harm::default(),
        };
        let all: [Box<dyn Behaviour>; 7] = [
            Box::new(Liars::default()),
            Box::new(Mangled::default()),
            Box::new(Deaf::default()),
            Box::new(Drip::default()),
            Box::new(Hellos::default()),
            Box::new(Garbage::open(server)?),
            Box::new(Flood::default()),
        ];
        let behaviours = all.map(|behaviour| (Duration::ZERO, behaviour)).into();
        Ok(Loop { stage, behaviours })
    }

    fn run(mut self, time: Duration, watched: &Receiver<()>) -> Result<Harm> {
        loop {
            self.stage.now = self.stage.began.elapsed();
            let ended = watched.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Disconnected);
            if ended || self.stage.now >= time {
                return Ok(self.leave());
            }
            for (due, behaviour) in &mut self.behaviours {
                if *due <= self.stage.now {
                    *due = self.stage.now + behaviour.act(&mut self.stage)?;
                }
            }
            self.stage.receive();
            self.stage.settle();
            self.nap();
        }
    }

    fn nap(&self) {
        let (began, now) = (self.stage.began, Instant::now());
        let acts = self.behaviours.iter().map(|(due, _)| began + *due);
        let wake = acts.chain(self.stage.next_timeout());
        let wake = wake.fold(now + NAP_MAX, Instant::min);
        self.stage.wire.sleep(now, wake);
    }

    fn leave(mut self) -> Harm {
        let until = Instant::now() + LEAVE_TIME;
        let ids: Vec<PeerId> = self.stage.peers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.stage.leave(id));
        while Instant::now() < until && !self.stage.peers.is_empty() {
            self.stage.now = self.stage.began.elapsed();
            self.stage.receive();
            self.stage.settle();
            let now = Instant::now();
            self.stage.wire.sleep(now, now + NAP_MAX);
        }
        self.stage.harm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_left_alone() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 7_777));
        let refused = Storm::start(elsewhere, None, 1, Duration::from_secs(1));
        let why = refused.expect_err("refused").to_string();
        assert!(why.contains("192.0.2.1:7777"), "{why}");
    }

    #[test]
    fn it_ends_by_itself_when_its_time_is_up() {
        // Nobody answers at this socket; what is thrown is the same as at a server.
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let server = nobody.local_addr().expect("bound");
        let storm = Storm::start(server, None, 1, Duration::from_millis(200)).expect("loopback");
        let Storm { running, thread } = storm;
        let harm = thread.join().expect("no panic").expect("no error");
        drop(running);
        assert!(harm.thrown.values().sum::<u64>() > 0, "{harm:?}");
    }
}
