//! The last snapshots, in memory that process zones read and only the server writes.

#![allow(unsafe_code)] // a mapping; each block says why it is sound

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tessera_protocol::ids::Tick;
use tessera_protocol::snapshot::Snapshot;

use crate::error::ProcessError;
use crate::shared::{self, Mapping};

/// Snapshots that are kept. A child reads the newest during a tick, and the last 250 ms when it starts.
pub(crate) const SLOTS: usize = 32;
/// Bytes of address space for each; memory is taken as it is written.
pub(crate) const SLOT_BYTES: usize = 8 << 20;
const BYTES: usize = SLOTS * SLOT_BYTES;

/// The slots of one match, shared by all its process zones. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotSlots(Arc<Shared>);

struct Shared {
    fd: OwnedFd,
    mapping: Mapping,
    written: Mutex<Written>,
}

struct Written {
    slots: [Option<Stored>; SLOTS],
    /// Of the snapshot that is being written; kept for its memory.
    layout: Vec<u8>,
}

/// A snapshot in its slot, which follows from the tick: its buffer, and after it the layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    pub(crate) tick: Tick,
    pub(crate) bytes: u32,
    pub(crate) layout_bytes: u32,
}

/// A state that is larger than a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge(pub(crate) usize);

fn slot(tick: Tick) -> usize {
    tick.0 as usize % SLOTS
}

impl SnapshotSlots {
    /// Slots with nothing in them.
    ///
    /// # Errors
    /// A system without sealed shared memory.
    pub fn new() -> Result<Self, ProcessError> {
        let unsupported = || {
            ProcessError::unsupported("shared memory that is sealed (memfd, F_SEAL_FUTURE_WRITE)")
        };
        let fd = shared::create("tessera-snapshots", BYTES).map_err(unsupported())?;
        let mapping = Mapping::new(&fd, BYTES, true).map_err(unsupported())?;
        shared::seal_writes(&fd).map_err(unsupported())?;
        Ok(Self(Arc::new(Shared {
            fd,
            mapping,
            written: Mutex::new(Written {
                slots: [None; SLOTS],
                layout: Vec::new(),
            }),
        })))
    }

    /// Writes a snapshot into its slot, unless it is there. Call it for each that is sealed: zones that
    /// begin a tick do so for that one, but a zone that starts needs those before it.
    ///
    /// A state of more than 8 MiB is left out; zones that are to run on it say so and end.
    pub fn publish(&self, snapshot: &Snapshot) {
        let _ = self.store(snapshot);
    }

    /// Forgets all snapshots, since those to come are laid out for other declarations.
    pub fn clear(&self) {
        self.written().slots = [None; SLOTS];
    }

    pub(crate) fn store(&self, snapshot: &Snapshot) -> Result<Stored, TooLarge> {
        let (tick, bytes) = (snapshot.tick(), snapshot.bytes());
        let mut written = self.written();
        let Written { slots, layout } = &mut *written;
        let at = slot(tick);
        if let Some(stored) = slots[at]
            && stored.tick == tick
        {
            return Ok(stored);
        }
        layout.clear();
        snapshot.write_layout(layout);
        let size = bytes.len() + layout.len();
        if size > SLOT_BYTES {
            return Err(TooLarge(size));
        }
        let stored = Stored {
            tick,
            bytes: bytes.len() as u32,
            layout_bytes: layout.len() as u32,
        };
        // SAFETY: the mapping is writable; here it is only reached under this lock.
        unsafe {
            let start = at * SLOT_BYTES;
            self.0.mapping.write(start, bytes);
            self.0.mapping.write(start + bytes.len(), layout);
        }
        slots[at] = Some(stored);
        Ok(stored)
    }

    /// The snapshots right before `tick` that are here, at most `count`, oldest first, without a gap.
    pub(crate) fn before(&self, tick: Tick, count: usize) -> Vec<Stored> {
        let written = self.written();
        let at = |back: i32| {
            let tick = tick.offset(-back);
            written.slots[slot(tick)].filter(|stored| stored.tick == tick)
        };
        let count = count.min(SLOTS - 1) as i32;
        let mut before: Vec<_> = (1..=count).map_while(at).collect();
        before.reverse();
        before
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        // A panic leaves a slot half written at most, and nobody is told of it.
        self.0
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for SnapshotSlots {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// A child's end: the slots, read-only and for good.
pub(crate) struct SlotReader(&'static Mapping);

impl SlotReader {
    /// Maps the slots.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, rustix::io::Errno> {
        let mapping = Mapping::new(fd, BYTES, false)?;
        Ok(Self(Box::leak(Box::new(mapping))))
    }

    /// The snapshot that the parent says is in a slot, without a copy.
    ///
    /// # Safety
    /// It is given up before the parent writes the slot again, which is [`SLOTS`] ticks later.
    pub(crate) unsafe fn get(&self, stored: Stored) -> Option<Arc<Snapshot>> {
        let at = slot(stored.tick) * SLOT_BYTES;
        // SAFETY: the mapping is leaked; nobody writes the slot meanwhile, by the caller's promise.
        let (bytes, layout) = unsafe {
            let bytes = self.0.slice(at, stored.bytes as usize)?;
            let layout = self
                .0
                .slice(at + bytes.len(), stored.layout_bytes as usize)?;
            (bytes, layout)
        };
        let snapshot = Snapshot::from_parts(bytes, layout)?;
        (snapshot.tick() == stored.tick).then(|| Arc::new(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use tessera_protocol::ids::ZoneId;
    use tessera_protocol::snapshot::{SnapshotHeader, ZoneBatch};

    use super::*;

    fn snapshot(tick: u32) -> Snapshot {
        let header = SnapshotHeader {
            tick: Tick(tick),
            seed: u64::from(tick) << 32,
            ..SnapshotHeader::default()
        };
        Snapshot::seal(header, &[&ZoneBatch::of(ZoneId(0), &[])], None)
    }

    #[test]
    fn a_child_sees_what_was_published_and_cannot_write_it() {
        let slots = SnapshotSlots::new().expect("a system with memfd");
        for tick in 0..40 {
            slots.publish(&snapshot(tick));
        }
        let reader = SlotReader::new(slots.as_fd().try_clone_to_owned().expect("a descriptor"));
        let reader = reader.expect("it can be mapped to be read");
        let before = slots.before(Tick(40), 17);
        assert_eq!(before.len(), 17);
        for (stored, tick) in before.iter().zip(23..) {
            assert_eq!(stored.tick, Tick(tick));
            // SAFETY: nothing is published any more.
            let read = unsafe { reader.get(*stored) }.expect("a whole snapshot");
            assert_eq!(read.bytes(), snapshot(tick).bytes());
        }
        assert!(Mapping::new(slots.as_fd(), BYTES, true).is_err());
        assert!(rustix::io::write(slots.as_fd(), b"x").is_err());
        assert!(rustix::fs::ftruncate(slots.as_fd(), 0).is_err());
    }

    #[test]
    fn a_gap_ends_what_a_zone_finds_of_the_past() {
        let slots = SnapshotSlots::new().expect("a system with memfd");
        for tick in [0, 1, 3, 4] {
            slots.publish(&snapshot(tick));
        }
        let ticks: Vec<_> = slots.before(Tick(5), 17).iter().map(|s| s.tick.0).collect();
        assert_eq!(ticks, [3, 4]);
        assert_eq!(slots.before(Tick(3), 17), []);
    }
}
