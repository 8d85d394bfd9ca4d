//! Where everything lies in a snapshot's buffer, found once so that reads need no vtables.

use flatbuffers::InvalidFlatbuffer;

use super::SnapshotHeader;
use crate::fields::{FIELDS_MAX, base};
use crate::generated::snapshot as fb;
use crate::ids::{KindId, Tick, ZoneId};

/// Why bytes are not a snapshot.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They don't begin like one.
    #[error("the bytes don't carry the mark of a snapshot")]
    NotASnapshot,
    /// Its FlatBuffers structure is broken.
    #[error("the buffer is broken: {0}")]
    Buffer(#[from] InvalidFlatbuffer),
    /// A batch has too few or too many columns, or base fields of the wrong types.
    #[error("{zone}, kind {}: its columns are not those of a kind of entity", .kind.0)]
    Columns {
        /// Where.
        zone: ZoneId,
        /// Of which kind.
        kind: KindId,
    },
    /// A column has another number of rows than there are ids, or its texts overlap.
    #[error("{zone}, kind {}: column {column} has not one value per entity", .kind.0)]
    Column {
        /// Where.
        zone: ZoneId,
        /// Of which kind.
        kind: KindId,
        /// Which.
        column: usize,
    },
    /// Ids don't ascend or one is 0.
    #[error("{zone}, kind {}: entity ids don't ascend from 1", .kind.0)]
    Ids {
        /// Where.
        zone: ZoneId,
        /// Of which kind.
        kind: KindId,
    },
}

/// All batches and columns.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Index {
    pub(super) batches: Vec<BatchIndex>,
    pub(super) columns: Vec<ColumnIndex>,
}

/// Where the entities of one kind in one zone lie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct BatchIndex {
    pub(super) zone: ZoneId,
    pub(super) kind: KindId,
    pub(super) rows: usize,
    /// Offset of the ids in the buffer.
    pub(super) ids: usize,
    /// Index of the first column.
    pub(super) columns: usize,
    pub(super) column_count: usize,
}

/// Where the values of a column lie, by offset in the buffer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum ColumnIndex {
    Bool(usize),
    U8(usize),
    U16(usize),
    U32(usize),
    I32(usize),
    F32(usize),
    F64(usize),
    Vec3(usize),
    Entity(usize),
    Var { ends: usize, data: usize },
}

impl ColumnIndex {
    /// The same column with its offsets changed.
    fn map(self, change: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Bool(at) => Self::Bool(change(at)),
            Self::U8(at) => Self::U8(change(at)),
            Self::U16(at) => Self::U16(change(at)),
            Self::U32(at) => Self::U32(change(at)),
            Self::I32(at) => Self::I32(change(at)),
            Self::F32(at) => Self::F32(change(at)),
            Self::F64(at) => Self::F64(change(at)),
            Self::Vec3(at) => Self::Vec3(change(at)),
            Self::Entity(at) => Self::Entity(change(at)),
            Self::Var { ends, data } => Self::Var {
                ends: change(ends),
                data: change(data),
            },
        }
    }
}

