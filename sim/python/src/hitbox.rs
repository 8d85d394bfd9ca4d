//! What shots can hit: the capsules of a tick's start.

use glam::DVec3;
use tessera_protocol::FieldTable;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_protocol::snapshot::Snapshot;

/// All entities of `S_t` with an active hitbox, ascending id. Built once a tick, shared by all zones.
#[derive(Default, Debug)]
pub struct HitboxIndex {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: EntityId,
    kind: KindId,
    base: DVec3,
    radius: f64,
    height: f64,
}

impl HitboxIndex {
    /// Fills the index anew from a snapshot; keeps its memory.
    pub fn rebuild(&mut self, _table: &FieldTable, _snapshot: &Snapshot) {
        self.entries.clear();
    }

    /// The first capsule that the ray meets within `max` metres, and how far that is. `direction` is
    /// a unit vector; `kinds` has bit k set where kind k counts; `ignore` is left out. Of equally near
    /// ones the lowest id.
    pub fn raycast(
        &self,
        origin: DVec3,
        direction: DVec3,
        max: f64,
        kinds: u64,
        ignore: EntityId,
    ) -> Option<(EntityId, f64)> {
        let mut best: Option<(EntityId, f64)> = None;
        for entry in &self.entries {
            if entry.id == ignore || kinds & (1 << entry.kind.0) == 0 {
                continue;
            }
            let reach = best.map_or(max, |(_, distance)| distance);
            if let Some(distance) = tessera_world::ray_capsule(
                origin,
                direction,
                reach,
                entry.base,
                entry.radius,
                entry.height,
            ) && best.is_none_or(|(_, nearest)| distance < nearest)
            {
                best = Some((entry.id, distance));
            }
        }
        best
    }
}
