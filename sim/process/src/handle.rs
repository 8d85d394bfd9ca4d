//! Power over a child process, from any thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tessera_python::Interrupter;

use crate::error::ProcessError;

/// What a byte on the control socket asks for.
const LOOK: u8 = b'l';
const PREEMPT: u8 = b'p';

/// Interrupts or ends one process, from any thread and at any time, also when it has ended: then nothing
/// happens, since it is held by a descriptor and not by a number that another might get.
#[derive(Clone, Debug)]
pub struct ProcessHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    process: OwnedFd,
    control: OwnedFd,
}

impl ProcessHandle {
    /// For a child that has not been waited for.
    pub(crate) fn new(pid: Pid, control: OwnedFd) -> Result<Self, ProcessError> {
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(ProcessError::unsupported(
            "process descriptors (pidfd_open)",
        ))?;
        Ok(Self(Arc::new(Inner { process, control })))
    }

    /// Notes where the zone's script is: [`Interrupter::look`].
    pub fn look(&self) {
        self.ask(LOOK);
    }

    /// Breaks the script off that the zone now runs: [`Interrupter::preempt`].
    pub fn preempt(&self) {
        self.ask(PREEMPT);
    }

    /// The control socket, for a process that is asked for something else.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.0.control.as_fd()
    }

    fn ask(&self, what: u8) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // It fails where the process has ended, or hasn't listened to a hundred of these.
        let _ = retry_on_intr(|| send(&self.0.control, &[what], flags));
    }

    /// Ends the process at once, whatever it is doing. The zone's next answer is that it is gone.
    pub fn kill(&self) {
        // It fails where the process has ended.
        let _ = pidfd_send_signal(&self.0.process, Signal::KILL);
    }

    /// Whether the process has ended; waits for that, so many seconds at most.
    pub(crate) fn ends_within(&self, seconds: i64) -> bool {
        let mut fds = [PollFd::new(&self.0.process, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        retry_on_intr(|| poll(&mut fds, Some(&limit))).is_ok_and(|ready| ready > 0)
    }
}

/// The child's side: does what the parent asks for, until that has ended.
pub(crate) fn obey(control: &OwnedFd, interrupter: &Interrupter) {
    let mut asked = [0; 16];
    while let Ok((count @ 1.., _)) = retry_on_intr(|| recv(control, &mut asked, RecvFlags::empty()))
    {
        for what in &asked[..count] {
            match *what {
                LOOK => interrupter.look(),
                PREEMPT => interrupter.preempt(),
                _ => {}
            }
        }
    }
}
