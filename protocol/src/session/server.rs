//! The server's end of a session.

use std::time::Duration;

use super::close::{Close, CloseReason};
use super::commands::CommandsRef;
use super::framing::Deframer;
use super::messages::{
    CLIENT_MESSAGE_LEN_MAX, Hello, SharedDeclarations, SharedEvent, Welcome, read_client,
    write_welcome,
};
use super::queue::{Arrival, CommandQueue};
use super::rate::{Bucket, RateLimit};
use super::{HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, checked_name, protocol_hash};
use crate::command::{Command, rewind_ticks_max};
use crate::fields::Edition;
use crate::ids::{ClientId, EntityId, Tick};
use crate::state::{CommandAck, StateAck};

/// Most bytes that wait for a client to read its control stream.
const OUTGOING_LEN_MAX: usize = 4 << 20;

/// Datagrams that are taken of a client; more are dropped. An honest one sends one a tick, 128 a
/// second at most, and after a stall what piled up meanwhile.
pub const DATAGRAM_LIMIT: RateLimit = RateLimit {
    per_s: 256,
    burst: 512,
};

/// Datagrams that may be dropped for [`DATAGRAM_LIMIT`] before it is no accident any more: the
/// session of a client that keeps up twice the limit, or twenty times for half a second, is ended.
const FLOOD_LIMIT: RateLimit = RateLimit {
    per_s: 256,
    burst: 2560,
};

/// What a client did that an honest one rarely does. Never more than a number: a peer's garbage is
/// no reason to log or to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServerCounters {
    /// Datagrams that are no commands.
    pub bad_datagrams: u64,
    /// Datagrams outside of a match: before the welcome or after the close.
    pub stray_datagrams: u64,
    /// Datagrams beyond [`DATAGRAM_LIMIT`].
    pub excess_datagrams: u64,
    /// Messages on the control stream that made no sense; each ended its session.
    pub bad_messages: u64,
    /// Commands whose tick had passed and that hadn't arrived before.
    pub late: u64,
    /// Commands that had arrived before; redundancy makes these.
    pub duplicate: u64,
    /// Commands too far ahead.
    pub early: u64,
    /// Commands for an entity that is not the client's player.
    pub foreign: u64,
    /// Commands with a number that is none.
    pub not_finite: u64,
    /// Commands of a client that only watches.
    pub spectator_commands: u64,
    /// Ticks that found no command, after the first one.
    pub starved: u64,
    /// Commands that went into a tick.
    pub consumed: u64,
    /// Of these, made by who saw the others further back than shots go ([`Command::rewind`]).
    pub view_cut: u64,
}

/// The server's end of a session with one client.
///
/// 1. On each new connection: [`ServerSession::new`].
/// 2. Bytes of the control stream go to [`handle_stream`](Self::handle_stream), datagrams to
///    [`handle_datagram`](Self::handle_datagram), times to [`handle_timeout`](Self::handle_timeout).
/// 3. Once [`poll_hello`](Self::poll_hello) returns a hello: [`accept`](Self::accept) or
///    [`close`](Self::close). A hello of another protocol or with a bad name never gets this far.
///    Whether its token is good is for a [`TokenGate`](crate::TokenGate) to say, and whether it may
///    have a player back for [`Seats`](super::Seats).
/// 4. Each tick: [`take_command`](Self::take_command), and after it [`ack`](Self::ack) for the
///    state datagrams; [`send_event`](Self::send_event) at any time.
/// 5. After each of these: write what [`poll_stream`](Self::poll_stream) returns, and close the
///    connection when [`poll_close`](Self::poll_close) says so.
#[derive(Debug)]
pub struct ServerSession {
    phase: Phase,
    deadline: Duration,
    idle_timeout: Duration,
    /// When the client said anything last.
    heard: Duration,
    datagrams: Bucket,
    /// Datagrams beyond what `datagrams` gave.
    flood: Bucket,
    incoming: Deframer,
    outgoing: Vec<u8>,
    close: Option<Close>,
    counters: ServerCounters,
}

#[derive(Debug)]
enum Phase {
    /// No hello yet.
    Greeting,
    /// A hello that the server has not been asked about.
    Asked(Hello),
    /// The server has the hello and decides.
    Deciding,
    Playing(Playing),
    Closed,
}

