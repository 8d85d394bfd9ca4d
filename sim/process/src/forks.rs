//! The fork server's own side: a child that makes children for the zones, where all is ready for the mode.

use std::os::fd::OwnedFd;

use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};
use tessera_python::{Forked, Prepared};

use crate::child::{Line, STRANGER, check_parent, end_with_parent, said};
use crate::descriptors::{Received, receive};
use crate::frame::Start;

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
        // In the order of the keeper.
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
