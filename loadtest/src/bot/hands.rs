//! Looking and aiming as a person does: late, with limited speed, and never quite at the point.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use glam::DVec3;

use super::chance::Chance;

/// Fastest turn of the view, radians per second.
const TURN_RATE_MAX: f64 = 7.0;
/// Part of the remaining angle that a view closes in a second, as a rate: fast at first, slow near the end.
const TURN_SHARE: f64 = 9.0;
/// Deviation of the aim of somebody of middling skill, radians.
const TREMBLE: f64 = 0.1;
/// How fast the aim's error wanders off and comes back, per second.
const TREMBLE_RATE: f64 = 2.5;
/// Fire when the sights seem to be within this of the target, radians, or within its silhouette.
const FIRE_CONE: f64 = 0.02;
/// Half the width of a body, metres.
const BODY_HALF_M: f64 = 0.45;

/// Where somebody looks, and how well.
#[derive(Clone, Debug, Default)]
pub struct Hands {
    /// About +y in [-π, π), 0 along -z.
    pub yaw: f64,
    /// Above the horizon in [-π/2, π/2].
    pub pitch: f64,
    /// How far the aim is off at the moment: yaw and pitch, radians.
    error: (f64, f64),
    /// Until when the trigger is held, or (negative) until when it is left alone; seconds.
    burst_until_s: f64,
    firing: bool,
}

impl Hands {
    /// Somebody who looks along a yaw, level.
    pub fn looking(yaw: f64) -> Hands {
        Hands {
            yaw,
            ..Hands::default()
        }
    }

    /// Turns the view towards a direction for `dt` seconds; the pitch comes from it too.
    pub fn look_along(&mut self, direction: DVec3, dt: f64) {
        let (yaw, pitch) = angles_of(direction);
        self.turn(yaw, pitch, dt);
    }

    /// Follows a point with the hand's error. `steadiness` above 0; at 1 the error is about six degrees. Gives whether the
    /// point seems to be within the sights: the error is not known to whoever makes it, so shots miss as people's do, and
    /// a hundred players last longer than a minute.
    pub fn aim(
        &mut self,
        eyes: DVec3,
        point: DVec3,
        steadiness: f64,
        chance: &mut Chance,
        dt: f64,
    ) -> bool {
        let to = point - eyes;
        let (yaw, pitch) = angles_of(to);
        // Ornstein and Uhlenbeck's process: a tremble that returns to the point by itself.
        let deviation = TREMBLE / steadiness;
        let keep = 1.0 - TREMBLE_RATE * dt;
        let kick = deviation * (2.0 * TREMBLE_RATE * dt).sqrt();
        self.error.0 = self.error.0 * keep + kick * chance.tremble();
        self.error.1 = self.error.1 * keep + 0.6 * kick * chance.tremble();
        let (seen_yaw, seen_pitch) = (yaw + self.error.0, pitch + self.error.1);
        self.turn(seen_yaw, seen_pitch, dt);
        let silhouette = BODY_HALF_M / to.length().max(0.5);
        let off = angle_between(self.yaw, seen_yaw).hypot(self.pitch - seen_pitch);
        off < FIRE_CONE.max(silhouette * 1.5)
    }

    /// Whether to hold the trigger: in bursts, not as a machine.
    pub fn trigger(&mut self, on_target: bool, now_s: f64, chance: &mut Chance) -> bool {
        if now_s >= self.burst_until_s {
            self.firing = !self.firing && on_target;
            let length = if self.firing {
                chance.between(0.15, 0.7)
            } else {
                chance.between(0.1, 0.35)
            };
            self.burst_until_s = now_s + length;
        }
        self.firing && on_target
    }

    fn turn(&mut self, yaw: f64, pitch: f64, dt: f64) {
        let step = |off: f64| {
            let wish = off * (TURN_SHARE * dt).min(1.0);
            wish.clamp(-TURN_RATE_MAX * dt, TURN_RATE_MAX * dt)
        };
        self.yaw = wrap(self.yaw + step(angle_between(self.yaw, yaw)));
        self.pitch = (self.pitch + step(pitch - self.pitch)).clamp(-FRAC_PI_2, FRAC_PI_2);
    }
}

