//! Ending a zone's process, from any thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::ProcessError;

/// Ends one process, from any thread and at any time, also when it has ended: then nothing happens, since
/// it is held by a descriptor and not by a number that another might get.
#[derive(Clone, Debug)]
pub struct Killer(Arc<OwnedFd>);

impl Killer {
    /// For a child that has not been waited for.
    pub(crate) fn new(pid: u32) -> Result<Self, ProcessError> {
        let unsupported = || ProcessError::unsupported("process descriptors (pidfd_open)");
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("no such process").map_err(unsupported())?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(unsupported())?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the process at once, whatever it is doing. The zone's next answer is that it is gone.
    pub fn kill(&self) {
        // It fails where the process has ended.
        let _ = pidfd_send_signal(&*self.0, Signal::KILL);
    }

    /// Waits until the process has ended, for a second at most.
    pub(crate) fn has_ended_soon(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        retry_on_intr(|| poll(&mut fds, Some(&second))).is_ok_and(|ready| ready > 0)
    }
}
