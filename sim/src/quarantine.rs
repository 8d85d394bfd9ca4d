//! Entities whose hooks keep failing rest: they coast, and cost their zone nothing.
//!
//! What is kept here decides which hooks run, so it is state: it survives its zone's interpreter,
//! travels with an entity to its next zone, and is part of the state hash.

use tessera_protocol::ids::{EntityId, Tick};
use tessera_python::FailureKind;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// When an entity rests, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineRule {
    /// Ticks lost in a row after which an entity rests. One whose hook had to be preempted rests at
    /// once.
    pub failures: u16,
    /// Ticks of a rest. Afterwards the entity is tried again, and rests again if it loses that tick.
    pub rest_ticks: u32,
}

impl Default for QuarantineRule {
    fn default() -> Self {
        Self {
            failures: 16,
            rest_ticks: 64,
        }
    }
}

/// An entity's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Ticks lost in a row, at most the rule's `failures`.
    failures: u16,
    /// The first tick in which it may run again.
    until: Tick,
}

impl Record {
    pub(crate) const BYTES: usize = 6;

    /// What travels with an entity.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let (a, b) = (self.failures.to_le_bytes(), self.until.0.to_le_bytes());
        [a[0], a[1], b[0], b[1], b[2], b[3]]
    }

    pub(crate) fn from_bytes([a, b, c, d, e, f]: [u8; Self::BYTES]) -> Self {
        Self {
            failures: u16::from_le_bytes([a, b]),
            until: Tick(u32::from_le_bytes([c, d, e, f])),
        }
    }
}

/// The records of a zone's entities that have lost their last tick or rest.
///
/// # Invariants
/// Ascending by id; no record is without failures.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    rule: QuarantineRule,
    records: Vec<(EntityId, Record)>,
    /// Of the running tick, ascending.
    resting: Vec<EntityId>,
}

impl Quarantine {
    pub(crate) fn new(rule: QuarantineRule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    /// Who rests in this tick, ascending.
    pub(crate) fn resting(&mut self, tick: Tick) -> &[EntityId] {
        self.resting.clear();
        let resting = self
            .records
            .iter()
            .filter(|(_, r)| r.until.is_newer_than(tick));
        self.resting.extend(resting.map(|(id, _)| *id));
        &self.resting
    }

    /// Takes note of who lost the running tick (ascending); all others that ran are well again.
    /// Returns how many begin a rest.
    pub(crate) fn note(&mut self, tick: Tick, failed: &[(EntityId, FailureKind)]) -> u64 {
        if failed.is_empty() && self.records.is_empty() {
            return 0;
        }
        let resting = &self.resting;
        self.records.retain(|(id, _)| {
            resting.binary_search(id).is_ok()
                || failed.binary_search_by_key(id, |(id, _)| *id).is_ok()
        });
        let rule = self.rule;
        let mut begun = 0;
        for (id, failure) in failed {
            let record = self.entry(*id);
            record.failures += 1;
            if record.failures >= rule.failures || *failure == FailureKind::Preempted {
                // Tried again after it, it is one failure away from the next.
                record.failures = rule.failures.saturating_sub(1).max(1);
                record.until = Tick(tick.0.wrapping_add(1).wrapping_add(rule.rest_ticks));
                begun += 1;
            }
        }
        begun
    }

    /// The record of an entity that leaves or ends.
    pub(crate) fn take(&mut self, id: EntityId) -> Record {
        match self.place(id) {
            Ok(at) => self.records.remove(at).1,
            Err(_) => Record::default(),
        }
    }

    /// The record of an entity that arrives.
    pub(crate) fn put(&mut self, id: EntityId, record: Record) {
        if record.failures > 0 {
            *self.entry(id) = record;
        }
    }

    /// Wrapping sum of the hashes of all records.
    pub(crate) fn hash_sum(&self) -> u64 {
        let hash = |(id, record): &(EntityId, Record)| {
            xxh3_64_with_seed(&record.to_bytes(), u64::from(id.0) << 32 | 0xffff_ffff)
        };
        self.records.iter().map(hash).fold(0, u64::wrapping_add)
    }

    fn entry(&mut self, id: EntityId) -> &mut Record {
        let at = self.place(id).unwrap_or_else(|at| {
            self.records.insert(at, (id, Record::default()));
            at
        });
        &mut self.records[at].1
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.records.binary_search_by_key(&id, |(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: QuarantineRule = QuarantineRule {
        failures: 3,
        rest_ticks: 10,
    };

    #[test]
    fn an_entity_rests_after_its_failures_in_a_row_and_again_after_one_more() {
        let mut quarantine = Quarantine::new(RULE);
        let failed = [(EntityId(7), FailureKind::Raised)];
        for tick in 0..2 {
            assert!(quarantine.resting(Tick(tick)).is_empty());
            assert_eq!(quarantine.note(Tick(tick), &failed), 0);
        }
        // One good tick, and the count begins anew.
        quarantine.resting(Tick(2));
        quarantine.note(Tick(2), &[]);
        assert_eq!(quarantine.hash_sum(), 0);
        for tick in 3..6 {
            assert!(quarantine.resting(Tick(tick)).is_empty());
            assert_eq!(quarantine.note(Tick(tick), &failed), u64::from(tick == 5));
        }
        for tick in 6..16 {
            assert_eq!(quarantine.resting(Tick(tick)), [EntityId(7)]);
            quarantine.note(Tick(tick), &[]);
        }
        assert!(quarantine.resting(Tick(16)).is_empty());
        assert_eq!(quarantine.note(Tick(16), &failed), 1);
        assert_eq!(quarantine.resting(Tick(17)), [EntityId(7)]);
    }

    #[test]
    fn who_had_to_be_preempted_rests_at_once() {
        let mut quarantine = Quarantine::new(RULE);
        quarantine.resting(Tick(0));
        quarantine.note(Tick(0), &[(EntityId(1), FailureKind::Preempted)]);
        assert_eq!(quarantine.resting(Tick(10)), [EntityId(1)]);
        assert!(quarantine.resting(Tick(11)).is_empty());
    }

    #[test]
    fn records_travel() {
        let mut from = Quarantine::new(RULE);
        from.resting(Tick(0));
        from.note(Tick(0), &[(EntityId(9), FailureKind::Raised)]);
        let sum = from.hash_sum();
        let record = from.take(EntityId(9));
        assert_eq!(from.hash_sum(), 0);
        let mut to = Quarantine::new(RULE);
        to.put(EntityId(9), Record::from_bytes(record.to_bytes()));
        assert_eq!(to.hash_sum(), sum);
    }
}
