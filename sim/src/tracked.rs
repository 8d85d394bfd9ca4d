//! What a zone remembers of its own entities beside their rows: who holds a ghost of each, and the
//! hashes of its fields.

use tessera_protocol::columns::{KindTable, bits};
use tessera_protocol::ids::{EntityId, KindId};

/// One own entity.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) id: EntityId,
    pub(crate) kind: KindId,
    /// Zones that hold a ghost of it, as a mask.
    pub(crate) ghosts: u64,
    /// Hashes of its fields, renewed as they change; belong to [`TrackedSet::hash_sum`].
    hashes: Box<[u64]>,
}

/// All own entities of a zone, by ascending id.
///
/// # Invariants
/// `hash_sum` is the wrapping sum of all entities' `hashes`: the same whatever the order and the
/// partition.
#[derive(Default)]
pub(crate) struct TrackedSet {
    entities: Vec<Tracked>,
    hash_sum: u64,
    /// Bytes of the field being hashed.
    scratch: Vec<u8>,
}

impl TrackedSet {
    /// Adds an entity that is in `row` of its kind's table.
    pub(crate) fn insert(
        &mut self,
        id: EntityId,
        kind: KindId,
        ghosts: u64,
        table: &KindTable,
        row: usize,
    ) {
        let Err(at) = self.place(id) else {
            unreachable!("{id:?} is already run by this zone");
        };
        let hashes: Box<[u64]> = (0..table.columns.len())
            .map(|field| table.hash_field(kind, row, field, &mut self.scratch))
            .collect();
        self.hash_sum = hashes
            .iter()
            .copied()
            .fold(self.hash_sum, u64::wrapping_add);
        self.entities.insert(
            at,
            Tracked {
                id,
                kind,
                ghosts,
                hashes,
            },
        );
    }

    pub(crate) fn remove(&mut self, id: EntityId) -> Option<Tracked> {
        let entity = self.entities.remove(self.place(id).ok()?);
        self.hash_sum = entity
            .hashes
            .iter()
            .copied()
            .fold(self.hash_sum, u64::wrapping_sub);
        Some(entity)
    }

    /// Where an entity is, for [`TrackedSet::rehash`].
    pub(crate) fn find(&self, id: EntityId) -> Option<usize> {
        self.place(id).ok()
    }

    /// Hashes anew what has changed of the entity at `at`, which is in `row` of its kind's table: the
    /// fields in `mask`.
    pub(crate) fn rehash(
        &mut self,
        at: usize,
        table: &KindTable,
        row: usize,
        mask: u64,
    ) -> &mut Tracked {
        let entity = &mut self.entities[at];
        for field in bits(mask) {
            let new = table.hash_field(entity.kind, row, field, &mut self.scratch);
            let old = std::mem::replace(&mut entity.hashes[field], new);
            self.hash_sum = self.hash_sum.wrapping_sub(old).wrapping_add(new);
        }
        entity
    }

    pub(crate) fn len(&self) -> usize {
        self.entities.len()
    }

    /// Wrapping sum of the hashes of all fields of all entities.
    pub(crate) fn hash_sum(&self) -> u64 {
        self.hash_sum
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.entities.binary_search_by_key(&id, |entity| entity.id)
    }
}
