//! The hash of a field table.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Audience, Field, FieldTable, FieldType, Hitbox, Kind, Projectile, Quantization, Walker,
};

impl FieldTable {
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
    match &kind.walker {
        None => out.push(0),
        Some(walker) => {
            out.push(1);
            hash_walker(walker, out);
        }
    }
    out.extend((kind.fields.len() as u32).to_le_bytes());
    for field in &kind.fields {
        hash_field(field, out);
    }
}

fn hash_walker(walker: &Walker, out: &mut Vec<u8>) {
    for (_, value) in walker.rules.named() {
        out.extend(value.to_le_bytes());
    }
    let Walker {
        rules: _,
        grounded,
        crouched,
        gliding,
        when,
    } = *walker;
    for field in [Some(grounded), crouched, gliding, when] {
        out.extend(field.map_or(u32::MAX, u32::from).to_le_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes as `docs/protocol.md` has them, by hand.
    #[test]
    fn a_golden_table_has_the_hash_of_the_description() {
        let flag = Field {
            name: "up".into(),
            ty: FieldType::Bool,
            quantization: Quantization::Exact,
            audience: Audience::Owner,
        };
        let number = Field {
            name: "x".into(),
            ty: FieldType::F32,
            quantization: Quantization::Range {
                min: -1.0,
                max: 1.0,
                bits: 9,
            },
            audience: Audience::Everyone,
        };
        let kind = Kind {
            name: "Ball".into(),
            fields: vec![flag, number],
            hitbox: Some(Hitbox {
                radius: 0.5,
                height: 2.0,
                when: Some(0),
            }),
            projectile: Some(Projectile { gravity: -9.5 }),
            walker: None,
            is_match: false,
        };
        let mut bytes = Vec::new();
        bytes.extend(b"\x04\0\0\0Ball\0");
        bytes.extend(b"\x01\0\0\0\x3f\0\0\0\x40\0\0\0\0");
        bytes.extend(b"\x01\0\0\x18\xc1");
        bytes.extend(b"\0");
        bytes.extend(b"\x02\0\0\0");
        bytes.extend(b"\x02\0\0\0up\x00\0\0\0\x01");
        bytes.extend(b"\x01\0\0\0x\x05\0\0\x01\x09");
        bytes.extend(b"\0\0\0\0\0\0\xf0\xbf\0\0\0\0\0\0\xf0\x3f\x00");
        let table = FieldTable { kinds: vec![kind] };
        assert_eq!(table.hash(), xxh3_64(&bytes));
    }
}
