//! Sockets around the links: a door for each bot, and a way out of it to the server.
//!
//! ```text
//! bot n ──▶ door n ──link up──▶ exit n ──▶ server
//!        ◀────────◀─link down──◀───────◀
//! ```
//!
//! QUIC knows a client by its address: the server sees exit n as the address of bot n, from first to last, and the bot
//! sees door n as its server's. So bots may share a socket, and each still has a way of its own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use super::ready::Ready;
use super::{Impairment, Link};
use crate::measure::Distribution;
use crate::report::schema::{LinkCounts, Percentiles};
use anyhow::{Context, Result, anyhow};

/// Largest datagram passed on; QUIC's here have at most 1,200 B.
const DATAGRAM_LEN_MAX: usize = 2_048;
/// What comes or is due within this of each other is handled together, since a wake for each of some ten thousand
/// datagrams a second would cost the server's cores more than the datagrams do.
const GATHER: Duration = Duration::from_micros(200);
/// The loop looks for questions at least this often.
const NAP_MAX: Duration = Duration::from_millis(20);
/// How long an answer may take; far more than [`NAP_MAX`].
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The thread's niceness, where the system allows it: what a loaded machine adds to a delay is no part of the network.
const NICENESS: i32 = -10;
/// Datagrams taken from one socket in a row, so that none keeps the others waiting.
const BATCH: usize = 32;

/// What the relay did.
#[derive(Clone, Debug, Default)]
pub struct Relayed {
    /// To the server, since the start.
    pub up: LinkCounts,
    /// To the bots, since the start.
    pub down: LinkCounts,
    /// By how much datagrams left later than they were due, in µs, since the question before. What a datagram waited for
    /// the relay to take it in isn't in it; that is at most about as long.
    pub late_us: Percentiles,
}

impl Relayed {
    /// What it did after `before` was asked for.
    pub fn since(self, before: &Relayed) -> Relayed {
        Relayed {
            up: self.up.since(before.up),
            down: self.down.since(before.down),
            late_us: self.late_us,
        }
    }
}

/// A thread that passes datagrams on as the links decide. Dropping it ends the thread soon after.
#[derive(Debug)]
pub struct Relay {
    doors: Vec<SocketAddr>,
    questions: Sender<Sender<Relayed>>,
}

impl Relay {
    /// Opens a way to `server` for each of `clients` bots.
    ///
    /// # Errors
    /// When there are no sockets or no thread to be had.
    pub fn start(
        server: SocketAddr,
        clients: usize,
        impairment: Impairment,
        seed: u64,
    ) -> Result<Relay> {
        let way = |number: usize| Way::open(server, impairment, seed, number as u64);
        let ways = (0..clients).map(way).collect::<io::Result<Vec<_>>>();
        let ways = ways.context("can't open the sockets of the simulated network (two a bot)")?;
        let doors = ways.iter().map(|way| way.door.local_addr());
        let doors = doors.collect::<io::Result<_>>()?;
        let relay = Loop::new(ways).context("can't watch the simulated network's sockets")?;
        let (questions, asked) = mpsc::channel();
        std::thread::Builder::new()
            .name("network".into())
            .spawn(move || relay.run(&asked))
            .context("can't start the thread of the simulated network")?;
        Ok(Relay { doors, questions })
    }

    /// Where each bot connects instead of to the server.
    pub fn doors(&self) -> &[SocketAddr] {
        &self.doors
    }

    /// What became of the datagrams so far.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn ask(&self) -> Result<Relayed> {
        let ended = || anyhow!("the simulated network has ended before the run");
        let (answer, answered) = mpsc::channel();
        self.questions.send(answer).map_err(|_| ended())?;
        answered.recv_timeout(ANSWER_TIMEOUT).map_err(|_| ended())
    }
}

/// One bot's way.
struct Way {
    /// What the bot takes for the server.
    door: UdpSocket,
    /// What the server takes for the bot.
    exit: UdpSocket,
    /// Where the bot's datagrams come from; those from elsewhere are none of the server's business.
    bot: Option<SocketAddr>,
    up: Link,
    down: Link,
}

impl Way {
    fn open(server: SocketAddr, impairment: Impairment, seed: u64, number: u64) -> io::Result<Way> {
        let (here, any): (SocketAddr, SocketAddr) = match server {
            SocketAddr::V4(_) => (
                (Ipv4Addr::LOCALHOST, 0).into(),
                (Ipv4Addr::UNSPECIFIED, 0).into(),
            ),
            SocketAddr::V6(_) => (
                (Ipv6Addr::LOCALHOST, 0).into(),
                (Ipv6Addr::UNSPECIFIED, 0).into(),
            ),
        };
        let (door, exit) = (UdpSocket::bind(here)?, UdpSocket::bind(any)?);
        exit.connect(server)?;
        door.set_nonblocking(true)?;
        exit.set_nonblocking(true)?;
        Ok(Way {
            door,
            exit,
            bot: None,
            up: Link::new(impairment, seed, 2 * number),
            down: Link::new(impairment, seed, 2 * number + 1),
        })
    }