impl Index {
    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.columns.clear();
    }

    /// Changes all offsets.
    pub(super) fn shift(&mut self, change: impl Fn(usize) -> usize) {
        for batch in &mut self.batches {
            batch.ids = change(batch.ids);
        }
        for column in &mut self.columns {
            *column = column.map(&change);
        }
    }

    /// Appends the index of a batch that begins at `base` in the buffer.
    pub(super) fn append(&mut self, batch: &Self, base: usize) {
        let first = self.columns.len();
        self.batches
            .extend(batch.batches.iter().map(|kind| BatchIndex {
                ids: kind.ids + base,
                columns: kind.columns + first,
                ..*kind
            }));
        let columns = batch.columns.iter();
        self.columns
            .extend(columns.map(|column| column.map(|at| at + base)));
    }

    /// Indexes a buffer, checking its structure but not the values inside; returns the header.
    pub(super) fn read(&mut self, buffer: &[u8]) -> Result<SnapshotHeader, SnapshotError> {
        self.clear();
        if buffer.len() < 8 || !fb::snapshot_buffer_has_identifier(buffer) {
            return Err(SnapshotError::NotASnapshot);
        }
        let snapshot = fb::root_as_snapshot(buffer)?;
        for nested in snapshot.zones().iter().flatten() {
            let batch = flatbuffers::root::<fb::ZoneBatch<'_>>(nested.batch().bytes())?;
            for kind in batch.kinds().iter().flatten() {
                self.add(buffer, ZoneId(batch.zone()), kind)?;
            }
        }
        Ok(SnapshotHeader {
            tick: Tick(snapshot.tick()),
            seed: snapshot.seed(),
            next_entity: snapshot.next_entity(),
            state_hash: snapshot.state_hash(),
        })
    }

    fn add(
        &mut self,
        buffer: &[u8],
        zone: ZoneId,
        batch: fb::KindBatch<'_>,
    ) -> Result<(), SnapshotError> {
        let kind = KindId(batch.kind());
        let first = self.columns.len();
        for (column, values) in batch.columns().iter().enumerate() {
            let (place, rows) =
                place(buffer, values).ok_or(SnapshotError::Column { zone, kind, column })?;
            if rows != batch.ids().len() {
                return Err(SnapshotError::Column { zone, kind, column });
            }
            self.columns.push(place);
        }
        let columns = &self.columns[first..];
        let is_entity = matches!(
            columns[..base::COUNT.min(columns.len())],
            [
                ColumnIndex::Vec3(_),
                ColumnIndex::Vec3(_),
                ColumnIndex::F32(_),
                ColumnIndex::F32(_),
                ColumnIndex::U16(_)
            ]
        );
        if !is_entity || columns.len() > FIELDS_MAX {
            return Err(SnapshotError::Columns { zone, kind });
        }
        self.batches.push(BatchIndex {
            zone,
            kind,
            rows: batch.ids().len(),
            ids: offset(buffer, batch.ids().bytes()),
            columns: first,
            column_count: columns.len(),
        });
        Ok(())
    }

    /// Checks what costs time per row: ids ascend, texts don't overlap.
    pub(super) fn check_values(&self, buffer: &[u8]) -> Result<(), SnapshotError> {
        for batch in &self.batches {
            let (zone, kind) = (batch.zone, batch.kind);
            let ids = words(buffer, batch.ids, batch.rows);
            if !ids.clone().is_sorted_by(|a, b| a < b) || ids.clone().next() == Some(0) {
                return Err(SnapshotError::Ids { zone, kind });
            }
            let columns = &self.columns[batch.columns..][..batch.column_count];
            for (column, place) in columns.iter().enumerate() {
                if let ColumnIndex::Var { ends, .. } = *place
                    && !words(buffer, ends, batch.rows).is_sorted()
                {
                    return Err(SnapshotError::Column { zone, kind, column });
                }
            }
        }
        Ok(())
    }
}

/// Where a column's values lie and how many rows they make; `None` where they make no rows, or are
/// there in more than one way.
fn place(buffer: &[u8], column: fb::Column<'_>) -> Option<(ColumnIndex, usize)> {
    let mut found = None;
    let mut find = |place: ColumnIndex, rows: usize| found.replace((place, rows)).is_none();
    macro_rules! flat {
        ($field:ident, $variant:ident, $each:expr) => {
            if let Some(values) = column.$field() {
                let (count, place) = (values.len(), offset(buffer, values.bytes()));
                let whole = count.is_multiple_of($each);
                (whole && find(ColumnIndex::$variant(place), count / $each)).then_some(())?;
            }
        };
    }
    flat!(bools, Bool, 1);
    flat!(u8s, U8, 1);
    flat!(u16s, U16, 1);
    flat!(u32s, U32, 1);
    flat!(i32s, I32, 1);
    flat!(f32s, F32, 1);
    flat!(f64s, F64, 1);
    flat!(vec3s, Vec3, 3);
    flat!(entities, Entity, 1);
    match (column.ends(), column.data()) {
        (None, None) => {}
        (Some(ends), Some(data)) => {
            // Ends ascend (checked for buffers from outside), so the last one bounds them all.
            let used = ends.iter().next_back().unwrap_or(0);
            let place = ColumnIndex::Var {
                ends: offset(buffer, ends.bytes()),
                data: offset(buffer, data.bytes()),
            };
            (used as usize == data.len() && find(place, ends.len())).then_some(())?;
        }
        _ => return None,
    }
    found
}

/// Offset in `buffer` of a slice of it.
fn offset(buffer: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - buffer.as_ptr().addr()
}

/// The `u32`s from an offset on.
fn words(buffer: &[u8], at: usize, count: usize) -> impl Iterator<Item = u32> + Clone {
    let (words, _) = buffer[at..at + 4 * count].as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word))
}
