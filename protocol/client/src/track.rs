//! One entity's recent past, and where it is shown.

use std::collections::VecDeque;
use std::f32::consts::{PI, TAU};

use glam::DVec3;
use tessera_protocol::EntityId;

/// States kept of an entity: more than the longest delay at 128 ticks a second.
const SAMPLES_MAX: usize = 24;
/// States that there is room for at first: those since the moment that is shown are few.
const SAMPLES_USUAL: usize = 8;
/// Who got on by this share of what its velocities promised, or more, kept moving; who got on by as many
/// times more was put there, or began to move.
const KEPT_MOVING: f64 = 0.5;
/// An entity without news moves on for at most this long, seconds, then waits.
pub(crate) const EXTRAPOLATION_MAX_S: f64 = 0.1;
/// Ticks in which an error that is seen halves.
const HALF_LIFE_TICKS: f64 = 2.0;
/// An error below this is none any more, metres.
const SEEN_MIN_M: f64 = 1e-3;
/// Who is this far from where it was shown was put there, metres: nothing to smooth.
const LEAP_M: f64 = 5.0;

/// How an entity is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pose {
    /// The base field `position`, metres.
    pub position: DVec3,
    /// The base field `velocity`, metres per second.
    pub velocity: DVec3,
    /// Radians about +y.
    pub yaw: f32,
    /// Radians above the horizon.
    pub pitch: f32,
}

impl Pose {
    /// The pose at `share` (0 to 1) of the way to `other`; yaws turn the short way.
    fn towards(&self, other: &Pose, share: f64) -> Pose {
        let turn = wrap(other.yaw - self.yaw);
        Pose {
            position: self.position + (other.position - self.position) * share,
            velocity: self.velocity + (other.velocity - self.velocity) * share,
            yaw: wrap(self.yaw + turn * share as f32),
            pitch: self.pitch + (other.pitch - self.pitch) * share as f32,
        }
    }
}

fn wrap(angle: f32) -> f32 {
    let wrapped = (angle + PI).rem_euclid(TAU) - PI;
    // rem_euclid may round up to a whole turn.
    if wrapped < PI { wrapped } else { -PI }
}

/// What was heard of an entity, and the error that is still to be smoothed away.
///
/// # Invariants
/// Ticks ascend; there is at least one sample.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) id: EntityId,
    samples: VecDeque<(f64, Pose)>,
    /// Whether it has been out of sight since the newest sample.
    pub(crate) out_of_sight: bool,
    /// Shown minus true position at the moment `offset_at`, metres.
    offset: DVec3,
    offset_at: f64,
}

impl Track {
    pub(crate) fn new(id: EntityId, tick: f64, pose: Pose) -> Self {
        let mut samples = VecDeque::with_capacity(SAMPLES_USUAL);
        samples.push_back((tick, pose));
        Self {
            id,
            samples,
            out_of_sight: false,
            offset: DVec3::ZERO,
            offset_at: tick,
        }
    }

    /// Takes a newer state while `view` is shown. Returns the ticks since the one before if the
    /// entity was in sight and kept moving in between.
    pub(crate) fn push(
        &mut self,
        tick: f64,
        pose: Pose,
        view: Option<f64>,
        hz: f64,
    ) -> Option<f64> {
        let (last, before) = *self.samples.back().expect("there is at least one");
        if tick <= last {
            return None;
        }
        // What is shown from what had been known already doesn't change.
        let shown = view
            .filter(|view| *view >= last)
            .map(|view| (view, self.at(view, hz).position));
        // What is before the moment shown is not shown again, but for the one to come from.
        while self.samples.len() == SAMPLES_MAX
            || self.samples.len() > 1 && view.is_some_and(|view| self.samples[1].0 <= view)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((tick, pose));
        if let Some((view, shown)) = shown {
            let error = shown - self.exact(view, hz).position;
            self.offset = match error.length() {
                far if far > LEAP_M => DVec3::ZERO,
                near if near < SEEN_MIN_M => DVec3::ZERO,
                _ => error,
            };
            self.offset_at = view;
        }
        let in_sight = !std::mem::replace(&mut self.out_of_sight, false);
        let way = pose.position.distance(before.position);
        let speed = (before.velocity.length() + pose.velocity.length()) / 2.0;
        let promised = speed * (tick - last) / hz;
        let kept_moving = in_sight
            && before.velocity != DVec3::ZERO
            && pose.velocity != DVec3::ZERO
            && (KEPT_MOVING * promised..=promised / KEPT_MOVING).contains(&way);
        kept_moving.then_some(tick - last)
    }

    /// How it is shown at a moment.
    pub(crate) fn at(&self, view: f64, hz: f64) -> Pose {
        let mut pose = self.exact(view, hz);
        if self.offset != DVec3::ZERO {
            let age = (view - self.offset_at).max(0.0);
            let rest = self.offset * libm::exp2(-age / HALF_LIFE_TICKS);
            if rest.length_squared() > SEEN_MIN_M * SEEN_MIN_M {
                pose.position += rest;
            }
        }
        pose
    }

    /// Where it was, as far as is known: between two states on the straight line.
    fn exact(&self, view: f64, hz: f64) -> Pose {
        let mut after: Option<&(f64, Pose)> = None;
        for sample in self.samples.iter().rev() {
            if sample.0 <= view {
                return match after {
                    Some(after) => between(sample, after, view),
                    None => beyond(sample, view, hz),
                };
            }
            after = Some(sample);
        }
        self.samples.front().expect("there is at least one").1
    }

    /// The tick of the newest state.
    pub(crate) fn newest(&self) -> f64 {
        self.samples.back().expect("there is at least one").0
    }
}

/// What rests isn't told again before it moves: so it rested until the tick before.
fn between(a: &(f64, Pose), b: &(f64, Pose), view: f64) -> Pose {
    let from = match a.1.velocity == DVec3::ZERO {
        true => a.0.max(b.0 - 1.0),
        false => a.0,
    };
    match view <= from {
        true => a.1,
        false => a.1.towards(&b.1, (view - from) / (b.0 - from)),
    }
}

/// It goes on as it did, for a while.
fn beyond(last: &(f64, Pose), view: f64, hz: f64) -> Pose {
    let seconds = ((view - last.0) / hz).min(EXTRAPOLATION_MAX_S);
    Pose {
        position: last.1.position + last.1.velocity * seconds,
        ..last.1
    }
}
