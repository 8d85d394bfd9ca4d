//! The barrier between the two phases of a tick: ids for the newborn, and who runs whom next.

use tessera_protocol::ids::{EntityId, ZoneId};
use tessera_python::Event;

use crate::directory::Directory;
use crate::partition::Grid;
use crate::report::{ZoneSpan, ZoneTimings};

/// What a zone reports when its hooks have run and its slots are gathered.
#[derive(Default)]
pub(crate) struct Ran {
    /// Spawns in the order of the zone's outbox.
    pub(crate) births: Vec<Birth>,
    /// Own entities that ended, ascending.
    pub(crate) deaths: Vec<EntityId>,
    /// Own entities whose new position another zone owns.
    pub(crate) moved: Vec<(EntityId, ZoneId)>,
    /// What clients are to be told.
    pub(crate) events: Vec<Event>,
    /// Whether the engine's own messages reached the hooks that they were for: not where these coasted, or
    /// were broken off.
    pub(crate) heard: bool,
    pub(crate) timings: ZoneTimings,
    /// When what ran, while somebody records that: of this tick up to here, and what came last before.
    pub(crate) spans: Vec<ZoneSpan>,
}

/// A spawn that waits for its id.
pub(crate) struct Birth {
    pub(crate) parent: EntityId,
    pub(crate) seq: u32,
    pub(crate) position: [f64; 3],
}

/// Settles a tick.
///
/// Ids go up in the order of (parent, sequence), which no partition changes. Returns the ids of each
/// zone's births, in the order of its outbox.
pub(crate) fn settle(
    zones: &[Ran],
    grid: &Grid,
    directory: &mut Directory,
    next_entity: &mut u32,
) -> Vec<Vec<EntityId>> {
    let mut deaths: Vec<EntityId> = zones.iter().flat_map(|ran| &ran.deaths).copied().collect();
    deaths.sort_unstable();
    directory.remove_all(&deaths);
    for &(id, owner) in zones.iter().flat_map(|ran| &ran.moved) {
        directory.set_owner(id, owner);
    }

    let mut order: Vec<(EntityId, u32, usize, usize)> = Vec::new();
    for (zone, ran) in zones.iter().enumerate() {
        order.extend(
            ran.births
                .iter()
                .enumerate()
                .map(|(at, birth)| (birth.parent, birth.seq, zone, at)),
        );
    }
    order.sort_unstable();
    let mut ids: Vec<Vec<EntityId>> = zones
        .iter()
        .map(|ran| vec![EntityId::NONE; ran.births.len()])
        .collect();
    for (_, _, zone, at) in order {
        let id = EntityId(*next_entity);
        *next_entity = next_entity
            .checked_add(1)
            .expect("a match has fewer than 2^32 entities");
        ids[zone][at] = id;
        directory.push(id, grid.zone_of(zones[zone].births[at].position));
    }
    ids
}

/// All zones' events in an order that no partition changes.
pub(crate) fn merge_events(zones: &mut [Ran]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for ran in zones {
        events.append(&mut ran.events);
    }
    events.sort_by_key(|event| (event.sender, event.seq));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth(parent: u32, seq: u32, x: f64) -> Birth {
        Birth {
            parent: EntityId(parent),
            seq,
            position: [x, 0.0, 0.0],
        }
    }

    #[test]
    fn ids_follow_parent_and_sequence_wherever_the_births_are() {
        let grid = Grid::even(2, 1, 1000.0).unwrap();
        let mut directory = Directory::default();
        let mut next = 10;
        let zones = [
            Ran {
                births: vec![birth(5, 1, 0.0), birth(2, 0, 900.0)],
                ..Ran::default()
            },
            Ran {
                births: vec![birth(3, 0, 0.0), birth(5, 0, 0.0)],
                ..Ran::default()
            },
        ];
        let ids = settle(&zones, &grid, &mut directory, &mut next);
        assert_eq!(ids[0], [EntityId(13), EntityId(10)]);
        assert_eq!(ids[1], [EntityId(11), EntityId(12)]);
        assert_eq!(directory.owner(EntityId(10)), Some(ZoneId(1)));
        assert_eq!(next, 14);
    }
}
