//! The fork server's own side: a child that makes children for the zones, where all is ready for the mode.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::io::retry_on_intr;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use tessera_python::{Forked, Prepared};

use crate::child::{Line, STRANGER, check_parent, end_with_parent, said};
use crate::frame::Start;

/// What comes over a socket that descriptors come over.
pub(crate) enum Received {
    Descriptors(Vec<OwnedFd>),
    /// A byte alone.
    Nothing,
    /// The other end is closed.
    Ended,
}

pub(crate) fn receive(socket: &OwnedFd) -> Received {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FORK_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [io::IoSliceMut::new(&mut byte)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    match retry_on_intr(|| recvmsg(socket, &mut into, &mut ancillary, flags)) {
        Ok(message) if message.bytes > 0 => {}
        _ => return Received::Ended,
    }
    let rights = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights.collect()),
        _ => None,
    });
    rights.map_or(Received::Nothing, Received::Descriptors)
}

/// Descriptors that a fork gets, in this order: bell, ring, control, output.
pub(crate) const FORK_DESCRIPTORS: usize = 4;

/// What a fork has of its own.
pub(crate) struct Fork {
    bell: OwnedFd,
    ring: OwnedFd,
    control: OwnedFd,
    output: OwnedFd,
}

impl Fork {
    /// Makes the process a child of its own.
    pub(crate) fn settle(self, start: &Start) -> Result<(Line, OwnedFd), String> {
        end_with_parent()?;
        check_parent(start)?;
        rustix::process::setpgid(None, None).map_err(said)?;
        rustix::io::ioctl_fionbio(&self.output, true).map_err(said)?;
        rustix::stdio::dup2_stdout(&self.output).map_err(said)?;
        rustix::stdio::dup2_stderr(&self.output).map_err(said)?;
        Ok((Line::new(self.bell, &self.ring)?, self.control))
    }
}

/// Forks whenever the server asks for it, until that has ended: then there is nothing. In each fork what
/// that has of its own.
pub(crate) fn serve(prepared: &mut Prepared, requests: OwnedFd) -> Result<Option<Fork>, String> {
    loop {
        let descriptors = match receive(&requests) {
            Received::Descriptors(descriptors) => descriptors,
            Received::Nothing => continue,
            Received::Ended => return Ok(None),
        };
        let [bell, ring, control, output] = descriptors.try_into().map_err(|_| STRANGER)?;
        let answer = match prepared.fork() {
            Ok(Forked::Copy) => {
                return Ok(Some(Fork {
                    bell,
                    ring,
                    control,
                    output,
                }));
            }
            Ok(Forked::Original(pid)) => pid as i32,
            Err(error) => -error.raw_os_error().unwrap_or(libc::ENOTSUP),
        };
        let answer = answer.to_le_bytes();
        if retry_on_intr(|| send(&requests, &answer, SendFlags::NOSIGNAL)).is_err() {
            return Ok(None);
        }
    }
}