#[derive(Debug)]
struct Playing {
    client: ClientId,
    spectator: bool,
    /// The declarations that it was told last.
    edition: Edition,
    queue: CommandQueue,
    /// The most that [`Command::view`] may say without being cut.
    view_max: u16,
    ack: CommandAck,
    /// Which states the client says it has.
    state: StateAck,
}

impl ServerSession {
    /// A session with a client that connected just now; it may be silent for [`IDLE_TIMEOUT`].
    pub fn new(now: Duration) -> Self {
        Self::with_idle_timeout(now, IDLE_TIMEOUT)
    }

    /// As [`ServerSession::new`], with another time that the client may be silent in a match.
    pub fn with_idle_timeout(now: Duration, idle_timeout: Duration) -> Self {
        Self {
            phase: Phase::Greeting,
            deadline: now + HANDSHAKE_TIMEOUT,
            idle_timeout,
            heard: now,
            datagrams: Bucket::default(),
            flood: Bucket::default(),
            incoming: Deframer::new(CLIENT_MESSAGE_LEN_MAX),
            outgoing: Vec::new(),
            close: None,
            counters: ServerCounters::default(),
        }
    }

    /// Takes bytes of the control stream. A client can't make it hold more than two hellos' worth:
    /// what is longer, or is a second message, ends the session.
    pub fn handle_stream(&mut self, now: Duration, bytes: &[u8]) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.heard = now;
        self.incoming.push(bytes);
        while !matches!(self.phase, Phase::Closed) {
            let hello = match self.incoming.next() {
                Ok(None) => return,
                Ok(Some(message)) => read_client(message),
                Err(_) => None,
            };
            match (&self.phase, hello) {
                (Phase::Greeting, Some(hello)) => self.greet(hello),
                _ => {
                    self.counters.bad_messages += 1;
                    self.close(CloseReason::Garbage, "expected one hello and nothing else");
                }
            }
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Duration, datagram: &[u8]) {
        let Phase::Playing(playing) = &mut self.phase else {
            self.counters.stray_datagrams += 1;
            return;
        };
        if !self.datagrams.take(DATAGRAM_LIMIT, now) {
            self.counters.excess_datagrams += 1;
            if !self.flood.take(FLOOD_LIMIT, now) {
                let most = DATAGRAM_LIMIT.per_s;
                let text = format!("too many datagrams: at most {most} a second are taken");
                self.close(CloseReason::RateLimited, text);
            }
            return;
        }
        let Some(commands) = CommandsRef::read(datagram) else {
            self.counters.bad_datagrams += 1;
            return;
        };
        self.heard = now;
        let state = commands.state();
        if state.is_newer_than(&playing.state) {
            playing.state = state;
        }
        if playing.spectator {
            self.counters.spectator_commands += commands.commands().count() as u64;
            return;
        }
        for command in commands.commands() {
            match playing.queue.push(command) {
                Arrival::Queued => {}
                Arrival::Duplicate => self.counters.duplicate += 1,
                Arrival::Late => self.counters.late += 1,
                Arrival::Early => self.counters.early += 1,
            }
        }
    }

