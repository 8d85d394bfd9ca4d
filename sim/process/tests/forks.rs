//! What the fork server promises: zones that are its forks start again, outlive it, and do without it.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Mode, Solo, process, scripts};
use rustix::process::{Pid, Signal, kill_process};
use tessera_process::{ForkServer, ForkTally, ProcessConfig, SnapshotSlots};
use tessera_python::ScriptConfig;

const COUNTER: &str = "
class Counter(Entity):
    n: u32 = field(0)

    def tick(self, dt):
        self.n += 1

def start(world):
    world.spawn(Counter)
";

fn fork_server(config: ProcessConfig) -> (ForkServer, SnapshotSlots) {
    let slots = SnapshotSlots::new().expect("shared memory");
    (ForkServer::new(config, slots.clone()), slots)
}

fn solo(forks: &ForkServer, scripts: &ScriptConfig, slots: &SnapshotSlots) -> Solo {
    let zone = forks
        .start(scripts)
        .unwrap_or_else(|error| panic!("{error}"));
    Solo::of(zone, slots.clone())
}

/// Kills a process by its number.
fn kill(id: u32) {
    let pid = Pid::from_raw(id as i32).expect("a process");
    kill_process(pid, Signal::KILL).expect("it runs");
}

fn parent_of(id: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(") ").expect("a name, then the rest");
    let parent = rest.split(' ').nth(1).expect("the parent");
    parent.parse().expect("a number")
}

#[test]
fn a_zone_that_was_killed_gets_another_fork_of_the_same_server() {
    let mode = Mode::new(COUNTER);
    let config = scripts(&mode.folder());
    let (forks, slots) = fork_server(process());
    assert_eq!(forks.id(), None);
    let mut first = solo(&forks, &config, &slots);
    let server = forks.id().expect("it has forked");
    first.step().expect("it lives");
    kill(first.zone.id());
    let gone = first.step().expect_err("it was killed");
    assert_eq!(gone.0, "its process was ended by signal 9 (SIGKILL)");
    let mut second = solo(&forks, &config, &slots);
    second.step().expect("it lives");
    assert_eq!(second.field(1, "n"), "U32(1)");
    assert_eq!(forks.id(), Some(server));
    let tally = ForkTally {
        forks: 2,
        programs: 0,
        ends: 0,
    };
    assert_eq!(forks.tally(), tally);
}

#[test]
fn zones_are_children_of_the_server_and_outlive_the_fork_server() {
    let mode = Mode::new(COUNTER);
    let config = scripts(&mode.folder());
    let (forks, slots) = fork_server(process());
    let mut first = solo(&forks, &config, &slots);
    assert_eq!(parent_of(first.zone.id()), std::process::id());
    let server = forks.id().expect("it has forked");
    kill(server);
    first.step().expect("it lives");
    let mut second = solo(&forks, &config, &slots);
    assert_ne!(forks.id(), Some(server));
    let tally = ForkTally {
        forks: 2,
        programs: 0,
        ends: 1,
    };
    assert_eq!(forks.tally(), tally);
    // The one that was killed has been waited for.
    assert!(!std::path::Path::new(&format!("/proc/{server}")).exists());
    for solo in [&mut first, &mut second] {
        solo.step().expect("it lives");
    }
    // They keep the thread that they are children of.
    drop(forks);
    first.step().expect("it lives");
}

#[test]
fn other_code_has_a_fork_server_of_its_own() {
    let (old, new) = (
        Mode::new(COUNTER),
        Mode::new(&COUNTER.replace("+= 1", "+= 2")),
    );
    let (forks, slots) = fork_server(process());
    let mut first = solo(&forks, &scripts(&old.folder()), &slots);
    let server = forks.id();
    let mut second = solo(&forks, &scripts(&new.folder()), &slots);
    assert_ne!(forks.id(), server);
    for (solo, n) in [(&mut first, "U32(1)"), (&mut second, "U32(2)")] {
        solo.step().expect("it lives");
        assert_eq!(solo.field(1, "n"), n);
    }
    let mut third = solo(&forks, &scripts(&old.folder()), &slots);
    third.step().expect("it lives");
    assert_eq!(third.field(1, "n"), "U32(1)");
    assert_eq!((forks.tally().forks, forks.tally().ends), (3, 0));
}

#[test]
fn without_a_fork_server_zones_are_programs_of_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (program, tried) = (folder.path().join("host"), folder.path().join("tried"));
    let script = format!(
        "#!/bin/sh\n[ -e {tried} ] && exec {program}\n: > {tried}\nexit 1\n",
        tried = tried.display(),
        program = process().program.display(),
    );
    std::fs::write(&program, script).expect("a file");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("a file of ours");
    let (forks, slots) = fork_server(ProcessConfig {
        program,
        ..process()
    });
    let mode = Mode::new(COUNTER);
    let mut solo = solo(&forks, &scripts(&mode.folder()), &slots);
    solo.step().expect("it lives");
    assert_eq!((forks.tally().forks, forks.tally().programs), (0, 1));
    assert_eq!(forks.id(), None);
}

#[test]
fn a_mode_that_does_not_load_costs_its_fork_only() {
    let (forks, slots) = fork_server(process());
    // Neither what doesn't compile nor what warns is a matter for the fork server.
    let broken = Mode::new("x = \"\\d\"\nclass One(Entity):\n    def\n");
    let error = forks.start(&scripts(&broken.folder())).err();
    let error = error.expect("it doesn't load").to_string();
    assert!(error.contains("__init__.py:5: "), "{error}");
    let exits = Mode::new("import os\nos._exit(3)\n");
    let error = forks.start(&scripts(&exits.folder())).err();
    let ended = "zones.isolation = \"process\": a zone's process ended before it had loaded the mode: its process exited \
         with code 3; what it said is in the log";
    assert_eq!(error.expect("it ends").to_string(), ended);
    let works = Mode::new(COUNTER);
    let mut solo = solo(&forks, &scripts(&works.folder()), &slots);
    solo.step().expect("it lives");
    assert_eq!((forks.tally().forks, forks.tally().ends), (3, 0));
}

#[test]
fn forks_differ_in_nothing_that_the_mode_left_behind() {
    // What the modules do is done anew in each, on nothing that another has written to.
    let mode = Mode::new(
        "import sys\nsys.tessera_loads = getattr(sys, 'tessera_loads', 0) + 1\n\
         class Counter(Entity):\n    n: u32 = field(0)\n    def tick(self, dt):\n        self.n = sys.tessera_loads\n\
         def start(world):\n    world.spawn(Counter)\n",
    );
    let config = scripts(&mode.folder());
    let (forks, slots) = fork_server(process());
    for _ in 0..3 {
        let mut solo = solo(&forks, &config, &slots);
        solo.step().expect("it lives");
        assert_eq!(solo.field(1, "n"), "U32(1)");
    }
}
