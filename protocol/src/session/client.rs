//! The client's end of a session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::clock::CommandClock;
use super::close::{Close, CloseReason};
use super::commands::{COMMANDS_MAX, REDUNDANCY, write_commands};
use super::framing::Deframer;
use super::messages::{
    Hello, SERVER_MESSAGE_LEN_MAX, ServerEvent, ServerMessage, Watch, Welcome, read_server,
    write_hello,
};
use super::seats::ReconnectSecret;
use super::{HANDSHAKE_TIMEOUT, protocol_hash};
use crate::command::Command;
use crate::fields::{Declarations, Edition, FieldTable};
use crate::ids::{EntityId, Tick};
use crate::state::{FrameDecoder, StateError, StateHeader};
use crate::token::SignedToken;

/// What a client asks for when it connects. A name alone asks for a new player.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JoinRequest {
    /// How its player wants to be called: at most [`NAME_LEN_MAX`](super::NAME_LEN_MAX) bytes. Where
    /// the server asks for a token, the name in that counts.
    pub name: String,
    /// Its right to come in, where the server asks for one.
    pub token: Option<SignedToken>,
    /// The [`Welcome::reconnect`] of an earlier session: it wants the same player again, and needs no
    /// other token for it.
    pub reconnect: Option<ReconnectSecret>,
    /// It wants to watch rather than to play.
    pub watch: Option<Watch>,
}

impl<T: Into<String>> From<T> for JoinRequest {
    fn from(name: T) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// What happened to a client.
#[derive(Clone, PartialEq, Debug)]
pub enum ClientEvent {
    /// The server let it in.
    Welcome(Arc<Welcome>),
    /// A script told it something.
    Event(ServerEvent),
    /// Scripts declare something else from the newest state on, and what was in sight is told anew: see
    /// [`ClientSession::world`].
    Declared(Arc<FieldTable>),
    /// The session ended.
    Closed(Close),
}

/// What a server did that a sound one rarely does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientCounters {
    /// State datagrams taken.
    pub datagrams: u64,
    /// State datagrams that couldn't be read.
    pub bad_datagrams: u64,
    /// State datagrams so old that they said nothing any more, or started from something that newer
    /// ones had replaced.
    pub old_datagrams: u64,
    /// State datagrams before the welcome or after the close; reordering makes these.
    pub stray_datagrams: u64,
    /// State datagrams that came before what the scripts now declare, on which they are coded, or that
    /// were overtaken by it.
    pub undeclared_datagrams: u64,
}

/// The client's end of a session.
///
/// 1. On a new connection with its control stream: [`ClientSession::new`].
/// 2. What arrives goes to [`handle_stream`](Self::handle_stream),
///    [`handle_datagram`](Self::handle_datagram) and [`handle_closed`](Self::handle_closed), times
///    to [`handle_timeout`](Self::handle_timeout).
/// 3. [`poll_event`](Self::poll_event) tells what happened, [`world`](Self::world) what is in sight.
/// 4. At [`next_timeout`](Self::next_timeout): while [`poll_command_tick`](Self::poll_command_tick)
///    returns a tick, [`send_command`](Self::send_command) what to do in it.
/// 5. After each of these: write what [`poll_stream`](Self::poll_stream) returns, send what
///    [`poll_datagram`](Self::poll_datagram) returns, and close the connection when
///    [`poll_close`](Self::poll_close) says so.
#[derive(Debug)]
pub struct ClientSession {
    phase: Phase,
    deadline: Duration,
    incoming: Deframer,
    outgoing: Vec<u8>,
    events: VecDeque<ClientEvent>,
    close: Option<Close>,
    counters: ClientCounters,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    Playing(Box<Playing>),
    Closed,
}

#[derive(Debug)]
struct Playing {
    welcome: Arc<Welcome>,
    world: FrameDecoder,
    /// Declarations that no state has been of yet, oldest first.
    declared: VecDeque<Declarations>,
    clock: CommandClock,
    /// The last commands, oldest first.
    commands: VecDeque<Command>,
    /// How many of the last commands no datagram has held yet.
    unsent: usize,
    /// A tick has come for which the server is to hear what state is here, also where nothing is commanded.
    due: bool,
}

