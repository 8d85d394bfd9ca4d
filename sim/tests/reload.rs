//! New code takes over a running match at a tick boundary, or leaves it alone.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{configuration, field, rows};
use tessera_protocol::ValueRef;
use tessera_python::ModeSource;
use tessera_sim::{ReloadError, Reloaded, SimConfig, Simulation, TickInputs};

const CODE: &str = "
from tessera import NOBODY, Entity, Match, Vec3, field, find, u32, i32

class Watch(Match):
    pass

class Counter(Entity):
    count: u32 = field(0)
    def tick(self, dt):
        self.count += 1
        self.send(self.id, 'note', self.count)
    def on_note(self, sender, count):
        assert count == self.count, 'a message got lost'

def start(world):
    world.spawn(Watch, position=Vec3(1.0, 0.0, 1.0))
    for place in range(10):
        world.spawn(Counter, position=Vec3(place * 100.0, 0.0, place * 100.0))
";

/// A match of this code in four zones, and the folder that it was read from.
fn start() -> (Simulation, tempfile::TempDir) {
    start_with(|_| ())
}

fn start_with(change: impl FnOnce(&mut SimConfig)) -> (Simulation, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), CODE);
    let mut config = SimConfig {
        mode: folder.path().join("counting"),
        ..configuration("swarm", 3, 2, 2)
    };
    change(&mut config);
    (Simulation::start(config).expect("a good mode"), folder)
}

fn write(folder: &Path, code: &str) {
    let mode = folder.join("counting");
    std::fs::create_dir_all(&mode).expect("a folder");
    std::fs::write(mode.join("__init__.py"), code).expect("a file");
}

