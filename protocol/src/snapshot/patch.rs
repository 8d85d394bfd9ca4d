//! From one tick to the next most batches keep their entities, and so their layout: then only the
//! columns that changed are copied over what was there.

use super::index::{BatchIndex, ColumnIndex, Index};
use super::write::room;
use crate::columns::{Column, KindTable, bits};
use crate::ids::EntityId;

/// Copies the fields in `changed` (by kind) into a finished batch that is laid out as `index` says.
/// `None` where the layout is not that of `tables` any more, or nothing was written; what is in the
/// batch is useless then.
pub(super) fn patch(
    batch: &mut [u8],
    index: &Index,
    tables: &[KindTable],
    changed: &[u64],
) -> Option<()> {
    let mut written = index.batches.iter();
    (written.len() > 0).then_some(())?;
    for (kind, table) in tables.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
        let place = written.next()?;
        (place.kind.index() == kind && has_ids(batch, place, &table.ids)).then_some(())?;
        for field in bits(changed[kind]) {
            let column = index.columns[place.columns + field];
            put_column(batch, column, &table.columns[field])?;
        }
    }
    written.next().is_none().then_some(())
}

fn has_ids(batch: &[u8], place: &BatchIndex, ids: &[EntityId]) -> bool {
    place.rows == ids.len() && {
        let (words, _) = batch[place.ids..][..4 * ids.len()].as_chunks::<4>();
        words
            .iter()
            .zip(ids)
            .all(|(word, id)| *word == id.0.to_le_bytes())
    }
}

/// `None` where the values don't take up the same room.
fn put_column(batch: &mut [u8], place: ColumnIndex, column: &Column) -> Option<()> {
    use ColumnIndex as Place;
    match (place, column) {
        (Place::Bool(at), Column::Bool(v)) | (Place::U8(at), Column::U8(v)) => {
            batch[at..][..v.len()].copy_from_slice(v);
        }
        (Place::U16(at), Column::U16(v)) => put(batch, at, v, u16::to_le_bytes),
        (Place::U32(at), Column::U32(v)) | (Place::Entity(at), Column::Entity(v)) => {
            put(batch, at, v, u32::to_le_bytes);
        }
        (Place::I32(at), Column::I32(v)) => put(batch, at, v, i32::to_le_bytes),
        (Place::F32(at), Column::F32(v)) => put(batch, at, v, f32::to_le_bytes),
        (Place::F64(at), Column::F64(v)) => put(batch, at, v, f64::to_le_bytes),
        (Place::Vec3(at), Column::Vec3(v)) => {
            put(batch, at, v.as_flattened(), f64::to_le_bytes);
        }
        (Place::Var { ends, data }, Column::Var(v)) => {
            let last = ends + 4 * v.len().checked_sub(1)?;
            let old = u32::from_le_bytes(*batch[last..].first_chunk()?) as usize;
            let new = v.data().len();
            (room(old) == room(new)).then_some(())?;
            put(batch, ends, v.ends(), u32::to_le_bytes);
            let length = data - size_of::<u32>();
            put(batch, length, &[new as u32], u32::to_le_bytes);
            batch[data..][..new].copy_from_slice(v.data());
            batch[data..][new..old.max(new)].fill(0);
        }
        _ => return None,
    }
    Some(())
}

/// Overwrites a vector from an offset on.
fn put<T: Copy, const N: usize>(
    batch: &mut [u8],
    at: usize,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) {
    let (places, _) = batch[at..][..N * values.len()].as_chunks_mut::<N>();
    for (place, value) in places.iter_mut().zip(values) {
        *place = bytes(*value);
    }
}
