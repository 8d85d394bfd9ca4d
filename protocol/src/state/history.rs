//! The last versions of what was told of an entity: the baselines of deltas.

use std::collections::VecDeque;

use super::plan::Record;
use crate::ids::Tick;

/// Versions of an entity that are kept. One that changes each tick has them for half a second at 64
/// ticks a second; older baselines are told anew as a whole.
pub(super) const VERSIONS_MAX: usize = 32;

/// Versions of one piece of one entity, oldest first.
///
/// # Invariants
/// `since` ascends, and no two neighbours are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<Version>);

#[derive(Clone, Debug)]
struct Version {
    /// The first tick at which it was so.
    since: Tick,
    record: Record,
}

impl History {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes how the piece is at `tick`, which is newer than all before.
    pub(super) fn note(&mut self, tick: Tick, values: (&[u32], &[u8])) {
        if self
            .0
            .back()
            .is_some_and(|newest| newest.record.values() == values)
        {
            return;
        }
        let oldest = (self.0.len() == VERSIONS_MAX).then(|| self.0.pop_front());
        let mut version = oldest.flatten().unwrap_or_else(|| Version {
            since: tick,
            record: Record::default(),
        });
        version.since = tick;
        version.record.set(values);
        self.0.push_back(version);
    }

    /// The newest version and since when it is so.
    pub(super) fn newest(&self) -> Option<(Tick, &Record)> {
        self.0.back().map(|newest| (newest.since, &newest.record))
    }

    /// How the piece was at a tick, if that is still known.
    pub(super) fn at(&self, tick: Tick) -> Option<&Record> {
        let version = self.0.iter().rev().find(|v| !v.since.is_newer_than(tick));
        version.map(|version| &version.record)
    }
}
