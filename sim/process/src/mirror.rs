//! What the parent knows of a zone: a copy of its rows, brought up to date by the process's answers. Of
//! these nothing is believed.

use std::sync::Arc;

use tessera_protocol::FieldTable;
use tessera_protocol::columns::KindTable;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_python::{FailureKind, HookStats, MemoryUse, Outbox};

use crate::frame::{self, Cost, Malformed, Reader, Span};
use crate::rows::{check_delta, check_row};

/// A zone's own entities and what its last tick came to.
pub(crate) struct Mirror {
    pub(crate) table: Arc<FieldTable>,
    /// Rows: `S_t`, or `S_t+1` after the gather.
    pub(crate) tables: Vec<KindTable>,
    pub(crate) changed: Vec<(EntityId, KindId, u64)>,
    pub(crate) failed: Vec<(EntityId, FailureKind)>,
    pub(crate) outbox: Outbox,
    pub(crate) stats: HookStats,
    pub(crate) memory: MemoryUse,
    pub(crate) spans: Vec<Span>,
    pub(crate) cost: Cost,
}

impl Mirror {
    /// Of a zone without entities.
    pub(crate) fn new(table: FieldTable) -> Self {
        Self {
            tables: table.kinds.iter().map(KindTable::new).collect(),
            table: Arc::new(table),
            changed: Vec::new(),
            failed: Vec::new(),
            outbox: Outbox::default(),
            stats: HookStats::default(),
            memory: MemoryUse::default(),
            spans: Vec::new(),
            cost: Cost::default(),
        }
    }

    pub(crate) fn is_own(&self, id: EntityId) -> bool {
        self.tables.iter().any(|table| table.row_of(id).is_some())
    }

    /// Removes a row, if it is here.
    pub(crate) fn take_out(&mut self, id: EntityId) {
        for table in &mut self.tables {
            if let Some(row) = table.row_of(id) {
                return table.remove(row);
            }
        }
    }

    /// Reads a tick's answer, of which nothing is believed.
    pub(crate) fn read(&mut self, answer: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(answer);
        if !reader.bool()? {
            return Err(Malformed("it did not run"));
        }
        self.changed.clear();
        for _ in 0..reader.u32()? {
            let (id, kind, delta) = (reader.id()?, reader.kind()?, reader.bytes()?);
            let changed = self.change(id, kind, delta)?;
            self.changed.push(changed);
        }
        frame::read_failed(&mut reader, &mut self.failed)?;
        if !self.failed.is_sorted_by_key(|(id, _)| *id) {
            return Err(Malformed("who failed is not in order"));
        }
        frame::read_outbox(&mut reader, &mut self.outbox)?;
        self.check_outbox()?;
        frame::read_stats(&mut reader, &mut self.stats)?;
        self.memory = frame::read_memory(&mut reader)?;
        frame::read_spans(&mut reader, &mut self.spans)?;
        self.cost = Cost::read(&mut reader)?;
        reader.end()
    }

    /// Changes a row.
    fn change(
        &mut self,
        id: EntityId,
        kind: KindId,
        delta: &[u8],
    ) -> Result<(EntityId, KindId, u64), Malformed> {
        if self.changed.last().is_some_and(|(last, _, _)| *last >= id) {
            return Err(Malformed("rows that changed are not in order"));
        }
        let declaration = self.table.kinds.get(kind.index());
        let declaration = declaration.ok_or(Malformed("a row of no kind changed"))?;
        check_delta(declaration, delta)?;
        let table = &mut self.tables[kind.index()];
        let row = table.row_of(id);
        let row = row.ok_or(Malformed("a row changed that is not the zone's"))?;
        let mask = table.apply_delta(row, delta);
        let mask = mask.map_err(|_| Malformed("a delta does not fit its kind"))?;
        Ok((id, kind, mask))
    }

