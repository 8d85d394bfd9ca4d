//! Characters walk, climb, slide, fall, and never end where they can't be.

mod common;

use common::{Dice, GRAVITY, PLAYER, island, standing_box};
use glam::DVec3;
use proptest::prelude::*;
use tessera_world::{BoxKind, Character, Moved, Solid, World};

const DT: f64 = 1.0 / 64.0;
const MIDDLE: DVec3 = DVec3::new(32.0, 0.0, 32.0);

/// Moves with gravity for some ticks, the level velocity given anew each tick, as a game does.
fn walk(world: &World, from: DVec3, level: DVec3, ticks: usize) -> Moved {
    let mut moved = Moved {
        position: from,
        velocity: DVec3::ZERO,
        grounded: false,
    };
    for _ in 0..ticks {
        let velocity = level.with_y(moved.velocity.y - GRAVITY * DT);
        moved = world.move_character(&PLAYER, moved.position, velocity, DT);
    }
    moved
}

fn close(a: DVec3, b: DVec3) -> bool {
    a.distance(b) < 0.01
}

/// A flat map that rises along +x by `rise` metres over each of two cells of 4 m, from x = 32 to
/// 40.
fn slope(rise: f64) -> World {
    slope_with(rise, "")
}

/// The same with boxes, as entries of a map's file.
fn slope_with(rise: f64, boxes: &str) -> World {
    let mut heights = b"TSHEIGHT".to_vec();
    heights.extend(17u32.to_le_bytes());
    for index in 0..17 * 17 {
        let cells_up = f64::from((index % 17 - 8).clamp(0, 2));
        heights.extend(((rise * cells_up * 500.0) as u16).to_le_bytes());
    }
    let head = r#"
format = 1
name = "slope"
size = 64.0
terrain = { heights = "slope.heights", cell = 4.0, base = 0.0, step = 0.002 }
spawn_points = [[16.0, 32.0]]
loot_points = []
"#;
    World::parse(&format!("{head}boxes = [{boxes}]"), &heights)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn on_flat_ground_one_gets_as_far_as_one_walks() {
    let moved = walk(&World::flat(64.0), MIDDLE, DVec3::new(3.0, 0.0, 4.0), 64);
    assert!(
        close(moved.position, MIDDLE + DVec3::new(3.0, 0.0, 4.0)),
        "{moved:?}"
    );
    assert!(moved.grounded);
    assert_eq!(moved.velocity.y, 0.0);
}

#[test]
fn a_wall_takes_the_motion_into_it_and_leaves_the_rest() {
    let world = World::flat_with(64.0, vec![standing_box(34.0, 32.0, [1.0, 2.0, 10.0], 0.0)]);
    let moved = walk(&world, MIDDLE, DVec3::new(4.0, 0.0, 2.0), 64);
    assert!(
        close(moved.position, DVec3::new(32.6, 0.0, 34.0)),
        "{moved:?}"
    );
    assert_eq!((moved.velocity.x, moved.velocity.z), (0.0, 2.0));
}

#[test]
fn a_jump_against_a_wall_rises_as_any() {
    // What rounding leaves of the motion into a face or a corner is no contact, let alone eight.
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [2.0, 4.0, 1.0], 0.3)]);
    for turn in 0..2000 {
        let towards = DVec3::new(libm::sin(f64::from(turn)), 0.0, libm::cos(f64::from(turn)));
        let pressed = walk(&world, MIDDLE - towards * 4.0, towards * 5.0, 64).position;
        let jumped = world.move_character(&PLAYER, pressed, towards.with_y(1.0) * 5.0, DT);
        assert!(
            (jumped.position.y - 5.0 * DT).abs() < 1e-9,
            "{turn}: {jumped:?}"
        );
    }
}

#[test]
fn one_stops_in_a_corner() {
    let walls = vec![
        standing_box(34.0, 32.0, [1.0, 2.0, 10.0], 0.0),
        standing_box(32.0, 34.0, [10.0, 2.0, 1.0], 0.0),
    ];
    let moved = walk(
        &World::flat_with(64.0, walls),
        MIDDLE,
        DVec3::new(4.0, 0.0, 3.0),
        64,
    );
    assert!(
        close(moved.position, DVec3::new(32.6, 0.0, 32.6)),
        "{moved:?}"
    );
}

