//! The bell: how two processes tell each other to look at a ring, and notice that the other has ended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// The other process has closed its end, as the kernel does when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended;

/// One end of a socket pair. A byte says: look again.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// Takes an end of a stream socket pair.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// A connected pair of bells.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        Ok((Self(ours.into()), theirs.into()))
    }

    /// Rings at the other end.
    pub(crate) fn ring(&self) -> Result<(), Ended> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match retry_on_intr(|| send(&self.0, &[0], flags)) {
            // Full: it has not listened to the rings so far, and one is as good as many.
            Ok(_) | Err(Errno::WOULDBLOCK) => Ok(()),
            Err(_) => Err(Ended),
        }
    }

    /// Waits until the other end has rung since the last wait.
    pub(crate) fn wait(&self) -> Result<(), Ended> {
        let mut rings = [0; 64];
        match retry_on_intr(|| recv(&self.0, &mut rings, RecvFlags::empty())) {
            Ok((1.., _)) => Ok(()),
            _ => Err(Ended),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