/// Loads new code and steps until it has taken over, or has not.
fn reload(
    simulation: &mut Simulation,
    folder: &Path,
    code: &str,
) -> Arc<Result<Reloaded, ReloadError>> {
    write(folder, code);
    let mode = ModeSource::read(&folder.join("counting")).expect("a mode's folder");
    simulation.reload(mode).expect("no other is under way");
    for _ in 0..10_000 {
        let output = simulation.step(&TickInputs::default()).expect("it goes on");
        if let Some(told) = output.reload {
            return told;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the reload never ended");
}

/// Whether all counters have counted every tick so far, each by `step`.
fn counts(simulation: &Simulation) -> Vec<u32> {
    let count = field(simulation, "Counter", "count");
    let rows = rows(simulation, simulation.snapshot(), "Counter");
    let counts = rows.iter().map(|row| match row.field(count) {
        ValueRef::U32(count) => count,
        other => panic!("a count is {other:?}"),
    });
    counts.collect()
}

#[test]
fn new_code_takes_over_where_the_old_one_was() {
    let (mut simulation, folder) = start();
    for _ in 0..5 {
        simulation.step(&TickInputs::default()).expect("it goes on");
    }
    let code = CODE.replace("self.count += 1\n", "self.count += 1000\n");
    let told = reload(&mut simulation, folder.path(), &code);
    assert_eq!(told.as_ref().as_ref().expect("it fits").added.len(), 0);
    // The tick that told of it was the first of the new code.
    let ticks = simulation.tick().0;
    assert_eq!(counts(&simulation), [ticks - 1 + 1000; 10]);
    let report = simulation.report();
    assert_eq!(report.hook_errors(), 0, "{:?}", report.zones);
}

/// Nobody sees the end of loading it.
const ENDLESS: &str = "
while True:
    try:
        pass
    except BaseException:
        pass
";

#[test]
fn code_that_never_has_loaded_is_refused_and_the_match_goes_on() {
    let (mut simulation, folder) = start_with(|config| {
        config.supervision.load_timeout = Some(Duration::from_secs(1));
    });
    let told = reload(&mut simulation, folder.path(), &format!("{CODE}{ENDLESS}"));
    let error = told.as_ref().as_ref().expect_err("it never has loaded");
    assert!(error.to_string().contains("Preempted"), "{error}");
    assert_eq!(counts(&simulation), [simulation.tick().0; 10]);
    let told = reload(&mut simulation, folder.path(), CODE);
    assert!(told.is_ok(), "{told:?}");
}

#[test]
fn a_match_ends_while_code_is_loading_that_never_will_have() {
    let (mut simulation, folder) = start();
    write(folder.path(), &format!("{CODE}{ENDLESS}"));
    let mode = ModeSource::read(&folder.path().join("counting")).expect("a mode's folder");
    simulation.reload(mode).expect("no other is under way");
    simulation.step(&TickInputs::default()).expect("it goes on");
    drop(simulation);
}

#[test]
fn a_new_field_begins_with_its_default_wherever_it_stands_and_whoever_sees_it() {
    let (mut simulation, folder) = start();
    // The first tick of the new code reads the state that the old one made, near and far.
    let code = CODE.replace(
        "    count: u32 = field(0)\n    def tick(self, dt):\n",
        "    debt: i32 = field(-7, to=NOBODY)\n    shown: u32 = field(5)\n    count: u32 = field(0)\n    \
         title: str = field('none', max=8)\n    def tick(self, dt):\n        \
         others = find(Counter)\n        assert {o.count for o in others} == {self.count}\n        \
         assert {(o.debt, o.shown, o.title) for o in others} == {(-7, 5, 'none')}\n",
    );
    let told = reload(&mut simulation, folder.path(), &code);
    let added = &told.as_ref().as_ref().expect("it fits").added;
    assert_eq!(*added, ["Counter.debt", "Counter.shown", "Counter.title"]);
    for _ in 0..3 {
        for (name, value) in [("debt", ValueRef::I32(-7)), ("shown", ValueRef::U32(5))] {
            let field = field(&simulation, "Counter", name);
            let rows = rows(&simulation, simulation.snapshot(), "Counter");
            assert!(rows.iter().all(|row| row.field(field) == value), "{name}");
        }
        assert_eq!(counts(&simulation), [simulation.tick().0; 10]);
        simulation.step(&TickInputs::default()).expect("it goes on");
    }
    let report = simulation.report();
    assert_eq!(report.hook_errors(), 0, "{:?}", report.zones);
}

#[test]
fn a_new_kind_may_come_before_those_that_there_were() {
    let (mut simulation, folder) = start();
    let code = CODE
        .replace(
            "class Watch(Match):\n    pass\n",
            "class Flag(Entity):\n    age: u32 = field(0)\n    def tick(self, dt):\n        \
             self.age += 1\n\nclass Watch(Match):\n    pass\n",
        )
        .replace(
            "        self.count += 1\n",
            "        self.count += 1\n        \
             if self.id == min(c.id for c in find(Counter)):\n            \
             self.spawn(Flag, position=self.position)\n",
        );
    let told = reload(&mut simulation, folder.path(), &code);
    let added = &told.as_ref().as_ref().expect("it fits").added;
    assert_eq!(*added, ["Flag"]);
    for flags in 1..4 {
        let flagged = rows(&simulation, simulation.snapshot(), "Flag");
        assert_eq!(flagged.len(), flags);
        assert_eq!(counts(&simulation), [simulation.tick().0; 10]);
        assert_eq!(simulation.audit().lost + simulation.audit().doubled, 0);
        simulation.step(&TickInputs::default()).expect("it goes on");
    }
    let report = simulation.report();
    assert_eq!(report.hook_errors(), 0, "{:?}", report.zones);
}

#[test]
fn code_that_does_not_fit_is_refused_with_the_reason_and_the_match_goes_on() {
    let (mut simulation, folder) = start();
    for (code, says) in [
        (
            CODE.replace("self.count += 1\n", "self.count +=\n"),
            "__init__.py:10",
        ),
        (
            CODE.replace("count: u32", "count: i32"),
            "Counter.count has another type than before, i32 in place of u32: keep the field as it was, or \
             restart the server",
        ),
        (
            CODE.replace("count: u32 = field(0", "count: u32 = field(0, to=NOBODY"),
            "Counter.count has another audience than before, nobody in place of everyone: keep",
        ),
        (
            CODE.replace(
                "    count: u32 = field(0)\n",
                "    other: u32 = field(0, to=NOBODY)\n",
            ),
            "Counter.count is not declared any more",
        ),
        (
            CODE.replace("Counter", "Teller"),
            "Counter is not declared any more",
        ),
    ] {
        let told = reload(&mut simulation, folder.path(), &code);
        let error = told.as_ref().as_ref().expect_err(says).to_string();
        assert!(error.contains(says), "{says:?} is not in: {error}");
        assert_eq!(counts(&simulation), [simulation.tick().0; 10]);
    }
    assert_eq!(simulation.report().restarts(), 0);
}
