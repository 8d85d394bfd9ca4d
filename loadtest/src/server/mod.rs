//! The server under test, as a process and as an ops endpoint.

mod ops;
mod process;

pub use ops::{Clock, HookError, Ops, OpsReport, Timetable};
pub use process::{HIDDEN_COMMAND, ServerProcess, ZONE_HOST_COMMAND, become_server, make_key};
