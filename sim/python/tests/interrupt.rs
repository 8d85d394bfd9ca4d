//! Scripts that don't end are broken off; nobody else notices.
//!
//! A script says `log("now")` where the test is to break in: the log is written on the zone's own
//! thread, in the middle of the hook, so what happens does not depend on time.

mod common;

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

use common::{Mode, Zone, probes, with_log};
use tessera_protocol::ids::{EntityId, Tick};
use tessera_python::{FailureKind, Interrupter, ScriptZone};

/// A mode where entity 2 does what `body` says in tick 2, and entities 1 and 3 go on counting.
fn mode(body: &str) -> Mode {
    let before = "self.brain.append(2); self.send(3, 'hello'); log('now')";
    probes(3, 2, 3, &format!("{before}\n{body}"))
}

/// Runs `body`, and preempts where a script says `log("now")`.
fn preempting<R>(interrupter: Interrupter, body: impl FnOnce() -> R) -> R {
    let preempt = move |line: &str| {
        if line.contains("now") {
            interrupter.preempt();
        }
    };
    with_log(preempt, body)
}

fn run(body: &str) -> Zone {
    let mut zone = mode(body).zone();
    preempting(zone.scripts.interrupter(), || {
        zone.run_start();
        zone.step();
        zone.step();
        zone.assert_clean();
        let outbox = zone.step();
        assert!(outbox.messages.is_empty());
    });
    zone
}

#[test]
fn no_loop_is_endless() {
    for body in [
        "while True: pass",
        "while True:\n try: pass\n except BaseException: pass",
        "while True:\n try:\n  while True: pass\n except BaseException: pass",
        "while True:\n try: x = 1\n except BaseException: continue",
        "try:\n while True: pass\nfinally:\n while True: pass",
        "def f():\n try:\n  f()\n except BaseException:\n  f()\n finally:\n  f()\nf()",
        "class Swallow:\n def __enter__(self): pass\n def __exit__(self, *what): return True\n\
         while True:\n with Swallow():\n  while True: pass",
        "sum(1 for _ in iter(int, 1))",
        "[0 for _ in itertools.count() if False]",
        "for _ in itertools.count(): pass",
        "class Key:\n def __lt__(self, other):\n  while True: pass\nsorted([Key(), Key()])",
        "class Last:\n def __del__(self):\n  while True:\n   try: pass\n   except BaseException: pass\n\
         last = Last()\ndel last\nwhile True: pass",
        "import weakref\ndef gone(_):\n while True: pass\nlast = {1}\nref = weakref.ref(last, gone)\n\
         del last\nwhile True: pass",
        "class Text(Exception):\n def __str__(self):\n  while True: pass\nwhile True:\n try: pass\n \
         except BaseException: raise Text",
        "exec('while True: pass')",
        "while True: exec('try: 1/0\\nexcept BaseException: pass')",
    ] {
        let mut zone = run(body);
        let stats = zone.scripts.stats();
        assert_eq!((stats.preemptions, stats.failures), (1, 1), "{body}");
        let [error] = &stats.errors[..] else {
            panic!("one place: {:?}", stats.errors)
        };
        assert_eq!(error.hook, "Probe.tick");
        assert!(error.message.starts_with("Preempted: it ran for too long"));
        assert!(error.file.ends_with("probe/__init__.py"), "{error:?}");
        assert!(error.line > 12, "{error:?}");
        assert_eq!(
            zone.scripts.failed(),
            [(EntityId(2), FailureKind::Preempted)]
        );
        assert_eq!(stats.coasted, 1, "entity 3, which came after it");
        assert_eq!(zone.field(1, "count"), "U32(3)");
        assert_eq!(zone.field(2, "count"), "U32(2)", "back at S_t");
        assert_eq!(zone.field(3, "count"), "U32(2)", "S_t");
        assert!(zone.scripts.changed().iter().all(|(id, ..)| id.0 == 1));
        zone.scripts.interrupter().preempt();
        zone.scripts.remove(EntityId(2));
        zone.step();
        assert_eq!(zone.field(3, "count"), "U32(3)");
        assert_eq!(zone.scripts.failed(), []);
    }
}

#[test]
fn a_hook_that_catches_it_and_returns_has_been_preempted() {
    let zone = run("try:\n while True: pass\nexcept BaseException: pass");
    assert_eq!(
        zone.scripts.failed(),
        [(EntityId(2), FailureKind::Preempted)]
    );
    assert_eq!(zone.field(2, "count"), "U32(2)");
    assert_eq!(zone.field(2, "brain"), zone.field(1, "brain"));
    let [error] = &zone.scripts.stats().errors[..] else {
        panic!("one place")
    };
    assert!(error.line > 12, "{error:?}");
}

