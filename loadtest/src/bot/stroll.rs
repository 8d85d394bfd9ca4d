//! Walking in circles: all that a bot in a crowd does.
//!
//! It never stands still and never walks straight on, so that of each entity position, velocity and view change in every
//! tick, which is the most that there can be to tell.

use std::f64::consts::{PI, TAU};

use tessera_protocol::buttons;

use super::chance::Chance;
use super::mind::Intent;

/// Slowest and fastest turn, radians per second. At a walk of 4.5 m/s that makes circles of 4 to 9 m radius.
const TURN: (f64, f64) = (0.5, 1.1);
/// How far and how fast the view nods, radians and radians per second.
const NOD: (f64, f64) = (0.3, 1.7);
/// Seconds between two jumps, on average.
const JUMP_EVERY_S: f64 = 5.0;

/// One walker.
#[derive(Clone, Debug)]
pub struct Stroll {
    chance: Chance,
    yaw: f64,
    /// Radians per second, to the left or to the right.
    turn: f64,
    /// Where the nodding begins, radians.
    phase: f64,
}

impl Stroll {
    /// A walker; those of one run differ by their number.
    pub fn new(seed: u64, bot: u64) -> Stroll {
        let mut chance = Chance::new(seed, bot);
        let turn = chance.between(TURN.0, TURN.1);
        let turn = if chance.unit() < 0.5 { turn } else { -turn };
        Stroll {
            yaw: chance.between(-PI, PI),
            phase: chance.between(0.0, TAU),
            turn,
            chance,
        }
    }

    /// What to do in one tick of `dt` seconds.
    pub fn act(&mut self, now_s: f64, dt: f64) -> Intent {
        self.yaw = (self.yaw + self.turn * dt + PI).rem_euclid(TAU) - PI;
        let jumps = self.chance.about_every(JUMP_EVERY_S, dt);
        Intent {
            move_x: 0.0,
            move_z: -1.0,
            yaw: self.yaw as f32,
            pitch: (NOD.0 * (NOD.1 * now_s + self.phase).sin()) as f32,
            buttons: if jumps { buttons::JUMP } else { 0 },
            slot: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DT: f64 = 1.0 / 64.0;

    #[test]
    fn a_walker_never_stands_and_never_goes_straight() {
        let mut stroll = Stroll::new(3, 1);
        let mut before = stroll.act(0.0, DT);
        for tick in 1..640 {
            let now = stroll.act(f64::from(tick) * DT, DT);
            assert_eq!((now.move_x, now.move_z), (0.0, -1.0));
            assert!(now.yaw != before.yaw && now.pitch != before.pitch);
            before = now;
        }
    }

    #[test]
    fn a_circle_stays_within_reach_of_its_start() {
        for bot in 0..50 {
            let mut stroll = Stroll::new(3, bot);
            let (mut x, mut z, mut farthest) = (0.0_f64, 0.0_f64, 0.0_f64);
            for tick in 0..3_840 {
                let yaw = f64::from(stroll.act(f64::from(tick) * DT, DT).yaw);
                x -= yaw.sin() * 4.5 * DT;
                z -= yaw.cos() * 4.5 * DT;
                farthest = farthest.max(x.hypot(z));
            }
            assert!((7.0..19.0).contains(&farthest), "bot {bot}: {farthest} m");
        }
    }
}
