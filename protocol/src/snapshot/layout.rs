//! Where everything lies in a snapshot, as bytes: for another process that maps the same buffer.

use super::index::{BatchIndex, ColumnIndex, Index};
use super::{Snapshot, SnapshotHeader};
use crate::ids::{KindId, Tick, ZoneId};

/// A column's tag is its place in here; `Var` comes last.
const FLAT: [fn(usize) -> ColumnIndex; 9] = [
    ColumnIndex::Bool,
    ColumnIndex::U8,
    ColumnIndex::U16,
    ColumnIndex::U32,
    ColumnIndex::I32,
    ColumnIndex::F32,
    ColumnIndex::F64,
    ColumnIndex::Vec3,
    ColumnIndex::Entity,
];

impl Snapshot {
    /// Appends its header and where everything lies in its buffer: what [`Snapshot::from_parts`] reads.
    pub fn write_layout(&self, out: &mut Vec<u8>) {
        let SnapshotHeader {
            tick,
            seed,
            next_entity,
            state_hash,
        } = self.header;
        let mut word = |word: u32| out.extend_from_slice(&word.to_le_bytes());
        word(tick.0);
        word(next_entity);
        for double in [seed, state_hash] {
            word(double as u32);
            word((double >> 32) as u32);
        }
        // Offsets in a buffer of FlatBuffers fit 32 bits.
        word(self.index.batches.len() as u32);
        for batch in &self.index.batches {
            let names = [batch.zone.0, batch.kind.0, batch.column_count as u8, 0];
            word(u32::from_le_bytes(names));
            word(batch.rows as u32);
            word(batch.ids as u32);
            word(batch.columns as u32);
        }
        for column in &self.index.columns {
            let (tag, at, more) = match *column {
                ColumnIndex::Bool(at) => (0, at, 0),
                ColumnIndex::U8(at) => (1, at, 0),
                ColumnIndex::U16(at) => (2, at, 0),
                ColumnIndex::U32(at) => (3, at, 0),
                ColumnIndex::I32(at) => (4, at, 0),
                ColumnIndex::F32(at) => (5, at, 0),
                ColumnIndex::F64(at) => (6, at, 0),
                ColumnIndex::Vec3(at) => (7, at, 0),
                ColumnIndex::Entity(at) => (8, at, 0),
                ColumnIndex::Var { ends, data } => (9, ends, data),
            };
            word(tag);
            word(at as u32);
            word(more as u32);
        }
    }

    /// A snapshot in a buffer that stays for good, such as a mapping of shared memory, from what
    /// [`Snapshot::write_layout`] wrote; `None` where that is cut off. Nothing is copied, and nothing
    /// checked: for buffers of a writer who is trusted. One that lies costs a panic at worst.
    pub fn from_parts(buffer: &'static [u8], layout: &[u8]) -> Option<Self> {
        let (words, _) = layout.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let mut word = || words.next();
        let mut double = || Some(u64::from(word()?) | u64::from(word()?) << 32);
        let first = double()?;
        let header = SnapshotHeader {
            tick: Tick(first as u32),
            next_entity: (first >> 32) as u32,
            seed: double()?,
            state_hash: double()?,
        };
        let mut index = Index::default();
        let mut columns = 0;
        let batches = word()?;
        // What is claimed is not believed.
        index.batches.reserve(batches.min(256) as usize);
        for _ in 0..batches {
            let [zone, kind, column_count, _] = word()?.to_le_bytes();
            columns += usize::from(column_count);
            index.batches.push(BatchIndex {
                zone: ZoneId(zone),
                kind: KindId(kind),
                column_count: column_count.into(),
                rows: word()? as usize,
                ids: word()? as usize,
                columns: word()? as usize,
            });
        }
        index.columns.reserve(columns);
        for _ in 0..columns {
            let (tag, at, more) = (word()? as usize, word()? as usize, word()? as usize);
            index.columns.push(match FLAT.get(tag) {
                Some(flat) => flat(at),
                None => ColumnIndex::Var {
                    ends: at,
                    data: more,
                },
            });
        }
        Some(Self {
            buffer: buffer.into(),
            start: 0,
            header,
            index,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Column, KindTable};
    use crate::fields::{FieldType, Kind, base};
    use crate::ids::EntityId;
    use crate::snapshot::ZoneBatch;

    #[test]
    fn a_layout_leads_to_the_same_rows() {
        let mut fields = base::fields(0.0).to_vec();
        let types = [
            FieldType::Bool,
            FieldType::U8,
            FieldType::U32,
            FieldType::I32,
            FieldType::F64,
            FieldType::Entity,
            FieldType::Object,
        ];
        fields.extend(types.map(|ty| crate::fields::Field {
            ty,
            ..fields[0].clone()
        }));
        let kind = Kind {
            name: "All".into(),
            fields,
            hitbox: None,
            projectile: None,
            walker: None,
            is_match: false,
        };
        let mut table = KindTable::new(&kind);
        let width = |column: &Column| match column {
            Column::Vec3(_) => 24,
            Column::F64(_) => 8,
            Column::Bool(_) | Column::U8(_) => 1,
            Column::U16(_) => 2,
            _ => 4,
        };
        let row = vec![0; table.columns.iter().map(width).sum()];
        for id in 1..=5 {
            table
                .insert_row(EntityId(id), &row)
                .expect("a row of zeros");
        }
        let tables = [KindTable::new(&kind), table];
        let header = SnapshotHeader {
            tick: Tick(7),
            seed: 1 << 40 | 3,
            next_entity: 6,
            state_hash: u64::MAX - 1,
        };
        let batches = [
            ZoneBatch::of(ZoneId(0), &tables),
            ZoneBatch::of(ZoneId(3), &tables),
        ];
        let sealed = Snapshot::seal(header, &[&batches[0], &batches[1]], None);
        let mut layout = Vec::new();
        sealed.write_layout(&mut layout);
        let buffer: &'static [u8] = sealed.bytes().to_vec().leak();
        let mapped = Snapshot::from_parts(buffer, &layout).expect("a whole layout");
        assert_eq!(mapped.header(), header);
        assert!(mapped.index == sealed.index);
        assert_eq!(mapped.rows_of(KindId(1)).count(), 10);
        for cut in 0..layout.len() {
            assert!(Snapshot::from_parts(buffer, &layout[..cut]).is_none());
        }
    }
}
