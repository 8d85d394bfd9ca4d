//! From tables to buffers: bulk vectors, no work per row.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::SnapshotHeader;
use super::index::{BatchIndex, ColumnIndex, Index};
use super::patch::patch;
use crate::columns::{Column, KindTable};
use crate::fields::{FIELDS_MAX, KINDS_MAX};
use crate::generated::snapshot as fb;
use crate::ids::{KindId, ZoneId};

/// Most batches that one snapshot nests: a zone has one for those it ran and one for the newborn.
pub(super) const BATCHES_MAX: usize = 2 * ZoneId::COUNT_MAX;

/// Bytes of a snapshot besides its batches, and those that nesting costs each; about.
const HEADER_LEN_ABOUT: usize = 96;
const NESTED_LEN_ABOUT: usize = 40;

/// A zone's part of a snapshot: the finished bytes, and where everything lies in them. Each zone has
/// its own and writes it anew every tick; the memory is kept.
#[derive(Default)]
pub struct ZoneBatch {
    builder: FlatBufferBuilder<'static>,
    pub(super) index: Index,
}

impl ZoneBatch {
    /// A batch of these tables, for one use.
    ///
    /// # Panics
    /// As [`ZoneBatch::write`].
    pub fn of(zone: ZoneId, tables: &[KindTable]) -> Self {
        let mut batch = Self::default();
        batch.write(zone, tables);
        batch
    }

    /// Brings what was written of the same zone up to date, or writes the first time. Of each kind
    /// `changed` has the fields whose values may differ, as a mask; who has come or gone is found by
    /// itself.
    ///
    /// # Panics
    /// As [`ZoneBatch::write`].
    pub fn update(&mut self, zone: ZoneId, tables: &[KindTable], changed: &[u64]) {
        let (memory, start) = self.builder.mut_finished_buffer();
        if patch(&mut memory[start..], &self.index, tables, changed).is_none() {
            self.write(zone, tables);
        }
        debug_assert!(
            self.bytes() == Self::of(zone, tables).bytes(),
            "`changed` names all fields that changed"
        );
    }

    /// Writes the zone's tables (by kind), in place of what was here.
    ///
    /// # Panics
    /// Where there are more than [`KINDS_MAX`] kinds or [`FIELDS_MAX`] fields.
    pub fn write(&mut self, zone: ZoneId, tables: &[KindTable]) {
        let Self { builder, index } = self;
        builder.reset();
        index.clear();
        let mut kinds = [WIPOffset::new(0); KINDS_MAX];
        let mut count = 0;
        for (kind, table) in tables.iter().enumerate() {
            if !table.is_empty() {
                kinds[count] = write_kind(builder, index, zone, KindId(kind as u8), table);
                count += 1;
            }
        }
        let kinds = Some(builder.create_vector(&kinds[..count]));
        let batch = fb::ZoneBatch::create(
            builder,
            &fb::ZoneBatchArgs {
                zone: zone.0,
                kinds,
            },
        );
        builder.finish(batch, None);
        let length = builder.finished_data().len();
        index.shift(|from_end| begin(length, from_end));
    }

    /// The finished FlatBuffers buffer, a `ZoneBatch` of `protocol/schemas/snapshot.fbs`.
    ///
    /// # Panics
    /// Where nothing has been written yet.
    pub fn bytes(&self) -> &[u8] {
        self.builder.finished_data()
    }
}

/// Where a vector's values begin in a finished buffer. The builder writes from the end to the front
/// and names a vector by the distance of its length word from the end.
fn begin(length: usize, from_end: usize) -> usize {
    length - from_end + size_of::<u32>()
}

fn write_kind(
    builder: &mut FlatBufferBuilder<'static>,
    index: &mut Index,
    zone: ZoneId,
    kind: KindId,
    table: &KindTable,
) -> WIPOffset<fb::KindBatch<'static>> {
    let mut columns = [WIPOffset::new(0); FIELDS_MAX];
    let first = index.columns.len();
    for (offset, column) in columns.iter_mut().zip(&table.columns) {
        let (column, place) = write_column(builder, column);
        index.columns.push(place);
        *offset = column;
    }
    let columns = Some(builder.create_vector(&columns[..table.columns.len()]));
    let ids = builder.create_vector_from_iter(table.ids.iter().map(|id| id.0));
    index.batches.push(BatchIndex {
        zone,
        kind,
        rows: table.len(),
        ids: ids.value() as usize,
        columns: first,
        column_count: table.columns.len(),
    });
    fb::KindBatch::create(
        builder,
        &fb::KindBatchArgs {
            kind: kind.0,
            ids: Some(ids),
            columns,
        },
    )
}

