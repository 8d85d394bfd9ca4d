//! Tables against a simple model: a map from id to values.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Model, TYPES, delta, kind, row, values};
use proptest::prelude::*;
use tessera_protocol::{EntityId, KindId, KindTable, RowError};

/// Something done to a table.
#[derive(Clone, Debug)]
enum Step {
    Insert(u32, Vec<Model>),
    Remove(u32),
    Delta(u32, u64, Vec<Model>),
}

fn step() -> impl Strategy<Value = Step> {
    let values = || values(&kind("Thing"));
    prop_oneof![
        3 => (1..20_u32, values()).prop_map(|(id, values)| Step::Insert(id, values)),
        1 => (1..20_u32).prop_map(Step::Remove),
        3 => (1..20_u32, any::<u64>(), values())
            .prop_map(|(id, mask, values)| Step::Delta(id, mask & ((1 << 17) - 1), values)),
    ]
}

proptest! {
    #[test]
    fn a_table_does_what_a_map_does(steps in prop::collection::vec(step(), 0..60)) {
        let mut table = KindTable::new(&kind("Thing"));
        let mut model = BTreeMap::<u32, Vec<Model>>::new();
        for step in steps {
            match step {
                Step::Insert(id, values) => {
                    let inserted = table.insert_row(EntityId(id), &row(&values));
                    prop_assert_eq!(inserted.is_ok(), !model.contains_key(&id));
                    model.entry(id).or_insert(values);
                }
                Step::Remove(id) => {
                    let row = table.row_of(EntityId(id));
                    prop_assert_eq!(row.is_some(), model.remove(&id).is_some());
                    if let Some(row) = row {
                        table.remove(row);
                    }
                }
                Step::Delta(id, mask, values) => {
                    let Some(row) = table.row_of(EntityId(id)) else { continue };
                    prop_assert_eq!(table.apply_delta(row, &delta(&values, mask)), Ok(mask));
                    let old = model.get_mut(&id).expect("the table has it");
                    for (field, value) in values.into_iter().enumerate() {
                        if mask >> field & 1 == 1 {
                            old[field] = value;
                        }
                    }
                    let mut again = Vec::new();
                    table.write_delta(row, mask, &mut again);
                    prop_assert_eq!(again, delta(old, mask));
                }
            }
        }
        prop_assert!(table.ids.iter().map(|id| id.0).eq(model.keys().copied()));
        for (at, values) in model.values().enumerate() {
            let mut bytes = Vec::new();
            table.write_row(at, &mut bytes);
            prop_assert_eq!(bytes, row(values));
        }
    }

    #[test]
    fn garbage_is_refused_whole(
        good in values(&kind("Thing")), bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut table = KindTable::new(&kind("Thing"));
        table.insert_row(EntityId(1), &row(&good)).expect("a good row");
        let mut before = Vec::new();
        table.write_row(0, &mut before);
        let refused = table.insert_row(EntityId(2), &bytes).is_err();
        prop_assert_eq!(table.len(), if refused { 1 } else { 2 });
        if table.apply_delta(0, &bytes).is_err() {
            let mut after = Vec::new();
            table.write_row(0, &mut after);
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn every_cut_of_a_row_is_truncated(good in values(&kind("Thing")), cut in any::<prop::sample::Index>()) {
        let bytes = row(&good);
        let mut table = KindTable::new(&kind("Thing"));
        let error = table.insert_row(EntityId(1), &bytes[..cut.index(bytes.len())]);
        prop_assert!(matches!(error, Err(RowError::Truncated { .. })), "{:?}", error);
    }

    #[test]
    fn the_hashes_see_kind_id_and_their_field(
        good in values(&kind("Thing")), other in values(&kind("Thing")),
    ) {
        let kind = kind("Thing");
        let hashes = |kind_id, id, values: &[Model]| -> Vec<u64> {
            let mut table = KindTable::new(&kind);
            table.insert_row(EntityId(id), &row(values)).expect("a good row");
            let hash = |field| table.hash_field(KindId(kind_id), 0, field, &mut vec![7; 3]);
            (0..values.len()).map(hash).collect()
        };
        let base = hashes(0, 1, &good);
        prop_assert_eq!(&base, &hashes(0, 1, &good));
        let distinct: BTreeSet<u64> = base.iter().copied().collect();
        prop_assert_eq!(distinct.len(), base.len(), "equal values of two fields");
        for others in [hashes(1, 1, &good), hashes(0, 2, &good)] {
            prop_assert!(base.iter().zip(&others).all(|(a, b)| a != b));
        }
        let changed = hashes(0, 1, &other);
        for field in 0..good.len() {
            prop_assert_eq!(base[field] == changed[field], good[field] == other[field]);
        }
    }
}

#[test]
fn refusals_name_the_field() {
    let mut table = KindTable::new(&kind("Thing"));
    let zeros = |ty: &tessera_protocol::FieldType| match ty {
        tessera_protocol::FieldType::F64 => 8,
        tessera_protocol::FieldType::Vec3 => 24,
        tessera_protocol::FieldType::Bool | tessera_protocol::FieldType::U8 => 1,
        tessera_protocol::FieldType::U16 => 2,
        _ => 4,
    };
    let base_bytes = 24 + 24 + 4 + 4 + 2;
    let mut good = vec![0; base_bytes + TYPES.iter().map(zeros).sum::<usize>()];
    assert_eq!(
        table.insert_row(EntityId(0), &good),
        Err(RowError::NoEntity)
    );
    assert_eq!(table.insert_row(EntityId(3), &good), Ok(0));
    assert_eq!(
        table.insert_row(EntityId(3), &good),
        Err(RowError::Duplicate(EntityId(3)))
    );
    good.push(0);
    let trailing = RowError::TrailingBytes { extra: 1 };
    assert_eq!(table.insert_row(EntityId(4), &good), Err(trailing));
    good.pop();
    good[base_bytes] = 2;
    let not_bool = RowError::NotBool { field: 5, value: 2 };
    assert_eq!(table.insert_row(EntityId(4), &good), Err(not_bool));
    let unknown = RowError::NoSuchField {
        field: 17,
        fields: 17,
    };
    assert_eq!(
        table.apply_delta(0, &(1_u64 << 17).to_le_bytes()),
        Err(unknown)
    );
}
