//! Lag compensation: what shots hit of the recent past.
//!
//! A client aims at others as its screen shows them, which is the past: by its latency and by what
//! it interpolates. So a ray may be cast among the capsules as they were up to
//! [`REWIND_MAX`](tessera_protocol::command::REWIND_MAX) ago (Bernier, "Latency Compensating
//! Methods in Client/Server In-game Protocol Design and Optimization", GDC 2001). They come from
//! the shared snapshots, so it doesn't matter which zones shooter and target are in.

use std::collections::VecDeque;

use tessera_protocol::FieldTable;
use tessera_protocol::command::rewind_ticks_max;
use tessera_protocol::snapshot::Snapshot;

use crate::hitbox::{BodyHit, Capsule, HitboxIndex, Ray};

/// The capsules of the tick's start and of the ticks before it. One is shared by all zones.
///
/// # Invariants
/// At most `depth` indexes of consecutive ticks, oldest first; at least one once pushed.
#[derive(Clone, Debug)]
pub struct HitboxHistory {
    indexes: VecDeque<HitboxIndex>,
    depth: usize,
}

impl HitboxHistory {
    /// A history for matches of this many ticks a second.
    pub fn new(tick_hz: u32) -> Self {
        let depth = rewind_ticks_max(tick_hz).ceil() as usize + 1;
        Self {
            indexes: VecDeque::with_capacity(depth),
            depth,
        }
    }

    /// Another one as deep, with nothing in it.
    pub fn emptied(&self) -> Self {
        Self {
            indexes: VecDeque::with_capacity(self.depth),
            depth: self.depth,
        }
    }

    /// How many snapshots it looks back on, at most.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Adds the snapshot of the next tick. Takes memory only until the history is full.
    pub fn push(&mut self, table: &FieldTable, snapshot: &Snapshot) {
        let oldest = match self.indexes.len() == self.depth {
            true => self.indexes.pop_front(),
            false => None,
        };
        let mut index = oldest.unwrap_or_default();
        index.rebuild(table, snapshot);
        self.indexes.push_back(index);
    }

    /// What a ray meets among the capsules as they were `rewind` ticks (at least 0) before the
    /// newest ones: between two ticks on the straight line, and before the oldest as in that.
    ///
    /// Only who was there then (in both ticks, where the moment is between two) and is there now can
    /// be hit.
    pub(crate) fn cast(&self, ray: &Ray, rewind: f64) -> Option<BodyHit> {
        let newest = self.indexes.len().checked_sub(1)?;
        let now = self.indexes[newest].capsules();
        // `as` saturates.
        let back = (rewind.ceil() as usize).min(newest);
        if back == 0 {
            return ray.cast(now.iter().copied());
        }
        let before = self.indexes[newest - back].capsules();
        // How far between that tick and the next; at 0 the next one says nothing.
        let share = (back as f64 - rewind).max(0.0);
        let after = match share > 0.0 {
            true => self.indexes[newest - back + 1].capsules(),
            false => before,
        };
        let (mut after, mut now) = (Ascending(after), Ascending(now));
        ray.cast(before.iter().filter_map(|old| {
            let new = after.find(old)?;
            now.find(old)?;
            let base = old.base + (new.base - old.base) * share;
            Some(Capsule { base, ..*old })
        }))
    }
}

/// Capsules yet to come in a walk by ascending id.
struct Ascending<'a>(&'a [Capsule]);

impl<'a> Ascending<'a> {
    /// The capsule of the same entity, if there is one; each call asks for a higher id.
    fn find(&mut self, of: &Capsule) -> Option<&'a Capsule> {
        while let Some((first, rest)) = self.0.split_first() {
            if first.id > of.id {
                return None;
            }
            self.0 = rest;
            if first.id == of.id {
                return Some(first);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::ids::ZoneId;
    use tessera_protocol::snapshot::{SnapshotHeader, ZoneBatch};

    #[test]
    fn a_full_history_uses_its_memory_again() {
        let batch = ZoneBatch::of(ZoneId(0), &[]);
        let snapshot = Snapshot::seal(SnapshotHeader::default(), &[&batch], None);
        let mut history = HitboxHistory::new(64);
        for _ in 0..17 {
            history.push(&FieldTable::default(), &snapshot);
        }
        let capacity = history.indexes.capacity();
        for _ in 0..100 {
            history.push(&FieldTable::default(), &snapshot);
            assert_eq!(history.indexes.len(), 17, "250 ms and the tick's start");
        }
        assert_eq!(history.indexes.capacity(), capacity);
    }
}