#[test]
fn another_thread_breaks_in() {
    let (saying, said) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut zone = mode("while True:\n try: pass\n except BaseException: pass").zone();
        let interrupter = zone.scripts.interrupter();
        let signal = move |line: &str| {
            if line.contains("now") {
                saying.send(interrupter.clone()).expect("the test waits");
            }
        };
        with_log(signal, || {
            zone.run_start();
            for _ in 0..3 {
                zone.step();
            }
        });
        zone.scripts.stats().preemptions
    });
    let patience = Duration::from_secs(120);
    let interrupter: Interrupter = said.recv_timeout(patience).expect("the loop is reached");
    interrupter.preempt();
    assert_eq!(thread.join().expect("no panic"), 1);
}

#[test]
fn what_begins_later_is_not_concerned() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            count: u32 = field(0)
            def tick(self, dt):
                for n in range(1000): self.count += 1
        def start(world): world.spawn(Probe)
        "#,
    );
    let early = Interrupter::default();
    early.preempt();
    early.look();
    let scripts = ScriptZone::start_with(&mode.config(), &early).expect("it loads");
    assert!(
        ScriptZone::start_with(&mode.config(), &early).is_err(),
        "an interrupter is of one zone"
    );
    early.preempt();
    drop(scripts);
    early.preempt();
    let mut zone = mode.zone();
    let interrupter = zone.scripts.interrupter();
    interrupter.preempt();
    zone.run_start();
    for _ in 0..5 {
        interrupter.preempt();
        interrupter.look();
        zone.begin();
        interrupter.preempt();
        zone.scripts.run_hooks(&Vec::new(), &[], &[]);
        interrupter.preempt();
        zone.scripts.gather();
        interrupter.preempt();
        zone.scripts.collect_garbage(Tick(1));
    }
    zone.assert_clean();
    assert_eq!(zone.field(1, "count"), "U32(5000)");
    let stats = zone.scripts.stats();
    assert_eq!(
        (stats.preemptions, stats.overruns, stats.coasted),
        (0, 0, 0)
    );
    drop(zone);
    interrupter.preempt();
    interrupter.look();
}

thread_local! {
    /// Who is asked by the clock, and at which of its calls.
    static AT_CALL: RefCell<(u64, u64, Interrupter)> = RefCell::default();
}

/// Stands still, and preempts when it is asked for the second time.
fn clock() -> u64 {
    AT_CALL.with_borrow_mut(|(calls, at, interrupter)| {
        *calls += 1;
        if calls == at {
            interrupter.preempt();
        }
        *calls
    })
}

#[test]
fn between_two_hooks_it_spares_the_first_and_leaves_out_the_second() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            count: u32 = field(0)
            def tick(self, dt): self.count += 1
        def start(world):
            for n in range(3): world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    // Calls of the clock: before and after each hook.
    for (at, counts) in [(2, [1, 0, 0]), (6, [2, 1, 1]), (100, [3, 2, 2])] {
        AT_CALL.set((0, at, zone.scripts.interrupter()));
        zone.scripts.trace(Some(clock));
        zone.step();
        zone.scripts.trace(None);
        for (id, count) in (1..).zip(counts) {
            assert_eq!(zone.field(id, "count"), format!("U32({count})"));
        }
        assert_eq!(zone.scripts.failed(), []);
    }
    zone.assert_clean();
    let stats = zone.scripts.stats();
    assert_eq!((stats.preemptions, stats.coasted), (0, 2));
}

#[test]
fn finalizers_are_broken_off_wherever_they_run() {
    for last in [
        "knot = [Last()]\n        knot.append(knot)", // in the slack
        "Last()",
        "self.brain = Last()", // when the slots go back
    ] {
        let mode = Mode::new(&format!(
            r#"
class Last:
    def __del__(self):
        log("now")
        while True:
            try: pass
            except BaseException: pass
class Probe(Entity):
    brain: object = field(None)
    def tick(self, dt):
        {last}
class Other(Entity):
    count: u32 = field(0)
    def tick(self, dt): self.count += 1
def start(world):
    world.spawn(Other)
    world.spawn(Probe)
"#
        ));
        let mut zone = mode.zone();
        preempting(zone.scripts.interrupter(), || {
            zone.run_start();
            for _ in 0..3 {
                zone.step();
            }
        });
        assert_eq!(zone.field(1, "count"), "U32(3)", "{last}");
    }
}

#[test]
fn the_loading_of_a_mode_is_broken_off() {
    let mode = Mode::new("log('now')\nwhile True:\n try: pass\n except BaseException: pass\n");
    let interrupter = Interrupter::default();
    let started = preempting(interrupter.clone(), || {
        ScriptZone::start_with(&mode.config(), &interrupter)
    });
    let error = started.err().expect("it can't load");
    assert!(error.message.starts_with("Preempted"), "{error}");
    assert!(error.line.is_some(), "{error:?}");
}