#[test]
fn an_acute_corner_stops_one_for_good() {
    // Two walls whose near ends meet; the angle between them, open towards -x, is about 60°.
    let walls = vec![
        standing_box(36.0, 34.0, [6.0, 2.0, 0.5], 0.52),
        standing_box(36.0, 30.0, [6.0, 2.0, 0.5], -0.52),
    ];
    let moved = walk(
        &World::flat_with(64.0, walls),
        MIDDLE - DVec3::X * 4.0,
        DVec3::new(6.0, 0.0, 0.3),
        256,
    );
    assert_eq!(moved.velocity, DVec3::ZERO, "{moved:?}");
}

#[test]
fn one_walks_round_a_pillar() {
    let world = World::flat_with(64.0, vec![standing_box(34.0, 32.0, [0.5, 2.0, 0.5], 0.7)]);
    let moved = walk(&world, MIDDLE + DVec3::Z * 0.2, DVec3::X * 4.0, 192);
    assert!(moved.position.x > 38.0, "{moved:?}");
}

#[test]
fn a_ledge_is_walked_up_to_the_step_and_no_higher() {
    let ledge = |top: f64| {
        World::flat_with(
            64.0,
            vec![standing_box(36.0, 32.0, [2.0, top / 2.0, 4.0], 0.0)],
        )
    };
    let low = walk(&ledge(0.39), MIDDLE, DVec3::X * 4.0, 64);
    assert!(
        close(low.position, DVec3::new(36.0, 0.391, 32.0)),
        "{low:?}"
    );
    assert!(low.grounded);
    let high = walk(&ledge(0.41), MIDDLE, DVec3::X * 4.0, 64);
    assert!(
        close(high.position, DVec3::new(33.6, 0.0, 32.0)),
        "{high:?}"
    );
}

#[test]
fn stairs_lead_up_and_down_again() {
    let mut steps: Vec<Solid> = (0..10)
        .map(|i| {
            standing_box(
                34.0 + 0.3 * f64::from(i),
                32.0,
                [0.15, 0.16 * f64::from(i + 1), 1.0],
                0.0,
            )
        })
        .collect();
    steps.push(standing_box(38.0, 32.0, [1.15, 1.6, 1.0], 0.0));
    let world = World::flat_with(64.0, steps);
    let up = walk(&world, MIDDLE, DVec3::X * 4.0, 90);
    assert!(close(up.position, DVec3::new(37.625, 3.2, 32.0)), "{up:?}");
    let mut down = up;
    for _ in 0..90 {
        down = world.move_character(
            &PLAYER,
            down.position,
            DVec3::new(-4.0, -GRAVITY * DT, 0.0),
            DT,
        );
        assert!(down.grounded, "walking down stairs is no fall: {down:?}");
    }
    assert!(close(down.position, MIDDLE), "{down:?}");
}

#[test]
fn no_step_up_under_a_low_ceiling() {
    let ledge = standing_box(36.0, 32.0, [2.0, 0.15, 4.0], 0.0);
    let ceiling = Solid::new(
        BoxKind::Roof,
        DVec3::new(36.0, 2.5, 32.0),
        DVec3::new(2.0, 0.5, 4.0),
        0.0,
    );
    let moved = walk(
        &World::flat_with(64.0, vec![ledge, ceiling]),
        MIDDLE,
        DVec3::X * 4.0,
        64,
    );
    assert!(
        close(moved.position, DVec3::new(33.6, 0.0, 32.0)),
        "{moved:?}"
    );
}

#[test]
fn gentle_slopes_are_climbed_at_full_speed_and_steep_ones_not() {
    // 4.7 m over a cell of 4 m is 49.6°, 4.8 m is 50.2°.
    let gentle = walk(&slope(4.7), DVec3::new(30.0, 0.0, 32.0), DVec3::X * 4.0, 64);
    assert!(
        close(gentle.position, DVec3::new(34.0, 2.35, 32.0)),
        "{gentle:?}"
    );
    assert!(gentle.grounded);
    let steep = walk(
        &slope(4.8),
        DVec3::new(30.0, 0.0, 32.0),
        DVec3::X * 4.0,
        256,
    );
    assert!(steep.position.x < 32.1, "{steep:?}");
}

