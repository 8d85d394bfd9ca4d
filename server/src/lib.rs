//! The dedicated server: a match on an absolute clock, clients over QUIC, and an endpoint for operators.
//!
//! The way of the data, and the file that holds each step:
//!
//! ```text
//!  datagrams ─▶ net/session.rs ─▶ intake.rs ─▶ tick.rs ─▶ handover.rs ─▶ net/send.rs ─▶ datagrams
//!               one task a client   one command    the simulation's   newest state,   one thread: encodes
//!               on tokio's threads  a client,      thread, on the     every event     once, packs for each
//!                                   each tick      clock of clock.rs                  client
//! ```
//!
//! Nothing on the network can delay a tick: the tick thread waits for zones only, and hands over
//! without waiting. Game rules are in the mode's Python, never here.

pub mod assets;
pub mod check;
pub mod cli;
mod clock;
pub mod config;
mod error;
mod handover;
mod intake;
mod keys;
mod layout;
pub mod memory;
mod net;
mod ops;
mod overseer;
mod priority;
mod recorder;
mod reload;
mod remote;
pub mod report;
pub mod series;
pub mod serve;
pub mod setup;
pub mod simulate;
pub mod stats;
mod stdout;
pub mod steady;
mod tally;
mod tick;
mod top;
mod trace;

pub use error::Error;
pub use keys::KeyError;
pub use layout::{Layout, LayoutError};
pub use remote::RemoteError;