#[test]
fn start_is_broken_off() {
    let mode = Mode::new(
        r#"
        class Probe(Entity): pass
        def start(world):
            world.spawn(Probe)
            log("now")
            while True: pass
        "#,
    );
    let mut scripts = mode.start().expect("it loads");
    let started = preempting(scripts.interrupter(), || scripts.run_start());
    let error = started.expect_err("it was preempted");
    assert!(error.message.starts_with("Preempted"), "{error}");
    assert!(scripts.outbox().spawns.is_empty());
}

#[test]
fn the_end_of_a_zone_is_broken_off() {
    for last in [
        "register(loop)",
        "class Last:\n    def __del__(self, loop=loop): loop()\nLAST = Last()",
        "class Last:\n    def __del__(self, loop=loop): loop()\nlast = Last()\nlast.last = last",
    ] {
        let mode = Mode::new(&format!(
            r#"
import atexit
register = getattr(atexit.register, "__wrapped__", atexit.register)
class Probe(Entity): pass
def loop(log=log):
    log("now")
    while True:
        try: pass
        except BaseException: pass
{last}
def start(world): world.spawn(Probe)
"#
        ));
        let zone = mode.zone();
        let interrupter = zone.scripts.interrupter();
        let (saying, said) = mpsc::channel();
        with_log(
            move |line| {
                if line.contains("now") {
                    saying.send(()).expect("the test listens");
                    interrupter.preempt();
                }
            },
            || drop(zone),
        );
        assert_eq!(said.try_iter().count(), 1, "{last}");
    }
}

#[test]
fn a_look_tells_where_it_is_and_disturbs_nothing() {
    let mode = Mode::new(
        r#"
class Probe(Entity):
    count: u32 = field(0)
    def tick(self, dt):
        log("now")
        for n in range(10):
            self.count += 1
    def on_hit(self, sender):
        log("now")
        import json
        json.dumps([1] * 100)
def start(world): world.spawn(Probe)
"#,
    );
    let mut zone = mode.zone();
    let interrupter = zone.scripts.interrupter();
    let look = move |line: &str| {
        if line.contains("now") {
            interrupter.look();
            interrupter.look();
        }
    };
    with_log(look, || {
        zone.run_start();
        for _ in 0..3 {
            zone.step();
        }
    });
    zone.assert_clean();
    assert_eq!(zone.field(1, "count"), "U32(30)");
    let stats = zone.scripts.stats();
    assert_eq!(stats.overruns, 3);
    let [place] = &stats.overrun_places[..] else {
        panic!("one place: {:?}", stats.overrun_places)
    };
    assert_eq!((place.hook.as_str(), place.count), ("Probe.tick", 3));
    assert!(place.file.ends_with("probe/__init__.py"), "{place:?}");
    assert!((7..=9).contains(&place.line), "{place:?}");
}

/// Entities rest, and hear nothing.
#[test]
fn who_rests_coasts() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            count: u32 = field(0)
            def tick(self, dt):
                self.count += 1
                self.send(2, "hit")
            def on_hit(self, sender): self.count += 100
        class Stone(Entity):
            projectile = Projectile(gravity=0.0)
            def tick(self, dt): self.velocity = Vec3(0, 0, 0)
        def start(world):
            for n in range(3): world.spawn(Probe)
            world.spawn(Stone, position=Vec3(10, 500, 10), velocity=Vec3(64, 0, 0))
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    let resting = [EntityId(0), EntityId(2), EntityId(4), EntityId(99)];
    zone.step_resting(&resting);
    zone.assert_clean();
    assert_eq!(zone.field(1, "count"), "U32(2)");
    assert_eq!(zone.field(2, "count"), "U32(1)", "its messages are lost");
    assert_eq!(zone.field(3, "count"), "U32(2)");
    assert_eq!(zone.scripts.stats().coasted, 2);
    assert_eq!(zone.scripts.failed(), []);
    zone.step();
    assert_eq!(zone.field(2, "count"), "U32(202)", "two have sent since");
    assert_eq!(zone.field(4, "velocity"), "Vec3([0.0, 0.0, 0.0])");
}

#[test]
fn an_exception_in_every_hook_costs_every_entity_its_tick() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            count: u32 = field(0)
            def tick(self, dt):
                self.count += 1
                if tick() % 2: [].pop()
                elif self.id == 3: self.count = -1
        def start(world):
            for n in range(5): world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(
        zone.scripts.failed(),
        [(EntityId(3), FailureKind::BadField)]
    );
    zone.step();
    let all: Vec<_> = (1..=5)
        .map(|id| (EntityId(id), FailureKind::Raised))
        .collect();
    assert_eq!(zone.scripts.failed(), all);
    assert_eq!(zone.field(1, "count"), "U32(1)");
    zone.step();
    assert_eq!(zone.field(1, "count"), "U32(2)");
}
