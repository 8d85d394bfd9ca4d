//! The declaration of state: kinds of entity and their fields.
//!
//! Scripts declare it, the server sends it to each client in the handshake, and everything that
//! stores, sends or hashes state is driven by it: there is no code per field.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::KindId;

/// Most kinds that a mode may declare.
pub const KINDS_MAX: usize = 64;
/// Most fields of a kind, base fields included: sets of fields are bits of a `u64`.
pub const FIELDS_MAX: usize = 64;

/// Fields that every kind begins with, in this order.
pub mod base {
    use super::{Audience, Field, FieldType, Quantization};

    /// `Vec3`, metres; for a character its feet.
    pub const POSITION: usize = 0;
    /// `Vec3`, metres per second.
    pub const VELOCITY: usize = 1;
    /// `F32`, radians about +y in [-π, π), 0 looks along -z.
    pub const YAW: usize = 2;
    /// `F32`, radians above the horizon in [-π/2, π/2].
    pub const PITCH: usize = 3;
    /// `U16`, the client that steers it: its slot + 1, or 0. Nobody receives it: a client is told
    /// which entity is its own.
    pub const OWNER: usize = 4;
    /// Number of base fields.
    pub const COUNT: usize = 5;

    /// The base fields for a map whose side is `map_size` metres.
    pub fn fields(map_size: f64) -> [Field; COUNT] {
        // Positions: a kilometre in 2^17 steps is 8 mm; fliers and debris may leave the map a bit.
        let margin = 64.0;
        let everyone = |name: &str, ty, quantization| Field {
            name: name.to_owned(),
            ty,
            quantization,
            audience: Audience::Everyone,
        };
        let position = Quantization::Range {
            min: -margin,
            max: map_size + margin,
            bits: 17,
        };
        let velocity = Quantization::Range {
            min: -128.0,
            max: 128.0,
            bits: 13,
        };
        [
            everyone("position", FieldType::Vec3, position),
            everyone("velocity", FieldType::Vec3, velocity),
            everyone("yaw", FieldType::F32, Quantization::Angle { bits: 12 }),
            everyone("pitch", FieldType::F32, Quantization::Angle { bits: 12 }),
            Field {
                name: "owner".to_owned(),
                ty: FieldType::U16,
                quantization: Quantization::Exact,
                audience: Audience::Nobody,
            },
        ]
    }
}

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

    /// A hash of everything declared. Two builds that agree on it agree on rows, snapshots and
    /// records byte for byte.
    pub fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for kind in &self.kinds {
            hash_kind(kind, &mut bytes);
        }
        xxh3_64(&bytes)
    }
}

fn hash_kind(kind: &Kind, out: &mut Vec<u8>) {
    hash_text(&kind.name, out);
    out.push(u8::from(kind.is_match));
    match kind.hitbox {
        None => out.push(0),
        Some(Hitbox {
            radius,
            height,
            when,
        }) => {
            out.push(1);
            out.extend(radius.to_le_bytes());
            out.extend(height.to_le_bytes());
            out.extend(when.map_or(u32::MAX, u32::from).to_le_bytes());
        }
    }
    match kind.projectile {
        None => out.push(0),
        Some(Projectile { gravity }) => {
            out.push(1);
            out.extend(gravity.to_le_bytes());
        }
    }
    out.extend((kind.fields.len() as u32).to_le_bytes());
    for field in &kind.fields {
        hash_field(field, out);
    }
}

fn hash_field(field: &Field, out: &mut Vec<u8>) {
    hash_text(&field.name, out);
    let (ty, max) = match field.ty {
        FieldType::Bool => (0, 0),
        FieldType::U8 => (1, 0),
        FieldType::U16 => (2, 0),
        FieldType::U32 => (3, 0),
        FieldType::I32 => (4, 0),
        FieldType::F32 => (5, 0),
        FieldType::F64 => (6, 0),
        FieldType::Vec3 => (7, 0),
        FieldType::Entity => (8, 0),
        FieldType::Str { max } => (9, max),
        FieldType::Bytes { max } => (10, max),
        FieldType::Object => (11, 0),
    };
    out.push(ty);
    out.extend(max.to_le_bytes());
    match field.quantization {
        Quantization::Exact => out.push(0),
        Quantization::Range { min, max, bits } => {
            out.extend([1, bits]);
            out.extend(min.to_le_bytes());
            out.extend(max.to_le_bytes());
        }
        Quantization::Angle { bits } => out.extend([2, bits]),
    }
    out.push(match field.audience {
        Audience::Everyone => 0,
        Audience::Owner => 1,
        Audience::Nobody => 2,
    });
}

/// Length first, so that no two tables run into the same bytes.
fn hash_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}
