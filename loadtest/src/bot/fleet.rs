//! Many bots on one thread.
//!
//! One loop with absolute deadlines: send the commands that are due, take in datagrams, let connections' timers run, sleep
//! until the next of these. When a command is due is the protocol's business (its clock runs ahead of the server's by what
//! the way takes); bots join one after the other, so their commands are spread over the tick as those of players are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tessera_protocol::SignedToken;
use tessera_protocol::session::Close;

use super::ages::Arrival;
use super::client::{self, Client, Phase};
use super::meter::Totals;
use super::terrain::Terrain;
use super::wire::Wire;
use crate::args::Scenario;
use crate::conditions::monotonic_ns;
use crate::report::detail::{ClientRow, ClientSecond, Deeds};

/// Time between two connections' beginnings: a hundred handshakes at once would be a test of their own.
const CONNECT_EVERY: Duration = Duration::from_millis(4);
/// Commands that are due within this of each other may go out together. A wake for each of thousands of commands a second
/// would cost more than the commands, on cores that the server needs. What a command waits counts in its round trip.
const GATHER: Duration = Duration::from_micros(500);
/// The loop looks for orders at least this often.
const NAP_MAX: Duration = Duration::from_millis(20);
/// How long the goodbyes may take to get out.
const LEAVE_TIME: Duration = Duration::from_millis(300);

/// What a fleet is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to connect.
    pub server: SocketAddr,
    /// Where each bot connects instead, if there is a network between.
    pub doors: Vec<SocketAddr>,
    /// One for each bot, where the server asks for tokens.
    pub tokens: Vec<SignedToken>,
    /// What they do.
    pub scenario: Scenario,
    /// How many bots.
    pub players: usize,
    /// Seed of their tempers.
    pub seed: u64,
    /// UDP sockets they share.
    pub sockets: usize,
}

/// What the fleet tells while it runs.
#[derive(Clone, Debug)]
pub enum News {
    /// A bot is in the match.
    Joined {
        /// Its number, from 0.
        number: usize,
    },
    /// A bot isn't in the match any more, or never got in.
    Lost {
        /// Its name.
        name: String,
        /// How its session ended.
        close: Close,
        /// Bots that are still in the match.
        left: usize,
    },
    /// A second of the window is over.
    Second(ClientSecond),
}

/// What the bots found out.
#[derive(Debug)]
pub struct Outcome {
    /// Bots in the match when the window began.
    pub joined: usize,
    /// Of these, those lost before it ended.
    pub dropped: usize,
    /// One row a bot that was in the match when the window began.
    pub clients: Vec<ClientRow>,
    /// When states arrived, for each of these.
    pub arrivals: Vec<Vec<Arrival>>,
    /// When the window began, in ns of the monotonic clock.
    pub began_ns: i64,
    /// All bots together; without ages until [`super::ages::settle`].
    pub totals: Totals,
    /// What they did.
    pub deeds: Deeds,
    /// Counters of the bots' end.
    pub counters: BTreeMap<String, u64>,
}

enum Order {
    Begin,
    /// Whoever ordered it gets what was measured, if a window had begun.
    End(Sender<Option<Outcome>>),
    Leave,
}

/// A running fleet. Dropping it ends its thread soon after.
#[derive(Debug)]
pub struct Fleet {
    orders: Sender<Order>,
    news: Receiver<News>,
    thread: JoinHandle<Result<()>>,
}

impl Fleet {
    /// Opens the sockets and begins to join.
    ///
    /// # Errors
    /// When there are no sockets or no thread to be had.
    pub fn start(plan: Plan) -> Result<Fleet> {
        let wire = Wire::open(plan.server, plan.sockets)?;
        let (orders, ordered) = mpsc::channel();
        let (tell, news) = mpsc::channel();
        let body = move || Loop::new(plan, wire, tell).run(&ordered);
        let thread = std::thread::Builder::new()
            .name("bots".into())
            .spawn(body)
            .context("can't start the bots' thread")?;
        Ok(Fleet {
            orders,
            news,
            thread,
        })
    }

    /// The next news, if there is any within the time.
    ///
    /// # Errors
    /// When the fleet has ended.
    pub fn news(&self, wait: Duration) -> Result<Option<News>> {
        match self.news.recv_timeout(wait) {
            Ok(news) => Ok(Some(news)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(anyhow!("the bots have ended before the run"))
            }
        }
    }

    /// Measures from now on.
    ///
    /// # Errors
    /// When the fleet has ended.
    pub fn begin_window(&self) -> Result<()> {
        self.order(Order::Begin)
    }

    /// Measures no more, and gives what was measured. Another window may begin.
    ///
    /// # Errors
    /// When the fleet has ended, or no window had begun.
    pub fn end_window(&self) -> Result<Outcome> {
        let (answer, answered) = mpsc::channel();
        self.order(Order::End(answer))?;
        let outcome = answered.recv();
        let outcome = outcome.context("the bots have ended before the run")?;
        outcome.context("the window ended before it began")
    }

