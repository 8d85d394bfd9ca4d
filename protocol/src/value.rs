//! Arguments of the events that scripts tell to clients.

use crate::ids::EntityId;

/// One argument of an event.
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
