//! Paths: they lead there, a character can walk them, and they are the same each time.

mod common;

use common::{Dice, GRAVITY, PLAYER, island, standing_box};
use glam::DVec3;
use proptest::prelude::*;
use tessera_world::{Moved, Solid, World};

const DT: f64 = 1.0 / 64.0;
const NODES: usize = 4096;

fn level_distance(a: DVec3, b: DVec3) -> f64 {
    (a - b).with_y(0.0).length()
}

/// Walks a path as an AI player does: towards the next point until it is reached. The time left is
/// what a walk of that length takes, with some to spare. Gives where it ended.
fn follow(world: &World, start: DVec3, path: &[DVec3]) -> Result<DVec3, String> {
    const SPEED: f64 = 5.0;
    let mut moved = Moved {
        position: start,
        velocity: DVec3::ZERO,
        grounded: true,
    };
    for point in path {
        let ticks = (level_distance(moved.position, *point) / (SPEED * DT) * 1.2) as usize + 16;
        let mut reached = false;
        for _ in 0..ticks {
            let left = (*point - moved.position).with_y(0.0);
            reached = left.length() < 0.05;
            if reached {
                break;
            }
            let level = left.normalize() * SPEED.min(left.length() / DT);
            moved = world.move_character(
                &PLAYER,
                moved.position,
                level.with_y(moved.velocity.y - GRAVITY * DT),
                DT,
            );
        }
        if !reached {
            return Err(format!("stuck at {} on the way to {point}", moved.position));
        }
    }
    Ok(moved.position)
}

/// A room of 8 m by 8 m around (32, 32), with an opening of this width in the wall towards -x.
fn room(door: f64, yaw: f64) -> World {
    let place = |x: f64, z: f64, half_x: f64, half_z: f64| {
        let (cos, sin) = (libm::cos(yaw), libm::sin(yaw));
        standing_box(
            32.0 + x * cos + z * sin,
            32.0 + z * cos - x * sin,
            [half_x, 1.5, half_z],
            yaw,
        )
    };
    let side = (4.0 - door / 2.0) / 2.0;
    let boxes: Vec<Solid> = vec![
        place(4.0, 0.0, 0.15, 4.0),
        place(0.0, 4.0, 4.0, 0.15),
        place(0.0, -4.0, 4.0, 0.15),
        place(-4.0, door / 2.0 + side, 0.15, side),
        place(-4.0, -door / 2.0 - side, 0.15, side),
    ];
    World::flat_with(64.0, boxes)
}

#[test]
fn in_the_open_the_way_is_straight() {
    let world = World::flat(200.0);
    let (start, goal) = (DVec3::new(10.0, 0.0, 10.0), DVec3::new(190.0, 0.0, 150.0));
    assert_eq!(world.path(start, goal, 1), Some(vec![goal]));
}

#[test]
fn a_wall_is_walked_round_closely() {
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [0.5, 2.0, 10.0], 0.0)]);
    let (start, goal) = (DVec3::new(22.0, 0.0, 33.0), DVec3::new(42.0, 0.0, 33.0));
    let path = world.path(start, goal, NODES).expect("round the end");
    assert_eq!(path.last(), Some(&goal));
    assert!(path.len() <= 6, "{path:?}");
    let length: f64 = std::iter::once(&start)
        .chain(&path)
        .zip(&path)
        .map(|(a, b)| a.distance(*b))
        .sum();
    // Straight to the wall's end and from there: 2·√(10² + 9²) = 26.9 m.
    assert!(length < 30.0, "{length} m by {path:?}");
    follow(&world, start, &path).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_door_is_found_however_the_house_is_turned() {
    for turn in 0..64 {
        let world = room(1.8, f64::from(turn) * 0.1);
        let (start, goal) = (DVec3::new(50.0, 0.0, 32.0), DVec3::new(32.5, 0.0, 31.5));
        let path = world
            .path(start, goal, NODES)
            .unwrap_or_else(|| panic!("no way at turn {turn}"));
        let end =
            follow(&world, start, &path).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        assert!(
            level_distance(end, goal) < 0.1,
            "turn {turn}: ended at {end}"
        );
    }
}

#[test]
fn where_there_is_no_way_there_is_no_path() {
    let world = room(0.7, 0.3);
    let outside = DVec3::new(50.0, 0.0, 32.0);
    assert_eq!(
        world.path(outside, DVec3::new(32.0, 0.0, 32.0), NODES),
        None
    );
    assert_eq!(
        world.path(outside, DVec3::new(-9.0, 0.0, 32.0), NODES),
        None,
        "off the map"
    );
    assert_eq!(
        world.path(outside, DVec3::new(f64::NAN, 0.0, 32.0), NODES),
        None
    );
}

