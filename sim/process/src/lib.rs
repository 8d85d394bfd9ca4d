//! Zones in processes of their own: the same scripts and the same hashes, behind a real wall.
//!
//! In one process an interpreter is a fault boundary only: a segfault in it ends the match, and a script
//! that is clever enough reaches everything. A [`ProcessZone`] is a [`ScriptZone`] in a child process:
//! what kills the child costs this zone a restart and nobody else anything, and scripts can't open files
//! for writing, sockets or processes, whatever they call. Since each child has a main interpreter,
//! scripts may import what runs in no other, such as numpy.
//!
//! ```text
//!  the server's process, a zone's thread                    the zone's process
//!  ┌──────────────────────────────┐  ring (shared memory)  ┌─────────────────────────────┐
//!  │ parent.rs  ProcessZone       │ ═════ orders ════════▶ │ child.rs                    │
//!  │ mirror.rs  its own rows      │ ◀════ answer ═════════ │   ScriptZone, hitboxes      │
//!  │   orders for the next tick   │  bell (socket pair)    │   limits.rs: seccomp, rlimits│
//!  └──────────────┬───────────────┘                        └──────────────▲──────────────┘
//!                 └─▶ snapshots.rs: a memfd of slots, mapped read-only ───┘
//! ```
//!
//! - The parent keeps a copy of the rows that the zone owns, which is what the exchange with other zones
//!   reads: so all of that is the same code for both kinds of zone, and so are the hashes.
//! - What the exchange tells the zone (arrivals, ghosts, who left) is written down as *orders* and goes
//!   over with the next tick, or in the slack before it. A tick costs one round trip: orders, inbox and
//!   commands there; deltas of the rows that changed, and the outbox, back.
//! - **The child is not trusted.** Its answers are copied out of the shared memory before anybody looks,
//!   each length is checked, and values are checked against their declarations as the gather does. What
//!   is no answer ends the zone's process like a crash.
//! - A process starts as a fork of a [`ForkServer`], or, where there is none, as a program of its own:
//!
//! ```text
//!  keeper.rs ── request: a zone's descriptors ──▶ forks.rs   Prepared, in one thread; runs no script
//!      ◀──────────── the fork's number ─────────────   │ fork, as a child of the server
//!  line.rs, parent.rs ◀═══ ring, bell, control ═══▶ child.rs   confines itself, loads the mode
//!  process.rs: its end                              (program.rs starts all of that anew)
//! ```
//! - A bell is a byte on a socket pair. When the child ends, whatever the reason, the kernel closes its
//!   end, and the parent's wait is over: no time-out is needed.

#![cfg(target_os = "linux")]

mod bell;
mod child;
mod config;
mod descriptors;
mod error;
mod forks;
mod frame;
mod handle;
mod keeper;
mod limits;
mod line;
mod log;
mod mirror;
mod parent;
mod process;
mod program;
mod ring;
mod rows;
mod shared;
mod snapshots;

pub use child::run as run_zone_host;
pub use config::{Map, ProcessConfig};
pub use error::ProcessError;
pub use frame::{Cost, Span};
pub use handle::ProcessHandle;
pub use keeper::{ForkServer, ForkTally};
pub use parent::{Gone, ProcessZone};
pub use snapshots::SnapshotSlots;

#[cfg(doc)]
use tessera_python::ScriptZone;
