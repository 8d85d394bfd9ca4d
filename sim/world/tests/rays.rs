//! Rays against brute force: every triangle and every box of a map, one by one, by parry (an
//! independent implementation).

mod common;

use common::{Dice, SMALL_MAP, island, small_heights, standing_box};
use glam::DVec3;
use parry3d_f64::math::{Pose, Vector};
use parry3d_f64::query::{Ray, RayCast};
use parry3d_f64::shape::{Capsule, Cuboid, Triangle};
use proptest::prelude::*;
use tessera_world::{Solid, World, ray_capsule};

/// A 64 m map with rough ground, and boxes all over it.
fn rough(seed: u64, boxes: usize) -> World {
    let mut dice = Dice(seed);
    let mut heights = b"TSHEIGHT".to_vec();
    heights.extend(17u32.to_le_bytes());
    for _ in 0..17 * 17 {
        heights.extend((dice.uniform(0.0, 4000.0) as u16).to_le_bytes());
    }
    let mut text = r#"
format = 1
name = "rough"
size = 64.0
terrain = { heights = "rough.heights", cell = 4.0, base = 0.0, step = 0.002 }
spawn_points = [[1.0, 1.0]]
loot_points = []
boxes = ["#
        .to_string();
    for _ in 0..boxes {
        let at = [0, 1, 2].map(|axis| {
            if axis == 1 {
                dice.uniform(0.0, 8.0)
            } else {
                dice.uniform(12.0, 52.0)
            }
        });
        // Long, thin and turned: in the list of many cells that they don't pass.
        let half = [10.0, 4.0, 1.0].map(|most| dice.uniform(0.1, most));
        let yaw = dice.uniform(-3.0, 3.0);
        text += &format!("{{ kind = \"rock\", at = {at:?}, half = {half:?}, yaw = {yaw:?} }},\n");
    }
    World::parse(&(text + "]\n"), &heights).unwrap_or_else(|error| panic!("{error}"))
}

fn vector(v: DVec3) -> Vector {
    Vector::new(v.x, v.y, v.z)
}

fn pose(solid: &Solid) -> Pose {
    Pose::new(vector(solid.centre), Vector::new(0.0, solid.yaw, 0.0))
}

/// The distance to the nearest of all boxes and triangles. Triangles are from `ground` at the
/// corners of the cells of `cell` metres, split as the format says.
fn brute_force(world: &World, cell: f64, origin: DVec3, dir: DVec3, max: f64) -> Option<f64> {
    let ray = Ray::new(vector(origin), vector(dir));
    let boxes = world.boxes().iter().filter_map(|solid| {
        Cuboid::new(vector(solid.half)).cast_ray(&pose(solid), &ray, max, true)
    });
    let cells = (world.size() / cell) as i32;
    let corner = |ix: i32, iz: i32| {
        let (x, z) = (f64::from(ix) * cell, f64::from(iz) * cell);
        Vector::new(x, world.ground(x, z), z)
    };
    let triangles = (0..cells * cells).flat_map(|at| {
        let (ix, iz) = (at % cells, at / cells);
        let far = corner(ix + 1, iz + 1);
        [
            Triangle::new(corner(ix, iz), far, corner(ix + 1, iz)),
            Triangle::new(corner(ix, iz), corner(ix, iz + 1), far),
        ]
    });
    let ground =
        triangles.filter_map(|triangle| triangle.cast_ray(&Pose::IDENTITY, &ray, max, true));
    boxes.chain(ground).min_by(f64::total_cmp)
}

/// A unit vector in any direction, most of them near the level where rays are long.
fn direction() -> impl Strategy<Value = DVec3> {
    (-3.2..3.2, prop_oneof![4 => -0.2..0.2, 1 => -1.57..1.57]).prop_map(
        |(yaw, pitch): (f64, f64)| {
            DVec3::new(
                -libm::sin(yaw) * libm::cos(pitch),
                libm::sin(pitch),
                -libm::cos(yaw) * libm::cos(pitch),
            )
        },
    )
}

proptest! {
    #[test]
    fn a_ray_meets_what_brute_force_finds(
        seed: u64, x in 0.0..64.0, z in 0.0..64.0, up in 0.01..12.0, dir in direction(), max in 1.0..120.0,
    ) {
        let world = rough(seed, 40);
        let origin = DVec3::new(x, world.ground(x, z) + up, z);
        let (found, expected) = (world.raycast(origin, dir, max), brute_force(&world, 4.0, origin, dir, max));
        match (found, expected) {
            (None, None) => {}
            (Some(hit), Some(distance)) => {
                prop_assert!((hit.distance - distance).abs() < 1e-6, "{hit:?}, but brute force {distance}");
                prop_assert!(hit.position.distance(origin + dir * distance) < 1e-6);
                prop_assert!(hit.normal.dot(dir) <= 0.0 && (hit.normal.length() - 1.0).abs() < 1e-9);
            }
            // Within a hair of the limit or of an edge either may be right.
            (found, Some(distance)) => {
                let near = [-1e-6, 1e-6].map(|off| brute_force(&world, 4.0, origin + DVec3::splat(off), dir, max));
                prop_assert!(near.contains(&None) || (distance - max).abs() < 1e-6, "{found:?}, but brute force {distance}");
            }
            (Some(hit), None) => prop_assert!((hit.distance - max).abs() < 1e-6, "{hit:?}, but brute force nothing"),
        }
    }

    #[test]
    fn hitboxes_are_met_where_parry_says(
        origin in prop::array::uniform3(-4.0..4.0), target in prop::array::uniform3(-1.0..1.0),
        radius in 0.1..1.0, cylinder in 0.0..2.0, max in 0.5..12.0,
    ) {
        let (origin, target) = (DVec3::from(origin), DVec3::from(target));
        prop_assume!(origin.distance(target) > 0.1);
        let (dir, base) = ((target - origin).normalize(), DVec3::new(0.2, -1.0, 0.1));
        let height = cylinder + 2.0 * radius;
        let ends = [base.y + radius, base.y + height - radius].map(|y| vector(base.with_y(y)));
        let expected = Capsule::new(ends[0], ends[1], radius)
            .cast_ray(&Pose::IDENTITY, &Ray::new(vector(origin), vector(dir)), max, true);
        match (ray_capsule(origin, dir, max, base, radius, height), expected) {
            (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-6, "{found} and {expected}"),
            (found, expected) => {
                // Only a graze may be judged differently.
                let slack = |by| ray_capsule(origin, dir, max, base - DVec3::Y * by, radius + by, height + 2.0 * by).is_some();
                prop_assert!(found == expected || slack(1e-6) != slack(-1e-6), "{found:?} and {expected:?}");
            }
        }
    }

    #[test]
    fn no_ray_makes_a_nan(
        origin in prop::array::uniform3(prop::num::f64::ANY), dir in prop::array::uniform3(prop::num::f64::ANY),
        max in prop::num::f64::ANY,
    ) {
        let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [3.0, 1.0, 3.0], 0.3)]);
        if let Some(hit) = world.raycast(DVec3::from(origin), DVec3::from(dir), max) {
            prop_assert!(hit.distance.is_finite() && hit.distance <= max, "{hit:?}");
        }
    }
}

