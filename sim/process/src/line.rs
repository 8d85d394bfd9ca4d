//! What the server shares with a child from its first moment: a ring, the bell, the control socket, and
//! the pipe of its log.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tessera_protocol::ids::ZoneId;

use crate::bell::Bell;
use crate::error::ProcessError;
use crate::frame::{Malformed, Reader, Start, Started};
use crate::handle::ProcessHandle;
use crate::log::Log;
use crate::process::Process;
use crate::ring::{self, RingError};
use crate::shared::Mapping;

/// The server's ends, before there is a child.
pub(crate) struct Near {
    bell: Bell,
    writer: ring::Writer,
    reader: ring::Reader,
    control: OwnedFd,
    log: Log,
}

/// A child's ends.
pub(crate) struct Far {
    /// Of the bell.
    pub(crate) socket: OwnedFd,
    pub(crate) ring: OwnedFd,
    pub(crate) control: OwnedFd,
    /// Where it writes its log.
    pub(crate) output: io::PipeWriter,
}

/// Both ends of all that the server shares with one child.
///
/// # Errors
/// A system without such memory, a server with too many open files.
pub(crate) fn pair() -> Result<(Near, Far), ProcessError> {
    let unsupported = ProcessError::unsupported::<rustix::io::Errno>;
    let no_files = ProcessError::unsupported::<io::Error>("three descriptors more for each zone");
    let ring = ring::create().map_err(unsupported("shared memory (memfd)"))?;
    let mapping = Mapping::new(&ring, ring::BYTES, true);
    let mapping = mapping.map_err(unsupported("shared memory (mmap)"))?;
    let (writer, reader) = ring::ends(mapping, true);
    let (bell, socket) = Bell::pair().map_err(&no_files)?;
    let (control, obeying) = UnixStream::pair().map_err(&no_files)?;
    let (pipe, output) = io::pipe().map_err(&no_files)?;
    let near = Near {
        bell,
        writer,
        reader,
        control: control.into(),
        log: Log::new(pipe).map_err(unsupported("a pipe that is not waited for (FIONBIO)"))?,
    };
    let far = Far {
        socket,
        ring,
        control: obeying.into(),
        output,
    };
    Ok((near, far))
}

/// A child process, and the line to it.
pub(crate) struct Line {
    pub(crate) process: Process,
    pub(crate) bell: Bell,
    writer: ring::Writer,
    reader: ring::Reader,
}

impl Line {
    /// The line to the child that has the other ends, and that nobody has waited for.
    ///
    /// # Errors
    /// A system that can't hold a process by a descriptor; then the child is ended.
    pub(crate) fn new(near: Near, pid: Pid, zone: Option<ZoneId>) -> Result<Self, ProcessError> {
        let Near {
            bell,
            writer,
            reader,
            control,
            log,
        } = near;
        let handle = ProcessHandle::new(pid, control).inspect_err(|_| {
            // It fails where it has ended.
            let _ = kill_process(pid, Signal::KILL);
            let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        })?;
        Ok(Self {
            process: Process::new(pid, handle, log, zone),
            bell,
            writer,
            reader,
        })
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<(), RingError> {
        self.writer.send(frame, &self.bell)
    }

    /// Waits for the next frame, in place of what was in `frame`.
    pub(crate) fn receive(&mut self, frame: &mut Vec<u8>) -> Result<(), RingError> {
        let received = self.reader.receive(frame, &self.bell);
        self.process.drain_log();
        received
    }

    /// Tells the child what it is.
    pub(crate) fn start(&mut self, start: &Start) -> Result<(), ProcessError> {
        let mut frame = Vec::new();
        start.write(&mut frame);
        self.send(&frame).map_err(|error| self.ended(error))
    }

    /// Waits for what the child says to that.
    pub(crate) fn started(&mut self) -> Result<Started, ProcessError> {
        let mut frame = Vec::new();
        self.receive(&mut frame)
            .map_err(|error| self.ended(error))?;
        let started = Started::read(&mut Reader::new(&frame));
        match started.map_err(|error| self.malformed(error))? {
            Started::Failed(error) => Err(error.into()),
            Started::Unconfined(reason) => Err(ProcessError::Unsupported {
                feature: "seccomp filters and limits of resources",
                reason,
            }),
            started => Ok(started),
        }
    }

    /// Ends a child whose answer to the start makes no sense.
    pub(crate) fn malformed(&mut self, Malformed(why): Malformed) -> ProcessError {
        self.ended(RingError::Garbage(why))
    }

    fn ended(&mut self, error: RingError) -> ProcessError {
        ProcessError::Ended(self.process.end(error).0)
    }
}