impl ClientSession {
    /// A session of a client that asks for something: a name is enough, see [`JoinRequest`].
    pub fn new(now: Duration, request: impl Into<JoinRequest>) -> Self {
        let JoinRequest {
            name,
            token,
            reconnect,
            watch,
        } = request.into();
        let hello = Hello {
            protocol_hash: protocol_hash(),
            name,
            token,
            reconnect,
            watch,
        };
        Self {
            phase: Phase::Greeting,
            deadline: now + HANDSHAKE_TIMEOUT,
            incoming: Deframer::new(SERVER_MESSAGE_LEN_MAX),
            outgoing: write_hello(&hello),
            events: VecDeque::new(),
            close: None,
            counters: ClientCounters::default(),
        }
    }

    /// Takes bytes of the control stream.
    pub fn handle_stream(&mut self, now: Duration, bytes: &[u8]) {
        if self.is_closed() {
            return;
        }
        self.incoming.push(bytes);
        while !self.is_closed() {
            let message = match self.incoming.next() {
                Ok(None) => return,
                Ok(Some(message)) => read_server(message),
                Err(_) => None,
            };
            match (&mut self.phase, message) {
                (Phase::Greeting, Some(ServerMessage::Welcome(welcome))) => {
                    self.begin(now, welcome)
                }
                (Phase::Playing(_), Some(ServerMessage::Event(event))) => {
                    self.events.push_back(ClientEvent::Event(event));
                }
                (Phase::Playing(playing), Some(ServerMessage::Declarations(declarations))) => {
                    let is_older = |older: &Declarations| older.edition != declarations.edition;
                    playing.declared.retain(is_older);
                    playing.declared.push_back(declarations);
                }
                _ => self.close(CloseReason::Garbage, "the server's message makes no sense"),
            }
        }
    }

    /// Takes a state datagram; returns its header if it was any good.
    pub fn handle_datagram(&mut self, now: Duration, datagram: &[u8]) -> Option<StateHeader> {
        let Phase::Playing(playing) = &mut self.phase else {
            self.counters.stray_datagrams += 1;
            return None;
        };
        let mut handled = playing.world.handle(datagram);
        if let Err(StateError::OtherEdition(edition)) = handled
            && let Some(table) = playing.change_to(edition)
        {
            self.events.push_back(ClientEvent::Declared(table));
            handled = playing.world.handle(datagram);
        }
        match handled {
            Ok(header) => {
                self.counters.datagrams += 1;
                playing.clock.handle_ack(now, header.tick, header.ack);
                Some(header)
            }
            Err(StateError::TooOld(_) | StateError::NoBaseline(..)) => {
                self.counters.old_datagrams += 1;
                None
            }
            Err(StateError::OtherEdition(_)) => {
                self.counters.undeclared_datagrams += 1;
                None
            }
            Err(_) => {
                self.counters.bad_datagrams += 1;
                None
            }
        }
    }

