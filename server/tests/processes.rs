//! Zones in processes: the same match, and what ends one process costs nobody else anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tessera_process::{Map, ProcessConfig};
use tessera_protocol::ValueRef;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{ClientId, EntityId, ZoneId};
use tessera_sim::{
    Grid, IncidentKind, Isolation, RestartReason, SimConfig, Simulation, Supervision, TickInputs,
    TickOutput,
};
use tessera_world::World;

const SIZE_M: f64 = 1000.0;

fn processes() -> Isolation {
    Isolation::Process(ProcessConfig {
        program: env!("CARGO_BIN_EXE_tessera").into(),
        arguments: vec!["zone-host".into()],
        map: Map::Flat(SIZE_M),
        prepared: Arc::default(),
        packages: Vec::new(),
    })
}

fn configuration(mode: PathBuf, columns: usize, rows: usize, isolation: Isolation) -> SimConfig {
    SimConfig {
        world: Arc::new(World::flat(SIZE_M)),
        mode,
        options: Default::default(),
        seed: 11,
        tick_hz: 64,
        grid: Grid::even(columns, rows, SIZE_M).expect("a small grid"),
        halo_m: 80.0,
        clock: || 0,
        cpu_clock: || 0,
        supervision: Supervision {
            spares: 1,
            ..Supervision::default()
        },
        isolation,
    }
}

fn mode(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../sim/tests/modes")
        .join(name)
}

/// The hashes of so many ticks; at each boundary that `replace_every` divides a zone gets a new process.
fn hashes(config: SimConfig, ticks: u32, replace_every: Option<u32>) -> Vec<u64> {
    let mut simulation = Simulation::start(config).unwrap_or_else(|error| panic!("{error}"));
    let mut hashes = Vec::new();
    for tick in 1..=ticks {
        let mut inputs = TickInputs::default();
        if tick <= 8 {
            let client = ClientId(tick as u16);
            inputs.joins.push((client, format!("client {tick}")));
        }
        inputs.commands = (1..tick.min(8) as u16)
            .map(|client| {
                let command = Command {
                    move_x: 0.5,
                    yaw: f32::from(client) - 3.0,
                    buttons: (tick % 64) as u16,
                    view: 700,
                    ..Command::default()
                };
                (ClientId(client), command)
            })
            .collect();
        let output = simulation.step(&inputs).expect("it goes on");
        let lost = output.incidents.iter().any(|incident| match incident.what {
            IncidentKind::Lost { reason, .. } => reason != RestartReason::Asked,
            _ => false,
        });
        assert!(!lost, "{:?}", output.incidents);
        hashes.push(output.snapshot.state_hash());
        if replace_every.is_some_and(|every| tick.is_multiple_of(every)) {
            let zone = ZoneId((tick as usize % simulation.zones()) as u8);
            simulation.replace_zone(zone).expect("another process");
        }
    }
    hashes
}

#[test]
fn a_match_in_processes_is_the_match_on_threads() {
    for name in ["swarm", "crossing", "gallery"] {
        let on_a_thread = configuration(mode(name), 1, 1, Isolation::Thread);
        let expected = hashes(on_a_thread, 96, None);
        for (columns, rows) in [(1, 1), (2, 2)] {
            let config = configuration(mode(name), columns, rows, processes());
            assert!(
                hashes(config, 96, None) == expected,
                "{name}, {columns}x{rows}"
            );
        }
    }
}

#[test]
fn a_process_that_takes_over_at_a_boundary_goes_on_with_the_same_match() {
    // Its shots go back in time, to before the process began.
    let on_threads = configuration(mode("gallery"), 2, 2, Isolation::Thread);
    let expected = hashes(on_threads, 80, None);
    let config = configuration(mode("gallery"), 2, 2, processes());
    assert!(hashes(config, 80, Some(7)) == expected);
}

/// Units that look at each other from afar, by the descriptors of their slots too.
const LOOKING: &str = "
from tessera import *

class Unit(Entity):
    n: u32 = field(0)

    def tick(self, dt):
        assert [Unit.n.__get__(unit) for unit in find(Unit)] == [self.n] * 4
        other = next(unit for unit in find(Unit) if unit.id != self.id)
        for write in (lambda: Unit.n.__set__(other, 7), lambda: Unit.n.__delete__(other)):
            try:
                write()
            except AttributeError:
                continue
            raise AssertionError('a view was written')
        self.n += 1

def start(world):
    for n in range(4):
        world.spawn(Unit, position=Vec3(100.0 + 250.0 * n, 0.0, 100.0))
";

#[test]
fn in_a_process_views_are_read_and_guarded_as_on_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = folder.path().join("looking");
    std::fs::create_dir(&mode).expect("a folder");
    std::fs::write(mode.join("__init__.py"), LOOKING).expect("a file");
    for isolation in [Isolation::Thread, processes()] {
        let config = configuration(mode.clone(), 4, 1, isolation);
        let mut simulation = Simulation::start(config).unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..4 {
            simulation.step(&TickInputs::default()).expect("it goes on");
        }
        let report = simulation.report();
        assert_eq!(report.hook_errors(), 0, "{:?}", report.zones);
    }
}

/// Counters all over the map, one of which ends its process when its client says how.
const SABOTAGE: &str = "
import ctypes, os
from tessera import *

class Counter(Entity):
    n: u32 = field(0)
    restarts: u32 = field(0)

    def command(self, cmd):
        if cmd.buttons == 1:
            os._exit(3)
        if cmd.buttons == 2:
            ctypes.string_at(8)
        if cmd.buttons == 3:
            ctypes.CDLL(None).kill(os.getpid.__wrapped__(), 9)

    def on_restart(self):
        self.restarts += 1

    def tick(self, dt):
        self.n += 1

