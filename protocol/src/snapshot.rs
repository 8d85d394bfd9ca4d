//! The whole state at a tick boundary as one immutable FlatBuffers buffer, columnar.

use flatbuffers::FlatBufferBuilder;

use crate::columns::KindTable;
use crate::ids::{EntityId, KindId, Tick, ZoneId};

/// One value of a field, borrowed from a column, a snapshot or a client's table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValueRef<'a> {
    /// A truth value.
    Bool(bool),
    /// An integer of 8 bits.
    U8(u8),
    /// An integer of 16 bits.
    U16(u16),
    /// An integer of 32 bits.
    U32(u32),
    /// A signed integer of 32 bits.
    I32(i32),
    /// A single.
    F32(f32),
    /// A double.
    F64(f64),
    /// A vector; x, y, z.
    Vec3([f64; 3]),
    /// An entity, 0 for none.
    Entity(u32),
    /// The bytes of a text, of bytes or of a cloned value.
    Var(&'a [u8]),
}

impl ValueRef<'_> {
    /// Appends the field's bytes as in a row (see [`crate::columns`]).
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(v) => out.push(u8::from(v)),
            Self::U8(v) => out.push(v),
            Self::U16(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::U32(v) | Self::Entity(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::I32(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::F32(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::F64(v) => out.extend_from_slice(&v.to_le_bytes()),
            Self::Vec3(v) => v
                .iter()
                .for_each(|axis| out.extend_from_slice(&axis.to_le_bytes())),
            Self::Var(v) => {
                out.extend_from_slice(&(v.len() as u32).to_le_bytes());
                out.extend_from_slice(v);
            }
        }
    }
}

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

/// Writes a zone's batch straight from its tables; zones do it in parallel, each with a builder of
/// its own that keeps its memory. Returns the finished bytes, valid until the next call.
pub fn write_zone_batch<'b>(
    _builder: &'b mut FlatBufferBuilder<'static>,
    _zone: ZoneId,
    _tables: &[KindTable],
) -> &'b [u8] {
    unimplemented!()
}

/// An immutable snapshot; share it as `Arc<Snapshot>`.
#[derive(Debug)]
pub struct Snapshot {
    buffer: Vec<u8>,
    header: SnapshotHeader,
}

impl Snapshot {
    /// Seals the zones' batches into one buffer. `recycled` is an old snapshot whose memory to use.
    pub fn seal(
        _builder: &mut FlatBufferBuilder<'static>,
        _header: SnapshotHeader,
        _batches: &[&[u8]],
        _recycled: Option<Self>,
    ) -> Self {
        unimplemented!()
    }

    /// Checks and indexes a buffer from outside.
    ///
    /// # Errors
    /// Where it is not a snapshot.
    pub fn from_bytes(_buffer: Vec<u8>) -> Result<Self, SnapshotError> {
        unimplemented!()
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

    /// Hash of the whole state.
    pub fn state_hash(&self) -> u64 {
        self.header.state_hash
    }

    /// The buffer: `protocol/schemas/snapshot.fbs`.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The batches, one per zone and kind that has entities; by zone, then kind.
    pub fn batches(&self) -> impl Iterator<Item = BatchRef<'_>> {
        std::iter::empty()
    }

    /// An entity, wherever it is. O(batches × log rows).
    pub fn find(&self, _id: EntityId) -> Option<RowRef<'_>> {
        unimplemented!()
    }

    /// All entities of a kind: ascending inside a batch, not across batches.
    pub fn rows_of(&self, _kind: KindId) -> impl Iterator<Item = RowRef<'_>> {
        std::iter::empty()
    }
}

/// Why bytes are not a snapshot.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SnapshotError {}

/// All entities of one kind in one zone.
#[derive(Clone, Copy, Debug)]
pub struct BatchRef<'a> {
    snapshot: &'a Snapshot,
}

impl<'a> BatchRef<'a> {
    /// The zone.
    pub fn zone(&self) -> ZoneId {
        unimplemented!()
    }

    /// The kind.
    pub fn kind(&self) -> KindId {
        unimplemented!()
    }

    /// Number of entities.
    pub fn rows(&self) -> usize {
        unimplemented!()
    }

    /// A row; `None` past the end.
    pub fn row(&self, _row: usize) -> Option<RowRef<'a>> {
        let _ = self.snapshot;
        unimplemented!()
    }
}

/// One entity of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    batch: BatchRef<'a>,
}

impl<'a> RowRef<'a> {
    /// Its kind.
    pub fn kind(&self) -> KindId {
        self.batch.kind()
    }

    /// Its id.
    pub fn id(&self) -> EntityId {
        unimplemented!()
    }

    /// The base field `position`, metres.
    pub fn position(&self) -> [f64; 3] {
        unimplemented!()
    }

    /// A field by index.
    ///
    /// # Panics
    /// Where the kind has no such field.
    pub fn field(&self, _index: usize) -> ValueRef<'a> {
        unimplemented!()
    }

    /// Appends its row (see [`crate::columns`]).
    pub fn write_row(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }
}
