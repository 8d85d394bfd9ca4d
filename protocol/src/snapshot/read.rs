//! Reading entities out of a snapshot.

use super::Snapshot;
use super::index::{BatchIndex, ColumnIndex};
use crate::fields::base;
use crate::ids::{EntityId, KindId, ZoneId};
use crate::value::ValueRef;

/// All entities of one kind in one zone, ascending by id.
#[derive(Clone, Copy, Debug)]
pub struct BatchRef<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) batch: &'a BatchIndex,
}

impl<'a> BatchRef<'a> {
    /// The zone that owns them.
    pub fn zone(&self) -> ZoneId {
        self.batch.zone
    }

    /// Their kind.
    pub fn kind(&self) -> KindId {
        self.batch.kind
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.batch.rows
    }

    /// Whether there is none. Batches of a sealed snapshot never are.
    pub fn is_empty(&self) -> bool {
        self.batch.rows == 0
    }

    /// Number of fields.
    pub fn fields(&self) -> usize {
        self.batch.column_count
    }

    /// The entity in a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> RowRef<'a> {
        assert!(row < self.batch.rows, "row {row} of {}", self.batch.rows);
        RowRef { batch: *self, row }
    }

    /// All entities, ascending by id.
    pub fn rows(self) -> impl Iterator<Item = RowRef<'a>> {
        (0..self.len()).map(move |row| RowRef { batch: self, row })
    }

    /// The entity with this id, if it is here.
    pub fn find(&self, id: EntityId) -> Option<RowRef<'a>> {
        let (mut low, mut high) = (0, self.len());
        if high == 0 || id < self.id(0) || id > self.id(high - 1) {
            return None;
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.id(middle) < id {
                low = middle + 1
            } else {
                high = middle
            }
        }
        (self.id(low) == id).then_some(RowRef {
            batch: *self,
            row: low,
        })
    }

    /// A field of all entities, by its index in the kind's declaration.
    ///
    /// # Panics
    /// Where the kind has no such field.
    pub(crate) fn values(&self, field: usize) -> Values<'a> {
        match self.column(field) {
            ColumnIndex::Bool(at) => Values::Bool(self.column_bytes(at)),
            ColumnIndex::U8(at) => Values::U8(self.column_bytes(at)),
            ColumnIndex::U16(at) => Values::U16(self.column_bytes(at)),
            ColumnIndex::U32(at) => Values::U32(self.column_bytes(at)),
            ColumnIndex::I32(at) => Values::I32(self.column_bytes(at)),
            ColumnIndex::F32(at) => Values::F32(self.column_bytes(at)),
            ColumnIndex::F64(at) => Values::F64(self.column_bytes(at)),
            ColumnIndex::Vec3(at) => Values::Vec3(self.column_bytes(at)),
            ColumnIndex::Entity(at) => Values::Entity(self.column_bytes(at)),
            ColumnIndex::Var { ends, .. } => Values::Var(self.column_bytes(ends)),
        }
    }

    fn column(&self, field: usize) -> ColumnIndex {
        let BatchIndex {
            columns,
            column_count,
            ..
        } = *self.batch;
        assert!(field < column_count, "field {field} of {column_count}");
        self.snapshot.index.columns[columns + field]
    }

    /// The values of a column that begins at an offset in the buffer, each `N` bytes.
    fn column_bytes<const N: usize>(&self, at: usize) -> &'a [[u8; N]] {
        let bytes = &self.snapshot.bytes()[at..at + N * self.batch.rows];
        bytes.as_chunks().0
    }

    fn id(&self, row: usize) -> EntityId {
        EntityId(u32::from_le_bytes(self.bytes(self.batch.ids, row)))
    }

    /// The `row`th `N` bytes from an offset in the buffer on.
    fn bytes<const N: usize>(&self, at: usize, row: usize) -> [u8; N] {
        let bytes = &self.snapshot.bytes()[at + N * row..];
        *bytes.first_chunk().expect("columns have a value per row")
    }
}

/// One field of many entities: little-endian values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    Bool(&'a [[u8; 1]]),
    U8(&'a [[u8; 1]]),
    U16(&'a [[u8; 2]]),
    U32(&'a [[u8; 4]]),
    I32(&'a [[u8; 4]]),
    F32(&'a [[u8; 4]]),
    F64(&'a [[u8; 8]]),
    Vec3(&'a [[u8; 24]]),
    Entity(&'a [[u8; 4]]),
    /// Where each ends, in bytes from the first one's beginning on.
    Var(&'a [[u8; 4]]),
}

/// One entity of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    batch: BatchRef<'a>,
    row: usize,
}

impl<'a> RowRef<'a> {
    /// The zone that owns it.
    pub fn zone(&self) -> ZoneId {
        self.batch.zone()
    }

    /// Its kind.
    pub fn kind(&self) -> KindId {
        self.batch.kind()
    }

    /// Its id.
    pub fn id(&self) -> EntityId {
        self.batch.id(self.row)
    }

    /// The base field `position`, metres.
    pub fn position(&self) -> [f64; 3] {
        match self.field(base::POSITION) {
            ValueRef::Vec3(position) => position,
            _ => unreachable!("the index makes sure of the base fields"),
        }
    }

    /// The base field `owner`: the client's slot + 1, or 0.
    pub fn owner(&self) -> u16 {
        match self.field(base::OWNER) {
            ValueRef::U16(owner) => owner,
            _ => unreachable!("the index makes sure of the base fields"),
        }
    }

    /// A field by its index in the kind's declaration.
    ///
    /// # Panics
    /// Where the kind has no such field.
    #[inline]
    pub fn field(&self, field: usize) -> ValueRef<'a> {
        let (b, row) = (&self.batch, self.row);
        match b.column(field) {
            ColumnIndex::Bool(at) => ValueRef::Bool(b.bytes::<1>(at, row) != [0]),
            ColumnIndex::U8(at) => ValueRef::U8(u8::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::U16(at) => ValueRef::U16(u16::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::U32(at) => ValueRef::U32(u32::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::I32(at) => ValueRef::I32(i32::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::F32(at) => ValueRef::F32(f32::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::F64(at) => ValueRef::F64(f64::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::Vec3(at) => ValueRef::Vec3(
                [0, 1, 2].map(|axis| f64::from_le_bytes(b.bytes(at, 3 * row + axis))),
            ),
            ColumnIndex::Entity(at) => ValueRef::Entity(u32::from_le_bytes(b.bytes(at, row))),
            ColumnIndex::Var { ends, data } => ValueRef::Var(self.var(ends, data)),
        }
    }

    /// Appends its row (see [`crate::columns`]).
    pub fn write_row(&self, out: &mut Vec<u8>) {
        for field in 0..self.batch.fields() {
            self.field(field).write(out);
        }
    }

    fn var(&self, ends: usize, data: usize) -> &'a [u8] {
        let end = |row| u32::from_le_bytes(self.batch.bytes(ends, row)) as usize;
        let start = self.row.checked_sub(1).map_or(0, end);
        &self.batch.snapshot.bytes()[data + start..data + end(self.row)]
    }
}
