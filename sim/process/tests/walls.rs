//! What scripts can't do in a process zone, and what it costs the others when they break it.

mod common;

use common::{By, Mode, Solo, process, scripts, start};
use tessera_process::{ForkServer, Map, ProcessConfig, ProcessZone, SnapshotSlots};

/// A mode of one entity whose `tick` is `body`; `said` is a text field of it.
fn doer(before: &str, body: &str) -> Mode {
    let body = body.replace('\n', "\n        ");
    Mode::new(&format!(
        r#"
{before}

def attempt(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

class Doer(Entity):
    said: str = field("", max=200)

    def tick(self, dt):
        {body}

def start(world):
    world.spawn(Doer)
"#
    ))
}

/// What the entity said in its first tick: the walls are the same however the process came to be.
fn said(before: &str, body: &str) -> String {
    let mode = doer(before, body);
    let [fork, program] = [By::Fork, By::Program].map(|by| {
        let mut solo = Solo::by(by, &scripts(&mode.folder()));
        solo.step().expect("the zone lives on");
        assert_eq!(solo.errors(), [""; 0], "{by:?}");
        solo.field(1, "said")
    });
    assert_eq!(fork, program);
    fork
}

/// The text as a `Var` of its bytes shows it.
fn text(text: &str) -> String {
    format!("Var({:?})", text.as_bytes())
}

/// Calls of the C library, by which scripts get past every guard in Python.
const C: &str = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\ndef call(name, *args):\n    ctypes.set_errno(0)\n    result = getattr(libc, name)(*args)\n    return ctypes.get_errno() if result == -1 else -result";

#[test]
fn files_are_read_and_not_written() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display();
    let body = format!(
        "path = b'{path}'
self.said = str([call('open', path, 1), call('open', path, 2), call('open', path + b'2', 0o101, 0o600),
    call('unlink', path), call('rename', path, path + b'2'), call('truncate', path, 0),
    call('mkdir', path + b'2', 0o700), call('chmod', path, 0o777), call('symlink', path, path + b'2'),
    call('open', path, 0) < 0])"
    );
    let eperm = "[1, 1, 1, 1, 1, 1, 1, 1, 1, True]";
    assert_eq!(said(C, &body), text(eperm));
    assert!(file.path().exists());
}

#[test]
fn there_are_no_sockets_processes_or_threads() {
    let body = "self.said = str([call('socket', 1, 1, 0), call('socket', 2, 1, 0), call('fork'), call('vfork'),
    call('kill', os.getppid.__wrapped__(), 9), call('ptrace', 16, 1, 0, 0), call('memfd_create', b'x', 0),
    call('execl', b'/bin/true', b'true', None), call('setrlimit', 7, b' ' * 16), call('prctl', 4, 1, 0, 0, 0)])
self.said += ' ' + attempt(lambda: _thread.start_new_thread(print, ()))";
    let before = format!("import os, _thread\n{C}");
    assert_eq!(
        said(&before, body),
        text("[1, 1, 1, 1, 1, 1, 1, 1, 1, 1] RuntimeError")
    );
}

#[test]
fn the_mode_is_confined_while_it_loads() {
    let mode = Mode::new(&format!(
        "{C}\nassert call('socket', 1, 1, 0) == 1\nclass One(Entity):\n    pass\ndef start(world):\n    world.spawn(One)\n"
    ));
    for by in [By::Fork, By::Program] {
        let mut solo = Solo::by(by, &scripts(&mode.folder()));
        solo.step().expect("the zone lives");
    }
}

#[test]
fn only_the_zones_own_descriptors_are_open() {
    let secret = std::fs::File::open("/dev/null").expect("a file");
    // As a careless library would leave it.
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).expect("a descriptor");
    let body = "open = [fd for fd in range(64) if call('fcntl', fd, 1, 0) <= 0]
self.said = str([fd for fd in open if fd > 2].__len__()) + str(len(os.environ))";
    // The bell and the control socket; two variables.
    assert_eq!(said(&format!("import os\n{C}"), body), text("22"));
}

#[test]
fn standard_input_is_empty_and_output_goes_to_the_log() {
    let body = "self.said = repr(os.read(0, 10))\nos.write(1, b'to the log\\n')\nos.write(2, b'x' * 10_000_000)";
    // What doesn't fit the pipe is refused, not waited for.
    assert_eq!(said("import os", body), text("b''"));
}

/// The reason that a tick of such a body gives for the zone's end.
fn end(before: &str, body: &str) -> String {
    let mode = doer(before, body);
    let [fork, program] = [By::Fork, By::Program].map(|by| {
        let mut solo = Solo::by(by, &scripts(&mode.folder()));
        let gone = solo.step().expect_err("the process ends");
        let again = solo.step().expect_err("it stays so");
        assert_eq!(gone, again, "{by:?}");
        gone.0
    });
    assert_eq!(fork, program);
    fork
}

#[test]
fn ends_of_all_kinds_are_noticed_and_named() {
    assert_eq!(
        end("import os", "os._exit(3)"),
        "its process exited with code 3"
    );
    let segfault = "its process was ended by signal 11 (SIGSEGV, a segmentation fault)";
    assert_eq!(end("import ctypes", "ctypes.string_at(8)"), segfault);
    assert_eq!(
        end(C, "call('abort')"),
        "its process was ended by signal 6 (SIGABRT)"
    );
    assert_eq!(
        end(C, "import os; call('kill', os.getpid.__wrapped__(), 9)"),
        "its process was ended by signal 9 (SIGKILL)"
    );
    assert_eq!(
        end(
            "import os",
            "[attempt(lambda: os.close(fd)) for fd in range(3, 10)]\nwhile True: pass"
        ),
        "its process closed the connection"
    );
}

