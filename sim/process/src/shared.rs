//! Memory that two processes share: a sealed memfd and its mapping.

#![allow(unsafe_code)] // mappings; each block says why it is sound

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A new memfd of so many bytes, whose size nobody can change: a mapping of it never ends in a fault.
pub(crate) fn create(name: &str, bytes: usize) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create(name, flags)?;
    ftruncate(&fd, bytes as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fd)
}

/// From now on nobody can map the memory to write to it, or write to it in another way. Who has mapped
/// it already can.
pub(crate) fn seal_writes(fd: impl AsFd) -> Result<(), Errno> {
    fcntl_add_seals(fd, SealFlags::FUTURE_WRITE | SealFlags::SEAL)
}

/// A mapping of all of a memfd, shared with other processes.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is only reached through atomics (`words`), or by who promises that nobody else does
// (`write`, `slice`).
unsafe impl Send for Mapping {}
// SAFETY: likewise.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a memfd of [`create`], which has so many bytes.
    pub(crate) fn new(fd: impl AsFd, bytes: usize, writable: bool) -> Result<Self, Errno> {
        let protection = match writable {
            true => ProtFlags::READ | ProtFlags::WRITE,
            false => ProtFlags::READ,
        };
        if rustix::fs::fstat(&fd)?.st_size as u64 != bytes as u64 {
            return Err(Errno::INVAL);
        }
        // SAFETY: a fresh mapping, at an address that the kernel chooses.
        let start = unsafe { mmap(null_mut(), bytes, protection, MapFlags::SHARED, fd, 0)? };
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?,
            bytes,
        })
    }

    /// The memory as words that the other process may change at any time. For writable mappings.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let words = self.bytes / size_of::<AtomicU64>();
        // SAFETY: the mapping is page-aligned, has that many words, stays for as long as `self`, and its
        // size is sealed. Atomics allow for any change meanwhile; every bit pattern is a word.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), words) }
    }

    /// Copies bytes into the memory.
    ///
    /// # Panics
    /// Where they don't fit.
    ///
    /// # Safety
    /// The mapping is writable; nobody in this process reads or writes that part meanwhile.
    pub(crate) unsafe fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at <= self.bytes && bytes.len() <= self.bytes - at);
        // SAFETY: within the mapping, as just checked, and nobody else's by the caller's promise.
        unsafe {
            let to = self.start.as_ptr().add(at);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// A part of the memory, where it has one there.
    ///
    /// # Safety
    /// The mapping is never dropped, and nobody in any process writes that part for as long as the
    /// caller uses the slice.
    pub(crate) unsafe fn slice(&self, at: usize, bytes: usize) -> Option<&'static [u8]> {
        if bytes > self.bytes.checked_sub(at)? {
            return None;
        }
        // SAFETY: within the mapping, as just checked; it stays and is not written, by the caller's
        // promise.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), bytes) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; whoever borrowed from it has gone.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
