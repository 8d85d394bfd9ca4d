//! One bot: its connection, the protocol's client machine on it, and the mind behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn_proto::{ConnectionError, Dir, Event, StreamEvent, StreamId, VarInt};
use tessera_client::Client as Player;
use tessera_protocol::session::{ClientEvent, Close, CloseReason, JoinRequest, Welcome};
use tessera_protocol::{Command, EntityId, Tick, buttons};
use tessera_world::World;

use super::eyes::Eyes;
use super::fleet::Plan;
use super::head::Head;
use super::meter::{Meter, Totals};
use super::mind::THINK_HZ;
use super::senses::Senses;
use super::wire::Link;
use crate::report::detail::Deeds;

/// A command that is made this long after it was due is the bots' own fault: their thread didn't run.
const LATE: Duration = Duration::from_millis(50);
/// Between two commands nobody moves as far as this, metres.
const LEAP_M: f64 = 5.0;

/// Where a bot stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not welcomed yet.
    Joining,
    /// In the match.
    Playing,
    /// The session has ended.
    Lost,
}

/// One bot. All its times count from the fleet's beginning.
#[derive(Debug)]
pub struct Client {
    /// Its connection.
    pub link: Link,
    /// What it measures.
    pub meter: Meter,
    /// When the connection's timers want to run.
    pub timeout: Option<Instant>,
    /// When the session wants to run: the next command, or the end of the handshake.
    pub due: Option<Duration>,
    /// A mark for whoever collects clients to look after.
    pub touched: bool,
    name: String,
    player: Player,
    stream: Option<StreamId>,
    /// Bytes for the control stream that it had no room for.
    unwritten: Vec<u8>,
    phase: Phase,
    closed: Option<Close>,
    welcome: Option<Arc<Welcome>>,
    eyes: Eyes,
    senses: Senses,
    mind: Head,
    /// Commands made so far; bots begin at different ones, so that not all think in the same tick.
    beat: u64,
    /// Command ticks that the session's clock left out: it jumped, or the loop was late by many ticks.
    skipped: u64,
    /// Commands that were made later than [`LATE`].
    late: u64,
    last_tick: Option<Tick>,
    deeds: Deeds,
    /// When the session's clock may have been set last: nothing was due before that could be late now.
    clock_set: Duration,
}

/// Why a session ended, in half a sentence.
pub fn in_words(close: &Close) -> String {
    match close.text.is_empty() {
        true => format!("{:?}", close.reason),
        false => format!("{:?}: {}", close.reason, close.text),
    }
}

/// How bot `number` of a run is called.
pub fn name(number: usize) -> String {
    format!("bot {number:03}")
}

impl Client {
    /// Bot `number` of a run, on a connection that has just begun.
    pub fn new(now: Duration, number: usize, plan: &Plan, link: Link) -> Client {
        let name = name(number);
        let request = JoinRequest {
            name: name.clone(),
            token: plan.tokens.get(number).cloned(),
            ..JoinRequest::default()
        };
        Client {
            player: Player::new(now, request),
            link,
            meter: Meter::default(),
            timeout: None,
            due: None,
            touched: false,
            name,
            stream: None,
            unwritten: Vec::new(),
            phase: Phase::Joining,
            closed: None,
            welcome: None,
            eyes: Eyes::default(),
            senses: Senses::default(),
            mind: Head::new(plan.scenario, plan.seed, number as u64),
            beat: number as u64,
            skipped: 0,
            late: 0,
            last_tick: None,
            deeds: Deeds::default(),
            clock_set: now,
        }
    }

    /// Its name in the match.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How it was lost, if it was.
    pub fn closed(&self) -> Option<&Close> {
        self.closed.as_ref()
    }

    /// What the server told at the beginning.
    pub fn welcome(&self) -> Option<&Arc<Welcome>> {
        self.welcome.as_ref()
    }

    /// UDP payload received and sent so far.
    pub fn bytes(&self) -> (u64, u64) {
        let stats = self.link.connection.stats();
        (stats.udp_rx.bytes, stats.udp_tx.bytes)
    }

    /// Datagrams from the server that made no sense.
    pub fn garbage(&self) -> u64 {
        self.player.session().counters().bad_datagrams
    }

    /// Commands that were left out since the clock jumped or the bots were late.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Commands made long after they were due, in the window.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// What it did since the window began.
    pub fn deeds(&self) -> Deeds {
        let alive = self.senses.body.is_some_and(|body| body.alive);
        Deeds {
            alive: usize::from(alive),
            ..self.deeds
        }
    }

    /// Gives it the map, on which it predicts itself.
    pub fn set_map(&mut self, map: Arc<World>) {
        self.player.set_map(map);
    }

    /// Begins to measure anew.
    pub fn begin_window(&mut self) {
        self.meter.begin_window();
        self.deeds = Deeds::default();
        self.late = 0;
    }

    /// Works on what the connection has. `now_ns` is the same moment on the monotonic clock.
    pub fn pump(&mut self, now: Duration, now_ns: i64, all: &mut Totals) {
        while let Some(event) = self.link.connection.poll() {
            match event {
                Event::Connected => self.stream = self.link.connection.streams().open(Dir::Bi),
                Event::Stream(StreamEvent::Readable { id }) => self.read(now, id),
                Event::ConnectionLost { reason } => self.player.handle_closed(close_of(&reason)),
                _ => {}
            }
        }
        while let Some(datagram) = self.link.connection.datagrams().recv() {
            if let Some(header) = self.player.handle_datagram(now, &datagram) {
                self.meter
                    .arrived(header.tick, header.ack.consumed, now_ns, all);
                all.stale(self.player.take_waited_ticks() as u32);
            }
        }
        while let Some(error_m) = self.player.poll_correction() {
            all.corrected(error_m);
        }
        self.clock_set = now;
        while let Some(event) = self.player.poll_event() {
            self.hear(event);
        }
        self.write();
        self.due = self.player.next_timeout();
    }

