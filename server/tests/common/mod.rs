//! A server process and a client, for tests of the real binary over real QUIC on loopback.
//!
//! Nothing here sleeps to let something happen: everything waits for a condition, and gives up after
//! [`PATIENCE`] with what it waited for.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

pub mod client;
pub mod folder;
pub mod server;

use std::time::Duration;

/// How long anything may take before a test fails: far more than it ever does on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
