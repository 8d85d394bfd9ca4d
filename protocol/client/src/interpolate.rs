//! The others: shown a little in the past, so that there is a state on either side.

use std::time::Duration;

use glam::DVec3;
use tessera_protocol::{EntityId, EntityRef, FrameDecoder};

use crate::clock::ServerClock;
use crate::playback::Playback;
use crate::track::{Pose, Track};

/// Ticks after which an entity that is out of sight is forgotten.
const FORGET_TICKS: f64 = 64.0;
/// Ticks between two looks at who is out of sight.
const SWEEP_TICKS: f64 = 8.0;
/// Within this of the own player others are near, metres: servers tell of them in every tick.
const NEAR_M: f64 = 30.0;

/// Shows entities as they were a short while ago, evenly, however states arrive (Bernier's
/// interpolation, as in Source; Fiedler, "Snapshot Interpolation").
///
/// All are shown as of one moment, since that is what a shot goes back to. The delay follows what is
/// measured: how late states are, and how seldom those are told of who are near. Who is far is told of
/// less often; that, and a state that comes too late, is bridged by extrapolation, for a tenth of a second
/// at most, and what turns out to have been wrong is smoothed away over a few ticks.
///
/// 1. For each state, where the own player is: [`handle_viewpoint`](Self::handle_viewpoint); then for
///    each entity that it tells of: [`handle_entity`](Self::handle_entity).
/// 2. Before looking: [`advance`](Self::advance); what it returns belongs into the commands.
/// 3. [`pose`](Self::pose) of each entity.
#[derive(Clone, Debug)]
pub struct Interpolator {
    tick_hz: f64,
    /// Ascending by id.
    tracks: Vec<Track>,
    playback: Playback,
    /// Where the own player is.
    viewpoint: Option<DVec3>,
    swept: f64,
    waited: f64,
}

impl Interpolator {
    /// An interpolator that has seen nothing.
    pub fn new(tick_hz: u32) -> Self {
        Self {
            tick_hz: tick_hz.into(),
            tracks: Vec::new(),
            playback: Playback::new(tick_hz.into()),
            viewpoint: None,
            swept: 0.0,
            waited: 0.0,
        }
    }

    /// Where the world is looked at from: those around are near.
    pub fn handle_viewpoint(&mut self, viewpoint: Option<DVec3>) {
        self.viewpoint = viewpoint;
    }

    /// Takes the newest state of an entity, of `ticks` as [`ServerClock::ticks`] counts.
    pub fn handle_entity(&mut self, ticks: f64, entity: &EntityRef<'_>) {
        let pose = Pose {
            position: DVec3::from_array(entity.position()),
            velocity: DVec3::from_array(entity.velocity()),
            yaw: entity.yaw(),
            pitch: entity.pitch(),
        };
        self.handle_pose(ticks, entity.id(), pose);
    }

    /// The same from values.
    pub fn handle_pose(&mut self, ticks: f64, id: EntityId, pose: Pose) {
        match self.tracks.binary_search_by_key(&id, |track| track.id) {
            Err(at) => self.tracks.insert(at, Track::new(id, ticks, pose)),
            Ok(at) => {
                let view = self.playback.view();
                let Some(gap) = self.tracks[at].push(ticks, pose, view, self.tick_hz) else {
                    return;
                };
                self.waited = self.waited.max(gap);
                let near = self
                    .viewpoint
                    .is_some_and(|own| own.distance_squared(pose.position) <= NEAR_M * NEAR_M);
                if near {
                    self.playback.handle_gap(ticks, gap);
                }
            }
        }
    }

    /// Forgets entities that are no longer in sight, now and then.
    pub fn handle_sight(&mut self, ticks: f64, decoder: &FrameDecoder) {
        if ticks - self.swept >= SWEEP_TICKS {
            self.swept = ticks;
            self.tracks.retain_mut(|track| {
                track.out_of_sight |= decoder.get(track.id).is_none();
                !track.out_of_sight || ticks - track.newest() < FORGET_TICKS
            });
        }
    }

    /// Moves the view on to `now` and returns the moment it shows, in ticks as
    /// [`ServerClock::ticks`] counts; it never goes back. `None` before the first state.
    pub fn advance(&mut self, now: Duration, clock: &ServerClock) -> Option<f64> {
        let heard = clock.heard_ticks(now)?;
        Some(self.playback.advance(now, heard, clock.jitter_ticks()))
    }

    /// The moment that is shown; `None` before the first [`advance`](Self::advance).
    pub fn view_ticks(&self) -> Option<f64> {
        self.playback.view()
    }

    /// How an entity is shown, if it has been heard of and the view has begun.
    pub fn pose(&self, id: EntityId) -> Option<Pose> {
        let at = self
            .tracks
            .binary_search_by_key(&id, |track| track.id)
            .ok()?;
        Some(self.tracks[at].at(self.playback.view()?, self.tick_hz))
    }

    /// The most ticks between two words of an entity that kept moving in between, since this was asked
    /// last; 0 where there were none. As there is no word of what doesn't change, only the next word tells
    /// whether there was something to be told.
    pub fn take_waited_ticks(&mut self) -> f64 {
        std::mem::take(&mut self.waited)
    }

    /// How far the view is to be behind the newest state.
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.playback.delay() / self.tick_hz)
    }
}
