//! Rays against the world and against hitboxes.

use glam::{DVec2, DVec3};

use crate::geometry::Geometry;
use crate::grid::CellWalk;

/// Rays are cut to this length, metres: more than the diagonal of the largest map from any sensible
/// height.
const RAY_MAX_M: f64 = 10_000.0;

/// An origin this far below the ground is inside it, metres. Less is rounding: a shot from ground
/// level gets out.
const INSIDE_GROUND_M: f64 = 0.001;

/// Where a ray met the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RayHit {
    /// Metres from the origin; 0 where the origin is inside something solid.
    pub distance: f64,
    /// The point met.
    pub position: DVec3,
    /// The surface's outward unit normal; against the ray where the origin is inside a box.
    pub normal: DVec3,
}

impl Geometry {
    /// The first thing that a ray meets. The ray walks the terrain's cells; in each one it passes
    /// low enough it is tested against the boxes listed there and against the two triangles.
    pub(crate) fn raycast(&self, origin: DVec3, dir: DVec3, max: f64) -> Option<RayHit> {
        if !(origin.is_finite() && dir.is_finite() && max >= 0.0) {
            return None;
        }
        let terrain = self.terrain();
        let hit = |t: f64, normal| RayHit {
            distance: t,
            position: origin + dir * t,
            normal,
        };
        let on_map = 0.0..=terrain.size();
        if on_map.contains(&origin.x)
            && on_map.contains(&origin.z)
            && origin.y < terrain.height(origin.x, origin.z) - INSIDE_GROUND_M
        {
            return Some(hit(0.0, terrain.normal(origin.x, origin.z)));
        }
        let mut nearest: Option<RayHit> = None;
        let mut reach = max.min(RAY_MAX_M);
        for (cell, (t0, t1)) in CellWalk::new(terrain.cells(), terrain.cell(), origin, dir, reach) {
            // A box of an earlier cell may be met in a later one.
            if t0 > reach {
                break;
            }
            let lowest = origin.y + if dir.y < 0.0 { dir.y * t1 } else { dir.y * t0 };
            if lowest > self.cell_top(cell) {
                continue;
            }
            for solid in self.boxes_in_cell(cell) {
                if let Some(contact) = solid.raycast(origin, dir, reach)
                    && (contact.t < reach || nearest.is_none())
                {
                    reach = contact.t;
                    nearest = Some(hit(contact.t, contact.normal));
                }
            }
            if let Some(crossing) = terrain.cross(cell, origin, dir, (t0, t1), 0.0)
                && (crossing.t < reach || nearest.is_none())
            {
                reach = crossing.t;
                nearest = Some(hit(crossing.t, crossing.normal));
            }
        }
        nearest
    }
}

/// The distance at which a ray meets an upright capsule that stands on `base` (its lowest point),
/// at most `max`; 0 where the origin is inside it. `dir` is a unit vector. A capsule lower than two
/// radii is a sphere of that height.
pub fn ray_capsule(
    origin: DVec3,
    dir: DVec3,
    max: f64,
    base: DVec3,
    radius: f64,
    height: f64,
) -> Option<f64> {
    let radius = radius.min(height / 2.0);
    let (low, high) = (base.y + radius, base.y + height - radius);
    let from = origin - base;
    let (level, along) = (DVec2::new(from.x, from.z), DVec2::new(dir.x, dir.z));

    let nearest_y = origin.y.max(low).min(high);
    let to_axis = DVec3::new(from.x, origin.y - nearest_y, from.z);
    if to_axis.length_squared() <= radius * radius {
        return (max >= 0.0).then_some(0.0);
    }
    // Outside, the first contact is with the side, if between the caps, or else with the cap on
    // that side.
    let side = enter(
        along.dot(along),
        level.dot(along),
        level.dot(level) - radius * radius,
    );
    let at_y = side.map_or(origin.y, |t| origin.y + dir.y * t);
    let distance = match side {
        Some(t) if (low..=high).contains(&at_y) => t,
        None if along != DVec2::ZERO => return None,
        _ => {
            let cap = DVec3::new(base.x, if at_y < low { low } else { high }, base.z);
            let from = origin - cap;
            enter(
                dir.dot(dir),
                from.dot(dir),
                from.dot(from) - radius * radius,
            )?
        }
    };
    (0.0..=max).contains(&distance).then_some(distance)
}

/// The smaller root of `a·t² + 2·b·t + c`; `None` if there is none or no slope.
fn enter(a: f64, b: f64, c: f64) -> Option<f64> {
    let discriminant = b * b - a * c;
    (discriminant >= 0.0 && a > 0.0).then(|| (-b - discriminant.sqrt()) / a)
}