#[test]
fn downhill_one_stays_on_the_ground() {
    let world = slope(3.0);
    let mut moved = Moved {
        position: DVec3::new(39.0, world.ground(39.0, 32.0), 32.0),
        velocity: DVec3::ZERO,
        grounded: true,
    };
    for _ in 0..64 {
        moved = world.move_character(
            &PLAYER,
            moved.position,
            DVec3::new(-6.0, -GRAVITY * DT, 0.0),
            DT,
        );
        assert!(moved.grounded, "{moved:?}");
    }
    assert!(
        close(moved.position, DVec3::new(33.0, 0.75, 32.0)),
        "{moved:?}"
    );
}

#[test]
fn one_slides_down_a_cliff_and_can_not_climb_it_by_jumping_against_it() {
    let world = slope(8.0);
    let slid = walk(&world, DVec3::new(38.0, 12.0, 32.0), DVec3::ZERO, 128);
    assert!(slid.position.x < 32.1 && slid.grounded, "{slid:?}");
    let mut moved = Moved {
        position: DVec3::new(30.0, 0.0, 32.0),
        velocity: DVec3::ZERO,
        grounded: true,
    };
    for _ in 0..640 {
        let jump = if moved.grounded {
            4.5
        } else {
            moved.velocity.y - GRAVITY * DT
        };
        moved = world.move_character(&PLAYER, moved.position, DVec3::new(5.0, jump, 0.0), DT);
        assert!(moved.position.y < 1.6, "{moved:?}");
    }
}

#[test]
fn along_a_wall_uphill_one_stays_on_the_ground() {
    // The wall turns the walk aside, so that the slope is climbed more slowly than it was begun.
    let wall = r#"{ kind = "wall", at = [37.0, 3.0, 33.0], half = [8.0, 9.0, 0.5], yaw = 0.9 }"#;
    let world = slope_with(3.0, wall);
    // Without a step to be put down by, an overshoot would show.
    let character = Character {
        step: 0.0,
        ..PLAYER
    };
    let mut moved = Moved {
        position: DVec3::new(33.0, 0.75, 33.0),
        velocity: DVec3::ZERO,
        grounded: true,
    };
    for _ in 0..64 {
        let velocity = DVec3::new(8.0, -GRAVITY * DT, 0.0);
        moved = world.move_character(&character, moved.position, velocity, DT);
        assert!(moved.grounded, "{moved:?}");
    }
    assert!(
        moved.position.x > 35.0 && moved.position.z < 32.0,
        "{moved:?}"
    );
}

#[test]
fn where_the_ground_rises_under_a_ceiling_one_stops_and_stays() {
    let ceiling = r#"{ kind = "roof", at = [36.0, 4.0, 32.0], half = [4.0, 0.5, 8.0], yaw = 0.0 }"#;
    let world = slope_with(3.0, ceiling);
    let moved = walk(&world, DVec3::new(30.0, 0.0, 32.0), DVec3::X * 4.0, 128);
    assert!(
        close(moved.position, DVec3::new(34.265, 1.699, 32.0)),
        "{moved:?}"
    );
    let later = walk(&world, moved.position, DVec3::X * 4.0, 640);
    assert_eq!(later.position, moved.position);
}

#[test]
fn a_kerb_at_the_foot_of_a_cliff_is_no_way_up() {
    let kerb = r#"{ kind = "wall", at = [31.95, 0.1, 32.0], half = [0.05, 0.2, 8.0], yaw = 0.0 }"#;
    let world = slope_with(8.0, kerb);
    for ticks in 1..256 {
        let moved = walk(&world, DVec3::new(31.0, 0.0, 32.0), DVec3::X * 8.0, ticks);
        assert!(moved.position.y < 0.35, "{moved:?}");
    }
}

