//! Whether a row or a delta from a child holds what its declaration allows. The gather makes sure of it
//! in the child; a child that has been taken over might not.

use tessera_protocol::columns::bits;
use tessera_protocol::{FieldType, Kind};

use crate::frame::Malformed;

/// Checks all fields of a row.
pub(crate) fn check_row(kind: &Kind, row: &[u8]) -> Result<(), Malformed> {
    check(kind, u64::MAX, row)
}

/// Checks the fields of a delta.
pub(crate) fn check_delta(kind: &Kind, delta: &[u8]) -> Result<(), Malformed> {
    let (mask, fields) = delta
        .split_first_chunk()
        .ok_or(Malformed("a delta has no mask"))?;
    check(kind, u64::from_le_bytes(*mask), fields)
}

fn check(kind: &Kind, mask: u64, mut bytes: &[u8]) -> Result<(), Malformed> {
    let all = u64::MAX >> (64 - kind.fields.len().clamp(1, 64));
    for field in bits(mask & all) {
        check_field(kind.fields[field].ty, &mut bytes)?;
    }
    match bytes {
        [] => Ok(()),
        _ => Err(Malformed("a row is too long")),
    }
}

fn check_field(ty: FieldType, bytes: &mut &[u8]) -> Result<(), Malformed> {
    let mut take = |count| {
        let taken: Option<&[u8]> = bytes.split_off(..count);
        taken.ok_or(Malformed("a row ends too early"))
    };
    let fits = match ty {
        FieldType::Bool => take(1)?[0] <= 1,
        FieldType::U8 => take(1).is_ok(),
        FieldType::U16 => take(2).is_ok(),
        FieldType::U32 | FieldType::I32 | FieldType::Entity => take(4).is_ok(),
        FieldType::F32 => {
            let (single, _) = take(4)?.as_chunks();
            single
                .iter()
                .all(|bytes| f32::from_le_bytes(*bytes).is_finite())
        }
        FieldType::F64 | FieldType::Vec3 => {
            let count = if ty == FieldType::Vec3 { 3 } else { 1 };
            let (axes, _) = take(8 * count)?.as_chunks();
            axes.iter()
                .all(|bytes| f64::from_le_bytes(*bytes).is_finite())
        }
        FieldType::Str { .. } | FieldType::Bytes { .. } | FieldType::Object => {
            let (length, _) = take(4)?.as_chunks();
            let value = take(u32::from_le_bytes(length[0]) as usize)?;
            match ty {
                FieldType::Str { max } => {
                    value.len() <= max.into() && std::str::from_utf8(value).is_ok()
                }
                FieldType::Bytes { max } => value.len() <= max.into(),
                _ => tessera_python::is_clone(value),
            }
        }
    };
    match fits {
        true => Ok(()),
        false => Err(Malformed(
            "a field holds what its declaration does not allow",
        )),
    }
}
