//! Faults of scripts in the middle of a match (`--chaos`): what is planned, how it gets into the mode, and what
//! came of it.
//!
//! A run begins with the start of the server, since the ticks of faults stand in the mode's code by then:
//!
//! ```text
//!  0 s               15 s                              63 s         75 s
//!  │ join  │ warm-up │▒▒ storm: a fault each 3rd tick ▒▒│   calm    │
//!                    └──────────── the measured window ────────────┘
//! ```

mod overlay;
mod plan;
mod tally;

pub use overlay::Overlay;
pub use plan::{Fault, IN_PROCESSES, IN_SCRIPTS, Plan};
pub use tally::{Before, Supervision, tally};