#[test]
fn between_a_cliff_and_a_wall_one_can_stand_and_jump() {
    let wall = r#"{ kind = "wall", at = [32.5, 3.0, 32.0], half = [0.5, 9.0, 8.0], yaw = 0.0 }"#;
    let moved = walk(
        &slope_with(8.0, wall),
        DVec3::new(34.0, 8.0, 32.0),
        DVec3::ZERO,
        128,
    );
    assert!(
        close(moved.position, DVec3::new(33.401, 2.802, 32.0)),
        "{moved:?}"
    );
    assert!(moved.grounded && moved.velocity.y == 0.0, "{moved:?}");
}

#[test]
fn a_jump_leaves_the_ground_and_comes_back() {
    let world = World::flat(64.0);
    let mut moved = world.move_character(&PLAYER, MIDDLE, DVec3::Y * 4.5, DT);
    let (mut top, mut ticks) = (0f64, 1);
    while !moved.grounded {
        moved = world.move_character(
            &PLAYER,
            moved.position,
            moved.velocity - DVec3::Y * (GRAVITY * DT),
            DT,
        );
        (top, ticks) = (top.max(moved.position.y), ticks + 1);
    }
    assert!((top - 4.5 * 4.5 / (2.0 * GRAVITY)).abs() < 0.05, "{top}");
    assert!(
        (ticks as f64 * DT - 2.0 * 4.5 / GRAVITY).abs() < 0.05,
        "{ticks}"
    );
    assert_eq!(moved.velocity, DVec3::ZERO);
}

#[test]
fn a_ceiling_ends_a_jump() {
    let ceiling = Solid::new(
        BoxKind::Roof,
        DVec3::new(32.0, 2.5, 32.0),
        DVec3::new(4.0, 0.5, 4.0),
        0.0,
    );
    let world = World::flat_with(64.0, vec![ceiling]);
    let moved = world.move_character(&PLAYER, MIDDLE, DVec3::Y * 40.0, DT);
    assert!(
        close(moved.position, DVec3::new(32.0, 0.2, 32.0)),
        "{moved:?}"
    );
    assert_eq!(moved.velocity.y, 0.0);
}

#[test]
fn the_map_ends_at_its_borders() {
    let moved = walk(
        &World::flat(64.0),
        MIDDLE,
        DVec3::new(-60.0, 0.0, 20.0),
        128,
    );
    assert!(
        close(moved.position, DVec3::new(0.4, 0.0, 63.6)),
        "{moved:?}"
    );
    let outside =
        World::flat(64.0).move_character(&PLAYER, DVec3::new(-900.0, 0.0, 1e300), DVec3::ZERO, DT);
    assert!(
        close(outside.position, DVec3::new(0.4, 0.0, 63.6)),
        "{outside:?}"
    );
}

#[test]
fn one_who_starts_in_something_is_pushed_out() {
    let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [1.0, 1.0, 1.0], 0.3)]);
    for start in [
        DVec3::new(31.2, 0.5, 32.1),
        DVec3::new(32.0, 1.7, 32.0),
        DVec3::new(33.3, -3.0, 32.0),
    ] {
        let moved = world.move_character(&PLAYER, start, DVec3::ZERO, DT);
        assert!(
            world.is_free(moved.position, PLAYER.radius, PLAYER.height),
            "{start}: {moved:?}"
        );
    }
}

/// Free, on the map, not in the ground: by no more than rounding.
fn check_place(world: &World, character: &Character, moved: &Moved) -> Result<(), TestCaseError> {
    let Moved {
        position, velocity, ..
    } = *moved;
    prop_assert!(position.is_finite() && velocity.is_finite(), "{moved:?}");
    prop_assert!(
        position.y >= world.ground(position.x, position.z),
        "in the ground: {moved:?}"
    );
    prop_assert!(
        world.is_free(position, character.radius, character.height),
        "in a box or off the map: {moved:?}"
    );
    Ok(())
}

