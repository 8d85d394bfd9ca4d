//! Clients that mean harm, beside the honest ones: what a server on the open internet meets.
//!
//! One file for each sort of harm, each a `Behaviour`; `peer` is a QUIC connection in their hands, and `storm` runs them
//! all on one thread. All of it follows from the run's seed, is bounded in rate and number, aims at a loopback
//! address only, and ends by itself.

mod commands;
mod datagrams;
mod flood;
mod garbage;
mod hellos;
mod peer;
mod slow;
mod storm;

pub use storm::{Harm, Purse, Storm};

/// Most places in the match that hostile clients take at once.
pub const PLAYERS_MAX: u16 = 16;

// Those that stay, and a few for the hellos that are let in for a moment.
const _: () = assert!(
    datagrams::PEERS + commands::PEERS + slow::DEAF_PEERS + hellos::LET_IN_MAX
        <= PLAYERS_MAX as usize
);

use std::time::Duration;

use anyhow::Result;

use storm::Stage;

/// One sort of harm.
trait Behaviour: Send {
    /// Does some of it; gives after how long it wants to go on.
    ///
    /// # Errors
    /// When the system gives no socket or connection to do it with.
    fn act(&mut self, stage: &mut Stage) -> Result<Duration>;
}
