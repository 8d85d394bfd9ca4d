//! What the host itself costs: gathering slots, calling hooks, finding neighbours, sending.
//!
//! `cargo bench -p tessera-python --bench host`. Figures are for a whole zone of 400 entities.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::{Mode, Zone};
use criterion::{Criterion, criterion_group, criterion_main};
use tessera_protocol::ids::{EntityId, KindId};

const ENTITIES: u32 = 400;

/// Ten fields: five base fields, five of its own.
fn zone(tick: &str) -> (Mode, Zone) {
    let mode = Mode::new(&format!(
        "class Unit(Entity):\n\
         \x20   health: f32 = field(100.0)\n\
         \x20   ammo: u8 = field(30)\n\
         \x20   alive: bool = field(True)\n\
         \x20   target: ref = field(0)\n\
         \x20   name: str = field('somebody', max=24)\n\
         {tick}\n\
         def start(world):\n\
         \x20   for n in range({ENTITIES}):\n\
         \x20       world.spawn(Unit, position=Vec3(n % 20 * 10, 0, n // 20 * 10))\n"
    ));
    let mut zone = mode.zone();
    zone.run_start();
    (mode, zone)
}

/// Times `measured` between the parts of a tick that are not.
fn ticks(
    zone: &mut Zone,
    iterations: u64,
    measured: fn(&mut Zone),
    rest: fn(&mut Zone),
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let before = Instant::now();
        measured(zone);
        total += before.elapsed();
        rest(zone);
        zone.scripts.outbox().clear();
    }
    zone.assert_clean();
    total
}

fn hooks(zone: &mut Zone) {
    zone.scripts.run_hooks(&Vec::new(), &[], &[]);
}

fn gather(zone: &mut Zone) {
    zone.scripts.gather();
    black_box(zone.scripts.changed());
}

fn begin(zone: &mut Zone) {
    zone.begin();
}

fn gathers(c: &mut Criterion) {
    let cases = [
        ("nothing changed", "    def tick(self, dt): pass"),
        (
            "one f64 vector",
            "    def tick(self, dt): self.position = self.position + Vec3(1e-3, 0, 0)",
        ),
        ("one f32", "    def tick(self, dt): self.health -= 0.001"),
        (
            "all ten written, five changed",
            "    def tick(self, dt):\n\
             \x20       self.position = self.position + Vec3(1e-3, 0, 0)\n\
             \x20       self.velocity = Vec3(1, 0, 0)\n\
             \x20       self.yaw += 0.001; self.pitch = 0.0; self.owner = 0\n\
             \x20       self.health -= 0.001; self.ammo = (self.ammo + 1) % 256; self.alive = True\n\
             \x20       self.target += 1; self.name = 'some' + 'body'",
        ),
    ];
    let mut group = c.benchmark_group("gather 400 x 10");
    for (name, tick) in cases {
        let (_mode, mut zone) = zone(tick);
        zone.begin();
        hooks(&mut zone);
        group.bench_function(name, |b| {
            b.iter_custom(|iterations| {
                ticks(&mut zone, iterations, gather, |zone| {
                    begin(zone);
                    hooks(zone);
                })
            });
        });
    }
    group.finish();
}

fn calls(c: &mut Criterion) {
    let cases = [
        ("empty tick", "    def tick(self, dt): pass"),
        (
            "an f32 and a vector written",
            "    def tick(self, dt):\n\
             \x20       self.health -= dt\n\
             \x20       self.position = self.position + Vec3(dt, 0, 0)",
        ),
        ("near(30)", "    def tick(self, dt): self.near(30.0, Unit)"),
        (
            "send of three",
            "    def tick(self, dt): self.send(1, 'hit', 3.0, 'rifle')",
        ),
        ("random", "    def tick(self, dt): self.random()"),
    ];
    let mut group = c.benchmark_group("hooks of 400");
    for (name, tick) in cases {
        let (_mode, mut zone) = zone(tick);
        zone.begin();
        group.bench_function(name, |b| {
            b.iter_custom(|iterations| {
                ticks(&mut zone, iterations, hooks, |zone| {
                    gather(zone);
                    begin(zone);
                })
            });
        });
    }
    group.finish();
}

fn scatter(c: &mut Criterion) {
    let (_mode, mut zone) = zone("    pass");
    let row = zone.row(1);
    c.bench_function("insert and remove one of 400", |b| {
        b.iter(|| {
            zone.scripts
                .insert(KindId(0), EntityId(9000), &row)
                .expect("it fits");
            zone.scripts.remove(EntityId(9000));
            zone.scripts.release();
        });
    });
}

fn starts(c: &mut Criterion) {
    let mode = Mode::new("class Unit(Entity): pass");
    let mut group = c.benchmark_group("interpreter");
    group.sample_size(20);
    group.bench_function("start and end", |b| b.iter(|| mode.zone()));
    group.finish();
}

criterion_group!(benches, gathers, calls, scatter, starts);
criterion_main!(benches);