class Game(Match):
    def on_join(self, sender, client, name):
        self.spawn(Counter, owner=client, position=Vec3(100.0, 0.0, 100.0))

def start(world):
    world.spawn(Game)
    for x in range(10):
        for z in range(10):
            world.spawn(Counter, position=Vec3(50.0 + 100.0 * x, 0.0, 50.0 + 100.0 * z))
";

/// Each counter's count, by zone and id.
fn counts(simulation: &Simulation, output: &TickOutput) -> Vec<(ZoneId, EntityId, u32, u32)> {
    let table = simulation.field_table();
    let kind = table.kind("Counter").expect("it is declared");
    let field = |name| table.kinds[kind.index()].field(name).expect("a field");
    let (n, restarts) = (field("n"), field("restarts"));
    let number = |value| match value {
        ValueRef::U32(number) => number,
        other => panic!("a count is {other:?}"),
    };
    let rows = output.snapshot.rows_of(kind);
    let counts = rows.map(|row| {
        let (n, restarts) = (number(row.field(n)), number(row.field(restarts)));
        (row.zone(), row.id(), n, restarts)
    });
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, id, _, _)| *id);
    counts
}

#[test]
fn the_end_of_a_process_costs_its_zone_one_tick_and_nobody_else_anything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = folder.path().join("sabotage");
    std::fs::create_dir(&mode).expect("a folder");
    std::fs::write(mode.join("__init__.py"), SABOTAGE).expect("a file");
    let ends = [
        (1, "its process exited with code 3"),
        (
            2,
            "its process was ended by signal 11 (SIGSEGV, a segmentation fault)",
        ),
        (3, "its process was ended by signal 9 (SIGKILL)"),
    ];
    for (buttons, reason) in ends {
        let config = configuration(mode.clone(), 2, 2, processes());
        let mut simulation = Simulation::start(config).unwrap_or_else(|error| panic!("{error}"));
        let mut inputs = TickInputs::default();
        inputs.joins.push((ClientId(0), "saboteur".into()));
        simulation.step(&inputs).expect("it goes on");
        let mut before = Vec::new();
        for _ in 0..3 {
            let output = simulation.step(&TickInputs::default()).expect("it goes on");
            before = counts(&simulation, &output);
        }
        while simulation.spares() == 0 {
            let output = simulation.step(&TickInputs::default()).expect("it goes on");
            before = counts(&simulation, &output);
        }
        let mut inputs = TickInputs::default();
        let command = Command {
            buttons,
            ..Command::default()
        };
        inputs.commands.push((ClientId(0), command));
        let output = simulation.step(&inputs).expect("it goes on");
        let lost = output
            .incidents
            .iter()
            .find_map(|incident| match &incident.what {
                IncidentKind::Lost { reason, why } => Some((incident.zone, *reason, why.as_str())),
                _ => None,
            });
        assert_eq!(lost, Some((ZoneId(0), RestartReason::Gone, reason)));
        let after = counts(&simulation, &output);
        assert_eq!(before.len(), after.len());
        for (&(zone, id, n, _), &(_, same, now, _)) in before.iter().zip(&after) {
            assert_eq!(id, same);
            let ticks = u32::from(zone != ZoneId(0));
            assert_eq!(now, n + ticks, "{id:?} in {zone:?}");
        }
        let output = simulation.step(&TickInputs::default()).expect("it goes on");
        for (&(_, id, n, _), &(zone, _, now, restarts)) in
            after.iter().zip(&counts(&simulation, &output))
        {
            assert_eq!(now, n + 1, "{id:?}");
            assert_eq!(restarts, u32::from(zone == ZoneId(0)), "{id:?}");
        }
    }
}

/// The processes whose parent is this one, the oldest first.
fn children(of: u32) -> Vec<u32> {
    let born = |id: u32| -> Option<(u64, u32)> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        (fields[1] == of.to_string()).then_some((fields[19].parse().ok()?, id))
    };
    let names = std::fs::read_dir("/proc").expect("a system with /proc");
    let ids = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut children: Vec<_> = ids.filter_map(born).collect();
    children.sort_unstable();
    children.into_iter().map(|(_, id)| id).collect()
}

/// Waits until something is there, for half a minute at most.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed().as_secs() < 30, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A process that is killed at the latest when this is dropped.
struct Doomed(std::process::Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_fork_server_starts_again_and_no_process_outlives_the_server() {
    const ZONES: usize = 4;
    let server = std::process::Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["simulate", "--isolation", "process", "--players", "4"])
        .args(["--zones", "4", "--ticks", "100000000"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the server starts");
    let (id, server) = (server.id(), Doomed(server));
    let all = || {
        let children = children(id);
        (children.len() > ZONES).then_some(children)
    };
    let before = wait_for("zones and their fork server", all);
    let kill = |id: u32| {
        let pid = rustix::process::Pid::from_raw(id as i32).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    };
    kill(before[0]);
    let after = wait_for("another fork server", || {
        let now = children(id);
        let fresh = now.iter().any(|id| !before.contains(id));
        (fresh && !now.contains(&before[0])).then_some(now)
    });
    // The zones are not its children, and have not noticed.
    assert!(before[1..=ZONES].iter().all(|id| after.contains(id)));
    drop(server);
    wait_for("the end of all zones", || {
        let is_left = |id: &u32| Path::new("/proc").join(id.to_string()).exists();
        (!after.iter().any(is_left)).then_some(())
    });
}
