//! Scripts that want too much memory get a `MemoryError`, and the zone goes on.

mod common;

use common::{Mode, Zone, probes};
use tessera_protocol::ids::{EntityId, Tick};
use tessera_python::{FailureKind, ScriptZone};

const CAP: u64 = 64 << 20;

fn capped(mode: &Mode, cap: u64) -> Zone {
    let mut config = mode.config();
    config.memory_cap = Some(cap);
    Zone::start(&config)
}

/// A mode where entity 1 does what `body` says in tick 1, and entity 2 goes on counting.
fn greedy(body: &str) -> Mode {
    probes(2, 1, 2, body)
}

#[test]
fn too_much_is_an_error_and_comes_back() {
    for body in [
        "bytes(10 << 30)",
        "bytearray(10 << 30)",
        "'x' * (10 << 30)",
        "[None] * (10 << 30)",
        "endless = []\nwhile True: endless.append(len(endless))",
        "endless = []\nwhile True: endless.append(bytearray(1 << 20))",
        "endless = {}\nwhile True: endless[len(endless)] = [endless]",
        "endless = 'x'\nwhile True: endless += endless",
        "self.brain = []\nwhile True: self.brain.append((1.5, [2.5]))",
        "class Node:\n def __init__(self, last): self.last = last\nnode = None\n\
         while True: node = Node(node)",
        "list(iter(int, 1))",
        "def deep(n): return [bytes(100_000), deep(n + 1)]\nimport sys\n\
         sys.setrecursionlimit(100_000)\ndeep(0)",
    ] {
        let mode = greedy(body);
        let mut zone = capped(&mode, CAP);
        zone.run_start();
        zone.step();
        let before = zone.scripts.memory();
        assert!(before.denied == 0 && before.used < CAP / 2, "{before:?}");
        zone.step();
        assert_eq!(
            zone.scripts.failed(),
            [(EntityId(1), FailureKind::Raised)],
            "{body}"
        );
        let error = zone.errors()[0];
        assert!(
            error.starts_with("MemoryError") || error.starts_with("RecursionError"),
            "{body}: {error}"
        );
        assert_eq!(zone.scripts.stats().errors[0].hook, "Probe.tick");
        let meter = zone.scripts.memory_meter();
        let after = std::thread::spawn(move || meter.read())
            .join()
            .expect("no panic");
        if error.starts_with("MemoryError") {
            assert!(after.denied > 0, "{body}: {after:?}");
        }
        assert_eq!(after.cap, Some(CAP));
        // A little more is there for the traceback.
        assert!(after.peak <= CAP + (20 << 20), "{body}: {after:?}");
        zone.scripts.remove(EntityId(1));
        zone.scripts.collect_garbage(Tick(0));
        let used = zone.scripts.memory().used;
        assert!(
            used < before.used + (8 << 20),
            "{body}: {} MiB left",
            used >> 20
        );
        zone.step();
        assert_eq!(zone.field(2, "count"), "U32(3)");
    }
}

/// Neither error lets the other go unnoticed.
#[test]
fn a_script_without_memory_left_is_broken_off() {
    let mode = greedy(
        r#"
        kept = []
        while True:
            try:
                while True: kept.append(bytearray(1000))
            except MemoryError: break
        kept[:9] = []
        log("now")
        while True:
            try:
                while True: kept.append(bytearray(10))
            except BaseException: pass
        "#,
    );
    let mut zone = capped(&mode, CAP);
    zone.run_start();
    let interrupter = zone.scripts.interrupter();
    let hear = move |line: &str| {
        if line.contains("now") {
            interrupter.preempt();
        }
    };
    common::with_log(hear, || {
        zone.step();
        zone.step();
    });
    let preempted = (EntityId(1), FailureKind::Preempted);
    assert_eq!(zone.scripts.failed(), [preempted]);
    zone.scripts.remove(EntityId(1)); // it would do it again
    zone.step();
    assert_eq!(zone.field(2, "count"), "U32(2)", "it came after it once");
}