fn write_column(
    builder: &mut FlatBufferBuilder<'static>,
    column: &Column,
) -> (WIPOffset<fb::Column<'static>>, ColumnIndex) {
    let mut args = fb::ColumnArgs::default();
    // A vector, put where its type says.
    macro_rules! flat {
        ($values:expr, $field:ident, $place:ident) => {{
            let values = builder.create_vector($values);
            args.$field = Some(values);
            ColumnIndex::$place(values.value() as usize)
        }};
    }
    let place = match column {
        Column::Bool(v) => flat!(v, bools, Bool),
        Column::U8(v) => flat!(v, u8s, U8),
        Column::U16(v) => flat!(v, u16s, U16),
        Column::U32(v) => flat!(v, u32s, U32),
        Column::I32(v) => flat!(v, i32s, I32),
        Column::F32(v) => flat!(v, f32s, F32),
        Column::F64(v) => flat!(v, f64s, F64),
        Column::Vec3(v) => flat!(v.as_flattened(), vec3s, Vec3),
        Column::Entity(v) => flat!(v, entities, Entity),
        Column::Var(v) => {
            let ends = builder.create_vector(v.ends());
            // The builder writes from the end to the front.
            for _ in v.data().len()..room(v.data().len()) {
                builder.push(0_u8);
            }
            let data = builder.create_vector(v.data());
            (args.ends, args.data) = (Some(ends), Some(data));
            ColumnIndex::Var {
                ends: ends.value() as usize,
                data: data.value() as usize,
            }
        }
    };
    (fb::Column::create(builder, &args), place)
}

/// Bytes that a column of texts, bytes or cloned values takes up: up to a quarter more than it has, so
/// that [patching](super::patch) seldom finds it too small. Nothing but the length decides, and what is
/// free is 0: the same tables have the same bytes, however they came about.
pub(super) fn room(length: usize) -> usize {
    length.next_multiple_of((length.next_power_of_two() / 8).max(64))
}

/// About as many bytes as [`seal`] needs.
pub(super) fn sealed_len_about(batches: &[&ZoneBatch]) -> usize {
    let nested = batches
        .iter()
        .map(|batch| batch.bytes().len() + NESTED_LEN_ABOUT);
    HEADER_LEN_ABOUT + nested.sum::<usize>()
}

/// Nests finished batches in one finished snapshot, and notes in `index` where everything lies. Returns
/// the memory, `buffer` if it was large enough, and where in it the snapshot starts.
pub(super) fn seal(
    buffer: Vec<u8>,
    index: &mut Index,
    header: SnapshotHeader,
    batches: &[&ZoneBatch],
) -> (Vec<u8>, usize) {
    let mut builder = FlatBufferBuilder::from_vec(buffer);
    let mut zones = [WIPOffset::new(0); BATCHES_MAX];
    let mut from_end = [0; BATCHES_MAX];
    for ((offset, from_end), batch) in zones.iter_mut().zip(&mut from_end).zip(batches) {
        // A batch with doubles is a multiple of 8 bytes long and must begin on one. The builder
        // aligns bytes to 4 only, so a word is spent here; it writes from the end to the front.
        builder.push(0_u64);
        let batch = builder.create_vector(batch.bytes());
        *from_end = batch.value() as usize;
        let batch = Some(batch);
        *offset = fb::Nested::create(&mut builder, &fb::NestedArgs { batch });
    }
    let zones = Some(builder.create_vector(&zones[..batches.len()]));
    let snapshot = fb::Snapshot::create(
        &mut builder,
        &fb::SnapshotArgs {
            tick: header.tick.0,
            seed: header.seed,
            next_entity: header.next_entity,
            state_hash: header.state_hash,
            zones,
        },
    );
    fb::finish_snapshot_buffer(&mut builder, snapshot);
    let length = builder.finished_data().len();
    index.clear();
    for (batch, &from_end) in batches.iter().zip(&from_end) {
        index.append(&batch.index, begin(length, from_end));
    }
    builder.collapse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_has_room_for_a_quarter_more_at_most(length in 0..1_usize << 24, more in 0..1_usize << 20) {
            prop_assert!(room(length) >= length);
            prop_assert!(room(length) < length + length / 4 + 64);
            prop_assert!(room(length + more) >= room(length));
            prop_assert_eq!(room(room(length)), room(length));
        }
    }
}
