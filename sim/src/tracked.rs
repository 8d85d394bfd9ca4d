//! What a zone remembers of its own entities beside their rows: who holds a ghost of each, and the
//! hash of its row.

use tessera_protocol::ids::{EntityId, KindId};

/// One own entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracked {
    pub(crate) id: EntityId,
    pub(crate) kind: KindId,
    /// Zones that hold a ghost of it, as a mask.
    pub(crate) ghosts: u64,
    /// Hash of its row; recomputed when the row changes.
    pub(crate) hash: u64,
}

/// All own entities of a zone, by ascending id.
#[derive(Default)]
pub(crate) struct TrackedSet {
    entities: Vec<Tracked>,
}

impl TrackedSet {
    pub(crate) fn insert(&mut self, entity: Tracked) {
        match self.entities.binary_search_by_key(&entity.id, |e| e.id) {
            Ok(_) => unreachable!("{:?} is already run by this zone", entity.id),
            Err(at) => self.entities.insert(at, entity),
        }
    }

    pub(crate) fn remove(&mut self, id: EntityId) -> Option<Tracked> {
        let at = self.entities.binary_search_by_key(&id, |e| e.id).ok()?;
        Some(self.entities.remove(at))
    }

    pub(crate) fn get_mut(&mut self, id: EntityId) -> Option<&mut Tracked> {
        let at = self.entities.binary_search_by_key(&id, |e| e.id).ok()?;
        Some(&mut self.entities[at])
    }

    pub(crate) fn len(&self) -> usize {
        self.entities.len()
    }

    /// Wrapping sum of the rows' hashes: the same whatever the order and the partition.
    pub(crate) fn hash_sum(&self) -> u64 {
        self.entities
            .iter()
            .fold(0, |sum, entity| sum.wrapping_add(entity.hash))
    }
}