#[test]
fn a_zone_that_hangs_in_c_code_is_killed_from_another_thread() {
    let mut solo = Solo::start(&doer("import ctypes", "ctypes.CDLL(None).sleep(1000)"));
    let handle = solo.zone.handle();
    let killer = std::thread::spawn(move || handle.kill());
    let gone = solo.step().expect_err("it is killed");
    assert_eq!(gone.0, "its process was ended by signal 9 (SIGKILL)");
    killer.join().expect("it kills");
}

#[test]
fn a_loop_is_preempted_from_another_thread() {
    let mut solo = Solo::start(&doer("", "while True: pass"));
    let (handle, done) = (solo.zone.handle(), std::sync::mpsc::channel::<()>());
    let preempter = std::thread::spawn(move || {
        while done
            .1
            .recv_timeout(std::time::Duration::from_millis(5))
            .is_err()
        {
            handle.preempt();
        }
    });
    solo.step().expect("the zone lives on");
    let _ = done.0.send(());
    preempter.join().expect("it preempts");
    assert_eq!(solo.zone.failed().len(), 1);
    assert_eq!(solo.zone.stats().preemptions, 1);
}

#[test]
fn another_zone_goes_on_from_the_slots() {
    let mode = Mode::new(
        "class Counter(Entity):\n    n: u32 = field(0)\n    def tick(self, dt):\n        self.n += 1\ndef start(world):\n    world.spawn(Counter)\n",
    );
    let mut solo = Solo::start(&mode);
    for _ in 0..20 {
        solo.step().expect("it lives");
    }
    solo.zone.handle().kill();
    let snapshot = solo.clock.snapshot(solo.zone.tables());
    while solo.step().is_ok() {}
    solo.zone = start(&scripts(&mode.folder()), &solo.slots).expect("another one");
    for row in snapshot.batches().flat_map(|batch| batch.rows()) {
        let mut bytes = Vec::new();
        row.write_row(&mut bytes);
        let inserted = solo.zone.insert(row.kind(), row.id(), &bytes);
        inserted.expect("a row of the snapshot");
    }
    let before: u32 = 20;
    solo.step().expect("it goes on");
    assert_eq!(solo.field(1, "n"), format!("U32({})", before + 1));
}

#[test]
fn what_cannot_start_says_why() {
    let mode = Mode::new("class One(Entity):\n    pass\n");
    let slots = SnapshotSlots::new().expect("shared memory");
    let fails = |config: &ProcessConfig| {
        let started = ProcessZone::start(&scripts(&mode.folder()), config, &slots);
        started.err().expect("it can't start").to_string()
    };
    let missing = ProcessConfig {
        program: "/no/such/program".into(),
        ..process()
    };
    assert!(
        fails(&missing)
            .starts_with("zones.isolation = \"process\": cannot start /no/such/program: ")
    );
    let other = ProcessConfig {
        program: "/bin/false".into(),
        ..process()
    };
    let ended =
        "a zone's process ended before it had loaded the mode: its process exited with code 1;";
    assert!(fails(&other).contains(ended), "{}", fails(&other));
    let elsewhere = ProcessConfig {
        map: Map::Flat(64.0),
        ..process()
    };
    assert!(fails(&elsewhere).contains("is not the map of this match"));

    let broken = Mode::new("class One(Entity):\n    x: u32 = field('no')\n");
    let error = start(&scripts(&broken.folder()), &slots).err();
    let error = error.expect("it doesn't load").to_string();
    assert!(error.contains("__init__.py:3: "), "{error}");
}

#[test]
fn memory_is_bounded() {
    let mode = doer(
        "import ctypes",
        "self.said = attempt(lambda: bytearray(1 << 30)) + attempt(lambda: [bytes(100) for _ in range(1 << 24)])
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
self.said += str(libc.malloc(ctypes.c_size_t(1 << 30)))",
    );
    let mut config = scripts(&mode.folder());
    config.memory_cap = Some(64 << 20);
    let mut solo = Solo::with(&config);
    solo.step().expect("the zone lives on");
    assert_eq!(solo.field(1, "said"), text("MemoryErrorMemoryErrorNone"));
    assert_eq!(solo.zone.memory().cap, Some(64 << 20));
}

#[test]
fn packages_can_be_imported_and_are_guarded_as_libraries_are() {
    let packages = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, text: &str| {
        let path = packages.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    // What numpy does: entropy while it is imported, and a generator that all share.
    write("numpy/__init__.py", "");
    write(
        "numpy/random/__init__.py",
        "from secrets import randbits\n__all__ = ['random', 'default_rng', 'Generator']\nSEED = randbits(8)\n\
         def random(): return SEED\ndef default_rng(seed=None): return randbits(8) if seed is None else seed\n",
    );
    let body =
        "self.said = ' '.join([attempt(numpy.random.random), attempt(numpy.random.default_rng),
    attempt(lambda: numpy.random.default_rng(7))])";
    let mode = doer("import numpy.random", body);
    let config = scripts(&mode.folder());
    let processes = ProcessConfig {
        packages: vec![packages.path().to_owned()],
        ..process()
    };
    let slots = SnapshotSlots::new().expect("shared memory");
    let program = ProcessZone::start(&config, &processes, &slots);
    let fork = ForkServer::new(processes, slots.clone()).start(&config);
    for zone in [program, fork] {
        let zone = zone.unwrap_or_else(|error| panic!("{error}"));
        let mut solo = Solo::of(zone, slots.clone());
        solo.step().expect("the zone lives on");
        assert_eq!(
            solo.field(1, "said"),
            text("DeterminismError DeterminismError done")
        );
    }
    // On a thread there are none.
    assert!(tessera_python::ScriptZone::start(&config).is_err());
}
