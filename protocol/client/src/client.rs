//! A session with prediction and interpolation on it: what a game drives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use glam::DVec3;
use tessera_protocol::session::{
    ClientEvent, ClientSession, Close, CloseReason, JoinRequest, Welcome,
};
use tessera_protocol::{Command, EntityId, Kind, StateHeader, Tick};
use tessera_world::World;

use crate::clock::ServerClock;
use crate::interpolate::Interpolator;
use crate::predict::Predictor;
use crate::track::Pose;

/// Corrections that wait to be polled; older ones are dropped.
const CORRECTIONS_MAX: usize = 64;

/// The own player as it is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OwnPlayer {
    /// Metres: after the newest command where it is predicted, else as in the newest state.
    pub position: DVec3,
    /// Metres per second, likewise.
    pub velocity: DVec3,
    /// Whether this is predicted.
    pub predicted: bool,
}

/// A client of a match.
///
/// 1. On a new connection with its control stream: [`Client::new`]. When the welcome has named the
///    map, and it has been loaded: [`set_map`](Self::set_map); without one nothing is predicted.
/// 2. What arrives goes to [`handle_stream`](Self::handle_stream),
///    [`handle_datagram`](Self::handle_datagram) and [`handle_closed`](Self::handle_closed), times
///    to [`handle_timeout`](Self::handle_timeout).
/// 3. [`poll_event`](Self::poll_event) tells what happened, [`poll_correction`](Self::poll_correction)
///    how wrong predictions were.
/// 4. To show a frame: [`advance`](Self::advance) to its time, then [`own`](Self::own) and
///    [`pose`](Self::pose) of the others.
/// 5. At [`next_timeout`](Self::next_timeout): while [`poll_command_tick`](Self::poll_command_tick)
///    returns a tick, [`send_command`](Self::send_command) what to do in it.
/// 6. After each of these: write what [`poll_stream`](Self::poll_stream) returns, send what
///    [`poll_datagram`](Self::poll_datagram) returns, and close the connection when
///    [`poll_close`](Self::poll_close) says so.
#[derive(Debug)]
pub struct Client {
    session: ClientSession,
    map: Option<Arc<World>>,
    playing: Option<Playing>,
    corrections: VecDeque<f64>,
}

/// There from the welcome on.
#[derive(Debug)]
struct Playing {
    tick_hz: u32,
    clock: ServerClock,
    interpolator: Interpolator,
    /// Of this entity, once it is known to be the own player, and the map has been set.
    predictor: Option<(EntityId, Predictor)>,
}

impl Client {
    /// A client that asks for something: a name is enough, see [`JoinRequest`].
    pub fn new(now: Duration, request: impl Into<JoinRequest>) -> Self {
        Self {
            session: ClientSession::new(now, request),
            map: None,
            playing: None,
            corrections: VecDeque::new(),
        }
    }

    /// The map that the welcome named: from now on the own player is predicted on it.
    pub fn set_map(&mut self, map: Arc<World>) {
        self.map = Some(map);
    }

    /// Takes bytes of the control stream.
    pub fn handle_stream(&mut self, now: Duration, bytes: &[u8]) {
        self.session.handle_stream(now, bytes);
        if self.playing.is_none() {
            self.playing = self.session.welcome().map(Playing::new);
        }
    }

    /// Takes a state datagram; returns its header if it was any good.
    pub fn handle_datagram(&mut self, now: Duration, datagram: &[u8]) -> Option<StateHeader> {
        let header = self.session.handle_datagram(now, datagram)?;
        let correction = self.take_in(now, &header);
        if let Some(error) = correction {
            if self.corrections.len() == CORRECTIONS_MAX {
                self.corrections.pop_front();
            }
            self.corrections.push_back(error);
        }
        Some(header)
    }

    /// What the datagram told goes to the clock, the tracks of the others, and the predictor.
    fn take_in(&mut self, now: Duration, header: &StateHeader) -> Option<f64> {
        let (playing, world) = (self.playing.as_mut()?, self.session.world()?);
        let kinds = &world.field_table().kinds;
        playing.clock.handle_state(now, header);
        let ticks = playing.clock.ticks(header.tick);
        let viewpoint = world
            .get(header.own)
            .map(|own| DVec3::from_array(own.position()));
        playing.interpolator.handle_viewpoint(viewpoint);
        for entity in world.entities() {
            let moves = kinds.get(entity.kind().index()).is_some_and(moves);
            if entity.seen() == header.tick && entity.id() != header.own && moves {
                playing.interpolator.handle_entity(ticks, &entity);
            }
        }
        playing.interpolator.handle_sight(ticks, world);

        let own = world.get(header.own)?;
        let kind = kinds.get(own.kind().index())?;
        let known = playing.predictor.as_ref();
        if known.is_none_or(|(id, _)| *id != own.id()) {
            let hz = playing.tick_hz;
            playing.predictor = self
                .map
                .as_ref()
                .and_then(|map| Predictor::new(Arc::clone(map), kind, hz))
                .map(|predictor| (own.id(), predictor));
        }
        let (_, predictor) = playing.predictor.as_mut()?;
        if own.seen() != header.tick {
            return None;
        }
        predictor.read_by(kind);
        let (state, walks) = predictor.read(&own);
        predictor.handle_state(header.tick, state, walks)
    }