#[test]
fn what_runs_for_the_host_has_a_cap_too() {
    for body in [
        "class Text(Exception):\n def __str__(self): return 'x' * (10 << 30)\nraise Text",
        "class Rude:\n def __repr__(self): return 'x' * (10 << 30)\nself.count = Rude()",
        "class Last:\n def __del__(self): 'x' * (10 << 30)\nknot = [Last()]\nknot.append(knot)\n1 / 0",
        "class Last:\n def __del__(self): 'x' * (10 << 30)\nself.brain = Last()",
    ] {
        let mode = greedy(body);
        let mut zone = capped(&mode, CAP);
        zone.run_start();
        zone.step();
        zone.step();
        assert_eq!(zone.scripts.failed().len(), 1, "{body}");
        let memory = zone.scripts.memory();
        assert!(memory.denied > 0 && memory.peak < 2 * CAP, "{memory:?}");
        assert_eq!(zone.field(2, "count"), "U32(2)");
    }
}

/// Whatever allocation it is that fails first: the process lives on, and so does the zone.
#[test]
fn memory_may_end_anywhere() {
    let mode = greedy(
        r#"
        import json, re, dataclasses
        kept = []
        try:
            while True: kept.append(bytearray(2000))
        except MemoryError: pass
        for room in range(60):
            if kept and room % 3 == 0: kept.pop()
            for attempt in (
                lambda: json.loads(json.dumps({str(n): [n] * 9 for n in range(99)})),
                lambda: re.compile(f"(a|b{room})+[c-f]{{2,9}}").match("ab" * 50),
                lambda: [sorted(f"{n}" * 40) for n in range(50)],
                lambda: dataclasses.make_dataclass(f"D{room}", ["a", "b"])(1, 2),
                lambda: exec("def f(n):\n return [f(n - 1)] if n else []\nf(200)"),
                lambda: self.send(2, "nobody", list(range(999)), {"a": "x" * 999}),
                lambda: self.spawn(Probe, brain=[[1.5] * 99] * 9),
                lambda: self.near(50.0) + find(Probe),
                lambda: [bytes(n) for n in range(4000, 9000, 50)],
                lambda: 1 / 0,
            ):
                try: attempt()
                except (MemoryError, ZeroDivisionError, RecursionError): pass
        raise ValueError("through")
        "#,
    );
    let loading = capped(&mode, CAP).scripts.memory().peak;
    for room in (1..=5).map(|n| n * 700_000) {
        let mut zone = capped(&mode, loading + room);
        zone.run_start();
        for _ in 0..3 {
            zone.step();
        }
        assert_eq!(
            zone.field(2, "count"),
            "U32(3)",
            "{room}: {:?}",
            zone.errors()
        );
        assert!(zone.scripts.stats().failures >= 1);
        assert!(zone.scripts.memory().denied > 0);
    }
}

#[test]
fn a_mode_that_takes_too_much_does_not_load() {
    let mode = Mode::new("X = bytearray(10 << 30)\n");
    let mut config = mode.config();
    config.memory_cap = Some(CAP);
    let error = ScriptZone::start(&config).err().expect("it can't load");
    assert_eq!(error.message, "MemoryError");
    assert_eq!(error.line, Some(3));
}

/// The host's own work is never refused.
#[test]
fn entities_come_and_go_beyond_the_cap() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            brain: object = field(None)
            def tick(self, dt): [bytes(1_000_000)]
        def start(world): world.spawn(Probe, brain="x" * 100_000)
        "#,
    );
    let mut zone = capped(&mode, 1 << 40);
    zone.run_start();
    let (kind, row) = (zone.kind("Probe"), zone.row(1));
    let used = zone.scripts.memory().used;
    drop(zone);
    let mut zone = capped(&mode, used + (1 << 20));
    zone.run_start();
    for id in 100..300 {
        zone.scripts
            .insert(kind, EntityId(id), &row)
            .expect("it fits");
    }
    zone.step();
    assert_eq!(zone.scripts.failed().len(), 201, "no room for any hook");
    for id in 100..300 {
        zone.scripts.remove(EntityId(id));
    }
    zone.scripts.release();
    zone.scripts.collect_garbage(Tick(0));
    zone.step();
    assert_eq!(zone.scripts.failed(), []);
}