#[test]
fn a_goal_out_of_reach_leads_to_the_near_side() {
    // In the wall of a closed room, nearer to its inside.
    let goal = DVec3::new(35.9, 0.0, 32.0);
    let path = room(0.0, 0.0)
        .path(DVec3::new(50.0, 0.0, 40.0), goal, NODES)
        .expect("up to the wall");
    let end = *path.last().expect("it is not empty");
    assert!(level_distance(end, goal) < 2.0 && end.x > 36.5, "{path:?}");
}

#[test]
fn a_goal_just_off_the_map_leads_to_its_border() {
    let world = World::flat(64.0);
    let path = world
        .path(
            DVec3::new(30.0, 0.0, 32.0),
            DVec3::new(-0.5, 0.0, 32.0),
            NODES,
        )
        .expect("to the border");
    let end = *path.last().expect("it is not empty");
    assert!(
        world.is_free(end, PLAYER.radius, PLAYER.height) && end.x < 2.0,
        "{path:?}"
    );
}

#[test]
fn the_limit_on_nodes_holds() {
    let world = room(1.8, 0.0);
    let (start, goal) = (DVec3::new(50.0, 0.0, 32.0), DVec3::new(32.0, 0.0, 32.0));
    assert_eq!(world.path(start, goal, 5), None);
    assert!(world.path(start, goal, NODES).is_some());
}

#[test]
fn a_goal_in_a_crate_leads_beside_it() {
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [0.7, 0.7, 0.7], 0.0)]);
    let path = world
        .path(
            DVec3::new(10.0, 0.0, 32.0),
            DVec3::new(32.0, 0.0, 32.0),
            NODES,
        )
        .expect("next to it");
    let end = *path.last().expect("it is not empty");
    assert!(
        world.is_free(end, PLAYER.radius, PLAYER.height)
            && level_distance(end, DVec3::new(32.0, 0.0, 32.0)) < 2.5
    );
}

#[test]
fn nobody_is_sent_up_a_cliff() {
    // A ridge of 8 m along x = 32, walkable round its end at z > 48.
    let mut heights = b"TSHEIGHT".to_vec();
    heights.extend(17u32.to_le_bytes());
    for index in 0..17 * 17 {
        let ridge = index % 17 == 8 && index / 17 <= 12;
        heights.extend((if ridge { 4000u16 } else { 0 }).to_le_bytes());
    }
    let text = r#"
format = 1
name = "ridge"
size = 64.0
terrain = { heights = "ridge.heights", cell = 4.0, base = 0.0, step = 0.002 }
spawn_points = [[16.0, 32.0]]
loot_points = []
boxes = []
"#;
    let world = World::parse(text, &heights).unwrap_or_else(|error| panic!("{error}"));
    let (start, goal) = (DVec3::new(16.0, 0.0, 30.0), DVec3::new(48.0, 0.0, 30.0));
    let path = world.path(start, goal, NODES).expect("round the end");
    assert!(path.iter().any(|point| point.z > 48.0), "{path:?}");
    follow(&world, start, &path).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_low_ledge_is_part_of_the_floor() {
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [4.0, 0.15, 4.0], 0.0)]);
    let path = world
        .path(
            DVec3::new(10.0, 0.0, 32.0),
            DVec3::new(32.0, 0.0, 32.0),
            NODES,
        )
        .expect("straight");
    assert_eq!(path.len(), 1);
    assert!(
        path[0].distance(DVec3::new(32.0, 0.301, 32.0)) < 1e-9,
        "{path:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_step_of_a_path_can_be_walked(seed: u64, near in 5.0..60.0) {
        let (world, mut dice) = (island(), Dice(seed));
        let start = *dice.choose(world.loot_points());
        let goals: Vec<DVec3> =
            world.loot_points().iter().copied().filter(|goal| level_distance(start, *goal) < near + 60.0).collect();
        let goal = *dice.choose(&goals);
        if let Some(path) = world.path(start, goal, NODES) {
            let end = follow(world, start, &path).map_err(TestCaseError::fail)?;
            prop_assert!(level_distance(end, goal) < 0.1, "ended at {end} instead of {goal}");
            for point in &path {
                prop_assert!(world.is_free(*point, PLAYER.radius, PLAYER.height), "{point} is not free");
            }
            prop_assert_eq!(world.path(start, goal, NODES), Some(path), "another answer the second time");
        }
    }
}