    /// Ends the session if its time is up.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.next_timeout().is_none_or(|due| now < due) {
            return;
        }
        match self.phase {
            Phase::Greeting => {
                self.close(CloseReason::HandshakeTimeout, "no hello arrived in time");
            }
            _ => {
                let text = format!("nothing was heard for {:?}", self.idle_timeout);
                self.close(CloseReason::Idle, text);
            }
        }
    }

    /// Notes that the connection is gone, for whichever reason.
    pub fn handle_closed(&mut self) {
        self.phase = Phase::Closed;
        self.close = None;
        self.outgoing.clear();
    }

    /// When to call [`ServerSession::handle_timeout`], if ever.
    pub fn next_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Greeting => Some(self.deadline),
            Phase::Playing(_) => Some(self.heard + self.idle_timeout),
            Phase::Asked(_) | Phase::Deciding | Phase::Closed => None,
        }
    }

    /// The client's hello, once: accept it or close.
    pub fn poll_hello(&mut self) -> Option<Hello> {
        match std::mem::replace(&mut self.phase, Phase::Deciding) {
            Phase::Asked(hello) => Some(hello),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Lets the client in. Commands of [`Welcome::tick`] and later will be taken.
    ///
    /// # Panics
    /// Where no hello was polled before.
    pub fn accept(&mut self, welcome: &Welcome) {
        match self.phase {
            Phase::Deciding => {}
            Phase::Closed => return, // the client left meanwhile
            _ => panic!("only a client that said hello can be accepted"),
        }
        self.outgoing.extend(write_welcome(welcome));
        self.phase = Phase::Playing(Playing {
            client: welcome.client,
            spectator: welcome.spectator,
            edition: welcome.declarations.edition,
            queue: CommandQueue::new(welcome.tick),
            view_max: Command::view_of(rewind_ticks_max(welcome.tick_hz)),
            ack: CommandAck::default(),
            state: StateAck::default(),
        });
    }

    /// Tells the client an event, reliably and in order. Before the welcome and after the close it
    /// is dropped.
    pub fn send_event(&mut self, event: &SharedEvent) {
        if !matches!(self.phase, Phase::Playing(_)) {
            return;
        }
        self.outgoing.extend_from_slice(event.bytes());
        if self.outgoing.len() > OUTGOING_LEN_MAX {
            self.close(CloseReason::TooSlow, "the control stream isn't read");
        }
    }

    /// Tells the client by which declarations the states to come are coded, unless it knows. Call it before
    /// each state is sent: it has to be on its way no later. Returns whether there is something to write.
    pub fn declare(&mut self, declarations: &SharedDeclarations) -> bool {
        let Phase::Playing(playing) = &mut self.phase else {
            return false;
        };
        if playing.edition == declarations.edition() {
            return false;
        }
        playing.edition = declarations.edition();
        self.outgoing.extend_from_slice(declarations.bytes());
        true
    }

    /// Consumes the client's command for a tick; call it once each tick, ascending. `own` is the
    /// client's player now. The command is finite and in range.
    pub fn take_command(&mut self, tick: Tick, own: EntityId) -> Option<Command> {
        let Phase::Playing(playing) = &mut self.phase else {
            return None;
        };
        let command = playing.queue.take(tick);
        playing.ack.slack = playing.queue.slack();
        let Some(command) = command else {
            self.counters.starved += u64::from(playing.ack.consumed.is_some());
            return None;
        };
        playing.ack.consumed = Some(tick);
        if command.entity.is_none() {
            return None; // the client doesn't know of a player of its own, perhaps not yet
        }
        if command.entity != own {
            self.counters.foreign += 1;
            return None;
        }
        let command = command.validate();
        match command {
            Ok(command) => {
                self.counters.consumed += 1;
                self.counters.view_cut += u64::from(command.view > playing.view_max);
            }
            Err(_) => self.counters.not_finite += 1,
        }
        command.ok()
    }

    /// Ends the session: refuses the client, or asks it to leave. The first close counts.
    pub fn close(&mut self, reason: CloseReason, text: impl Into<String>) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.close = Some(Close::new(reason, text));
        }
    }

    /// Bytes to write to the control stream.
    pub fn poll_stream(&mut self) -> Option<Vec<u8>> {
        (!self.outgoing.is_empty()).then(|| std::mem::take(&mut self.outgoing))
    }

    /// How to close the connection, once.
    pub fn poll_close(&mut self) -> Option<Close> {
        self.close.take()
    }

    /// What became of the client's commands, for its state datagrams.
    pub fn ack(&self) -> CommandAck {
        self.playing()
            .map_or_else(CommandAck::default, |playing| playing.ack)
    }

    /// Which state datagrams the client says it has, for [`ClientView::handle_ack`].
    ///
    /// [`ClientView::handle_ack`]: crate::ClientView::handle_ack
    pub fn state_ack(&self) -> StateAck {
        let playing = self.playing();
        playing.map_or_else(StateAck::default, |playing| playing.state)
    }

    /// The client's slot, while it plays.
    pub fn client(&self) -> Option<ClientId> {
        self.playing().map(|playing| playing.client)
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// What the client did that it shouldn't have.
    pub fn counters(&self) -> &ServerCounters {
        &self.counters
    }

    fn playing(&self) -> Option<&Playing> {
        match &self.phase {
            Phase::Playing(playing) => Some(playing),
            _ => None,
        }
    }

    fn greet(&mut self, mut hello: Hello) {
        let ours = protocol_hash();
        if hello.protocol_hash != ours {
            let text = format!(
                "this server speaks protocol {ours:016x}, the client {:016x}: use the same build",
                hello.protocol_hash
            );
            return self.close(CloseReason::ProtocolMismatch, text);
        }
        match checked_name(&hello.name) {
            Ok(name) => hello.name = name,
            Err(error) => return self.close(CloseReason::BadName, error.to_string()),
        }
        self.phase = Phase::Asked(hello);
    }
}