    /// Says goodbye to the server.
    ///
    /// # Errors
    /// What ended the fleet early.
    pub fn leave(self) -> Result<()> {
        // Without a receiver the thread has ended, and says why.
        let _ = self.order(Order::Leave);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders
            .send(order)
            .map_err(|_| anyhow!("the bots have ended before the run"))
    }
}

/// The measured window.
struct Window {
    began: Instant,
    next_second: Instant,
    /// Bytes received and sent by all bots when the current second began.
    bytes: (u64, u64),
    /// Bots that were in the match at the beginning, and their bytes then.
    members: Vec<(usize, (u64, u64))>,
}

struct Loop {
    plan: Plan,
    wire: Wire,
    tell: Sender<News>,
    clients: Vec<Client>,
    /// From the endpoint's handles to clients.
    by_handle: Vec<usize>,
    terrain: Terrain,
    totals: Totals,
    window: Option<Window>,
    /// An instant and the same moment on the monotonic clock in ns.
    epoch: (Instant, i64),
}

impl Loop {
    fn new(plan: Plan, wire: Wire, tell: Sender<News>) -> Loop {
        Loop {
            clients: Vec::with_capacity(plan.players),
            by_handle: Vec::new(),
            terrain: Terrain::default(),
            totals: Totals::default(),
            window: None,
            epoch: (Instant::now(), monotonic_ns()),
            plan,
            wire,
            tell,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) -> Result<()> {
        let mut next_connect = Instant::now();
        let mut next_commands = Instant::now();
        loop {
            match orders.try_recv() {
                Ok(Order::Begin) => self.begin(),
                // Who asked may have given up meanwhile.
                Ok(Order::End(answer)) => drop(answer.send(self.end())),
                Ok(Order::Leave) | Err(TryRecvError::Disconnected) => {
                    self.leave();
                    return Ok(());
                }
                Err(TryRecvError::Empty) => {}
            }
            let now = Instant::now();
            // Commands first: what arrives may set the session's clock, and then nobody knows any more what was late.
            if now >= next_commands {
                self.commands(now);
                next_commands = now + GATHER;
            }
            self.receive();
            let now = Instant::now();
            self.timers(now);
            if self.clients.len() < self.plan.players && now >= next_connect {
                self.connect(now)?;
                next_connect = now + CONNECT_EVERY;
            }
            self.second(now);
            let mut wake = now + NAP_MAX;
            if self.clients.len() < self.plan.players {
                wake = wake.min(next_connect);
            }
            if let Some(due) = self.clients.iter().filter_map(|client| client.due).min() {
                wake = wake.min((self.epoch.0 + due).max(next_commands));
            }
            wake = self
                .clients
                .iter()
                .filter_map(|client| client.timeout)
                .fold(wake, Instant::min);
            self.wire.sleep(Instant::now(), wake);
        }
    }

    fn connect(&mut self, now: Instant) -> Result<()> {
        let number = self.clients.len();
        let door = self.plan.doors.get(number);
        let link = self
            .wire
            .connect(now, *door.unwrap_or(&self.plan.server), number)
            .context("can't begin a connection")?;
        let slot = link.handle().0;
        self.by_handle.resize(self.by_handle.len().max(slot + 1), 0);
        self.by_handle[slot] = number;
        self.clients
            .push(Client::new(now - self.epoch.0, number, &self.plan, link));
        self.settle(number, now);
        Ok(())
    }

    fn receive(&mut self) {
        let (clients, by_handle) = (&mut self.clients, &self.by_handle);
        let mut touched = Vec::new();
        self.wire.receive(|handle, event| {
            let number = by_handle[handle.0];
            let client = &mut clients[number];
            client.link.connection.handle_event(event);
            if !std::mem::replace(&mut client.touched, true) {
                touched.push(number);
            }
        });
        // The time after all has been taken in: what came while this thread didn't run has not been seen any earlier.
        let now = Instant::now();
        for number in touched {
            self.clients[number].touched = false;
            self.settle(number, now);
        }
    }

    fn timers(&mut self, now: Instant) {
        for number in 0..self.clients.len() {
            if self.clients[number]
                .timeout
                .is_some_and(|timeout| timeout <= now)
            {
                self.clients[number].link.connection.handle_timeout(now);
                self.settle(number, now);
            }
        }
    }

    /// Sends the commands of all bots whose moment has come.
    fn commands(&mut self, now: Instant) {
        let since = now - self.epoch.0;
        let epoch_ns = self.epoch.1;
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            if client.due.is_some_and(|due| due <= since) {
                let ns_of = |moment: Duration| epoch_ns + nanoseconds(moment);
                let world = self.terrain.world().map(Arc::as_ref);
                let sends = client.act(since, world, ns_of, &mut self.totals);
                if sends || client.phase() != Phase::Playing {
                    self.settle(number, now);
                }
            }
        }
    }