    /// Notes that the connection is gone: [`Close::received`] or [`Close::lost`].
    pub fn handle_closed(&mut self, close: Close) {
        self.session.handle_closed(close);
    }

    /// Ends the session if the handshake's time is up.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.session.handle_timeout(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_command_tick`](Self::poll_command_tick) next, if ever.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.session.next_timeout()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.session.poll_event()
    }

    /// How far a prediction was from what the server then said of that tick, metres; one a state
    /// that told of the own player, in order, small rounding on the wire included.
    pub fn poll_correction(&mut self) -> Option<f64> {
        self.corrections.pop_front()
    }

    /// The next tick that a command is due for, each once, ascending.
    pub fn poll_command_tick(&mut self, now: Duration) -> Option<Tick> {
        self.session.poll_command_tick(now)
    }

    /// Moves what is shown of the others on to `now`.
    pub fn advance(&mut self, now: Duration) {
        if let Some(playing) = &mut self.playing {
            playing.interpolator.advance(now, &playing.clock);
        }
    }

    /// Sends a command for a tick that [`poll_command_tick`](Self::poll_command_tick) returned, and
    /// walks by it. Says itself which moment of the others is shown.
    pub fn send_command(&mut self, now: Duration, mut command: Command) {
        if let Some(playing) = &mut self.playing {
            let shown = playing.interpolator.view_ticks();
            command.view = shown.map_or(0, |shown| {
                Command::view_of(playing.clock.ticks(command.tick) - shown)
            });
            playing.clock.handle_sent(now, command.tick);
            if let Some((_, predictor)) = &mut playing.predictor {
                predictor.handle_command(&command);
            }
        }
        self.session.send_command(command);
    }

    /// A datagram to send.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.session.poll_datagram()
    }

    /// Bytes to write to the control stream.
    pub fn poll_stream(&mut self) -> Option<Vec<u8>> {
        self.session.poll_stream()
    }

    /// How to close the connection, once.
    pub fn poll_close(&mut self) -> Option<Close> {
        self.session.poll_close()
    }

    /// Leaves, or ends the session for another reason. The first close counts.
    pub fn close(&mut self, reason: CloseReason, text: impl Into<String>) {
        self.session.close(reason, text);
    }

    /// The session, for all that is only to be read: the welcome, the entities in sight, counters.
    pub fn session(&self) -> &ClientSession {
        &self.session
    }

    /// The own player, `None` before it is in sight.
    pub fn own(&self) -> Option<OwnPlayer> {
        let told = self.session.world()?.own()?;
        let predictor = self.playing.as_ref()?.predictor.as_ref();
        let predictor = predictor.filter(|(id, _)| *id == told.id());
        let predicted = predictor
            .and_then(|(_, predictor)| Some((predictor.position()?, predictor.state()?.velocity)));
        let (position, velocity) = predicted.unwrap_or_else(|| {
            let vector = DVec3::from_array;
            (vector(told.position()), vector(told.velocity()))
        });
        Some(OwnPlayer {
            position,
            velocity,
            predicted: predicted.is_some(),
        })
    }

    /// How another entity is shown, if its kind moves and it has been heard of.
    pub fn pose(&self, id: EntityId) -> Option<Pose> {
        self.playing.as_ref()?.interpolator.pose(id)
    }

    /// How far what is shown of the others is behind the newest state; `None` before the welcome.
    pub fn interpolation_delay(&self) -> Option<Duration> {
        Some(self.playing.as_ref()?.interpolator.delay())
    }

    /// The most ticks that a word of an entity that kept moving was waited for, of the words since this
    /// was asked last; see [`Interpolator::take_waited_ticks`].
    pub fn take_waited_ticks(&mut self) -> f64 {
        let playing = self.playing.as_mut();
        playing.map_or(0.0, |playing| playing.interpolator.take_waited_ticks())
    }

    /// What is known of the server's clock; `None` before the welcome.
    pub fn clock(&self) -> Option<&ServerClock> {
        Some(&self.playing.as_ref()?.clock)
    }
}

impl Playing {
    fn new(welcome: &Arc<Welcome>) -> Self {
        Self {
            tick_hz: welcome.tick_hz,
            clock: ServerClock::new(welcome.tick, welcome.tick_hz),
            interpolator: Interpolator::new(welcome.tick_hz),
            predictor: None,
        }
    }
}

/// Whether entities of a kind are interpolated: what nothing moves (items, buildings, the match) is shown as
/// in the newest state.
fn moves(kind: &Kind) -> bool {
    kind.walker.is_some() || kind.hitbox.is_some() || kind.projectile.is_some()
}
