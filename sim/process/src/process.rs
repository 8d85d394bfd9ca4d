//! A child process: its end is noticed, named, and waited for.

use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use tessera_protocol::ids::ZoneId;

use crate::handle::ProcessHandle;
use crate::log::Log;
use crate::parent::Gone;
use crate::ring::RingError;

/// A child of this process, whoever made it. It ends with this at the latest.
pub(crate) struct Process {
    pid: Pid,
    pub(crate) handle: ProcessHandle,
    pub(crate) log: Log,
    /// Which zone its log is of.
    pub(crate) zone: Option<ZoneId>,
    /// It has been waited for, and its number may be another's.
    reaped: bool,
    /// Why it has ended, once that is known.
    gone: Option<Gone>,
}

impl Process {
    /// For a child that nobody has waited for.
    pub(crate) fn new(pid: Pid, handle: ProcessHandle, log: Log, zone: Option<ZoneId>) -> Self {
        Self {
            pid,
            handle,
            log,
            zone,
            reaped: false,
            gone: None,
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Logs what it has written so far.
    pub(crate) fn drain_log(&mut self) {
        self.log.drain(self.zone);
    }

    /// Ends the child, if it hasn't ended by itself, and says why it is gone.
    #[cold]
    pub(crate) fn end(&mut self, error: RingError) -> Gone {
        if let Some(gone) = &self.gone {
            return gone.clone();
        }
        let why = match error {
            RingError::Garbage(why) => {
                self.kill();
                format!("its process does not keep to the protocol: {why}")
            }
            RingError::Ended if self.handle.ends_within(1) => match self.wait() {
                Some(status) => describe(status),
                None => "its process ended".into(),
            },
            RingError::Ended => {
                self.kill();
                "its process closed the connection".into()
            }
        };
        self.log.finish(self.zone);
        self.gone.insert(Gone(why)).clone()
    }

    fn kill(&mut self) {
        self.handle.kill();
        self.wait();
    }

    /// Waits for its end; how that was, unless somebody has been told of it already.
    fn wait(&mut self) -> Option<WaitStatus> {
        if std::mem::replace(&mut self.reaped, true) {
            return None;
        }
        let waited = retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::empty()));
        waited.ok().flatten().map(|(_, status)| status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.log.finish(self.zone);
    }
}

/// How a process ended.
fn describe(status: WaitStatus) -> String {
    let name = |signal| match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV, a segmentation fault)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGXFSZ => " (SIGXFSZ, it wrote to a file)",
        libc::SIGSYS => " (SIGSYS)",
        _ => "",
    };
    match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => format!("its process was ended by signal {signal}{}", name(signal)),
        (_, Some(code)) => format!("its process exited with code {code}"),
        _ => "its process ended".into(),
    }
}
