//! The whole state at a tick boundary as one immutable FlatBuffers buffer, columnar
//! (`protocol/schemas/snapshot.fbs`).
//!
//! Zones write their batches in parallel ([`ZoneBatch`]), [`Snapshot::seal`] copies them into one
//! buffer and notes where everything lies, so that reading a field is arithmetic on offsets.

mod index;
mod layout;
mod patch;
mod read;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use crate::ids::{EntityId, KindId, Tick};
use index::Index;
pub use index::SnapshotError;
pub(crate) use read::Values;
pub use read::{BatchRef, RowRef};
pub use write::ZoneBatch;

/// What a snapshot says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotHeader {
    /// The tick boundary.
    pub tick: Tick,
    /// Seed of the match.
    pub seed: u64,
    /// The id that the next newborn gets.
    pub next_entity: u32,
    /// Hash of the whole state.
    pub state_hash: u64,
}

/// An immutable snapshot; share it as `Arc<Snapshot>`.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The finished buffer is from `start` on, since the builder fills its memory from the end. What is
    /// before that is zero. Borrowed where it is a mapping of shared memory.
    buffer: Cow<'static, [u8]>,
    start: usize,
    header: SnapshotHeader,
    index: Index,
}

impl Snapshot {
    /// Seals the finished batches of all zones into one buffer. The memory of `recycled`, a snapshot
    /// that nobody holds any more, saves the allocations.
    ///
    /// # Panics
    /// Where a batch has not been written, or there are more than two a zone.
    pub fn seal(header: SnapshotHeader, batches: &[&ZoneBatch], recycled: Option<Self>) -> Self {
        let Self {
            buffer,
            start,
            mut index,
            ..
        } = recycled.unwrap_or_default();
        assert!(batches.len() <= write::BATCHES_MAX, "two batches a zone");
        let needed = write::sealed_len_about(batches);
        let mut buffer = buffer.into_owned();
        if buffer.len() < needed {
            // The builder would double its memory until all fits, and copy what is there each time.
            buffer = vec![0; needed + needed / 4];
        } else {
            // What the builder leaves out between values must not tell of an older state.
            buffer[start..].fill(0);
        }
        let (buffer, start) = write::seal(buffer, &mut index, header, batches);
        let sealed = Self {
            buffer: buffer.into(),
            start,
            header,
            index,
        };
        debug_assert!(sealed.reads_back(), "what was just written reads back");
        sealed
    }

    /// Whether a reader of the buffer finds what was noted while writing it.
    fn reads_back(&self) -> bool {
        let mut index = Index::default();
        index.read(self.bytes()) == Ok(self.header) && index == self.index
    }

    /// Takes a buffer from outside, after checking all of it: a `Vec`, or bytes that stay for good, such
    /// as a mapping of shared memory, which are not copied.
    ///
    /// # Errors
    /// Where it is not a whole snapshot.
    pub fn from_bytes(buffer: impl Into<Cow<'static, [u8]>>) -> Result<Self, SnapshotError> {
        let buffer = buffer.into();
        let mut index = Index::default();
        let header = index.read(&buffer)?;
        index.check_values(&buffer)?;
        Ok(Self {
            buffer,
            start: 0,
            header,
            index,
        })
    }

    /// This snapshot in memory of its own: itself, or a copy where its buffer is only borrowed.
    pub fn owned(self: &Arc<Self>) -> Arc<Self> {
        match &self.buffer {
            Cow::Owned(_) => self.clone(),
            Cow::Borrowed(bytes) => Arc::new(Self {
                buffer: Cow::Owned(bytes.to_vec()),
                start: self.start,
                header: self.header,
                index: self.index.clone(),
            }),
        }
    }

    /// The header.
    pub fn header(&self) -> SnapshotHeader {
        self.header
    }

    /// The tick boundary.
    pub fn tick(&self) -> Tick {
        self.header.tick
    }

    /// Seed of the match.
    pub fn seed(&self) -> u64 {
        self.header.seed
    }

    /// The id that the next newborn gets.
    pub fn next_entity(&self) -> u32 {
        self.header.next_entity
    }

    /// Hash of the whole state, equal however the world is cut into zones.
    pub fn state_hash(&self) -> u64 {
        self.header.state_hash
    }

    /// The buffer itself.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The batches, one per zone and kind that has entities; by zone as sealed, then by kind.
    pub fn batches(&self) -> impl Iterator<Item = BatchRef<'_>> {
        self.index.batches.iter().map(|batch| BatchRef {
            snapshot: self,
            batch,
        })
    }

    /// An entity, wherever it is: a binary search in each batch whose ids span it.
    pub fn find(&self, id: EntityId) -> Option<RowRef<'_>> {
        self.batches().find_map(|batch| batch.find(id))
    }

    /// All entities of a kind: ascending inside a batch, not across batches.
    pub fn rows_of(&self, kind: KindId) -> impl Iterator<Item = RowRef<'_>> {
        self.batches()
            .filter(move |batch| batch.kind() == kind)
            .flat_map(|batch| batch.rows())
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.batches().map(|batch| batch.len()).sum()
    }

    /// Whether there is no entity at all.
    pub fn is_empty(&self) -> bool {
        self.index.batches.is_empty()
    }
}
