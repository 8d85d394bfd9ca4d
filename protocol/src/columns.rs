//! The columnar form in which zones hold the fields of their entities, and the canonical bytes of
//! one entity: its row, and the delta of a row.
//!
//! A **row** is the fields in order of declaration, little-endian: `Bool` and `U8` one byte, `U16`
//! two, `U32`, `I32`, `F32` and `Entity` four, `F64` eight, `Vec3` three `F64`; `Str`, `Bytes` and
//! `Object` a `u32` length and that many bytes. A **delta** is a `u64` mask (bit f for field f),
//! then the fields in the mask, coded as in a row.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::fields::{FIELDS_MAX, FieldType, Kind};
use crate::ids::{EntityId, KindId};
use crate::value::ValueRef;

mod var;

pub use var::VarColumn;

/// One field of all entities of a kind in a zone.
#[derive(Clone, PartialEq, Debug)]
pub enum Column {
    /// Truth values, 0 or 1.
    Bool(Vec<u8>),
    /// Integers of 8 bits.
    U8(Vec<u8>),
    /// Integers of 16 bits.
    U16(Vec<u16>),
    /// Integers of 32 bits.
    U32(Vec<u32>),
    /// Signed integers of 32 bits.
    I32(Vec<i32>),
    /// Singles.
    F32(Vec<f32>),
    /// Doubles.
    F64(Vec<f64>),
    /// Vectors; x, y, z.
    Vec3(Vec<[f64; 3]>),
    /// Entity ids.
    Entity(Vec<u32>),
    /// Texts, bytes and cloned values.
    Var(VarColumn),
}

/// Why the bytes of a row or of a delta can't be used. The table is left as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowError {
    /// The bytes end inside a field or inside the mask.
    #[error("the row ends inside field {field}")]
    Truncated {
        /// Index of the field.
        field: usize,
    },
    /// Bytes are left over after the last field.
    #[error("{extra} bytes are left over after the row's last field")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// A `Bool` is neither 0 nor 1.
    #[error("field {field} is a bool but holds {value}")]
    NotBool {
        /// Index of the field.
        field: usize,
        /// The byte found.
        value: u8,
    },
    /// The mask names a field that the kind doesn't have.
    #[error("the delta names field {field}, but the kind has {fields}")]
    NoSuchField {
        /// Index in the mask.
        field: usize,
        /// Number of fields of the kind.
        fields: usize,
    },
    /// The entity has a row already.
    #[error("entity {} has a row already", .0.0)]
    Duplicate(EntityId),
    /// Row 0 can't be entity 0.
    #[error("entity id 0 names no entity")]
    NoEntity,
}

/// Applies `$body` to the vector inside a column of any type, `Var` included where the method names
/// agree.
macro_rules! each {
    ($column:expr, $v:ident => $body:expr) => {
        match $column {
            Column::Bool($v) | Column::U8($v) => $body,
            Column::U16($v) => $body,
            Column::U32($v) | Column::Entity($v) => $body,
            Column::I32($v) => $body,
            Column::F32($v) => $body,
            Column::F64($v) => $body,
            Column::Vec3($v) => $body,
            Column::Var($v) => $body,
        }
    };
}

