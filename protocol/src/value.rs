//! Values: the fields of entities, and the arguments of events.

use crate::ids::EntityId;

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
            Self::Vec3(v) => {
                for axis in v {
                    out.extend_from_slice(&axis.to_le_bytes());
                }
            }
            Self::Var(v) => {
                out.extend_from_slice(&(v.len() as u32).to_le_bytes());
                out.extend_from_slice(v);
            }
        }
    }
}

/// One argument of an event that scripts tell to clients.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Str(String),
    /// An entity, by its id.
    Entity(EntityId),
}