    /// Takes in what the bot has sent.
    fn take_up(&mut self, now: Duration, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Ok((len, from)) = self.door.recv_from(buffer) else {
                return; // nothing more, or an ICMP error that the connections' timeouts deal with
            };
            if *self.bot.get_or_insert(from) == from {
                self.up.send(now, buffer[..len].to_vec());
            }
        }
    }

    /// Takes in what the server has sent.
    fn take_down(&mut self, now: Duration, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Ok(len) = self.exit.recv(buffer) else {
                return;
            };
            self.down.send(now, buffer[..len].to_vec());
        }
    }

    /// Passes on what has arrived. What the system doesn't take is lost, as on a network.
    fn pass_on(&mut self, now: Duration, late: &mut Distribution) {
        let mut note = |due: Duration| late.record((now - due).as_micros() as i64);
        while let Some((due, bytes)) = self.up.poll(now) {
            note(due);
            let _ = self.exit.send(&bytes);
        }
        while let Some((due, bytes)) = self.down.poll(now) {
            note(due);
            if let Some(bot) = self.bot {
                let _ = self.door.send_to(&bytes, bot);
            }
        }
    }

    fn next_arrival(&self) -> Option<Duration> {
        let (up, down) = (self.up.next_arrival(), self.down.next_arrival());
        up.into_iter().chain(down).min()
    }
}

struct Loop {
    began: Instant,
    /// When the loop last woke, since `began`.
    woke: Duration,
    ready: Ready,
    ways: Vec<Way>,
    late: Distribution,
}

/// Two sockets a way.
fn sockets(ways: &[Way]) -> impl Iterator<Item = &UdpSocket> {
    ways.iter().flat_map(|way| [&way.door, &way.exit])
}

impl Loop {
    fn new(ways: Vec<Way>) -> io::Result<Loop> {
        Ok(Loop {
            began: Instant::now(),
            woke: Duration::ZERO,
            ready: Ready::new(sockets(&ways))?,
            ways,
            late: Distribution::new(2),
        })
    }

    /// Runs until nobody can ask any more.
    fn run(mut self, questions: &Receiver<Sender<Relayed>>) {
        // Only this thread. Where the system refuses, a busy machine makes the network worse than was asked for, and the
        // report says by how much.
        let _ = rustix::process::nice(NICENESS);
        let mut buffer = vec![0; DATAGRAM_LEN_MAX];
        let began = self.began;
        loop {
            match questions.try_recv() {
                // Who asked may have given up meanwhile.
                Ok(answer) => drop(answer.send(self.answer())),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            std::thread::sleep((self.woke + GATHER).saturating_sub(began.elapsed()));
            let now = began.elapsed();
            let due = self.ways.iter().filter_map(Way::next_arrival).min();
            let wait = due.map_or(NAP_MAX, |due| due.saturating_sub(now).min(NAP_MAX));
            let ready = self.ready.wait(sockets(&self.ways), wait);
            let now = began.elapsed();
            self.woke = now;
            for number in ready {
                let way = &mut self.ways[number / 2];
                match number % 2 {
                    0 => way.take_up(now, &mut buffer),
                    _ => way.take_down(now, &mut buffer),
                }
            }
            let now = began.elapsed();
            for way in &mut self.ways {
                if way.next_arrival().is_some_and(|due| due <= now) {
                    way.pass_on(now, &mut self.late);
                }
            }
        }
    }

    fn answer(&mut self) -> Relayed {
        let sum = |link: fn(&Way) -> &Link| {
            let counts = self.ways.iter().map(|way| link(way).counts());
            counts.fold(LinkCounts::default(), |sum, one| sum + one)
        };
        let late_us = self.late.percentiles();
        self.late.clear();
        Relayed {
            up: sum(|way| &way.up),
            down: sum(|way| &way.down),
            late_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("settable");
        socket
    }

    fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 64];
        let (len, from) = socket.recv_from(&mut buffer).expect("it arrives");
        (buffer[..len].to_vec(), from)
    }

    #[test]
    fn bots_on_one_socket_have_addresses_of_their_own_that_stay() {
        let (server, bots) = (socket(), socket());
        let address = server.local_addr().expect("bound");
        let relay = Relay::start(address, 2, Impairment::default(), 1).expect("sockets");
        let doors = relay.doors();
        bots.send_to(b"one", doors[0]).expect("sent");
        let (said, one) = heard(&server);
        assert_eq!(said, b"one");
        bots.send_to(b"two", doors[1]).expect("sent");
        let (said, two) = heard(&server);
        assert_eq!(said, b"two");
        assert_ne!(one, two, "the server tells the bots apart");
        server.send_to(b"hello two", two).expect("sent");
        assert_eq!(heard(&bots), (b"hello two".to_vec(), doors[1]));
        bots.send_to(b"again", doors[0]).expect("sent");
        assert_eq!(heard(&server), (b"again".to_vec(), one));

        let counts = relay.ask().expect("it runs");
        assert_eq!((counts.up.forwarded, counts.down.forwarded), (3, 1));
    }

    #[test]
    fn strangers_are_not_let_through_a_bots_door() {
        let (server, bot, stranger) = (socket(), socket(), socket());
        let address = server.local_addr().expect("bound");
        let relay = Relay::start(address, 1, Impairment::default(), 1).expect("sockets");
        bot.send_to(b"bot", relay.doors()[0]).expect("sent");
        assert_eq!(heard(&server).0, b"bot");
        stranger.send_to(b"hm", relay.doors()[0]).expect("sent");
        bot.send_to(b"bot again", relay.doors()[0]).expect("sent");
        assert_eq!(heard(&server).0, b"bot again");
    }
}
