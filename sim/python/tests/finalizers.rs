//! Finalizers and callbacks of weak references run where the host expects scripts, and nowhere else.

mod common;

use common::{Mode, Zone};
use tessera_protocol::ids::{EntityId, Tick};

/// Each probe has a finalizer of its own, so has what it keeps; both tell.
const MODE: &str = r#"
import weakref
ENDED, REFS = [], []
class Mark(float):
    def __del__(self): ENDED.append("mark")
class Probe(Entity):
    mark: f64 = field(1.0)
    tags: object = field({1, 2})
    def tick(self, dt):
        self.mark = Mark(self.mark + 1.0)
        REFS.append(weakref.ref(get(self.id).tags, lambda ref: ENDED.append("tags")))
# A class body may not have it.
type.__setattr__(Probe, "__del__", lambda self: ENDED.append(self.id))
class Census(Entity):
    ended: u32 = field(0)
    def on_census(self, sender): self.ended = len(ENDED)
def start(world):
    world.spawn(Census)
    world.spawn(Probe)
"#;

/// How many things have ended, as the scripts have been told.
fn census(zone: &mut Zone) -> String {
    let message = |name| tessera_python::Message {
        target: EntityId(1),
        sender: EntityId::NONE,
        seq: 0,
        payload: tessera_python::Payload::new(name, &[]),
    };
    zone.post(message("census"));
    zone.step();
    zone.assert_clean();
    zone.field(1, "ended")
}

#[test]
fn what_the_host_takes_out_is_released_later() {
    let mode = Mode::new(MODE);
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    let (kind, row) = (zone.kind("Probe"), zone.row(2));
    zone.scripts.remove(EntityId(2));
    zone.scripts.release();
    let base = census(&mut zone);
    // The tick of the census has no probe in it: all that ends now are those of these lines.
    let mut damaged = row.clone();
    let end = damaged.len() - 3;
    damaged[end] = 0xee;
    for id in 10..13 {
        zone.scripts.insert(kind, EntityId(id), &row).expect("new");
    }
    assert!(zone.scripts.insert(kind, EntityId(20), &damaged).is_err());
    zone.scripts.remove(EntityId(10));
    zone.scripts.demote(EntityId(11));
    zone.scripts
        .ghost_row(kind, EntityId(11), &row)
        .expect("a ghost");
    assert!(
        zone.scripts
            .ghost_row(kind, EntityId(11), &row[..9])
            .is_err()
    );
    zone.scripts.demote(EntityId(12));
    zone.scripts
        .insert(kind, EntityId(12), &row)
        .expect("it comes back");
    zone.scripts.remove(EntityId(12));
    zone.scripts.ghost_remove(EntityId(11));
    // Two objects of 10, 11 and 20 each; four of 12, which came back to new ones.
    let told = census(&mut zone);
    let number = |text: &str| -> u32 {
        text.trim_start_matches("U32(")
            .trim_end_matches(')')
            .parse()
            .expect("a number")
    };
    assert_eq!(number(&told), number(&base) + 10, "all at the tick's start");
}

/// With a finalizer that never returns, the host's own calls return all the same.
#[test]
fn a_finalizer_that_loops_holds_up_no_call_of_the_host() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            tags: object = field(None)
        def end(self):
            log("now")
            while True:
                try: pass
                except BaseException: pass
        type.__setattr__(Probe, "__del__", end)  # a class body may not have it
        def start(world): world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let (kind, row) = (zone.kind("Probe"), zone.row(1));
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (counter, interrupter) = (ended.clone(), zone.scripts.interrupter());
    let count = move || counter.load(std::sync::atomic::Ordering::Relaxed);
    let hear = move |line: &str| {
        if line.contains("now") {
            ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            interrupter.preempt();
        }
    };
    common::with_log(hear, || {
        zone.scripts.remove(EntityId(1));
        zone.scripts.insert(kind, EntityId(2), &row).expect("new");
        zone.scripts.demote(EntityId(2));
        zone.scripts.ghost_remove(EntityId(2));
        assert_eq!(count(), 0, "nothing has run");
        zone.scripts.release();
        assert!(count() > 0, "it runs where it can be broken off");
        zone.scripts.collect_garbage(Tick(1));
        drop(zone);
    });
}
