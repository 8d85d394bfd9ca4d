//! What a hook that fails costs: its entity that tick, and nobody else anything.

mod common;

use common::{Mode, Zone, probes};
use tessera_protocol::ids::EntityId;

/// A zone where entity 1 did what `body` says in tick 2, and entity 2 goes on counting.
fn failing(body: &str) -> Zone {
    let asking =
        "self.send(2, 'hello'); self.spawn(Probe); self.despawn(); self.broadcast('news', 1)";
    let mode = probes(2, 1, 3, &format!("self.brain = [1, 2]; {asking}\n{body}"));
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..2 {
        zone.step();
    }
    zone.assert_clean();
    let outbox = zone.step();
    assert!(outbox.messages.is_empty() && outbox.spawns.is_empty());
    assert!(outbox.despawns.is_empty() && outbox.events.is_empty());
    assert_eq!(zone.field(1, "count"), "U32(2)", "back at S_t");
    assert_eq!(zone.field(1, "health"), "F32(97.0)");
    assert_eq!(
        zone.field(2, "count"),
        "U32(3)",
        "the other entity is not concerned"
    );
    assert!(
        zone.scripts
            .changed()
            .iter()
            .all(|(id, _, _)| *id == EntityId(2))
    );
    zone
}

#[test]
fn an_exception_costs_one_tick_and_names_its_line() {
    let mut zone = failing("raise ValueError('no')");
    zone.step();
    let stats = zone.scripts.stats();
    assert_eq!(stats.failures, 2);
    let [error] = &stats.errors[..] else {
        panic!("one place: {:?}", stats.errors)
    };
    assert_eq!(error.hook, "Probe.tick");
    assert_eq!(error.message, "ValueError: no");
    assert_eq!(error.line, 14);
    assert!(error.file.ends_with("probe/__init__.py"), "{}", error.file);
    assert_eq!(error.count, 2);
}

#[test]
fn exceptions_that_end_programs_do_not_end_this_one() {
    for (body, message) in [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            "def f(): f()\nf()",
            "RecursionError: maximum recursion depth exceeded",
        ),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise MemoryError", "MemoryError"),
    ] {
        let zone = failing(body);
        assert_eq!(zone.errors(), [message]);
    }
}

#[test]
fn recursion_in_c_is_stopped_before_the_stack_ends() {
    // As zones' threads have it.
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let run = thread.spawn(|| {
        let zone = failing("x = []\nfor _ in range(200_000): x = [x]\nself.brain = repr(x)");
        assert_eq!(zone.scripts.stats().errors[0].hook, "Probe.tick");
        assert!(
            zone.errors()[0].starts_with("RecursionError"),
            "{:?}",
            zone.errors()
        );
    });
    run.expect("a thread").join().expect("no panic");
}

#[test]
fn an_undeclared_attribute_is_an_error() {
    let zone = failing("self.helth = 3");
    assert_eq!(
        zone.errors(),
        [
            "AttributeError: 'Probe' object has no attribute 'helth' and no __dict__ for setting new \
             attributes; declare it in the class: `helth: <type> = field(<default>)`"
        ]
    );
}

#[test]
fn a_value_that_does_not_fit_costs_the_tick_and_names_the_field() {
    let health = "Probe.health takes f32: a finite float of magnitude below 3.5e38, but";
    let count = "Probe.count takes u32: an int from 0 to 4294967295, but";
    for (body, message) in [
        ("self.health = 'full'", format!("{health} got str 'full'")),
        ("self.health = True", format!("{health} got bool True")),
        ("self.health = float('nan')", format!("{health} got float nan")),
        ("self.health = 1e39", format!("{health} got float 1e+39")),
        ("self.health = 10 ** 400", format!("{health} got int 1000000000")),
        ("self.health = None", format!("{health} got None")),
        ("del self.health", format!("{health} it was deleted")),
        ("self.count = -1", format!("{count} got int -1")),
        ("self.count = 2 ** 32", format!("{count} got int 4294967296")),
        ("self.count = 2 ** 80", format!("{count} got int 1208925819614629174706176")),
        ("self.count = False", format!("{count} got bool False")),
        ("self.count = 1.0", format!("{count} got float 1.0")),
        (
            "self.position = (1, 2, 3)",
            "Probe.position takes a Vec3 of finite floats, but got tuple (1, 2, 3) (write Vec3(x, y, \
             z))"
            .into(),
        ),
        (
            "self.velocity = Vec3(0, float('inf'), 0)",
            "Probe.velocity takes a Vec3 of finite floats, but got Vec3 ".into(),
        ),
        ("self.brain = {'a': [print]}", "Probe.brain: TypeError: brain[\"a\"][0]".into()),
        ("self.brain = [self]", "RuntimeError: self was kept beyond its hook (in a field".into()),
    ] {
        let zone = failing(body);
        let errors = zone.errors();
        assert!(errors.len() == 1 && errors[0].starts_with(&message), "{body}: {errors:?}");
        assert_eq!(zone.scripts.stats().errors[0].line, 0);
    }
}

