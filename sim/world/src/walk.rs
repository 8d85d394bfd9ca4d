//! One tick of a character that somebody steers: walking, sprinting, jumping, falling, and hanging
//! from a canopy.
//!
//! The server and the client run this same code on the same map, so that a client knows where its
//! player will be before the server says so. Only sums, products, quotients, roots and `libm`'s
//! sine: the same bits on every machine.

use glam::DVec3;
use tessera_protocol::{Command, WalkRules, buttons};

use crate::movement::Character;
use crate::world::World;

/// Whoever wishes at least this much forwards (as a `move_z`) may sprint.
const SPRINT_MOVE_Z: f64 = -0.5;

/// What a step of walking starts from, and makes.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct WalkState {
    /// The feet, metres.
    pub position: DVec3,
    /// Metres per second.
    pub velocity: DVec3,
    /// Whether it stands on something.
    pub grounded: bool,
    /// Whether it crouches: lower and slower.
    pub crouched: bool,
    /// Whether it hangs from a canopy, until it lands.
    pub gliding: bool,
}

/// What is wished for in a step.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct WalkInput {
    /// To the right (+) or left (-) of where the body looks, in [-1, 1].
    pub move_x: f64,
    /// Back (+) or forward (-), in [-1, 1]; with `move_x` never longer than 1.
    pub move_z: f64,
    /// Where the body looks, radians about +y; 0 is along -z.
    pub yaw: f64,
    /// Bits of [`buttons`]; those that count are `JUMP`, `CROUCH` and `SPRINT`.
    pub buttons: u16,
}

impl From<&Command> for WalkInput {
    /// Of a command that has been validated.
    fn from(command: &Command) -> WalkInput {
        WalkInput {
            move_x: command.move_x.into(),
            move_z: command.move_z.into(),
            yaw: command.yaw.into(),
            buttons: command.buttons,
        }
    }
}

/// A character after a step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Walked {
    /// What it is now.
    pub state: WalkState,
    /// Speed of a landing without a canopy in this step, metres per second downwards; else 0.
    pub landing: f64,
}

impl World {
    /// Walks for `dt` seconds.
    pub fn walk(&self, rules: &WalkRules, state: &WalkState, input: &WalkInput, dt: f64) -> Walked {
        // The map doesn't move either, so whoever stands stays; half of a match does.
        if state.rests(input) {
            return Walked {
                state: *state,
                landing: 0.0,
            };
        }
        let crouched = self.crouches(rules, state, input);
        let before = WalkState { crouched, ..*state };
        let velocity = before.steered(rules, input, dt);
        let character = Character {
            radius: rules.radius,
            height: match crouched {
                true => rules.crouched_height,
                false => rules.height,
            },
            step: rules.step,
        };
        let moved = self.move_character(&character, state.position, velocity, dt);
        let lands = moved.grounded && !state.grounded;
        Walked {
            state: WalkState {
                position: moved.position,
                velocity: moved.velocity,
                grounded: moved.grounded,
                crouched,
                gliding: state.gliding && !lands,
            },
            landing: match lands && !state.gliding {
                true => (-velocity.y).max(0.0),
                false => 0.0,
            },
        }
    }

    /// Whoever lets the button go stands up as soon as there is room.
    fn crouches(&self, rules: &WalkRules, state: &WalkState, input: &WalkInput) -> bool {
        if input.buttons & buttons::CROUCH != 0 {
            return true;
        }
        state.crouched && !self.is_free(state.position, rules.radius, rules.height)
    }
}

impl WalkState {
    /// Whether a step would change nothing.
    fn rests(&self, input: &WalkInput) -> bool {
        self.grounded
            && !self.crouched
            && input.move_x == 0.0
            && input.move_z == 0.0
            && self.velocity.x == 0.0
            && self.velocity.z == 0.0
            && input.buttons & (buttons::JUMP | buttons::CROUCH) == 0
    }

    /// The velocity that the wish, gravity and a jump make of the present one.
    fn steered(&self, rules: &WalkRules, input: &WalkInput, dt: f64) -> DVec3 {
        let sprints = input.buttons & buttons::SPRINT != 0 && input.move_z < SPRINT_MOVE_Z;
        let speed = if self.gliding {
            rules.glide_speed
        } else if self.crouched {
            rules.crouch_speed
        } else if sprints {
            rules.sprint_speed
        } else {
            rules.walk_speed
        };
        let acceleration = match self.grounded && !self.gliding {
            true => rules.ground_acceleration,
            false => rules.air_acceleration,
        };
        // From the body's frame (+x right, -z ahead) to the world's.
        let (s, c) = (libm::sin(input.yaw), libm::cos(input.yaw));
        let mut gap_x = (input.move_x * c + input.move_z * s) * speed - self.velocity.x;
        let mut gap_z = (input.move_z * c - input.move_x * s) * speed - self.velocity.z;
        let gap = (gap_x * gap_x + gap_z * gap_z).sqrt();
        let step = acceleration * dt;
        if gap > step {
            gap_x *= step / gap;
            gap_z *= step / gap;
        }
        let jumps = self.grounded && !self.crouched && input.buttons & buttons::JUMP != 0;
        let falling = self.velocity.y - rules.gravity * dt;
        let up = if self.gliding {
            falling.max(-rules.glide_sink)
        } else if jumps {
            rules.jump_speed
        } else {
            falling
        };
        DVec3::new(self.velocity.x + gap_x, up, self.velocity.z + gap_z)
    }
}
