//! The world as the other crates see it.

use std::path::Path;

use glam::DVec3;
use xxhash_rust::xxh3::Xxh3Default;

use crate::boxes::Solid;
use crate::error::MapError;
use crate::geometry::Geometry;
use crate::map::{self, Map};
use crate::movement::{Character, Moved};
use crate::navigation::Navigation;
use crate::raycast::RayHit;
use crate::terrain::Terrain;

/// A map in memory, with what is precomputed from it. Immutable: one is shared by all threads of a
/// process.
#[derive(Debug)]
pub struct World {
    name: String,
    hash: u64,
    geometry: Geometry,
    navigation: Navigation,
    spawn_points: Vec<DVec3>,
    loot_points: Vec<DVec3>,
}

impl World {
    /// Loads `<name>.toml` and the heights beside it.
    ///
    /// # Errors
    /// A file that can't be read, or content that is not a map: see [`MapError`].
    pub fn load(path: impl AsRef<Path>) -> Result<World, MapError> {
        Map::load(path.as_ref()).map(World::new)
    }

    /// Loads a map as [`World::load`] does, in a fraction of the time: what is worked out from it is in
    /// `prepared`, from [`World::prepared`] of the same map in another process. Bytes of another map are
    /// of no use, and then it takes as long as ever.
    ///
    /// # Errors
    /// As [`World::load`].
    pub fn load_prepared(path: impl AsRef<Path>, prepared: &[u8]) -> Result<World, MapError> {
        Map::load(path.as_ref()).map(|map| {
            let navigation = Navigation::from_bytes(&map.geometry, prepared)
                .unwrap_or_else(|| Navigation::new(&map.geometry));
            World::with(map, navigation)
        })
    }

    /// What is worked out from the map when it is loaded, for [`World::load_prepared`].
    pub fn prepared(&self) -> Vec<u8> {
        self.navigation.to_bytes()
    }

    /// A map from the text of its file and the content of its file of heights, for tools and tests
    /// that have none on disk.
    ///
    /// # Errors
    /// Content that is not a map, as in [`World::load`].
    pub fn parse(text: &str, heights: &[u8]) -> Result<World, MapError> {
        Map::parse(&map::nowhere(), text, |_| Ok(heights.to_vec())).map(World::new)
    }

    /// A flat, empty map at height 0, for tests and examples: `size` metres wide (taken to 32 to
    /// 2048), with a spawn and a loot point in the middle.
    ///
    /// # Panics
    /// If `size` is NaN.
    pub fn flat(size: f64) -> World {
        World::flat_with(size, Vec::new())
    }

    /// The same with boxes on it.
    pub fn flat_with(size: f64, boxes: Vec<Solid>) -> World {
        let size = size.clamp(32.0, 2048.0);
        let cells = (size / 4.0).ceil() as usize;
        let terrain = Terrain::new(
            cells,
            size / cells as f64,
            vec![0.0; (cells + 1) * (cells + 1)],
        );
        let middle = DVec3::new(size / 2.0, 0.0, size / 2.0);
        World::new(Map {
            name: "flat".into(),
            geometry: Geometry::new(terrain, boxes),
            spawn_points: vec![middle],
            loot_points: vec![middle],
        })
    }

    fn new(map: Map) -> World {
        let navigation = Navigation::new(&map.geometry);
        World::with(map, navigation)
    }

    fn with(map: Map, navigation: Navigation) -> World {
        let hash = content_hash(&map);
        let Map {
            name,
            geometry,
            spawn_points,
            loot_points,
        } = map;
        World {
            name,
            hash,
            geometry,
            navigation,
            spawn_points,
            loot_points,
        }
    }

    /// The map's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The map spans `[0, size]` metres on x and on z.
    pub fn size(&self) -> f64 {
        self.geometry.terrain().size()
    }

