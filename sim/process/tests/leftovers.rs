//! That starts leave nothing behind: neither descriptors nor processes. Alone in its binary, since it
//! counts what the whole process has.

mod common;

use std::path::{Path, PathBuf};

use common::{Mode, process, scripts};
use tessera_process::{ForkServer, SnapshotSlots};

/// Descriptors that a process has open.
fn descriptors(process: &str) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{process}/fd"));
    folder.expect("it runs").count()
}

/// Where the system shows a process, also one that nobody has waited for.
fn shown(id: u32) -> PathBuf {
    Path::new("/proc").join(id.to_string())
}

#[test]
fn starts_and_ends_leave_nothing_behind() {
    let mode = Mode::new("class One(Entity):\n    pass\ndef start(world):\n    world.spawn(One)\n");
    let scripts = scripts(&mode.folder());
    let slots = SnapshotSlots::new().expect("shared memory");
    let before = descriptors("self");
    let forks = ForkServer::new(process(), slots.clone());
    drop(forks.start(&scripts).expect("it starts"));
    let server = forks.id().expect("it has forked");
    let each = [descriptors("self"), descriptors(&server.to_string())];
    for round in 0..20 {
        let mut zone = forks.start(&scripts).expect("it starts");
        let id = zone.id();
        assert!(shown(id).exists());
        match round % 3 {
            0 => zone.handle().kill(),
            1 => zone.run_start().expect("it starts"),
            _ => {}
        }
        drop(zone);
        assert!(!shown(id).exists(), "a zombie is left");
        let now = [descriptors("self"), descriptors(&server.to_string())];
        assert_eq!(now, each, "round {round}");
    }
    assert_eq!(forks.tally().forks, 21);
    drop(forks);
    assert!(!shown(server).exists(), "the fork server is left");
    assert_eq!(descriptors("self"), before);
}