    /// Makes the commands that are due. `ns_of` gives a moment on the monotonic clock. Says whether there is something to
    /// send.
    pub fn act(
        &mut self,
        now: Duration,
        world: Option<&World>,
        ns_of: impl Fn(Duration) -> i64,
        all: &mut Totals,
    ) -> bool {
        self.player.handle_timeout(now);
        let Some(hz) = self.welcome.as_ref().map(|welcome| welcome.tick_hz) else {
            self.due = self.player.next_timeout();
            return false;
        };
        while let Some(due) = self.player.next_timeout() {
            let Some(tick) = self.player.poll_command_tick(now) else {
                break;
            };
            let own = self.player.session().own_entity();
            self.note(tick);
            // Nobody to steer: a server that hasn't made the player yet, or a mode without players.
            if own.is_none() {
                continue;
            }
            self.player.advance(now);
            if let Some(delay) = self.player.interpolation_delay() {
                all.interpolated(delay);
            }
            let command = self.decide(tick, own, now.as_secs_f64(), hz, world);
            self.player.send_command(now, command);
            let due = due.max(self.clock_set);
            self.late += u64::from(now.saturating_sub(due) > LATE);
            self.meter.sent(tick, ns_of(due));
        }
        let datagram = self.player.poll_datagram();
        let sends = datagram.is_some();
        if let Some(datagram) = datagram {
            // Refused only while the connection closes; its end is told by an event of its own.
            let _ = self
                .link
                .connection
                .datagrams()
                .send(Bytes::from(datagram), true);
        }
        self.due = self.player.next_timeout();
        sends
    }

    /// Leaves the match.
    pub fn leave(&mut self, now: Instant) {
        self.player.close(CloseReason::Left, "the test is over");
        self.close(now);
    }

    /// Closes the connection if the session wants that.
    pub fn close(&mut self, now: Instant) {
        if let Some(close) = self.player.poll_close() {
            self.link.connection.close(
                now,
                VarInt::from_u32(close.reason.code()),
                Bytes::from(close.text),
            );
            while let Some(event) = self.player.poll_event() {
                self.hear(event);
            }
        }
    }

    fn note(&mut self, tick: Tick) {
        let step = self.last_tick.map_or(1, |last| tick.wrapping_sub(last));
        self.skipped += u64::try_from(step - 1).unwrap_or(0);
        self.last_tick = Some(tick);
    }

    /// Thinks if it is time to, then acts.
    fn decide(
        &mut self,
        tick: Tick,
        own: EntityId,
        now_s: f64,
        hz: u32,
        world: Option<&World>,
    ) -> Command {
        let think_every = (f64::from(hz) / THINK_HZ).round().max(1.0) as u64;
        self.beat += 1;
        let stood = self.senses.body.map(|body| body.position);
        if self.beat.is_multiple_of(think_every) {
            self.eyes.look(&self.player, &mut self.senses);
            self.mind.think(&self.senses, world, now_s);
        } else {
            self.eyes
                .glance(&self.player, &mut self.senses, self.mind.target());
        }
        if let (Some(from), Some(body)) = (stood, self.senses.body) {
            // A player who is put somewhere else hasn't walked there.
            let step = from.distance(body.position);
            self.deeds.metres += if step < LEAP_M && body.alive {
                step
            } else {
                0.0
            };
        }
        let intent = self
            .mind
            .act(&self.senses, world, now_s, 1.0 / f64::from(hz));
        self.deeds.firing += u64::from(intent.buttons & buttons::FIRE != 0);
        self.deeds.jumping += u64::from(intent.buttons & buttons::JUMP != 0);
        Command {
            tick,
            entity: own,
            move_x: intent.move_x,
            move_z: intent.move_z,
            yaw: intent.yaw,
            pitch: intent.pitch,
            buttons: intent.buttons,
            slot: intent.slot,
            view: 0, // the client says it itself
        }
    }

    fn hear(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Welcome(welcome) => {
                self.eyes = Eyes::new(&welcome.declarations.table);
                self.welcome = Some(welcome);
                self.phase = Phase::Playing;
            }
            ClientEvent::Declared(table) => self.eyes = Eyes::new(&table),
            ClientEvent::Closed(close) => {
                self.closed = Some(close);
                self.phase = Phase::Lost;
            }
            // What a person would read or hear.
            ClientEvent::Event(_) => self.deeds.events += 1,
        }
    }

    fn read(&mut self, now: Duration, id: StreamId) {
        let mut stream = self.link.connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            return;
        };
        // An error is the stream's end, which is the session's; the close comes by itself.
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            self.player.handle_stream(now, &chunk.bytes);
        }
        let _ = chunks.finalize();
    }

    fn write(&mut self) {
        if let Some(id) = self.stream {
            if let Some(bytes) = self.player.poll_stream() {
                self.unwritten.extend(bytes);
            }
            if !self.unwritten.is_empty()
                && let Ok(count) = self.link.connection.send_stream(id).write(&self.unwritten)
            {
                self.unwritten.drain(..count);
            }
        }
    }
}

fn close_of(reason: &ConnectionError) -> Close {
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
            Close::received(code, &close.reason)
        }
        other => Close::lost(other.to_string()),
    }
}