    /// A stable hash of all that the map contains: maps with equal hashes play equally. Comments
    /// and layout of the file don't count.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The terrain's height in metres, without boxes. Outside the map it is that of the nearest
    /// point inside.
    pub fn ground(&self, x: f64, z: f64) -> f64 {
        self.geometry.terrain().height(x, z)
    }

    /// The boxes: buildings, trees, cover. In the file's order.
    pub fn boxes(&self) -> &[Solid] {
        self.geometry.boxes()
    }

    /// The first thing, ground or box, that a ray meets within `max` metres (at most 10 km). `dir`
    /// is a unit vector. A ray that starts in something solid ends there, at distance 0. `None` if
    /// anything is not finite.
    pub fn raycast(&self, origin: DVec3, dir: DVec3, max: f64) -> Option<RayHit> {
        self.geometry.raycast(origin, dir, max)
    }

    /// Moves a character by `velocity` (m/s) for `dt` seconds, sliding along whatever it meets: up
    /// slopes to 50° and ledges to `character.step`, along walls, down cliffs. On walkable ground
    /// it stays on it, unless the velocity points up. It passes through nothing at any speed, and
    /// stays on the map. Gravity is the caller's: subtract it from `velocity.y` before each move.
    ///
    /// Speeds beyond 300 m/s and times beyond 0.25 s are cut to that, and what is not finite counts
    /// as 0. A character that starts inside something is first pushed out.
    pub fn move_character(
        &self,
        character: &Character,
        position: DVec3,
        velocity: DVec3,
        dt: f64,
    ) -> Moved {
        self.geometry
            .move_character(character, position, velocity, dt)
    }

    /// The points to walk to in a straight line, one after the other, from `start` (not included)
    /// to `goal`, for someone no larger than a player (radius 0.4 m, height 1.8 m, step 0.4 m). The
    /// last is the goal, or the place nearest to it where one can stand; all are on the floor.
    /// `None` where there is no way, or none found within `max_nodes` cells of 1 m looked at (the
    /// way round a house takes some hundreds). There is one level: a goal on a roof leads below it.
    pub fn path(&self, start: DVec3, goal: DVec3, max_nodes: usize) -> Option<Vec<DVec3>> {
        self.navigation.path(&self.geometry, start, goal, max_nodes)
    }

    /// Where players may start: free, on the ground, in the file's order. There is at least one.
    pub fn spawn_points(&self) -> &[DVec3] {
        &self.spawn_points
    }

    /// Where loot may lie: free, on the ground, in the file's order.
    pub fn loot_points(&self) -> &[DVec3] {
        &self.loot_points
    }

    /// Whether an upright cylinder with its feet at `position` is on the map, not in the ground (by
    /// more than 1 cm) and overlaps no box.
    pub fn is_free(&self, position: DVec3, radius: f64, height: f64) -> bool {
        self.geometry.is_free(position, radius, height)
    }
}

/// xxh3 of the map's content in its canonical form: little-endian, lists with their length first.
fn content_hash(map: &Map) -> u64 {
    let mut hasher = Xxh3Default::new();
    let mut number = |bits: u64| hasher.update(&bits.to_le_bytes());
    number(map.name.len() as u64);
    map.name.bytes().for_each(|byte| number(byte.into()));
    let terrain = map.geometry.terrain();
    number(terrain.cell().to_bits());
    number(terrain.cells() as u64);
    terrain
        .heights()
        .iter()
        .for_each(|height| number(height.to_bits().into()));
    number(map.geometry.boxes().len() as u64);
    for solid in map.geometry.boxes() {
        number(solid.kind as u64);
        let (centre, half) = (solid.centre.to_array(), solid.half.to_array());
        centre
            .iter()
            .chain(&half)
            .chain([&solid.yaw])
            .for_each(|value| number(value.to_bits()));
    }
    for points in [&map.spawn_points, &map.loot_points] {
        number(points.len() as u64);
        points
            .iter()
            .flat_map(|point| point.to_array())
            .for_each(|value| number(value.to_bits()));
    }
    hasher.digest()
}
