//! Strategies and samples that several tests share.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod link;
pub(crate) mod pair;
pub(crate) mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use tessera_protocol::fields::base;
use tessera_protocol::{
    Audience, EntityId, Field, FieldType, Kind, KindTable, Quantization, ValueRef,
};

/// A value of a field, owned: the simple model that columns are compared with.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Model {
    /// A value of fixed size, as row bytes.
    Fixed(FieldType, Vec<u8>),
    /// A text, bytes or a cloned value.
    Var(Vec<u8>),
}

impl Model {
    /// Appends what [`KindTable::write_row`] should.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(_, bytes) => out.extend(bytes),
            Self::Var(bytes) => {
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend(bytes);
            }
        }
    }
}

/// The row of these values.
pub(crate) fn row(values: &[Model]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.write(&mut out));
    out
}

/// The delta of the values in the mask.
pub(crate) fn delta(values: &[Model], mask: u64) -> Vec<u8> {
    let mut out = mask.to_le_bytes().to_vec();
    for (field, value) in values.iter().enumerate() {
        if mask >> field & 1 == 1 {
            value.write(&mut out);
        }
    }
    out
}

pub(crate) const TYPES: [FieldType; 12] = [
    FieldType::Bool,
    FieldType::U8,
    FieldType::U16,
    FieldType::U32,
    FieldType::I32,
    FieldType::F32,
    FieldType::F64,
    FieldType::Vec3,
    FieldType::Entity,
    FieldType::Str { max: 24 },
    FieldType::Bytes { max: 24 },
    FieldType::Object,
];

/// A kind with the base fields and one field of each type.
pub(crate) fn kind(name: &str) -> Kind {
    let mut fields = base::fields(1000.0).to_vec();
    fields.extend(TYPES.iter().enumerate().map(|(n, &ty)| Field {
        name: format!("field{n}"),
        ty,
        quantization: Quantization::Exact,
        audience: match ty {
            FieldType::Object => Audience::Nobody,
            _ => Audience::Everyone,
        },
    }));
    Kind {
        name: name.to_owned(),
        fields,
        hitbox: None,
        projectile: None,
        walker: None,
        is_match: false,
    }
}

/// Any value of a type.
pub(crate) fn value(ty: FieldType) -> BoxedStrategy<Model> {
    let fixed = move |bytes: Vec<u8>| Model::Fixed(ty, bytes);
    match ty {
        FieldType::Bool => any::<bool>()
            .prop_map(move |v| fixed(vec![u8::from(v)]))
            .boxed(),
        FieldType::U8 => any::<[u8; 1]>()
            .prop_map(move |v| fixed(v.to_vec()))
            .boxed(),
        FieldType::U16 => any::<[u8; 2]>()
            .prop_map(move |v| fixed(v.to_vec()))
            .boxed(),
        FieldType::U32 | FieldType::I32 | FieldType::F32 | FieldType::Entity => any::<[u8; 4]>()
            .prop_map(move |v| fixed(v.to_vec()))
            .boxed(),
        FieldType::F64 => any::<[u8; 8]>()
            .prop_map(move |v| fixed(v.to_vec()))
            .boxed(),
        FieldType::Vec3 => any::<[u8; 24]>()
            .prop_map(move |v| fixed(v.to_vec()))
            .boxed(),
        FieldType::Str { max } | FieldType::Bytes { max } => vec(any::<u8>(), 0..=usize::from(max))
            .prop_map(Model::Var)
            .boxed(),
        FieldType::Object => vec(any::<u8>(), 0..100).prop_map(Model::Var).boxed(),
    }
}

/// Any values of all fields of a kind.
pub(crate) fn values(kind: &Kind) -> BoxedStrategy<Vec<Model>> {
    kind.fields
        .iter()
        .map(|field| value(field.ty))
        .collect::<Vec<_>>()
        .boxed()
}

/// A table of this kind with these entities.
pub(crate) fn table(kind: &Kind, rows: &[(u32, Vec<Model>)]) -> KindTable {
    let mut table = KindTable::new(kind);
    for (id, values) in rows {
        table
            .insert_row(EntityId(*id), &row(values))
            .expect("a row of this kind");
    }
    table
}

/// Any entities of a kind with ids from `ids`, in any order.
pub(crate) fn entities(
    kind: &Kind,
    ids: std::ops::Range<u32>,
) -> impl Strategy<Value = Vec<(u32, Vec<Model>)>> + use<> {
    let count = (ids.end - ids.start) as usize;
    let shuffled = Just(ids.collect::<Vec<_>>()).prop_shuffle();
    (shuffled, vec(values(kind), 0..=count))
        .prop_map(|(ids, rows)| ids.into_iter().zip(rows).collect())
}

/// The row bytes of one value.
pub(crate) fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}
