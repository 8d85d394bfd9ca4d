//! The client's half of the netcode: what makes a shooter feel as if there were no network.
//!
//! Like the session machines of `tessera-protocol`, on which it stands, it has no socket and no
//! clock: bytes and times come in as arguments. From the bottom up:
//!
//! - [`ServerClock`]: from arrivals to where the server's clock is, how far away the server is, and
//!   how uneven the way.
//! - [`Predictor`]: the own player, walked by the same code as on the server as soon as a command is
//!   made, and put right by each state that arrives.
//! - [`Interpolator`]: the others, shown a little in the past, between two states that have arrived.
//! - [`Client`]: a session with these on it. A game drives this one.
//!
//! What a client shows of the others is the past, so its commands say which: the server goes back
//! as far for the client's shots ([`Command::view`](tessera_protocol::Command)).

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod clock;
mod interpolate;
mod playback;
mod predict;
mod track;

pub use client::{Client, OwnPlayer};
pub use clock::ServerClock;
pub use interpolate::Interpolator;
pub use predict::Predictor;
pub use track::Pose;
