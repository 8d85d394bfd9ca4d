//! The island in `assets/maps` is fit to play on.

mod common;

use common::{PLAYER, island};
use glam::DVec3;

#[test]
fn it_is_a_square_kilometre_with_room_for_a_match() {
    let world = island();
    assert_eq!((world.name(), world.size()), ("island", 1000.0));
    assert_eq!(
        (world.spawn_points().len(), world.loot_points().len()),
        (120, 400)
    );
    assert!(world.boxes().len() > 2000);
}

#[test]
fn its_points_are_free_and_on_the_ground() {
    let world = island();
    for point in world.spawn_points().iter().chain(world.loot_points()) {
        assert_eq!(point.y, world.ground(point.x, point.z));
        assert!(
            world.is_free(*point, PLAYER.radius, PLAYER.height),
            "{point}"
        );
        let moved = world.move_character(&PLAYER, *point, DVec3::NEG_Y * 0.2, 1.0 / 64.0);
        assert!(
            moved.grounded && moved.position.distance(*point) < 0.01,
            "{point}: {moved:?}"
        );
    }
}

#[test]
fn one_can_walk_from_anywhere_to_all_loot() {
    let world = island();
    let start = world.spawn_points()[0];
    for point in world.spawn_points().iter().chain(world.loot_points()) {
        let path = world.path(start, *point, 1_000_000);
        let end = path.as_ref().and_then(|path| path.last());
        assert_eq!(end, Some(point), "no way from {start}");
    }
}

#[test]
fn most_of_it_can_be_walked_on() {
    let world = island();
    let steep = (0..1_000_000).step_by(7).filter(|at| {
        let (x, z) = (f64::from(at % 1000) + 0.5, f64::from(at / 1000) + 0.5);
        let rise = |dx: f64, dz: f64| (world.ground(x + dx, z + dz) - world.ground(x, z)).abs();
        rise(0.4, 0.0).max(rise(0.0, 0.4)) > 0.4
    });
    let share = steep.count() as f64 / (1_000_000.0 / 7.0);
    assert!(share < 0.02, "{share} is steep");
}

#[test]
fn its_hash_is_known() {
    // Fails when the map changes: then take over the new one. Equal hashes are what lets a client
    // join.
    assert_eq!(format!("{:016x}", island().hash()), "78397a382636e7a4");
}