    /// Whether all that was asked for was asked by entities of this zone, in order.
    fn check_outbox(&self) -> Result<(), Malformed> {
        let asks = |id: EntityId| id.is_none() || self.is_own(id);
        let outbox = &self.outbox;
        let spawns = outbox.spawns.iter().map(|spawn| (spawn.parent, spawn.seq));
        let events = outbox.events.iter().map(|event| (event.sender, event.seq));
        let in_order =
            spawns.clone().is_sorted_by(|a, b| a < b) && events.clone().is_sorted_by(|a, b| a < b);
        let own = outbox.messages.iter().all(|message| asks(message.sender))
            && outbox.despawns.iter().all(|id| self.is_own(*id))
            && spawns.chain(events).all(|(id, _)| asks(id));
        if !in_order || !own {
            return Err(Malformed("its entities ask for what they can't"));
        }
        for spawn in &outbox.spawns {
            let kind = self.table.kinds.get(spawn.kind.index());
            check_row(kind.ok_or(Malformed("a newborn of no kind"))?, &spawn.row)?;
        }
        Ok(())
    }
}

/// Whether there is a default row for each kind, and fits it.
pub(crate) fn check_default_rows(table: &FieldTable, rows: &[Vec<u8>]) -> Result<(), Malformed> {
    if rows.len() != table.kinds.len() {
        return Err(Malformed("it has defaults of other kinds"));
    }
    let mut rows = table.kinds.iter().zip(rows);
    rows.try_for_each(|(kind, row)| check_row(kind, row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tessera_protocol::fields::{Audience, Field, FieldType, Kind, Quantization, base};
    use tessera_protocol::ids::ClientId;
    use tessera_protocol::value::Value;
    use tessera_python::{Event, HookError, Message, Payload, SpawnRequest};

    use super::*;
    use crate::frame::Told;

    /// Two kinds, one of which has a text and a cloned value.
    fn table() -> FieldTable {
        let field = |name: &str, ty| Field {
            name: name.into(),
            ty,
            quantization: Quantization::Exact,
            audience: Audience::Nobody,
        };
        let kind = |name: &str, more: &[(&str, FieldType)]| Kind {
            name: name.into(),
            fields: base::fields(0.0)
                .into_iter()
                .chain(more.iter().map(|(name, ty)| field(name, *ty)))
                .collect(),
            hitbox: None,
            projectile: None,
            walker: None,
            is_match: false,
        };
        let more = [
            ("label", FieldType::Str { max: 4 }),
            ("bag", FieldType::Object),
        ];
        FieldTable {
            kinds: vec![kind("Plain", &[]), kind("Rich", &more)],
        }
    }

    /// A row of zeros, with the text `ab` and the value `None` where the kind has them.
    fn row(kind: usize) -> Vec<u8> {
        let mut row = vec![0; 24 + 24 + 4 + 4 + 2];
        if kind == 1 {
            row.extend([2, 0, 0, 0, b'a', b'b', 1, 0, 0, 0, 0]);
        }
        row
    }

    fn mirror() -> Mirror {
        let mut mirror = Mirror::new(table());
        for (kind, id) in [(0, 1), (1, 2), (1, 5)] {
            let inserted = mirror.tables[kind].insert_row(EntityId(id), &row(kind));
            inserted.expect("a row");
        }
        mirror
    }

    /// What a child of the mirror's zone would answer.
    fn answer() -> Vec<u8> {
        let mut theirs = mirror().tables;
        let mut delta = (1_u64 << 5).to_le_bytes().to_vec();
        delta.extend([1, 0, 0, 0, b'x']);
        theirs[1].apply_delta(0, &delta).expect("a delta");
        let changed = [
            (EntityId(1), KindId(0), 1),
            (EntityId(2), KindId(1), 1 << 5),
        ];
        let outbox = Outbox {
            messages: vec![Message {
                target: EntityId(9),
                sender: EntityId(5),
                seq: 0,
                payload: Payload::new("hit", &[Value::Int(3)]),
            }],
            spawns: vec![SpawnRequest {
                parent: EntityId(2),
                seq: 1,
                kind: KindId(1),
                row: row(1),
            }],
            despawns: vec![EntityId(5)],
            events: vec![Event {
                sender: EntityId(1),
                seq: 0,
                to: Some(ClientId(3)),
                name: "boom".into(),
                args: vec![Value::Str("loud".into()), Value::None],
            }],
        };
        let mut stats = HookStats::default();
        stats.failures = 1;
        stats.errors.push(HookError {
            hook: "Rich.tick".into(),
            file: "x.py".into(),
            line: 3,
            message: "no".into(),
            count: 1,
        });
        let mut answer = vec![1];
        frame::write_changed(&mut answer, &theirs, &changed);
        frame::write_failed(&mut answer, &[(EntityId(5), FailureKind::Raised)]);
        frame::write_outbox(&mut answer, &outbox);
        frame::write_stats(&mut answer, &stats, &mut Told::default());
        frame::write_memory(&mut answer, MemoryUse::default());
        answer.extend([0; 4]); // no spans
        Cost::default().write(&mut answer);
        answer
    }

    #[test]
    fn an_answer_changes_the_rows_and_is_told() {
        let mut mirror = mirror();
        mirror.read(&answer()).expect("an answer");
        assert_eq!(mirror.changed.len(), 2);
        assert_eq!(mirror.failed, [(EntityId(5), FailureKind::Raised)]);
        assert_eq!(mirror.outbox.spawns.len(), 1);
        assert_eq!(mirror.outbox.messages[0].payload.name(), b"hit");
        assert_eq!(mirror.stats.errors[0].line, 3);
        assert_eq!(
            mirror.tables[1].columns[5].get(0),
            tessera_protocol::ValueRef::Var(b"x")
        );
    }

    #[test]
    fn what_no_zone_may_say_is_refused() {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut answer = answer();
            change(&mut answer);
            mirror().read(&answer).is_err()
        };
        let find = |answer: &[u8], part: &[u8]| {
            let at = answer.windows(part.len()).position(|window| window == part);
            at.expect("it is in the answer")
        };
        assert!(refused(&|answer| answer[0] = 0));
        assert!(refused(&|answer| answer.push(0)));
        // A text that is none, in a row that changed and in that of a newborn.
        assert!(refused(&|answer| {
            let at = find(answer, &[1, 0, 0, 0, b'x']);
            answer[at + 4] = 0xff;
        }));
        assert!(refused(&|answer| {
            let at = find(answer, b"ab");
            answer[at] = 0xff;
        }));
        // A position that is no number.
        assert!(refused(&|answer| {
            let at = find(answer, &1_u64.to_le_bytes()) + 8;
            answer[at..at + 8].copy_from_slice(&f64::NAN.to_le_bytes());
        }));
        // Somebody else's entity ends, speaks, or has changed.
        let id = |id: u32| id.to_le_bytes();
        assert!(refused(&|answer| {
            let at = find(answer, &[1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
            answer[at + 4..at + 8].copy_from_slice(&id(7));
        }));
        assert!(refused(&|answer| {
            let at = find(answer, &[9, 0, 0, 0, 5, 0, 0, 0]);
            answer[at + 4..at + 8].copy_from_slice(&id(7));
        }));
        assert!(refused(&|answer| answer[5..9].copy_from_slice(&id(7))));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut answer = answer();
            for (at, byte) in damage {
                let at = at.index(answer.len());
                answer[at] = byte;
            }
            if let Some(cut) = cut {
                answer.truncate(cut.index(answer.len()));
            }
            let mut mirror = mirror();
            let _ = mirror.read(&answer);
            // Whatever was said, rows are rows.
            for (kind, table) in mirror.tables.iter().enumerate() {
                let mut row = Vec::new();
                for at in 0..table.len() {
                    row.clear();
                    table.write_row(at, &mut row);
                    prop_assert!(check_row(&mirror.table.kinds[kind], &row).is_ok());
                }
            }
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut mirror = mirror();
            let _ = mirror.read(&bytes);
            let _ = crate::frame::Started::read(&mut Reader::new(&bytes));
        }
    }
}
