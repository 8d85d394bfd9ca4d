//! What the questions to the world cost, on the island: `cargo bench -p tessera-world`.
//!
//! Each round asks one question of a list drawn from a fixed seed, so that caches see a match
//! rather than one spot. parry's rays against the same terrain and boxes are there for comparison.
#![allow(missing_docs)] // criterion's macros make undocumented functions

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use common::{Dice, GRAVITY, PLAYER, island};
use criterion::{Criterion, criterion_group, criterion_main};
use glam::DVec3;
use parry3d_f64::math::{Pose, Vector};
use parry3d_f64::query::{Ray, RayCast};
use parry3d_f64::shape::{Compound, Cuboid, SharedShape};
use tessera_world::World;

const QUESTIONS: usize = 1024;
const EYES: DVec3 = DVec3::new(0.0, 1.6, 0.0);
const DT: f64 = 1.0 / 64.0;

/// Calls `ask` with one question after the other, round and round.
fn cycle<Q>(c: &mut Criterion, name: &str, questions: &[Q], mut ask: impl FnMut(&Q)) {
    let mut next = questions.iter().cycle();
    c.bench_function(name, |b| {
        b.iter(|| ask(next.next().expect("a cycle has no end")))
    });
}

/// Looks from eye height at loot points, most of which are in villages, nearly level.
fn looks(dice: &mut Dice) -> Vec<(DVec3, DVec3)> {
    let look = |_| {
        let (yaw, pitch) = (dice.uniform(-3.1, 3.1), dice.uniform(-0.1, 0.1));
        let dir = DVec3::new(
            -libm::sin(yaw) * libm::cos(pitch),
            libm::sin(pitch),
            -libm::cos(yaw) * libm::cos(pitch),
        );
        (*dice.choose(island().loot_points()) + EYES, dir)
    };
    (0..QUESTIONS).map(look).collect()
}

fn rays(c: &mut Criterion) {
    let (world, looks) = (island(), looks(&mut Dice(1)));
    for max in [100.0, 300.0] {
        cycle(c, &format!("raycast {max} m"), &looks, |(origin, dir)| {
            black_box(world.raycast(*origin, *dir, max));
        });
    }
    // Into the sky over the hills: nothing is met before the end.
    let free: Vec<_> = looks
        .iter()
        .map(|(origin, dir)| (*origin + DVec3::Y * 60.0, dir.with_y(0.0)))
        .collect();
    cycle(c, "raycast 300 m, nothing there", &free, |(origin, dir)| {
        black_box(world.raycast(*origin, *dir, 300.0));
    });
    let (ground, boxes) = parry(world);
    cycle(c, "raycast 300 m, parry", &looks, |(origin, dir)| {
        let ray = Ray::new(
            Vector::new(origin.x, origin.y, origin.z),
            Vector::new(dir.x, dir.y, dir.z),
        );
        black_box(ground.cast_ray(&Pose::IDENTITY, &ray, 300.0, true));
        black_box(boxes.cast_ray(&Pose::IDENTITY, &ray, 300.0, true));
    });
}

/// The same world in parry's shapes: a height field and a compound of cuboids in its bounding
/// volume hierarchy.
fn parry(world: &World) -> (SharedShape, Compound) {
    let height = |row: usize, column: usize| world.ground(column as f64 * 4.0, row as f64 * 4.0);
    let samples = parry3d_f64::utils::Array2::new(
        251,
        251,
        (0..251 * 251)
            .map(|at| height(at % 251, at / 251))
            .collect(),
    );
    let ground = SharedShape::heightfield(samples, Vector::new(1000.0, 1.0, 1000.0));
    let boxes = world.boxes().iter().map(|solid| {
        let centre = Vector::new(solid.centre.x, solid.centre.y, solid.centre.z);
        let half = Vector::new(solid.half.x, solid.half.y, solid.half.z);
        (
            Pose::new(centre, Vector::new(0.0, solid.yaw, 0.0)),
            SharedShape::new(Cuboid::new(half)),
        )
    });
    (ground, Compound::new(boxes.collect()))
}

fn moves(c: &mut Criterion) {
    let (world, mut dice) = (island(), Dice(2));
    let mut runner = |place: DVec3| {
        let level = DVec3::new(dice.uniform(-1.0, 1.0), 0.0, dice.uniform(-1.0, 1.0))
            .normalize_or_zero()
            * 5.0;
        (place, level.with_y(-GRAVITY * DT))
    };
    let open: Vec<_> = world
        .spawn_points()
        .iter()
        .map(|place| runner(*place))
        .collect();
    let village: Vec<_> = world
        .loot_points()
        .iter()
        .take(250)
        .map(|place| runner(*place))
        .collect();
    for (name, runners) in [("move in the open", open), ("move in a house", village)] {
        // Each runner goes on from where it came to, for a second, and then starts again.
        let mut running = runners.clone();
        let (mut turn, mut rounds) = (0, 0);
        c.bench_function(name, |b| {
            b.iter(|| {
                let (place, velocity) = running[turn];
                running[turn].0 =
                    black_box(world.move_character(&PLAYER, place, velocity, DT)).position;
                turn += 1;
                if turn == running.len() {
                    (turn, rounds) = (0, rounds + 1);
                    if rounds % 64 == 0 {
                        running.clone_from(&runners);
                    }
                }
            });
        });
    }
}

fn paths(c: &mut Criterion) {
    let (world, mut dice) = (island(), Dice(3));
    let points = world.loot_points();
    let mut ways = Vec::new();
    while ways.len() < 256 {
        let (start, goal) = (*dice.choose(points), *dice.choose(points));
        if (80.0..120.0).contains(&start.distance(goal)) {
            ways.push((start, goal));
        }
    }
    cycle(c, "path 100 m between loot", &ways, |(start, goal)| {
        black_box(world.path(*start, *goal, 4096));
    });
    let found = ways
        .iter()
        .filter(|(start, goal)| world.path(*start, *goal, 4096).is_some())
        .count();
    println!("path 100 m between loot: {found} of {} found", ways.len());
}

fn load(c: &mut Criterion) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/maps/island.toml");
    c.bench_function("load the island", |b| b.iter(|| World::load(&path)));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = rays, moves, paths, load
}
criterion_main!(benches);
