//! What shots can hit: the capsules of a tick's start.

use glam::DVec3;
use tessera_protocol::FieldTable;
use tessera_protocol::ValueRef;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_protocol::snapshot::{RowRef, Snapshot};
use tessera_world::ray_capsule;

/// All entities of `S_t` with an active hitbox. Built once a tick, shared by all zones.
///
/// # Invariants
/// Ids ascend.
#[derive(Clone, Default, Debug)]
pub(crate) struct HitboxIndex {
    capsules: Vec<Capsule>,
}

/// One entity's hitbox: a vertical capsule that stands on its position.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Capsule {
    pub(crate) id: EntityId,
    pub(crate) kind: KindId,
    /// The entity's position.
    pub(crate) base: DVec3,
    /// Metres.
    pub(crate) radius: f64,
    /// Metres from the base to the top.
    pub(crate) height: f64,
}

/// Where a ray met a hitbox.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct BodyHit {
    pub(crate) id: EntityId,
    /// Metres along the ray.
    pub(crate) distance: f64,
    capsule: Capsule,
}

impl BodyHit {
    /// Where the entity stood that was hit.
    pub(crate) fn base(&self) -> DVec3 {
        self.capsule.base
    }

    /// The capsule's outward unit normal at a point of its surface; up where the point is on its axis.
    pub(crate) fn normal(&self, point: DVec3) -> DVec3 {
        let Capsule {
            base,
            radius,
            height,
            ..
        } = self.capsule;
        let axis = (point.y - base.y).clamp(radius, (height - radius).max(radius));
        (point - base - DVec3::Y * axis)
            .try_normalize()
            .unwrap_or(DVec3::Y)
    }
}

impl HitboxIndex {
    /// Fills the index anew from a snapshot; keeps its memory.
    pub(crate) fn rebuild(&mut self, table: &FieldTable, snapshot: &Snapshot) {
        self.capsules.clear();
        for batch in snapshot.batches() {
            let kind = batch.kind();
            let Some(hitbox) = table.kinds.get(kind.index()).and_then(|kind| kind.hitbox) else {
                continue;
            };
            let active = |row: &RowRef<'_>| {
                hitbox
                    .when
                    .is_none_or(|when| row.field(when.into()) == ValueRef::Bool(true))
            };
            self.capsules
                .extend(batch.rows().filter(active).map(|row| Capsule {
                    id: row.id(),
                    kind,
                    base: row.position().into(),
                    radius: hitbox.radius.into(),
                    height: hitbox.height.into(),
                }));
        }
        self.capsules.sort_unstable_by_key(|capsule| capsule.id);
    }

    /// The capsules, ascending by id.
    pub(crate) fn capsules(&self) -> &[Capsule] {
        &self.capsules
    }
}

/// A ray, and what it may hit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Ray {
    pub(crate) origin: DVec3,
    /// A unit vector.
    pub(crate) direction: DVec3,
    /// Nothing beyond this is hit, metres.
    pub(crate) max: f64,
    /// Bit k set where kind k counts.
    pub(crate) kinds: u64,
    /// Left out.
    pub(crate) ignore: EntityId,
}

impl Ray {
    /// The first of these capsules that the ray meets. Of equally near ones the lowest id, if ids
    /// ascend.
    pub(crate) fn cast(&self, capsules: impl Iterator<Item = Capsule>) -> Option<BodyHit> {
        let mut nearest: Option<BodyHit> = None;
        for capsule in capsules {
            let reach = nearest.map_or(self.max, |hit| hit.distance);
            if self.kinds & 1 << capsule.kind.0 == 0
                || capsule.id == self.ignore
                || out_of_reach(&capsule, self.origin, self.direction, reach)
            {
                continue;
            }
            let Capsule {
                id,
                base,
                radius,
                height,
                ..
            } = capsule;
            let met = ray_capsule(self.origin, self.direction, reach, base, radius, height);
            if let Some(distance) = met
                && nearest.is_none_or(|hit| distance < hit.distance)
            {
                nearest = Some(BodyHit {
                    id,
                    distance,
                    capsule,
                });
            }
        }
        nearest
    }
}

/// Whether a ray surely misses: by the sphere around the capsule, which is cheaper.
fn out_of_reach(capsule: &Capsule, origin: DVec3, direction: DVec3, max: f64) -> bool {
    // Half a millimetre for the rounding of a kilometre's squares.
    let radius = capsule.height.max(2.0 * capsule.radius) / 2.0 + 5e-4;
    let to = capsule.base + DVec3::Y * (capsule.height / 2.0) - origin;
    let along = to.dot(direction);
    if along > max + radius || along < -radius {
        return true;
    }
    to.length_squared() - along * along > radius * radius
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capsule(id: u32, x: f64, z: f64) -> Capsule {
        let base = DVec3::new(x, 0.0, z);
        Capsule {
            id: EntityId(id),
            kind: KindId(0),
            base,
            radius: 0.4,
            height: 1.8,
        }
    }

    #[test]
    fn the_lowest_id_wins_a_tie() {
        let hit = |ignore, kinds| {
            let ray = Ray {
                origin: DVec3::Y,
                direction: DVec3::X,
                max: 100.0,
                kinds,
                ignore: EntityId(ignore),
            };
            let hit = ray.cast([capsule(3, 5.0, 0.0), capsule(7, 5.0, 0.0)].into_iter());
            hit.map(|hit| hit.id)
        };
        assert_eq!(hit(0, 1), Some(EntityId(3)));
        assert_eq!(hit(3, 1), Some(EntityId(7)));
        assert_eq!(hit(0, 2), None, "other kinds");
    }

    #[test]
    fn normals_point_outwards() {
        let all = |origin, direction| {
            let ray = Ray {
                origin,
                direction,
                max: 100.0,
                kinds: 1,
                ignore: EntityId::NONE,
            };
            let hit = ray.cast([capsule(1, 5.0, 0.0)].into_iter());
            let hit = hit.expect("aimed at it");
            hit.normal(origin + direction * hit.distance)
        };
        assert!(all(DVec3::Y, DVec3::X).distance(-DVec3::X) < 1e-9);
        let above = DVec3::new(5.0, 10.0, 0.0);
        assert!(all(above, -DVec3::Y).distance(DVec3::Y) < 1e-9);
    }

    proptest! {
        #[test]
        fn the_sphere_never_hides_a_hit(
            x in -300.0..300.0f64, z in -300.0..300.0f64, y in -5.0..5.0f64,
            dx in -1.0..1.0f64, dy in -1.0..1.0f64, dz in -1.0..1.0f64,
        ) {
            let capsule = capsule(1, x, z);
            let origin = DVec3::new(0.0, y, 0.0);
            let Some(direction) = DVec3::new(dx, dy, dz).try_normalize() else { return Ok(()) };
            // Half of the rays aim at the capsule, or next to none would hit.
            let aimed = (capsule.base + DVec3::Y * 0.9 - origin).normalize_or(DVec3::X);
            for direction in [direction, (aimed + direction * 0.01).normalize()] {
                let exact = ray_capsule(origin, direction, 400.0, capsule.base, 0.4, 1.8);
                if exact.is_some() {
                    prop_assert!(!out_of_reach(&capsule, origin, direction, 400.0));
                }
            }
        }
    }
}