    /// Ends the session if the handshake's time is up.
    pub fn handle_timeout(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Greeting) && now >= self.deadline {
            self.close(CloseReason::HandshakeTimeout, "no welcome arrived in time");
        }
    }

    /// Notes that the connection is gone: [`Close::received`] or [`Close::lost`].
    pub fn handle_closed(&mut self, close: Close) {
        if !self.is_closed() {
            self.end(close);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_command_tick`](Self::poll_command_tick) next, if ever.
    pub fn next_timeout(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Greeting => Some(self.deadline),
            Phase::Playing(playing) => Some(playing.clock.next_due()),
            Phase::Closed => None,
        }
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next tick that a command is due for, each once, ascending. A spectator commands nothing, and who
    /// has no player may do so, but call it all the same: it says when to tell the server what has arrived.
    pub fn poll_command_tick(&mut self, now: Duration) -> Option<Tick> {
        let playing = self.playing_mut()?;
        loop {
            let tick = playing.clock.poll(now)?;
            playing.due = true;
            if !playing.welcome.spectator {
                return Some(tick);
            }
        }
    }

    /// Sends a command for a tick that [`poll_command_tick`](Self::poll_command_tick) returned, for
    /// the player that [`own_entity`](Self::own_entity) names.
    pub fn send_command(&mut self, command: Command) {
        let Some(playing) = self.playing_mut() else {
            return;
        };
        if playing.commands.len() == COMMANDS_MAX {
            playing.commands.pop_front();
        }
        playing.commands.push_back(command);
        playing.unsent = (playing.unsent + 1).min(COMMANDS_MAX);
    }

    /// A datagram to send.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        let playing = self
            .playing_mut()
            .filter(|playing| playing.unsent > 0 || playing.due)?;
        // What comes later than the reserve lasts is in vain.
        let copies = REDUNDANCY + playing.clock.reserve().ceil() as usize;
        let count = (playing.unsent + copies - 1).min(playing.commands.len());
        playing.unsent = 0;
        playing.due = false;
        let state = playing.world.ack();
        let commands = playing
            .commands
            .range(playing.commands.len() - count..)
            .copied();
        Some(write_commands(state, commands))
    }

    /// Bytes to write to the control stream.
    pub fn poll_stream(&mut self) -> Option<Vec<u8>> {
        (!self.outgoing.is_empty()).then(|| std::mem::take(&mut self.outgoing))
    }

    /// How to close the connection, once.
    pub fn poll_close(&mut self) -> Option<Close> {
        self.close.take()
    }

    /// Leaves, or ends the session for another reason. The first close counts.
    pub fn close(&mut self, reason: CloseReason, text: impl Into<String>) {
        if !self.is_closed() {
            let close = Close::new(reason, text);
            self.close = Some(close.clone());
            self.end(close);
        }
    }

    /// The server's welcome, once it arrived and while the session lasts.
    pub fn welcome(&self) -> Option<&Arc<Welcome>> {
        self.playing().map(|playing| &playing.welcome)
    }

    /// The entities in sight.
    pub fn world(&self) -> Option<&FrameDecoder> {
        self.playing().map(|playing| &playing.world)
    }

    /// The client's player, [`EntityId::NONE`] while it has none.
    pub fn own_entity(&self) -> EntityId {
        match self.playing() {
            Some(playing) if !playing.welcome.spectator => self.seen_through(),
            _ => EntityId::NONE,
        }
    }

    /// The player whose surroundings the client is told of: its own, or the one that it watches.
    pub fn seen_through(&self) -> EntityId {
        let newest = self.world().and_then(FrameDecoder::newest);
        newest.map_or(EntityId::NONE, |header| header.own)
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// What the server did that it shouldn't have.
    pub fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    fn playing(&self) -> Option<&Playing> {
        match &self.phase {
            Phase::Playing(playing) => Some(playing),
            _ => None,
        }
    }

    fn playing_mut(&mut self) -> Option<&mut Playing> {
        match &mut self.phase {
            Phase::Playing(playing) => Some(playing),
            _ => None,
        }
    }

    fn begin(&mut self, now: Duration, welcome: Welcome) {
        let Ok(world) = FrameDecoder::new(welcome.declarations.clone(), welcome.tick_hz) else {
            return self.close(CloseReason::Garbage, "the field table makes no sense");
        };
        let welcome = Arc::new(welcome);
        self.events
            .push_back(ClientEvent::Welcome(Arc::clone(&welcome)));
        self.phase = Phase::Playing(Box::new(Playing {
            clock: CommandClock::new(now, welcome.tick, welcome.tick_hz),
            welcome,
            world,
            declared: VecDeque::new(),
            commands: VecDeque::with_capacity(COMMANDS_MAX),
            unsent: 0,
            due: false,
        }));
    }

    fn end(&mut self, close: Close) {
        self.phase = Phase::Closed;
        self.outgoing.clear();
        self.events.push_back(ClientEvent::Closed(close));
    }
}

impl Playing {
    /// Empties the world for states of this edition, if it has been declared. Those before it were for
    /// states that were all lost.
    fn change_to(&mut self, edition: Edition) -> Option<Arc<FieldTable>> {
        let is_it = |declarations: &Declarations| declarations.edition == edition;
        let at = self.declared.iter().position(is_it)?;
        let declarations = self.declared.drain(..=at).next_back()?;
        let table = Arc::clone(&declarations.table);
        self.world = FrameDecoder::new(declarations, self.welcome.tick_hz).ok()?;
        Some(table)
    }
}