    /// Lets a client work on what its connection has for it, and sends what comes of it.
    fn settle(&mut self, number: usize, now: Instant) {
        let now_ns = self.ns_of(now);
        let client = &mut self.clients[number];
        let before = client.phase();
        client.pump(now - self.epoch.0, now_ns, &mut self.totals);
        client.close(now);
        match (before, client.phase()) {
            (Phase::Joining, Phase::Playing) => {
                self.welcome(number);
                let _ = self.tell.send(News::Joined { number });
            }
            (Phase::Joining | Phase::Playing, Phase::Lost) => {
                let client = &self.clients[number];
                if let Some(close) = client.closed() {
                    let _ = self.tell.send(News::Lost {
                        name: client.name().to_owned(),
                        close: close.clone(),
                        left: self.playing(),
                    });
                }
            }
            _ => {}
        }
        self.flush(number, now);
    }

    fn flush(&mut self, number: usize, now: Instant) {
        let client = &mut self.clients[number];
        self.wire.flush(now, &mut client.link);
        client.timeout = client.link.connection.poll_timeout();
    }

    /// Everyone gets the map; the first one in says which it is.
    fn welcome(&mut self, number: usize) {
        if let Some(told) = self.clients[number].welcome() {
            self.terrain.learn(&told.map, told.map_hash);
            if let Some(world) = self.terrain.world() {
                self.clients[number].set_map(Arc::clone(world));
            }
        }
    }

    /// Closes the window's second if it is over.
    fn second(&mut self, now: Instant) {
        let bytes = self.bytes();
        let connected = self.playing();
        let Some(window) = self
            .window
            .as_mut()
            .filter(|window| now >= window.next_second)
        else {
            return;
        };
        window.next_second += Duration::from_secs(1);
        let passed = (bytes.0 - window.bytes.0, bytes.1 - window.bytes.1);
        window.bytes = bytes;
        let second = self.totals.end_second(passed, connected);
        let _ = self.tell.send(News::Second(second));
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.totals.begin_window(self.ns_of(now));
        let playing = self
            .clients
            .iter_mut()
            .enumerate()
            .filter(|(_, client)| client.phase() == Phase::Playing);
        let members = playing.map(|(number, client)| {
            client.begin_window();
            (number, client.bytes())
        });
        let members = members.collect();
        self.window = Some(Window {
            began: now,
            next_second: now + Duration::from_secs(1),
            bytes: self.bytes(),
            members,
        });
    }

    fn end(&mut self) -> Option<Outcome> {
        // The last second may lack some microseconds.
        self.second(Instant::now() + GATHER * 200);
        let window = self.window.take()?;
        let seconds = window.began.elapsed().as_secs_f64();
        let row = |&(number, before): &(usize, (u64, u64))| {
            let client = &self.clients[number];
            let bytes = client.bytes();
            let passed = (bytes.0 - before.0, bytes.1 - before.1);
            let dropped = client.closed().map(client::in_words);
            client
                .meter
                .row(client.name().to_owned(), passed, seconds, dropped)
        };
        let clients: Vec<ClientRow> = window.members.iter().map(row).collect();
        let dropped = clients.iter().filter(|row| row.dropped.is_some()).count();
        let members = window.members.iter().map(|(number, _)| *number);
        let arrivals = members
            .map(|number| self.clients[number].meter.take_arrivals())
            .collect();
        Some(Outcome {
            joined: clients.len(),
            dropped,
            clients,
            arrivals,
            began_ns: self.totals.began_ns(),
            totals: std::mem::take(&mut self.totals),
            deeds: self.deeds(),
            counters: self.counters(),
        })
    }

    fn deeds(&self) -> Deeds {
        let each = self.clients.iter().map(Client::deeds);
        each.fold(Deeds::default(), |sum, one| Deeds {
            metres: sum.metres + one.metres,
            firing: sum.firing + one.firing,
            jumping: sum.jumping + one.jumping,
            events: sum.events + one.events,
            alive: sum.alive + one.alive,
        })
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let garbage: u64 = self.clients.iter().map(Client::garbage).sum();
        let skipped: u64 = self.clients.iter().map(Client::skipped).sum();
        let late: u64 = self.clients.iter().map(Client::late).sum();
        let named = [
            ("bots_commands_late", late),
            ("bots_garbage_received", garbage),
            ("bots_commands_skipped", skipped),
            ("bots_datagrams_unsent", self.wire.unsent),
        ];
        named
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }

    fn leave(mut self) {
        let until = Instant::now() + LEAVE_TIME;
        for number in 0..self.clients.len() {
            let now = Instant::now();
            self.clients[number].leave(now);
            self.flush(number, now);
        }
        // A goodbye is repeated while the peer still sends; after that nobody needs it.
        while Instant::now() < until
            && self
                .clients
                .iter()
                .any(|client| !client.link.connection.is_drained())
        {
            self.receive();
            let now = Instant::now();
            self.timers(now);
            self.wire.sleep(now, now + NAP_MAX);
        }
    }

    /// Bots that are in the match.
    fn playing(&self) -> usize {
        let clients = self.clients.iter();
        clients
            .filter(|client| client.phase() == Phase::Playing)
            .count()
    }

    fn bytes(&self) -> (u64, u64) {
        self.clients
            .iter()
            .map(Client::bytes)
            .fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1))
    }

    fn ns_of(&self, instant: Instant) -> i64 {
        self.epoch.1 + nanoseconds(instant.saturating_duration_since(self.epoch.0))
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
