//! The declaration of state: kinds of entity and their fields.
//!
//! Scripts declare it, the server sends it to each client in the handshake, and everything that
//! stores, sends or hashes state is driven by it: there is no code per field.

pub mod base;
mod check;
mod declarations;
mod hash;
mod walk;

pub use check::{RECORD_LEN_MAX, TableError};
pub use declarations::{Declarations, Edition};
pub use walk::{WalkRules, Walker};

use std::fmt;

use crate::ids::KindId;

/// Most kinds that a mode may declare.
pub const KINDS_MAX: usize = 64;
/// Most fields of a kind, base fields included: sets of fields are bits of a `u64`.
pub const FIELDS_MAX: usize = 64;

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldType {
    /// A truth value.
    Bool,
    /// An integer in [0, 2⁸).
    U8,
    /// An integer in [0, 2¹⁶).
    U16,
    /// An integer in [0, 2³²).
    U32,
    /// An integer in [-2³¹, 2³¹).
    I32,
    /// An IEEE single.
    F32,
    /// An IEEE double.
    F64,
    /// Three doubles.
    Vec3,
    /// The id of an entity, 0 for none.
    Entity,
    /// A text of at most `max` bytes of UTF-8.
    Str {
        /// Most bytes.
        max: u16,
    },
    /// At most `max` bytes.
    Bytes {
        /// Most bytes.
        max: u16,
    },
    /// A cloned value of the scripts, opaque to everybody else; never on the wire.
    Object,
}

/// How a field is rounded on the wire. State itself is never rounded by this.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Quantization {
    /// Bit for bit; integers as varints.
    Exact,
    /// Clamped to `[min, max]` and sent in `bits` bits (1 to 32); of a `Vec3` each component.
    Range {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
        /// Bits a component.
        bits: u8,
    },
    /// An angle in radians, wrapped to [-π, π), in `bits` bits (1 to 32).
    Angle {
        /// Bits.
        bits: u8,
    },
}

/// Which clients receive a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Audience {
    /// Every client that has the entity in sight.
    Everyone,
    /// Only the client that owns the entity.
    Owner,
    /// No client. `Object` fields are always this.
    Nobody,
}

/// One declared field.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Name, as in the script's class.
    pub name: String,
    /// What it holds.
    pub ty: FieldType,
    /// How it is rounded on the wire.
    pub quantization: Quantization,
    /// Who receives it.
    pub audience: Audience,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldType::Bool => "bool",
            FieldType::U8 => "u8",
            FieldType::U16 => "u16",
            FieldType::U32 => "u32",
            FieldType::I32 => "i32",
            FieldType::F32 => "f32",
            FieldType::F64 => "f64",
            FieldType::Vec3 => "vec3",
            FieldType::Entity => "ref",
            FieldType::Str { max } => return write!(f, "str, at most {max} bytes"),
            FieldType::Bytes { max } => return write!(f, "bytes, at most {max}"),
            FieldType::Object => "object",
        })
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantization::Exact => f.write_str("exact"),
            Quantization::Range { min, max, bits } => write!(f, "{min} to {max} in {bits} bits"),
            Quantization::Angle { bits } => write!(f, "an angle in {bits} bits"),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Audience::Everyone => "everyone",
            Audience::Owner => "owner",
            Audience::Nobody => "nobody",
        })
    }
}

/// A vertical capsule that stands on the entity's position and that shots can hit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hitbox {
    /// Metres.
    pub radius: f32,
    /// Metres from the feet to the top, caps included.
    pub height: f32,
    /// Index of a `Bool` field that must be true for the capsule to be there.
    pub when: Option<u16>,
}

/// Motion by the engine rather than by a script.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Projectile {
    /// Acceleration downwards, m/s².
    pub gravity: f32,
}

/// One declared kind of entity.
#[derive(Clone, PartialEq, Debug)]
pub struct Kind {
    /// Name of the script's class.
    pub name: String,
    /// Fields, the base fields first; at most [`FIELDS_MAX`].
    pub fields: Vec<Field>,
    /// What shots hit, if anything.
    pub hitbox: Option<Hitbox>,
    /// Whether and how the engine moves it.
    pub projectile: Option<Projectile>,
    /// Whether and how it walks where its client steers it, which the client predicts.
    pub walker: Option<Walker>,
    /// Whether it is the kind that hears of clients joining and leaving.
    pub is_match: bool,
}

impl Kind {
    /// The index of the field called `name`.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// All kinds of a mode, in order of declaration; at most [`KINDS_MAX`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FieldTable {
    /// The kinds; a [`KindId`] is an index in here.
    pub kinds: Vec<Kind>,
}

impl FieldTable {
    /// The kind called `name`.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        let index = self.kinds.iter().position(|kind| kind.name == name)?;
        u8::try_from(index).ok().map(KindId)
    }
}
