//! The static world of a match: terrain and boxes, and the questions that the game asks of them.
//!
//! Metres, seconds and radians; right-handed, **y up**; the map spans `[0, size]` on x and z. A
//! character's position is its feet. Everything is f64 and deterministic: no threads, no clock, no
//! iteration in the order of a hash, and only arithmetic that IEEE 754 defines to the bit (sums,
//! products, quotients and square roots). The one transcendental function, the sine of a turn, is
//! `libm`'s, which is the same code on every machine.
//!
//! From the bottom up: `terrain` and `boxes` are shapes; `geometry` sorts the boxes into the
//! terrain's cells; `raycast` and `sweep` walk those cells (`grid`) for rays and cylinders;
//! `movement` moves characters by sweeps, and `walk` steers them; `navigation` finds ways (`search`) over a grid made with
//! sweeps; `map` reads all this from files.

mod boxes;
mod error;
mod geometry;
mod grid;
mod map;
mod movement;
mod navigation;
mod raycast;
mod search;
mod sweep;
mod terrain;
mod walk;
mod world;

pub use boxes::{BoxKind, Solid};
pub use error::MapError;
pub use movement::{Character, Moved};
pub use raycast::{RayHit, ray_capsule};
pub use walk::{WalkInput, WalkState, Walked};
pub use world::World;
