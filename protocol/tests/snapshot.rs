//! A sealed snapshot holds what the zones' tables held.

mod common;

use common::{Model, bytes, delta, entities, kind, table, values};
use proptest::prelude::*;
use tessera_protocol::{
    EntityId, KindId, KindTable, Snapshot, SnapshotError, SnapshotHeader, Tick, ZoneBatch, ZoneId,
};

const HEADER: SnapshotHeader = SnapshotHeader {
    tick: Tick(7),
    seed: u64::MAX,
    next_entity: 90,
    state_hash: 1 << 63,
};

/// Seals zones of two kinds each.
fn seal(zones: &[[KindTable; 2]], recycled: Option<Snapshot>) -> Snapshot {
    let batches: Vec<ZoneBatch> = zones
        .iter()
        .enumerate()
        .map(|(zone, tables)| ZoneBatch::of(ZoneId(zone as u8), tables))
        .collect();
    let batches: Vec<&ZoneBatch> = batches.iter().collect();
    Snapshot::seal(HEADER, &batches, recycled)
}

type Rows = Vec<(u32, Vec<Model>)>;

/// Rows of two zones and two kinds, with ids that never repeat.
fn world() -> impl Strategy<Value = [[Rows; 2]; 2]> {
    let (a, b) = (kind("A"), kind("B"));
    let zone = |first: u32| {
        (
            entities(&a, first..first + 20),
            entities(&b, first + 20..first + 30),
        )
    };
    (zone(1), zone(31)).prop_map(|zones| <[_; 2]>::from(zones).map(<[Rows; 2]>::from))
}

fn tables(world: &[[Rows; 2]; 2]) -> [[KindTable; 2]; 2] {
    let table = |rows: &Rows| table(&kind("Any"), rows);
    world.each_ref().map(|zone| zone.each_ref().map(table))
}

/// Whether the snapshot holds exactly these tables.
fn check(snapshot: &Snapshot, zones: &[[KindTable; 2]; 2]) {
    assert_eq!(snapshot.header(), HEADER);
    for (zone, tables) in zones.iter().enumerate() {
        for (kind, table) in tables.iter().enumerate() {
            for (row, &id) in table.ids.iter().enumerate() {
                let found = snapshot.find(id).expect("every entity is found");
                assert_eq!((found.id(), found.kind()), (id, KindId(kind as u8)));
                assert_eq!(found.zone(), ZoneId(zone as u8));
                for (field, column) in table.columns.iter().enumerate() {
                    assert_eq!(bytes(found.field(field)), bytes(column.get(row)));
                }
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                table.write_row(row, &mut ours);
                found.write_row(&mut theirs);
                assert_eq!(ours, theirs);
            }
        }
    }
    for kind in 0..2 {
        let expected = zones.iter().flat_map(|zone| zone[kind].ids.iter().copied());
        assert!(
            snapshot
                .rows_of(KindId(kind as u8))
                .map(|row| row.id())
                .eq(expected)
        );
    }
    assert_eq!(
        snapshot.len(),
        zones.iter().flatten().map(KindTable::len).sum::<usize>()
    );
    assert!(snapshot.find(EntityId(99)).is_none());
}

proptest! {
    #[test]
    fn what_is_sealed_reads_back(world in world()) {
        let zones = tables(&world);
        let snapshot = seal(&zones, None);
        check(&snapshot, &zones);
        let copy = Snapshot::from_bytes(snapshot.bytes().to_vec()).expect("checks out");
        check(&copy, &zones);
    }

    #[test]
    fn recycled_memory_leaves_no_trace(old in world(), new in world()) {
        let zones = tables(&new);
        let recycled = seal(&zones, Some(seal(&tables(&old), None)));
        check(&recycled, &zones);
        let fresh = seal(&zones, None);
        prop_assert_eq!(recycled.bytes(), fresh.bytes());
    }

    #[test]
    fn a_batch_brought_up_to_date_is_one_written_anew(
        old in world(),
        new in world(),
        deltas in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u64>(), values(&kind("Any"))),
            0..8,
        ),
        moves in any::<bool>(),
    ) {
        let [mut zone, _] = tables(&old);
        let mut batch = ZoneBatch::of(ZoneId(0), &zone);
        let mut changed = [0; 2];
        for (place, mask, values) in deltas {
            let kind = place.index(2);
            if zone[kind].is_empty() {
                continue;
            }
            let row = place.index(zone[kind].len());
            let mask = mask & ((1 << values.len()) - 1);
            zone[kind].apply_delta(row, &delta(&values, mask)).expect("a delta of this kind");
            changed[kind] |= mask;
        }
        if moves {
            zone[1] = tables(&new)[0][1].clone();
            changed[1] = u64::MAX;
        }
        batch.update(ZoneId(0), &zone, &changed);
        let anew = ZoneBatch::of(ZoneId(0), &zone);
        prop_assert_eq!(batch.bytes(), anew.bytes());
        let sealed = Snapshot::seal(HEADER, &[&batch], None);
        check(&sealed, &[zone.clone(), zone.map(|_| KindTable::new(&kind("Any")))]);
    }

    #[test]
    fn garbage_never_panics(
        world in world(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seal(&tables(&world), None).bytes().to_vec();
        let _ = Snapshot::from_bytes(bytes[..cut.index(bytes.len())].to_vec());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(snapshot) = Snapshot::from_bytes(bytes) {
            let mut out = Vec::new();
            for batch in snapshot.batches() {
                batch.rows().for_each(|row| row.write_row(&mut out));
            }
        }
    }
}

#[test]
fn an_empty_world_is_a_snapshot() {
    let empty: [[Rows; 2]; 2] = Default::default();
    let snapshot = seal(&tables(&empty), None);
    assert!(snapshot.is_empty());
    check(&snapshot, &tables(&empty));
}

#[test]
fn doubles_lie_on_multiples_of_eight() {
    // Readers of other languages map doubles in place, wherever the batch is nested.
    let row = |x: f64| {
        let mut row = [x, x, x, 0.0, 0.0, 0.0].map(f64::to_le_bytes).concat();
        row.extend([0; 10]);
        row
    };
    let mut plain = kind("Plain");
    plain.fields.truncate(5);
    for entities in 1..6 {
        let mut table = KindTable::new(&plain);
        for id in 1..=entities {
            table
                .insert_row(EntityId(id), &row(1234.5))
                .expect("a good row");
        }
        let batch = ZoneBatch::of(ZoneId(0), &[table]);
        let empty = ZoneBatch::of(ZoneId(1), &[]);
        let snapshot = Snapshot::seal(HEADER, &[&empty, &batch, &empty, &batch], None);
        let needle = 1234.5_f64.to_le_bytes();
        let places: Vec<usize> = (0..snapshot.bytes().len() - 8)
            .filter(|&at| snapshot.bytes()[at..][..8] == needle)
            .collect();
        assert_eq!(places.len(), 2 * 3 * entities as usize);
        assert!(places.iter().all(|at| at % 8 == 0), "{places:?}");
    }
}

#[test]
fn other_bytes_are_not_a_snapshot() {
    for bytes in [
        Vec::new(),
        vec![0; 7],
        vec![0; 64],
        b"hello, this is no snapshot".to_vec(),
    ] {
        assert_eq!(
            Snapshot::from_bytes(bytes).err(),
            Some(SnapshotError::NotASnapshot)
        );
    }
}
