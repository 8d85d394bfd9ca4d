//! From tables to buffers: bulk vectors, no work per row.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use super::SnapshotHeader;
use crate::columns::{Column, KindTable, VarColumn};
use crate::fields::{FIELDS_MAX, KINDS_MAX};
use crate::generated::snapshot as fb;
use crate::ids::ZoneId;

/// Writes a zone's batch straight from its tables (by kind) and returns the finished bytes, which
/// stay in the builder until it is used again. Each zone has a builder of its own.
///
/// # Panics
/// Where there are more than [`KINDS_MAX`] kinds or [`FIELDS_MAX`] fields.
pub fn write_zone_batch<'b>(
    builder: &'b mut FlatBufferBuilder<'static>,
    zone: ZoneId,
    tables: &[KindTable],
) -> &'b [u8] {
    builder.reset();
    let mut kinds = [WIPOffset::new(0); KINDS_MAX];
    let mut count = 0;
    for (kind, table) in tables.iter().enumerate() {
        if !table.is_empty() {
            kinds[count] = write_kind(builder, kind as u8, table);
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
    builder.finished_data()
}

fn write_kind(
    builder: &mut FlatBufferBuilder<'static>,
    kind: u8,
    table: &KindTable,
) -> WIPOffset<fb::KindBatch<'static>> {
    let mut columns = [WIPOffset::new(0); FIELDS_MAX];
    for (offset, column) in columns.iter_mut().zip(&table.columns) {
        let (values_type, values) = write_values(builder, column);
        let args = fb::ColumnArgs {
            values_type,
            values: Some(values),
        };
        *offset = fb::Column::create(builder, &args);
    }
    let columns = Some(builder.create_vector(&columns[..table.columns.len()]));
    let ids = builder.create_vector_from_iter(table.ids.iter().map(|id| id.0));
    fb::KindBatch::create(
        builder,
        &fb::KindBatchArgs {
            kind,
            ids: Some(ids),
            columns,
        },
    )
}

/// Writes one flat vector and the table of the union around it.
macro_rules! flat {
    ($builder:expr, $values:expr, $table:ident, $args:ident) => {{
        let values = Some($builder.create_vector($values));
        let table = fb::$table::create($builder, &fb::$args { values });
        (fb::Values::$table, table.as_union_value())
    }};
}

fn write_values(
    builder: &mut FlatBufferBuilder<'static>,
    column: &Column,
) -> (fb::Values, WIPOffset<UnionWIPOffset>) {
    match column {
        Column::Bool(v) => flat!(builder, v, Bools, BoolsArgs),
        Column::U8(v) => flat!(builder, v, U8s, U8sArgs),
        Column::U16(v) => flat!(builder, v, U16s, U16sArgs),
        Column::U32(v) => flat!(builder, v, U32s, U32sArgs),
        Column::I32(v) => flat!(builder, v, I32s, I32sArgs),
        Column::F32(v) => flat!(builder, v, F32s, F32sArgs),
        Column::F64(v) => flat!(builder, v, F64s, F64sArgs),
        Column::Vec3(v) => flat!(builder, v.as_flattened(), Vec3s, Vec3sArgs),
        Column::Entity(v) => flat!(builder, v, Entities, EntitiesArgs),
        Column::Var(v) => write_vars(builder, v),
    }
}

fn write_vars(
    builder: &mut FlatBufferBuilder<'static>,
    column: &VarColumn,
) -> (fb::Values, WIPOffset<UnionWIPOffset>) {
    let ends = Some(builder.create_vector(column.ends()));
    let data = Some(builder.create_vector(column.data()));
    let table = fb::Vars::create(builder, &fb::VarsArgs { ends, data });
    (fb::Values::Vars, table.as_union_value())
}

/// Nests finished batches in one finished snapshot.
pub(super) fn seal<'b>(
    builder: &'b mut FlatBufferBuilder<'static>,
    header: SnapshotHeader,
    batches: &[&[u8]],
) -> &'b [u8] {
    builder.reset();
    let mut zones = [WIPOffset::new(0); ZoneId::COUNT_MAX];
    for (offset, batch) in zones.iter_mut().zip(batches) {
        // A batch with doubles is a multiple of 8 bytes long and must begin on one. The builder
        // aligns bytes to 4 only, so a word is spent here; it writes from the end to the front.
        builder.push(0_u64);
        let batch = Some(builder.create_vector(batch));
        *offset = fb::Nested::create(builder, &fb::NestedArgs { batch });
    }
    let zones = Some(builder.create_vector(&zones[..batches.len()]));
    let snapshot = fb::Snapshot::create(
        builder,
        &fb::SnapshotArgs {
            tick: header.tick.0,
            seed: header.seed,
            next_entity: header.next_entity,
            state_hash: header.state_hash,
            zones,
        },
    );
    fb::finish_snapshot_buffer(builder, snapshot);
    builder.finished_data()
}