impl Column {
    /// An empty column for fields of this type.
    pub fn new(ty: FieldType) -> Self {
        match ty {
            FieldType::Bool => Self::Bool(Vec::new()),
            FieldType::U8 => Self::U8(Vec::new()),
            FieldType::U16 => Self::U16(Vec::new()),
            FieldType::U32 => Self::U32(Vec::new()),
            FieldType::I32 => Self::I32(Vec::new()),
            FieldType::F32 => Self::F32(Vec::new()),
            FieldType::F64 => Self::F64(Vec::new()),
            FieldType::Vec3 => Self::Vec3(Vec::new()),
            FieldType::Entity => Self::Entity(Vec::new()),
            FieldType::Str { .. } | FieldType::Bytes { .. } | FieldType::Object => {
                Self::Var(VarColumn::default())
            }
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all rows, keeps the memory.
    pub fn clear(&mut self) {
        each!(self, v => v.clear());
    }

    /// Removes a row; those after it move up.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn remove(&mut self, row: usize) {
        match self {
            Self::Var(v) => v.remove(row),
            other => each!(other, v => { v.remove(row); }),
        }
    }

    /// The value in a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Bool(v) => ValueRef::Bool(v[row] != 0),
            Self::U8(v) => ValueRef::U8(v[row]),
            Self::U16(v) => ValueRef::U16(v[row]),
            Self::U32(v) => ValueRef::U32(v[row]),
            Self::I32(v) => ValueRef::I32(v[row]),
            Self::F32(v) => ValueRef::F32(v[row]),
            Self::F64(v) => ValueRef::F64(v[row]),
            Self::Vec3(v) => ValueRef::Vec3(v[row]),
            Self::Entity(v) => ValueRef::Entity(v[row]),
            Self::Var(v) => ValueRef::Var(v.get(row)),
        }
    }

    /// Appends the bytes of the value in a row. Rows are written for every changed entity of every
    /// tick, hence not by way of [`Column::get`].
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(v) | Self::U8(v) => out.push(v[row]),
            Self::U16(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Self::U32(v) | Self::Entity(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Self::I32(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Self::F32(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Self::F64(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Self::Vec3(v) => {
                out.extend_from_slice(v[row].map(f64::to_le_bytes).as_flattened());
            }
            Self::Var(v) => {
                let bytes = v.get(row);
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Bytes of a field before any that its length asks for.
    const fn width(&self) -> usize {
        match self {
            Self::Bool(_) | Self::U8(_) => 1,
            Self::U16(_) => 2,
            Self::U32(_) | Self::I32(_) | Self::F32(_) | Self::Entity(_) | Self::Var(_) => 4,
            Self::F64(_) => 8,
            Self::Vec3(_) => 24,
        }
    }

    /// Splits the field's bytes (of a `Var` without the length) off the front of `bytes`.
    fn split<'a>(&self, field: usize, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), RowError> {
        let truncated = RowError::Truncated { field };
        let (head, tail) = bytes.split_at_checked(self.width()).ok_or(truncated)?;
        match self {
            Self::Bool(_) if head[0] > 1 => Err(RowError::NotBool {
                field,
                value: head[0],
            }),
            Self::Var(_) => {
                let length = u32::from_le_bytes(array(head)) as usize;
                tail.split_at_checked(length).ok_or(truncated)
            }
            _ => Ok((head, tail)),
        }
    }

    /// Inserts a value whose bytes [`Column::split`] returned.
    fn insert(&mut self, row: usize, bytes: &[u8]) {
        match self {
            Self::Bool(v) | Self::U8(v) => v.insert(row, bytes[0]),
            Self::U16(v) => v.insert(row, u16::from_le_bytes(array(bytes))),
            Self::U32(v) | Self::Entity(v) => v.insert(row, u32::from_le_bytes(array(bytes))),
            Self::I32(v) => v.insert(row, i32::from_le_bytes(array(bytes))),
            Self::F32(v) => v.insert(row, f32::from_le_bytes(array(bytes))),
            Self::F64(v) => v.insert(row, f64::from_le_bytes(array(bytes))),
            Self::Vec3(v) => v.insert(row, vec3(bytes)),
            Self::Var(v) => v.insert(row, bytes),
        }
    }

    /// Overwrites a value with bytes that [`Column::split`] returned.
    fn set(&mut self, row: usize, bytes: &[u8]) {
        match self {
            Self::Bool(v) | Self::U8(v) => v[row] = bytes[0],
            Self::U16(v) => v[row] = u16::from_le_bytes(array(bytes)),
            Self::U32(v) | Self::Entity(v) => v[row] = u32::from_le_bytes(array(bytes)),
            Self::I32(v) => v[row] = i32::from_le_bytes(array(bytes)),
            Self::F32(v) => v[row] = f32::from_le_bytes(array(bytes)),
            Self::F64(v) => v[row] = f64::from_le_bytes(array(bytes)),
            Self::Vec3(v) => v[row] = vec3(bytes),
            Self::Var(v) => v.set(row, bytes),
        }
    }
}

/// Bytes of a width that [`Column::split`] has made sure of.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("split returns the field's width")
}

fn vec3(bytes: &[u8]) -> [f64; 3] {
    let (axes, _) = bytes.as_chunks::<8>();
    [0, 1, 2].map(|axis| f64::from_le_bytes(axes[axis]))
}

/// All entities of one kind that a zone owns (or sees as ghosts).
///
/// # Invariants
/// `ids` ascend strictly; each column has as many rows as there are ids.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct KindTable {
    /// Who is in which row.
    pub ids: Vec<EntityId>,
    /// One column a field, in order of declaration; at most [`FIELDS_MAX`].
    pub columns: Vec<Column>,
}

impl KindTable {
    /// An empty table for entities of this kind.
    ///
    /// # Panics
    /// Where the kind has more than [`FIELDS_MAX`] fields.
    pub fn new(kind: &Kind) -> Self {
        assert!(
            kind.fields.len() <= FIELDS_MAX,
            "masks of fields have {FIELDS_MAX} bits"
        );
        let columns = kind
            .fields
            .iter()
            .map(|field| Column::new(field.ty))
            .collect();
        Self {
            ids: Vec::new(),
            columns,
        }
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds no entity.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Removes all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.columns.iter_mut().for_each(Column::clear);
    }

    /// The row of an entity, if it is here. O(log n).
    pub fn row_of(&self, id: EntityId) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// Adds an entity from the bytes of its row, keeping ids ascending; returns its row.
    ///
    /// # Errors
    /// Where the bytes are not exactly a row, or the entity is 0 or here already.
    pub fn insert_row(&mut self, id: EntityId, row: &[u8]) -> Result<usize, RowError> {
        if id.is_none() {
            return Err(RowError::NoEntity);
        }
        let Err(at) = self.ids.binary_search(&id) else {
            return Err(RowError::Duplicate(id));
        };
        self.check_fields(u64::MAX, row)?;
        let mut rest = row;
        for (field, column) in self.columns.iter_mut().enumerate() {
            let (value, tail) = column.split(field, rest)?;
            column.insert(at, value);
            rest = tail;
        }
        self.ids.insert(at, id);
        Ok(at)
    }

    /// Removes a row; those after it move up.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn remove(&mut self, row: usize) {
        self.ids.remove(row);
        self.columns
            .iter_mut()
            .for_each(|column| column.remove(row));
    }

    /// Appends the bytes of a row to `out`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn write_row(&self, row: usize, out: &mut Vec<u8>) {
        for column in &self.columns {
            column.write(row, out);
        }
    }

    /// Appends to `out` the delta that carries the fields in `mask`; bits past the last field are
    /// left out.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn write_delta(&self, row: usize, mask: u64, out: &mut Vec<u8>) {
        let mask = mask & self.all_fields();
        out.extend_from_slice(&mask.to_le_bytes());
        for field in bits(mask) {
            self.columns[field].write(row, out);
        }
    }

    /// Overwrites the fields that a delta carries; returns its mask.
    ///
    /// # Errors
    /// Where the bytes are not exactly a delta of this kind; then the row is as before.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn apply_delta(&mut self, row: usize, delta: &[u8]) -> Result<u64, RowError> {
        let (mask, mut rest) = delta
            .split_first_chunk::<8>()
            .ok_or(RowError::Truncated { field: 0 })?;
        let mask = u64::from_le_bytes(*mask);
        let unknown = mask & !self.all_fields();
        if unknown != 0 {
            let field = unknown.trailing_zeros() as usize;
            return Err(RowError::NoSuchField {
                field,
                fields: self.columns.len(),
            });
        }
        self.check_fields(mask, rest)?;
        for field in bits(mask) {
            let column = &mut self.columns[field];
            let (value, tail) = column.split(field, rest)?;
            column.set(row, value);
            rest = tail;
        }
        Ok(mask)
    }

    /// A hash of one field of an entity, of its kind and id too. The state hash sums these up, so that
    /// an entity costs only what has changed of it. `scratch` is overwritten.
    ///
    /// # Panics
    /// Where there is no such row or field.
    pub fn hash_field(&self, kind: KindId, row: usize, field: usize, scratch: &mut Vec<u8>) -> u64 {
        scratch.clear();
        self.columns[field].write(row, scratch);
        // Fewer than 256 kinds and 64 fields: no two fields of a match have one seed.
        let place = (field as u64) << 8 | u64::from(kind.0);
        xxh3_64_with_seed(scratch, u64::from(self.ids[row].0) << 32 | place)
    }

    /// The mask of all fields.
    fn all_fields(&self) -> u64 {
        match self.columns.len() {
            FIELDS_MAX.. => u64::MAX,
            n => (1 << n) - 1,
        }
    }

    /// Whether `row` is a row of this table's kind.
    ///
    /// # Errors
    /// Where the bytes are not exactly a row.
    pub fn check_row(&self, row: &[u8]) -> Result<(), RowError> {
        self.check_fields(u64::MAX, row)
    }

    /// Whether `bytes` are exactly the fields in `mask`.
    fn check_fields(&self, mask: u64, mut bytes: &[u8]) -> Result<(), RowError> {
        for field in bits(mask & self.all_fields()) {
            (_, bytes) = self.columns[field].split(field, bytes)?;
        }
        match bytes.len() {
            0 => Ok(()),
            extra => Err(RowError::TrailingBytes { extra }),
        }
    }
}

/// The set bits of a mask, ascending.
pub fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros() as usize;
        (mask != 0).then(|| {
            mask &= mask - 1;
            bit
        })
    })
}
