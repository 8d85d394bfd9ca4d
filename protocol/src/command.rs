//! What a client wants its player to do in one tick.

use std::f32::consts::{FRAC_PI_2, PI, TAU};
use std::time::Duration;

use crate::ids::{EntityId, Tick};

/// Bits of [`Command::buttons`].
pub mod buttons {
    /// Use the weapon in hand.
    pub const FIRE: u16 = 1;
    /// Leave the ground.
    pub const JUMP: u16 = 2;
    /// Reload the weapon in hand.
    pub const RELOAD: u16 = 4;
    /// Keep low.
    pub const CROUCH: u16 = 8;
    /// Move faster.
    pub const SPRINT: u16 = 16;
    /// Use what is in front.
    pub const USE: u16 = 32;
    /// All bits that mean something; others are dropped by [`Command::validate`](super::Command::validate).
    pub const ALL: u16 = FIRE | JUMP | RELOAD | CROUCH | SPRINT | USE;
}

/// Farthest that a shot goes back in time for the client that fired it.
pub const REWIND_MAX: Duration = Duration::from_millis(250);

/// Steps of [`Command::view`] in a tick.
const VIEW_STEPS: f64 = 256.0;

/// [`REWIND_MAX`] in ticks.
pub fn rewind_ticks_max(tick_hz: u32) -> f64 {
    REWIND_MAX.as_secs_f64() * f64::from(tick_hz)
}

/// What a client wants in one tick. From the wire it is anything at all: scripts only ever see one
/// that has been through [`Command::validate`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Command {
    /// The tick that should consume it.
    pub tick: Tick,
    /// The player that the client claims to steer.
    pub entity: EntityId,
    /// Wish to move to the right (+) or left (-) of where the body looks, in [-1, 1].
    pub move_x: f32,
    /// Wish to move back (+) or forward (-), in [-1, 1].
    pub move_z: f32,
    /// Look direction about +y in radians, 0 looks along -z, in [-π, π).
    pub yaw: f32,
    /// Look direction above the horizon in radians, in [-π/2, π/2].
    pub pitch: f32,
    /// Bits of [`buttons`].
    pub buttons: u16,
    /// The chosen weapon or item slot.
    pub slot: u8,
    /// How far behind `tick` the client saw the others, in 1/256 ticks: that of tick
    /// `tick - view / 256` was on its screen. See [`Command::rewind`].
    pub view: u16,
}

/// Why a command can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// A number is NaN or infinite.
    #[error("command field `{0}` is not a finite number")]
    NotFinite(&'static str),
}

impl Command {
    /// How far to go back, in ticks, for what the client had on its screen: `view`, but at most
    /// [`REWIND_MAX`] at this rate of ticks. Whoever asks for more gets that much: else a client
    /// could shoot at a past in which nobody knew of it.
    pub fn rewind(&self, tick_hz: u32) -> f64 {
        (f64::from(self.view) / VIEW_STEPS).min(rewind_ticks_max(tick_hz))
    }

    /// `rewind` ticks as [`Command::view`], to the nearest step; negative and NaN are 0.
    pub fn view_of(rewind: f64) -> u16 {
        (rewind * VIEW_STEPS).round() as u16 // `as` saturates
    }

    /// The nearest command that is in range: the move within the unit disc, yaw wrapped, pitch
    /// clamped, unknown buttons released.
    ///
    /// # Errors
    /// Where a number is NaN or infinite, since nothing is near that.
    pub fn validate(self) -> Result<Self, CommandError> {
        for (name, number) in [
            ("move_x", self.move_x),
            ("move_z", self.move_z),
            ("yaw", self.yaw),
            ("pitch", self.pitch),
        ] {
            if !number.is_finite() {
                return Err(CommandError::NotFinite(name));
            }
        }
        // Clamping to the square first keeps the square of a huge number from overflowing.
        let (x, z) = (self.move_x.clamp(-1.0, 1.0), self.move_z.clamp(-1.0, 1.0));
        let length = (x * x + z * z).sqrt().max(1.0);
        Ok(Self {
            move_x: x / length,
            move_z: z / length,
            yaw: wrap_yaw(self.yaw),
            pitch: self.pitch.clamp(-FRAC_PI_2, FRAC_PI_2),
            buttons: self.buttons & buttons::ALL,
            ..self
        })
    }
}

/// The angle in [-π, π) that looks the same way; radians.
fn wrap_yaw(yaw: f32) -> f32 {
    if (-PI..PI).contains(&yaw) {
        return yaw; // exactly what the client meant, not one rounding away from it
    }
    let wrapped = (yaw + PI).rem_euclid(TAU) - PI;
    // rem_euclid may round up to TAU itself.
    if wrapped < PI { wrapped } else { -PI }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_number() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let command = Command {
                pitch: bad,
                ..Command::default()
            };
            assert_eq!(command.validate(), Err(CommandError::NotFinite("pitch")));
        }
    }

    #[test]
    fn leaves_a_good_command_alone() {
        let good = Command {
            tick: Tick(9),
            entity: EntityId(3),
            move_x: 0.6,
            move_z: -0.8,
            yaw: -PI,
            pitch: FRAC_PI_2,
            buttons: buttons::ALL,
            slot: 200,
            view: 900,
        };
        assert_eq!(good.validate(), Ok(good));
    }

    #[test]
    fn nobody_shoots_farther_back_than_250_ms() {
        let rewind = |view, hz| {
            Command {
                view,
                ..Command::default()
            }
            .rewind(hz)
        };
        assert_eq!(rewind(Command::view_of(7.25), 64), 7.25);
        assert_eq!(rewind(u16::MAX, 64), 16.0);
        assert_eq!(rewind(u16::MAX, 128), 32.0);
        assert_eq!(Command::view_of(-3.0), 0);
        assert_eq!(Command::view_of(f64::NAN), 0);
        assert_eq!(Command::view_of(1e9), u16::MAX);
    }

    proptest! {
        #[test]
        fn brings_any_finite_command_into_range(
            move_x in any::<f32>(), move_z in any::<f32>(),
            yaw in any::<f32>(), pitch in any::<f32>(), buttons in any::<u16>(),
        ) {
            let raw = Command { move_x, move_z, yaw, pitch, buttons, ..Command::default() };
            let Ok(command) = raw.validate() else { return Ok(()) };
            prop_assert!(command.move_x.hypot(command.move_z) <= 1.0 + 1e-6);
            prop_assert!((-PI..PI).contains(&command.yaw));
            prop_assert!((-FRAC_PI_2..=FRAC_PI_2).contains(&command.pitch));
            prop_assert_eq!(command.buttons & !buttons::ALL, 0);
        }
    }
}
