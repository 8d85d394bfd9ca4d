//! What cannot start, or be born, says why.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tessera_protocol::ValueRef;
use tessera_sim::{Grid, Isolation, SimConfig, SimError, Simulation, Supervision, TickInputs};
use tessera_world::World;

fn start(source: &str, change: impl FnOnce(&mut SimConfig)) -> Result<Simulation, SimError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = folder.path().join("broken");
    std::fs::create_dir(&mode).expect("a fresh folder");
    std::fs::write(mode.join("__init__.py"), source).expect("a fresh file");
    let mut config = SimConfig {
        world: Arc::new(World::flat(1000.0)),
        mode,
        options: BTreeMap::new(),
        seed: 1,
        tick_hz: 64,
        grid: Grid::even(2, 1, 1000.0).expect("a small grid"),
        halo_m: 80.0,
        clock: || 0,
        cpu_clock: || 0,
        supervision: Supervision::default(),
        isolation: Isolation::Thread,
    };
    change(&mut config);
    Simulation::start(config)
}

fn error_of(result: Result<Simulation, SimError>) -> String {
    match result {
        Ok(_) => panic!("it should not start"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_syntax_error_names_file_and_line() {
    let error = error_of(start(
        "from tessera import Match\n\ndef start(world)\n    pass\n",
        |_| (),
    ));
    assert!(error.contains("__init__.py:3"), "{error}");
}

#[test]
fn an_exception_in_start_names_file_and_line() {
    let error = error_of(start(
        "from tessera import Match\nclass M(Match):\n    pass\n\ndef start(world):\n    world.spawn(1)\n",
        |_| (),
    ));
    assert!(error.contains("__init__.py:6"), "{error}");
}

/// Catches whatever breaks it off.
const ENDLESS: &str = "while True:\n        try:\n            pass\n        except BaseException:\n            pass\n";

#[test]
fn what_never_ends_is_broken_off_with_its_line() {
    let limited = |config: &mut SimConfig| {
        config.supervision.load_timeout = Some(Duration::from_secs(1));
    };
    let error = error_of(start(&format!("if True:\n    {ENDLESS}"), limited));
    assert!(error.contains("Preempted"), "{error}");
    assert!(error.contains("__init__.py:"), "{error}");
    let in_start = format!(
        "from tessera import Match\nclass M(Match):\n    pass\n\ndef start(world):\n    {ENDLESS}"
    );
    let error = error_of(start(&in_start, limited));
    assert!(error.contains("Preempted"), "{error}");
    assert!(error.contains("__init__.py:"), "{error}");
}

#[test]
fn numbers_out_of_range_name_the_field() {
    let error = error_of(start("", |config| config.tick_hz = 0));
    assert!(error.contains("tick_hz is 0"), "{error}");
    let error = error_of(start("", |config| config.halo_m = f64::NAN));
    assert!(error.contains("halo_m is NaN"), "{error}");
}

#[test]
fn a_full_match_has_no_room_for_more_in_any_zone() {
    let source = "
from tessera import Entity, Match, Vec3, field
class M(Match):
    pass
class Unit(Entity):
    pass
class Mother(Entity):
    refused: bool = field(False)
    def tick(self, dt):
        try:
            self.spawn(Unit)
        except RuntimeError as error:
            assert '65536 have room' in str(error), error
            self.refused = True
def start(world):
    world.spawn(M)
    for x in (100.0, 900.0):
        world.spawn(Mother, position=Vec3(x, 0.0, 500.0))
    for _ in range(65_532):
        world.spawn(Unit)
";
    let mut simulation = start(source, |_| ()).expect("one fewer than are too many");
    // The last two are born in one tick, in which there was room for each.
    for (entities, refused) in [(65_537, false), (65_537, true)] {
        let output = simulation.step(&TickInputs::default()).expect("it goes on");
        assert_eq!(output.snapshot.len(), entities);
        let mothers = common::rows(&simulation, &output.snapshot, "Mother");
        let field = common::field(&simulation, "Mother", "refused");
        for mother in mothers {
            assert_eq!(mother.field(field), ValueRef::Bool(refused));
        }
    }
    assert_eq!(simulation.report().hook_errors(), 0);
}