/// Walks, runs, jumps and is thrown about for some steps on the island.
fn wander(seed: u64, steps: usize, dt: f64) -> Result<(), TestCaseError> {
    let (world, mut dice) = (island(), Dice(seed));
    let start = if dice.uniform(0.0, 1.0) < 0.5 {
        world.loot_points()
    } else {
        world.spawn_points()
    };
    let mut moved = Moved {
        position: *dice.choose(start),
        velocity: DVec3::ZERO,
        grounded: true,
    };
    let mut level = DVec3::ZERO;
    for _ in 0..steps {
        if dice.uniform(0.0, 1.0) < 0.03 {
            let speed = *dice.choose(&[0.0, 1.5, 5.0, 8.0, 60.0]);
            level = DVec3::new(dice.uniform(-1.0, 1.0), 0.0, dice.uniform(-1.0, 1.0))
                .normalize_or_zero()
                * speed;
        }
        let up = if dice.uniform(0.0, 1.0) < 0.02 {
            dice.uniform(0.0, 60.0)
        } else {
            moved.velocity.y - GRAVITY * dt
        };
        moved = world.move_character(&PLAYER, moved.position, level.with_y(up), dt);
        check_place(world, &PLAYER, &moved)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn a_walker_never_ends_in_a_box_or_below_the_ground(seed: u64) {
        wander(seed, 2_000, 1.0 / 64.0)?;
        wander(seed, 1_000, 1.0 / 32.0)?;
    }
}

proptest! {
    #[test]
    fn nothing_is_fast_enough_to_pass_a_thin_wall(
        yaw in -3.1..3.1, at in -3.0..3.0, aim in -3.0..3.0, speed in 1.0..60.0,
        slow_ticks: bool, height in 0.0..2.0,
    ) {
        // A wall of 2 cm; the thrown one starts on its near side and may end anywhere there.
        let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [12.0, 3.0, 0.01], yaw)]);
        let (cos, sin) = (libm::cos(yaw), libm::sin(yaw));
        let turn = |x: f64, z: f64| DVec3::new(x * cos + z * sin, 0.0, z * cos - x * sin);
        let start = MIDDLE + turn(at, 2.0) + DVec3::Y * height;
        let target = MIDDLE + turn(aim, -2.0);
        let towards: DVec3 = target - start;
        let velocity = towards.normalize() * speed;
        let dt = if slow_ticks { 1.0 / 32.0 } else { 1.0 / 64.0 };
        let mut position = start;
        for _ in 0..40 {
            position = world.move_character(&PLAYER, position, velocity, dt).position;
            let side = (position - MIDDLE).dot(turn(0.0, 1.0));
            let along = (position - MIDDLE).dot(turn(1.0, 0.0));
            prop_assert!(side >= 0.41 || along.abs() > 11.0, "through the wall at {position}");
        }
    }

    #[test]
    fn no_input_makes_a_nan(
        position in prop::array::uniform3(prop::num::f64::ANY),
        velocity in prop::array::uniform3(prop::num::f64::ANY),
        radius in prop::num::f64::ANY, height in prop::num::f64::ANY,
        step in prop::num::f64::ANY, dt in prop::num::f64::ANY,
    ) {
        let world = World::flat_with(64.0, vec![standing_box(32.0, 32.0, [3.0, 1.0, 3.0], 0.3)]);
        let character = Character { radius, height, step };
        let (position, velocity) = (DVec3::from(position), DVec3::from(velocity));
        let moved = world.move_character(&character, position, velocity, dt);
        prop_assert!(moved.position.is_finite() && moved.velocity.is_finite(), "{moved:?}");
        for coordinate in [moved.position.x, moved.position.z] {
            prop_assert!((0.0..=64.0).contains(&coordinate), "{moved:?}");
        }
    }

    #[test]
    fn moves_are_repeatable(seed: u64) {
        let (world, mut dice) = (island(), Dice(seed));
        let position = *dice.choose(world.loot_points());
        let velocity = DVec3::new(dice.uniform(-9.0, 9.0), dice.uniform(-9.0, 3.0), dice.uniform(-9.0, 9.0));
        let once = world.move_character(&PLAYER, position, velocity, DT);
        prop_assert_eq!(once, world.move_character(&PLAYER, position, velocity, DT));
    }
}
