//! Descriptors that go over a socket, with a byte that they come with (`SCM_RIGHTS`, unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Most at once.
const MOST: usize = 4;

/// Sends some, [`MOST`] at most; who receives them has them in this order.
pub(crate) fn send(socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let pushed = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    assert!(pushed, "more than {MOST} descriptors");
    let byte = [IoSlice::new(&[0])];
    sendmsg(socket, &byte, &mut ancillary, SendFlags::NOSIGNAL).map(|_| ())
}

/// What comes over a socket that descriptors come over.
pub(crate) enum Received {
    Descriptors(Vec<OwnedFd>),
    /// A byte alone.
    Nothing,
    /// The other end is closed.
    Ended,
}

pub(crate) fn receive(socket: &OwnedFd) -> Received {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [IoSliceMut::new(&mut byte)];
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
