//! What a client holds of a field.

use crate::value::ValueRef;

/// A field's value as a client knows it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum FieldValue {
    /// This client has not been told.
    #[default]
    Unknown,
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    I32(i32),
    F32(f32),
    F64(f64),
    Vec3([f64; 3]),
    Entity(u32),
    Var(Vec<u8>),
}

impl FieldValue {
    pub(super) fn get(&self) -> Option<ValueRef<'_>> {
        Some(match *self {
            Self::Unknown => return None,
            Self::Bool(v) => ValueRef::Bool(v),
            Self::U8(v) => ValueRef::U8(v),
            Self::U16(v) => ValueRef::U16(v),
            Self::U32(v) => ValueRef::U32(v),
            Self::I32(v) => ValueRef::I32(v),
            Self::F32(v) => ValueRef::F32(v),
            Self::F64(v) => ValueRef::F64(v),
            Self::Vec3(v) => ValueRef::Vec3(v),
            Self::Entity(v) => ValueRef::Entity(v),
            Self::Var(ref v) => ValueRef::Var(v),
        })
    }

    /// Makes it an empty `Var`, keeping the memory of the one that was there.
    pub(super) fn clear_var(&mut self) -> &mut Vec<u8> {
        if !matches!(self, Self::Var(_)) {
            *self = Self::Var(Vec::new());
        }
        match self {
            Self::Var(bytes) => {
                bytes.clear();
                bytes
            }
            _ => unreachable!("just made one"),
        }
    }
}
