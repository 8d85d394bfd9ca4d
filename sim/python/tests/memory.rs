//! Interpreters that end give their arenas back. Alone in its process, since it measures that.
#![cfg(target_os = "linux")]

mod common;

use common::Mode;

const LIVES: u64 = 20;

/// Anonymous memory of this process, KiB.
fn anonymous_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it");
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:"));
    let number = line
        .and_then(|line| line.split_whitespace().nth(1))
        .expect("and this line");
    number.parse().expect("a number of kB")
}

/// The modules are those in which a shared static type or a dangling pointer would show.
const LIBRARY: &str = r#"
    import asyncio, collections, dataclasses, datetime, decimal, enum, json, logging
    import re, sqlite3, struct, typing, zoneinfo
    class Probe(Entity):
        brain: object = field(None)
        def tick(self, dt):
            third = str(decimal.Decimal(1) / 3)
            self.brain = [third, json.dumps({"a": [1, 2]}), len(self.near(9.0))]
            self.spawn(Probe)
    def start(world): world.spawn(Probe)
"#;

#[test]
fn twenty_lives_and_deaths() {
    let mode = Mode::new(LIBRARY);
    let live = || {
        let mut zone = mode.zone();
        zone.run_start();
        for _ in 0..4 {
            zone.step();
        }
        zone.assert_clean();
        zone.scripts.memory_bytes() as u64 >> 10
    };
    let arenas_kib = (0..3).map(|_| live()).min().expect("three lives");
    let before = anonymous_kib();
    (0..LIVES).for_each(|_| {
        live();
    });
    let grown = anonymous_kib().saturating_sub(before) / LIVES;
    // Without unmapping a life would cost all its arenas, 7 MiB here; without thawing what was frozen,
    // 2 MiB; without freeing the tables of the arenas 0.4 MiB.
    assert!(arenas_kib > 5000, "{arenas_kib} KiB of arenas");
    assert!(
        grown < 512,
        "{grown} KiB of {arenas_kib} KiB lost in each life"
    );
}