#[test]
fn the_ground_is_watertight() {
    // Plumb lines through every corner, edge and diagonal of the island's cells, where rounding
    // decides the cell.
    let world = island();
    for step in 0..=2000 {
        let along = f64::from(step) * 0.5;
        for other in [0.0, 4.0, 500.0, 996.0, 1000.0, along] {
            for (x, z) in [(along, other), (other, along)] {
                let origin = DVec3::new(x, 500.0, z);
                let hit = world.raycast(origin, DVec3::NEG_Y, 1000.0);
                let hit =
                    hit.unwrap_or_else(|| panic!("a ray fell through the ground at {x}, {z}"));
                assert!(hit.position.y >= world.ground(x, z) - 1e-9, "{hit:?}");
            }
        }
    }
}

#[test]
fn the_nearest_box_counts_not_the_first_one_listed() {
    // The ray begins in a cell that lists the long wall, which it meets 20 m on, and meets the
    // crate before.
    let wall = standing_box(40.0, 40.0, [28.0, 2.0, 0.2], -std::f64::consts::FRAC_PI_4);
    let world = World::flat_with(
        80.0,
        vec![wall, standing_box(34.0, 22.0, [1.0, 1.0, 1.0], 0.0)],
    );
    let hit = world
        .raycast(DVec3::new(22.5, 0.5, 22.0), DVec3::X, 100.0)
        .expect("the crate");
    assert_eq!(hit.distance, 10.5);
}

#[test]
fn a_ray_from_ground_level_gets_out() {
    let world = island();
    for point in world.spawn_points() {
        assert_eq!(world.raycast(*point, DVec3::Y, 100.0), None, "{point}");
        let down = world
            .raycast(*point, DVec3::NEG_Y, 100.0)
            .expect("the ground");
        assert!(down.distance < 1e-9, "{down:?}");
    }
}

#[test]
fn a_ray_from_inside_something_ends_at_once() {
    let world = World::parse(SMALL_MAP, &small_heights()).expect("it is valid");
    let buried = world
        .raycast(DVec3::new(10.0, -5.0, 10.0), DVec3::Y, 100.0)
        .expect("in the ground");
    assert_eq!(buried.distance, 0.0);
    let crate_middle = world.boxes()[1].centre + DVec3::Y * 0.3;
    assert_eq!(
        world
            .raycast(crate_middle, DVec3::X, 100.0)
            .expect("in the crate")
            .distance,
        0.0
    );
}

#[test]
fn from_outside_one_meets_the_rim_of_the_ground_and_what_is_above_it() {
    let world = World::parse(SMALL_MAP, &small_heights()).expect("it is valid");
    let deep = world
        .raycast(DVec3::new(-5.0, -1.0, 9.0), DVec3::X, 100.0)
        .expect("the rim");
    assert_eq!(deep.position, DVec3::new(0.0, -1.0, 9.0));
    let high = world
        .raycast(DVec3::new(-5.0, 1.0, 9.0), DVec3::X, 100.0)
        .expect("the slope");
    assert!(
        high.position.distance(DVec3::new(8.0, 1.0, 9.0)) < 1e-6,
        "{high:?}"
    );
    assert_eq!(
        world.raycast(DVec3::new(-5.0, 50.0, 9.0), DVec3::X, 100.0),
        None
    );
}

#[test]
fn a_ray_is_as_long_as_asked() {
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [1.0, 2.0, 1.0], 0.0)]);
    let origin = DVec3::new(20.0, 1.0, 32.0);
    assert_eq!(world.raycast(origin, DVec3::X, 10.99), None);
    let hit = world
        .raycast(origin, DVec3::X, 11.0)
        .expect("just long enough");
    assert_eq!(
        (hit.distance, hit.position, hit.normal),
        (11.0, DVec3::new(31.0, 1.0, 32.0), DVec3::NEG_X)
    );
    assert_eq!(world.raycast(origin, DVec3::X, -1.0), None);
    assert_eq!(
        world.raycast(origin, DVec3::new(f64::NAN, 0.0, 0.0), 10.0),
        None
    );
    assert_eq!(
        world
            .raycast(origin, DVec3::NEG_Y, f64::INFINITY)
            .map(|hit| hit.distance),
        Some(1.0)
    );
}
