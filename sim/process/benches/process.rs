//! What a process zone costs: a restart, and a tick in which nothing happens.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use tessera_process::{ForkServer, Map, ProcessConfig, ProcessZone, SnapshotSlots};
use tessera_protocol::columns::KindTable;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::{Snapshot, SnapshotHeader, ZoneBatch};
use tessera_python::{ModeSource, ScriptConfig};
use tessera_world::World;

fn assets(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets")
        .join(path)
}

fn snapshot(tick: u32, tables: &[KindTable]) -> Snapshot {
    let header = SnapshotHeader {
        tick: Tick(tick),
        ..SnapshotHeader::default()
    };
    Snapshot::seal(header, &[&ZoneBatch::of(ZoneId(0), tables)], None)
}

fn step(zone: &mut ProcessZone, tick: u32) {
    let snapshot = snapshot(tick, zone.tables());
    zone.begin_tick(Tick(tick), &snapshot);
    zone.run_hooks(&Vec::new(), &[], &[]).expect("it runs");
    zone.gather().expect("it gathers");
    black_box(zone.changed());
    zone.outbox().clear();
}

/// From the end of a process to the first tick of the one that takes over: the royale with a hundred
/// players, on the map that it is played on.
fn restart(c: &mut Criterion) {
    let map = assets("maps/island.toml");
    let mode = ModeSource::read(&assets("modes/royale")).expect("the mode is there");
    let scripts = ScriptConfig {
        zone: ZoneId(0),
        seed: 7,
        tick_hz: 64,
        halo_m: 120.0,
        mode: Arc::new(mode),
        options: [(
            "fill_bots".to_owned(),
            tessera_python::OptionValue::Int(100),
        )]
        .into(),
        world: Arc::new(World::load(&map).expect("the map is there")),
        memory_cap: Some(256 << 20),
        check: false,
        logged: Arc::default(),
    };
    let config = ProcessConfig {
        program: env!("CARGO_BIN_EXE_tessera-zone-host").into(),
        arguments: Vec::new(),
        map: Map::File(map),
        prepared: scripts.world.prepared().into(),
        packages: Vec::new(),
    };
    let slots = SnapshotSlots::new().expect("shared memory");
    let forks = ForkServer::new(config.clone(), slots.clone());
    let program = || ProcessZone::start(&scripts, &config, &slots).expect("it starts");
    let fork = || forks.start(&scripts).expect("it starts");
    let mut zone = fork();
    zone.run_start().expect("it starts");
    let spawns = std::mem::take(&mut zone.outbox().spawns);
    for (spawn, id) in spawns.iter().zip(1..) {
        zone.insert(spawn.kind, EntityId(id), &spawn.row)
            .expect("it fits");
    }
    for tick in 0..20 {
        step(&mut zone, tick);
    }
    let mut tick = 20;
    let mut group = c.benchmark_group("process");
    group.sample_size(20);
    let ways: [(&str, &dyn Fn() -> ProcessZone); 2] = [
        ("restart as a fork", &fork),
        ("restart as a program", &program),
    ];
    for (name, start) in ways {
        group.bench_function(name, |b| {
            b.iter(|| {
                zone.handle().kill();
                let tables = zone.tables().to_vec();
                zone = start();
                let mut row = Vec::new();
                for (kind, table) in (0..).map(KindId).zip(&tables) {
                    for (at, id) in table.ids.iter().enumerate() {
                        row.clear();
                        table.write_row(at, &mut row);
                        zone.insert(kind, *id, &row).expect("it fits");
                    }
                }
                step(&mut zone, tick);
                tick += 1;
            });
        });
    }
    zone = fork();
    group.bench_function("an empty tick", |b| {
        b.iter(|| {
            step(&mut zone, tick);
            tick += 1;
        });
    });
}

criterion_group!(benches, restart);
criterion_main!(benches);
