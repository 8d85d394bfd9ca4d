//! A child that starts as a program: CPython and all.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::Pid;
use tessera_protocol::ids::ZoneId;

use crate::config::ProcessConfig;
use crate::descriptors;
use crate::error::ProcessError;
use crate::line::{self, Line};
use crate::snapshots::SnapshotSlots;

/// Starts the program. The child ends with the calling thread at the latest.
///
/// # Errors
/// A program that can't be started, a system that lacks what a line is made of.
pub(crate) fn start(
    config: &ProcessConfig,
    slots: &SnapshotSlots,
    zone: Option<ZoneId>,
) -> Result<Line, ProcessError> {
    let spawn_error = |source| ProcessError::Spawn {
        program: config.program.display().to_string(),
        source,
    };
    let (near, far) = line::pair()?;
    let child = Command::new(&config.program)
        .args(&config.arguments)
        .env_clear()
        // Libraries for linear algebra start threads for each core, which a zone may not.
        .env("OPENBLAS_NUM_THREADS", "1")
        .env("OMP_NUM_THREADS", "1")
        // Ctrl-C in a terminal is for the server alone.
        .process_group(0)
        .stdin(Stdio::from(far.socket))
        .stdout(far.output.try_clone().map_err(spawn_error)?)
        .stderr(far.output)
        .spawn()
        .map_err(spawn_error)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.expect("the system numbers processes from 1");
    // From here on the child ends with its line.
    let line = Line::new(near, pid, zone)?;
    let ends = [far.ring.as_fd(), far.control.as_fd(), slots.as_fd()];
    // If the child has ended already, whoever waits for its answer hears of that.
    let _ = descriptors::send(&line.bell, &ends);
    Ok(line)
}
