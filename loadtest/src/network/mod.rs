//! A bad network between the bots and the server, simulated inside the load tester.
//!
//! [`Link`] decides what becomes of each datagram in one direction of one client's way: a machine without sockets or
//! clocks, so that a seed gives the same decisions every time. [`Relay`] puts a pair of links between each bot and the
//! server.

mod link;
mod ready;
mod relay;

use std::time::Duration;

pub use link::Link;
pub use relay::{Relay, Relayed};

/// How a client's network behaves, alike in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// From one end to the other, half of a round trip.
    pub delay: Duration,
    /// The delay of each datagram is drawn evenly from `delay ± jitter`; at most `delay`.
    pub jitter: Duration,
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Share of datagrams that are held back, so that later ones overtake them, 0 to 1.
    pub reorder: f64,
    /// Bytes that pass in a second; without it as many as come.
    pub bytes_per_s: Option<f64>,
}
