//! Zones share nothing: no globals, no objects, no memory that outlives them.

mod common;

use std::sync::Barrier;

use common::{Mode, Zone};

const GLOBAL: &str = r#"
    import sys
    seen = []
    class Probe(Entity):
        seen: u32 = field(0)
        def tick(self, dt):
            seen.append(1)
            sys.leaked = getattr(sys, "leaked", 0) + 1
            assert len(seen) == sys.leaked
            self.seen = len(seen)
    def start(world): world.spawn(Probe)
"#;

#[test]
fn a_global_of_one_zone_is_not_in_another() {
    let mode = Mode::new(GLOBAL);
    let (mut one, mut other) = (mode.zone(), mode.zone());
    one.run_start();
    other.run_start();
    for _ in 0..5 {
        one.step();
    }
    other.step();
    for (zone, expected) in [(&one, "U32(5)"), (&other, "U32(1)")] {
        zone.assert_clean();
        assert_eq!(zone.field(1, "seen"), expected);
    }
}

#[test]
fn zones_take_turns_on_one_thread_and_end_in_any_order() {
    let mode = Mode::new(GLOBAL);
    let mut zones: Vec<Zone> = (0..4).map(|_| mode.zone()).collect();
    zones.iter_mut().for_each(Zone::run_start);
    for round in 0..12 {
        zones.iter_mut().for_each(|zone| {
            zone.step();
        });
        if round % 4 == 3 {
            drop(zones.remove(round / 4 % zones.len()));
        }
    }
    let [last] = &zones[..] else {
        panic!("three have ended")
    };
    last.assert_clean();
    assert_eq!(last.field(1, "seen"), "U32(12)");
}

#[test]
fn zones_run_in_parallel_on_threads_of_their_own() {
    let mode = Mode::new(GLOBAL);
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut zone = mode.zone();
                zone.run_start();
                barrier.wait();
                for _ in 0..200 {
                    zone.step();
                }
                zone.assert_clean();
                assert_eq!(zone.field(1, "seen"), "U32(200)");
            });
        }
    });
}

#[test]
fn objects_do_not_cross() {
    let mode = Mode::new(
        r#"
        class Secret: pass
        class Probe(Entity):
            refused: u8 = field(0)
            def tick(self, dt):
                other = get(2)
                for value in (Secret(), Secret, print, self, other, [{"a": (1, Secret())}], Probe):
                    try: self.send(2, "take", value)
                    except TypeError: self.refused += 1
        def start(world):
            world.spawn(Probe)
            world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let outbox = zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(1, "refused"), "U8(7)");
    assert!(outbox.messages.is_empty());
}

#[test]
fn processes_and_threads_are_off_limits() {
    let mode = Mode::new(
        r#"
        import os, threading
        class Probe(Entity):
            refused: u8 = field(0)
            def tick(self, dt):
                for attempt in (
                    os.fork,
                    lambda: os.execv("/bin/true", ["true"]),
                    lambda: threading.Thread(target=print).start(),
                ):
                    try: attempt()
                    except RuntimeError: self.refused += 1
        def start(world): world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(1, "refused"), "U8(3)");
}