/// Yaw and pitch of a direction; (0, 0) for none.
pub fn angles_of(direction: DVec3) -> (f64, f64) {
    let flat = direction.x.hypot(direction.z);
    if flat < 1e-9 && direction.y.abs() < 1e-9 {
        return (0.0, 0.0);
    }
    ((-direction.x).atan2(-direction.z), direction.y.atan2(flat))
}

/// Where someone who fires at speed `muzzle` (m/s) must aim to meet a target that keeps its velocity.
pub fn lead(eyes: DVec3, target: DVec3, velocity: DVec3, muzzle: f64) -> DVec3 {
    let time = (target - eyes).length() / muzzle;
    target + velocity * time
}

/// How far one must turn from one yaw to another: the short way, in [-π, π).
pub fn angle_between(from: f64, to: f64) -> f64 {
    wrap(to - from)
}

fn wrap(angle: f64) -> f64 {
    let wrapped = (angle + PI).rem_euclid(TAU) - PI;
    // rem_euclid may round up to a whole turn.
    if wrapped >= PI { -PI } else { wrapped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_follow_the_frame() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} for {b}");
        near(angles_of(DVec3::NEG_Z).0, 0.0);
        near(angles_of(DVec3::NEG_X).0, FRAC_PI_2);
        near(angles_of(DVec3::X).0, -FRAC_PI_2);
        near(angles_of(DVec3::Y).1, FRAC_PI_2);
        near(angles_of(DVec3::new(0.0, -1.0, -1.0)).1, -FRAC_PI_2 / 2.0);
        near(angle_between(3.0, -3.0), TAU - 6.0);
    }

    #[test]
    fn a_turn_takes_time_and_the_short_way() {
        let mut hands = Hands {
            yaw: 3.0,
            ..Hands::default()
        };
        hands.turn(-3.0, 0.0, 1.0 / 64.0);
        assert!(hands.yaw > 3.0 && hands.yaw < 3.12, "{}", hands.yaw);
        let mut hands = Hands::default();
        hands.turn(PI - 0.01, 0.0, 1.0 / 64.0);
        assert!(
            (hands.yaw - TURN_RATE_MAX / 64.0).abs() < 1e-9,
            "no faster than a wrist: {}",
            hands.yaw
        );
    }

    #[test]
    fn an_aim_gets_there_but_trembles() {
        let mut chance = Chance::new(5, 5);
        let (mut hands, eyes, point) = (Hands::default(), DVec3::ZERO, DVec3::new(30.0, 2.0, 5.0));
        let (mut seemed, mut was) = (0, 0);
        for _ in 0..640 {
            seemed += u32::from(hands.aim(eyes, point, 1.0, &mut chance, 1.0 / 64.0));
            let (yaw, pitch) = angles_of(point);
            let off = angle_between(hands.yaw, yaw).hypot(hands.pitch - pitch);
            was += u32::from(off < BODY_HALF_M / point.length());
        }
        assert!(
            seemed > 80,
            "seemed in the sights for {seemed} of 640 ticks"
        );
        assert!(
            (4..250).contains(&was),
            "on the body for {was} of 640 ticks"
        );
    }

    #[test]
    fn bursts_end() {
        let mut chance = Chance::new(1, 2);
        let mut hands = Hands::default();
        let held = (0..640)
            .filter(|i| hands.trigger(true, f64::from(*i) / 64.0, &mut chance))
            .count();
        assert!((200..600).contains(&held), "held for {held} of 640 ticks");
        assert!((0..64).all(|i| !hands.trigger(false, 20.0 + f64::from(i) / 64.0, &mut chance)));
    }

    #[test]
    fn a_rocket_is_aimed_ahead_of_a_runner() {
        let point = lead(
            DVec3::ZERO,
            DVec3::new(0.0, 0.0, -42.0),
            DVec3::X * 7.0,
            42.0,
        );
        assert!((point - DVec3::new(7.0, 0.0, -42.0)).length() < 1e-9);
    }
}
