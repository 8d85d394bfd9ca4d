//! What an entity hears of its own life: `on_spawn`, `on_restart`, `on_despawn`.

mod common;

use common::{Mode, Zone};
use tessera_protocol::Value;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_python::{FailureKind, Message, Payload};

const MODE: &str = r#"
class Probe(Entity):
    story: str = field("", max=99)
    def on_spawn(self): self.story += "spawn "
    def on_restart(self): self.story += "restart "
    def on_hit(self, sender, damage): self.story += f"hit {sender} {damage} "
    def tick(self, dt): self.story += "tick "
class Heir(Entity):
    story: str = field("", max=99)
    def on_end(self, sender, story): self.story += f"{sender}: {story}"
class Mortal(Probe):
    bad: u8 = field(0)
    def on_die(self, sender, bad):
        self.despawn()
        self.despawn()
        self.bad = bad
        self.send(3, "end", "dies ")
    def on_despawn(self):
        self.story += "despawn "
        self.send(3, "end", self.story)
        self.spawn(Heir)
        if self.bad == 1: raise ValueError("no")
        if self.bad == 2:
            log("now")
            while True: pass
class Other(Entity):
    count: u32 = field(0)
    def tick(self, dt): self.count += 1
def start(world):
    world.spawn(Probe)
    world.spawn(Mortal)
    world.spawn(Heir)
    world.spawn(Other)
"#;

fn tell(zone: &mut Zone, target: u32, name: &str, args: &[Value]) {
    zone.post(Message {
        target: EntityId(target),
        sender: EntityId::NONE,
        seq: 0,
        payload: Payload::new(name, args),
    });
}

fn story(zone: &Zone, id: u32, expected: &str) {
    let expected = tessera_protocol::ValueRef::Var(expected.as_bytes());
    assert_eq!(zone.field(id, "story"), format!("{expected:?}"));
}

#[test]
fn spawn_and_restart_take_no_sender() {
    let mut zone = Mode::new(MODE).zone();
    zone.run_start();
    tell(&mut zone, 1, "spawn", &[]);
    zone.step();
    tell(&mut zone, 1, "hit", &[Value::Int(3)]);
    tell(&mut zone, 1, "restart", &[]);
    zone.step();
    zone.assert_clean();
    story(&zone, 1, "spawn tick hit 0 3 restart tick ");
}

#[test]
fn the_host_can_ask_who_hears() {
    let zone = Mode::new(MODE).zone();
    let (probe, heir, mortal) = (zone.kind("Probe"), zone.kind("Heir"), zone.kind("Mortal"));
    let hears = |kind, name| zone.scripts.hears(kind, name);
    assert!(hears(probe, "spawn") && hears(probe, "restart") && hears(probe, "hit"));
    assert!(!hears(probe, "despawn") && !hears(probe, "tick") && !hears(probe, ""));
    assert!(
        hears(mortal, "spawn") && hears(mortal, "despawn"),
        "inherited and its own"
    );
    assert!(!hears(heir, "spawn") && hears(heir, "end"));
    assert!(!hears(KindId(9), "spawn"));
}

#[test]
fn who_despawns_has_the_last_word() {
    let mut zone = Mode::new(MODE).zone();
    zone.run_start();
    tell(&mut zone, 2, "die", &[Value::Int(0)]);
    let outbox = zone.step();
    assert_eq!(outbox.despawns, [EntityId(2)]);
    assert_eq!(outbox.spawns.len(), 1);
    assert!(zone.row(2).is_empty());
    zone.step();
    zone.assert_clean();
    story(&zone, 3, "2: dies 2: tick despawn ");
}

#[test]
fn it_ends_even_if_its_last_word_fails() {
    let mut zone = Mode::new(MODE).zone();
    zone.run_start();
    tell(&mut zone, 2, "die", &[Value::Int(1)]);
    let outbox = zone.step();
    assert_eq!(outbox.despawns, [EntityId(2)]);
    assert_eq!(outbox.messages.len(), 1, "what it sent before counts");
    assert!(outbox.spawns.is_empty());
    assert_eq!(zone.scripts.failed(), []);
    let [error] = &zone.scripts.stats().errors[..] else {
        panic!("one place")
    };
    assert_eq!(error.hook, "Mortal.on_despawn");
    assert_eq!(error.message, "ValueError: no");
    assert_eq!(zone.field(4, "count"), "U32(1)");
}

#[test]
fn a_last_word_without_end_is_broken_off() {
    let mut zone = Mode::new(MODE).zone();
    zone.run_start();
    tell(&mut zone, 2, "die", &[Value::Int(2)]);
    let interrupter = zone.scripts.interrupter();
    let hear = move |line: &str| {
        if line.contains("now") {
            interrupter.preempt();
        }
    };
    let outbox = common::with_log(hear, || zone.step());
    assert_eq!(outbox.despawns, [EntityId(2)]);
    assert!(outbox.spawns.is_empty());
    let stats = zone.scripts.stats();
    assert_eq!((stats.preemptions, stats.coasted), (1, 1));
    assert_eq!(zone.field(4, "count"), "U32(0)", "it comes later");
}

#[test]
fn a_tick_that_is_lost_has_no_last_word() {
    let mode = Mode::new(
        r#"
        class Mortal(Entity):
            def tick(self, dt):
                self.despawn()
                if tick() == 0: raise ValueError("no")
            def on_despawn(self): self.broadcast("gone")
        def start(world): world.spawn(Mortal)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let outbox = zone.step();
    assert!(outbox.despawns.is_empty() && outbox.events.is_empty());
    assert_eq!(zone.scripts.failed(), [(EntityId(1), FailureKind::Raised)]);
    let outbox = zone.step();
    assert_eq!((outbox.despawns.len(), outbox.events.len()), (1, 1));
}

#[test]
fn nobody_sends_what_is_the_engines() {
    let mode = Mode::new(
        r#"
        class Probe(Entity):
            def tick(self, dt): self.send(self.id, ["spawn", "restart", "despawn", "spawned"][tick()])
            def on_spawned(self, sender): pass
        def start(world): world.spawn(Probe)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..4 {
        zone.step();
    }
    // One line of the script, one place.
    let message = "ValueError: send: on_spawn is the engine's to call; choose another name";
    assert_eq!(zone.errors(), [message]);
    assert_eq!(zone.scripts.stats().failures, 3);
    assert_eq!(zone.scripts.stats().unhandled, 0);
}
