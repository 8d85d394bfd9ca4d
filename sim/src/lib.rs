//! The simulation: a world cut into zones, each run by its own interpreter on its own thread, whose
//! state is the same bit for bit whatever the cut.
//!
//! How a tick flows, and the file that holds each step:
//!
//! ```text
//!  commands, joins, leaves ─▶ simulation.rs ─▶ worker.rs ×N, in parallel: drain ▶ hooks ▶ gather
//!                                                   │ what moved, spawned, died
//!                             barrier.rs ◀──────────┘ ids for spawns, directory.rs: who runs whom
//!                                  │
//!                                  └────────▶ exchange.rs ×N, in parallel: ghosts, handoffs,
//!                                                   │ messages into channel.rs; the snapshot batch
//!  snapshot, events ◀──────── seal.rs ◀─────────────┘ state hash, one sealed buffer, the last 64 kept
//! ```
//!
//! A zone is a `seat.rs` (what outlives interpreters), and a worker that holds it: `pool.rs` watches
//! over them, and gives the seat of one that is stuck to another, filled from the last snapshot.
//!
//! There is no socket, no environment and no wall clock here: time is the tick, and the only clock
//! is a function that the host lends for measuring.

mod barrier;
mod channel;
mod config;
mod directory;
mod error;
mod exchange;
mod host;
mod laps;
mod nursery;
mod partition;
mod pool;
mod quarantine;
mod reload;
mod rendezvous;
mod report;
mod seal;
mod seat;
mod simulation;
mod starting;
mod supervision;
mod tracked;
mod watch;
mod worker;

pub use config::{Isolation, SimConfig};
pub use error::SimError;
pub use partition::{Grid, GridError, ZONES_MAX};
pub use quarantine::QuarantineRule;
pub use reload::{Incompatible, ReloadError, Reloaded};
pub use report::{Audit, ChannelReport, SimReport, TickTimings, ZoneReport, ZoneSpan, ZoneTimings};
pub use seal::SNAPSHOTS_KEPT;
pub use simulation::{Simulation, TickInputs, TickOutput};
pub use supervision::{Budget, Incident, IncidentKind, RestartLimit, RestartReason, Supervision};
