//! How characters walk: what a client must know to predict its own player.

use crate::command::buttons;

/// Largest number that a rule may be, in its own unit: beyond the body and the speeds of any
/// character.
const RULE_MAX: f64 = 1000.0;

/// The numbers of walking. All are finite and at least 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WalkRules {
    /// Of the body, metres.
    pub radius: f64,
    /// From the feet to the top of the head of somebody who stands, metres.
    pub height: f64,
    /// The same of somebody who crouches, metres.
    pub crouched_height: f64,
    /// The highest ledge that is walked up without a jump, metres.
    pub step: f64,
    /// Metres per second.
    pub walk_speed: f64,
    /// Forwards, while sprinting, metres per second.
    pub sprint_speed: f64,
    /// While crouched, metres per second.
    pub crouch_speed: f64,
    /// Upwards, at the beginning of a jump, metres per second.
    pub jump_speed: f64,
    /// Acceleration downwards, m/s².
    pub gravity: f64,
    /// Largest change of the level velocity on the ground, m/s².
    pub ground_acceleration: f64,
    /// The same in the air and under a canopy, m/s².
    pub air_acceleration: f64,
    /// Level, under a canopy, metres per second.
    pub glide_speed: f64,
    /// Fastest fall under a canopy, metres per second.
    pub glide_sink: f64,
}

impl WalkRules {
    /// Names and values, in order of declaration.
    pub fn named(&self) -> [(&'static str, f64); 13] {
        [
            ("radius", self.radius),
            ("height", self.height),
            ("crouched_height", self.crouched_height),
            ("step", self.step),
            ("walk_speed", self.walk_speed),
            ("sprint_speed", self.sprint_speed),
            ("crouch_speed", self.crouch_speed),
            ("jump_speed", self.jump_speed),
            ("gravity", self.gravity),
            ("ground_acceleration", self.ground_acceleration),
            ("air_acceleration", self.air_acceleration),
            ("glide_speed", self.glide_speed),
            ("glide_sink", self.glide_sink),
        ]
    }

    /// From values in the order of [`WalkRules::named`].
    pub fn from_values(values: [f64; 13]) -> Self {
        let [
            radius,
            height,
            crouched_height,
            step,
            walk_speed,
            sprint_speed,
            crouch_speed,
            jump_speed,
            gravity,
            ground_acceleration,
            air_acceleration,
            glide_speed,
            glide_sink,
        ] = values;
        Self {
            radius,
            height,
            crouched_height,
            step,
            walk_speed,
            sprint_speed,
            crouch_speed,
            jump_speed,
            gravity,
            ground_acceleration,
            air_acceleration,
            glide_speed,
            glide_sink,
        }
    }

    /// The name of the first number that can't be, and what is permitted.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        for (name, value) in self.named() {
            if !(0.0..=RULE_MAX).contains(&value) {
                return Some((name, "from 0 to 1000"));
            }
        }
        for (name, value) in [
            ("radius", self.radius),
            ("height", self.height),
            ("crouched_height", self.crouched_height),
        ] {
            if value == 0.0 {
                return Some((name, "above 0"));
            }
        }
        None
    }
}

/// Motion of a character by [`WalkRules`], and the fields that hold what it knows beside the base
/// fields. Its client must be told of all of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Walker {
    /// The numbers.
    pub rules: WalkRules,
    /// Index of the `Bool` field that says whether it stands on something.
    pub grounded: u16,
    /// The same of whether it crouches; without one it can't.
    pub crouched: Option<u16>,
    /// The same of whether it hangs from a canopy; without one it can't.
    pub gliding: Option<u16>,
    /// Index of a `Bool` field that is true while it walks at all: the dead don't.
    pub when: Option<u16>,
}

impl Walker {
    /// The bits of `pressed` (a command's buttons) that it can obey.
    pub fn obeyed(&self, pressed: u16) -> u16 {
        match self.crouched {
            Some(_) => pressed,
            None => pressed & !buttons::CROUCH,
        }
    }

    /// The fields that it needs, by index.
    pub fn fields(&self) -> impl Iterator<Item = u16> {
        let optional = [self.crouched, self.gliding, self.when];
        std::iter::once(self.grounded).chain(optional.into_iter().flatten())
    }
}