#[test]
fn texts_and_bytes_are_measured_in_bytes() {
    let mode = Mode::new(
        r#"
        class Named(Entity):
            name: str = field("", max=4)
            data: bytes = field(b"", max=3)
            def tick(self, dt):
                if tick() == 0: self.name, self.data = "éé", b"abc"
                if tick() == 1: self.name = "ééé"
                if tick() == 2: self.data = b"abcd"
                if tick() == 3: self.name = "\ud800"
                if tick() == 4: self.name = b"x"
                if tick() == 5: self.data = "x"
        def start(world): world.spawn(Named)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
    assert_eq!(
        zone.field(1, "name"),
        format!("{:?}", tessera_protocol::ValueRef::Var("éé".as_bytes()))
    );
    let before = zone.row(1);
    for _ in 1..6 {
        zone.step();
        assert_eq!(zone.row(1), before);
    }
    let name = "Named.name takes a str of at most 4 bytes of UTF-8, but got";
    let data = "Named.data takes bytes, at most 3, but got";
    // All but the first of each field are the same place, and counted.
    assert_eq!(
        zone.errors(),
        [format!("{name} 6 bytes"), format!("{data} 4 bytes")]
    );
    assert_eq!(zone.scripts.stats().failures, 5);
}

#[test]
fn enums_and_other_subclasses_are_stored_as_what_they_are() {
    let mode = Mode::new(
        r#"
        from enum import IntEnum, StrEnum
        class Weapon(IntEnum):
            RIFLE = 3
        class Colour(StrEnum):
            RED = "red"
        class Metres(float): pass
        class Armed(Entity):
            weapon: u8 = field(0)
            colour: str = field("", max=8)
            reach: f64 = field(0.0)
            def tick(self, dt):
                if tick() == 0:
                    self.weapon, self.colour, self.reach = Weapon.RIFLE, Colour.RED, Metres(2.5)
                else:
                    assert type(self.weapon) is int and self.weapon == Weapon.RIFLE
                    assert type(self.colour) is str and self.colour == Colour.RED
                    assert type(self.reach) is float
                    self.reach = 7
        def start(world): world.spawn(Armed)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(1, "weapon"), "U8(3)");
    assert_eq!(zone.field(1, "reach"), "F64(7.0)");
}

#[test]
fn messages_without_a_method_are_counted() {
    let mode = Mode::new(
        r#"
        class Talker(Entity):
            def tick(self, dt): self.send(self.id, "nothing_hears", 1)
        def start(world): world.spawn(Talker)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..4 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(zone.scripts.stats().unhandled, 3);
    assert_eq!(zone.scripts.stats().failures, 0);
}

#[test]
fn wrong_arguments_of_a_message_are_the_receivers_failure() {
    let mode = Mode::new(
        r#"
        class Talker(Entity):
            heard: u8 = field(0)
            def tick(self, dt):
                if tick() == 0: self.send(self.id, "hit")
                self.heard += 1
            def on_hit(self, sender, damage): self.heard = 100
        def start(world): world.spawn(Talker)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.step();
    assert_eq!(
        zone.field(1, "heard"),
        "U8(1)",
        "the tick after a failing message is lost too"
    );
    assert_eq!(zone.scripts.stats().errors[0].hook, "Talker.on_hit");
}

#[test]
fn keeping_self_costs_the_tick() {
    let zone = failing("globals()['KEPT'] = self");
    let [error] = &zone.scripts.stats().errors[..] else {
        panic!("one place: {:?}", zone.scripts.stats().errors)
    };
    assert_eq!(error.hook, "a hook of Probe");
    assert!(
        error.message.contains("keep its .id instead"),
        "{}",
        error.message
    );
    // A cycle that only the collector sees the end of is not keeping.
    let mode = Mode::new(
        r#"
class Probe(Entity):
    count: u32 = field(0)
    def tick(self, dt):
        self.count += 1
        knot = [self]
        knot.append(knot)
def start(world):
    world.spawn(Probe)
"#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..3 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(zone.field(1, "count"), "U32(3)");
}

#[test]
fn a_kept_object_is_nobodys() {
    let mode = Mode::new(
        r#"
KEPT = []
class Probe(Entity):
    count: u32 = field(0)
    health: f32 = field(100.0)
    def tick(self, dt):
        self.count += 1
        if self.id == 1 and not KEPT:
            KEPT.append(self)
        if self.id == 2:
            KEPT[0].health = 5.0
def start(world):
    world.spawn(Probe)
    world.spawn(Probe)
"#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..4 {
        zone.step();
    }
    assert_eq!(
        zone.scripts.stats().failures,
        1,
        "only the tick that kept it"
    );
    assert_eq!(zone.field(1, "count"), "U32(3)");
    assert_eq!(zone.field(1, "health"), "F32(100.0)");
    assert_eq!(zone.field(2, "count"), "U32(4)");
}

#[test]
fn the_native_module_is_not_imported_twice() {
    let mode = Mode::new(
        r#"
import sys
class Probe(Entity):
    refused: bool = field(False)
    def tick(self, dt):
        native = sys.modules.pop("_tessera")
        try:
            import _tessera
        except ImportError:
            self.refused = True
        sys.modules["_tessera"] = native
def start(world):
    world.spawn(Probe)
"#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(1, "refused"), "Bool(true)");
}
