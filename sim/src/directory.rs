//! Who runs whom: the owner of every entity of the coming tick.

use tessera_protocol::ids::{EntityId, ZoneId};

/// Every living entity and the zone that will run it in the next tick.
///
/// The barrier alone writes it; zones read it while they exchange. A sorted vector rather than a
/// slot map: ids ascend and are never used twice, so a newborn is a push, a lookup a short binary
/// search, and there is no free list, which would be state outside the snapshot.
///
/// # Invariants
/// `ids` is strictly ascending and `owners` has the same length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    ids: Vec<EntityId>,
    owners: Vec<ZoneId>,
}

impl Directory {
    /// The zone that runs `id` next, or `None` if there is no such entity.
    pub(crate) fn owner(&self, id: EntityId) -> Option<ZoneId> {
        self.ids.binary_search(&id).ok().map(|at| self.owners[at])
    }

    /// All who live, ascending.
    pub(crate) fn ids(&self) -> &[EntityId] {
        &self.ids
    }

    /// How many entities live.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Adds a newborn, whose id is above all before it.
    pub(crate) fn push(&mut self, id: EntityId, owner: ZoneId) {
        assert!(
            self.ids.last() < Some(&id),
            "ids are given in ascending order"
        );
        self.ids.push(id);
        self.owners.push(owner);
    }

    /// Notes that `id` moved into another zone.
    pub(crate) fn set_owner(&mut self, id: EntityId, owner: ZoneId) {
        let at = self
            .ids
            .binary_search(&id)
            .expect("only living entities move");
        self.owners[at] = owner;
    }

    /// Forgets the dead, given in ascending order.
    pub(crate) fn remove_all(&mut self, dead: &[EntityId]) {
        if dead.is_empty() {
            return;
        }
        let mut kept = 0;
        for at in 0..self.ids.len() {
            if dead.binary_search(&self.ids[at]).is_err() {
                self.ids[kept] = self.ids[at];
                self.owners[kept] = self.owners[at];
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.owners.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_found_until_they_end() {
        let mut directory = Directory::default();
        for id in 1..=5 {
            directory.push(EntityId(id), ZoneId(0));
        }
        directory.set_owner(EntityId(3), ZoneId(2));
        directory.remove_all(&[EntityId(1), EntityId(4)]);
        assert_eq!(directory.owner(EntityId(3)), Some(ZoneId(2)));
        assert_eq!(directory.owner(EntityId(5)), Some(ZoneId(0)));
        assert_eq!(directory.owner(EntityId(4)), None);
        assert_eq!(directory.len(), 3);
    }

    #[test]
    #[should_panic(expected = "ascending order")]
    fn an_id_is_never_given_twice() {
        let mut directory = Directory::default();
        directory.push(EntityId(2), ZoneId(0));
        directory.push(EntityId(2), ZoneId(0));
    }
}
