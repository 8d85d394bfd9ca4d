//! Scripts that reach where they shouldn't: they get an error, and the process lives on.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::Mode;
use tessera_protocol::columns::RowError;
use tessera_protocol::ids::EntityId;

/// The error of a mode that must not load.
#[track_caller]
fn refused(source: &str) -> String {
    match Mode::new(source).start() {
        Ok(_) => panic!("it was let through:\n{source}"),
        Err(error) => error.message,
    }
}

/// An offset of another class would point behind the object.
#[test]
fn a_field_has_the_slot_of_its_own_class() {
    let huge = r#"
ns = {"__annotations__": {f"f{i}": f64 for i in range(40)}, "__module__": __name__,
      "__qualname__": "Huge"} | {f"f{i}": field(0.0) for i in range(40)}
Huge = type(Entity)("Huge", (Entity,), ns)
class Player(Entity):
    x: f64 = field(0.0)
    y: f64 = field(0.0)
"#;
    for (change, field) in [
        ("Player.x = Huge.f39", "x"),
        ("Player.x = Huge.f0", "x"),
        ("Player.x = Player.__dict__['y']", "y"),
        ("Player.y = Entity.__mro__[1].__dict__['id']", "y"),
        ("Player.y = 5.0", "y"),
    ] {
        let message = refused(&format!("{huge}{change}\n"));
        let expected = format!("DeclarationError: Player.{field} is declared as a field but");
        assert!(message.starts_with(&expected), "{change}: {message}");
    }
}

/// What the gather takes out of a slot may run a script, which must not meet an entity half gathered.
#[test]
fn finalizers_run_when_all_is_gathered() {
    let mode = Mode::new(
        r#"
        import gc
        def empty():
            for one in gc.get_objects.__wrapped__():
                if type(one) is Player:
                    try: del one.a, one.c
                    except AttributeError: pass
        class Evil(float):
            def __del__(self): empty()
        class Rude(float):
            def __repr__(self):
                empty()
                return "rude"
        class Player(Entity):
            a: f64 = field(1.0)
            b: f64 = field(1.0)
            c: object = field(())
            def tick(self, dt):
                self.a += 1.0
                self.c += (2,)
                self.b = Evil(5.0)
                if tick() == 4: self.a = Rude("nan")
        def start(world): world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..6 {
        zone.step();
    }
    // Every other tick meets what a finalizer emptied after the one before, and starts anew.
    assert_eq!(
        zone.errors(),
        [
            "AttributeError: 'probe.Player' object has no attribute 'a'",
            "Player.a takes f64: a finite float, but got Rude rude"
        ]
    );
    assert_eq!(zone.field(1, "a"), "F64(3.0)");
    assert_eq!(zone.field(1, "b"), "F64(5.0)");
}

/// A subclass of `float` that nothing else holds is released by the gather itself.
#[test]
fn a_finalizer_does_not_disturb_its_own_field() {
    let mode = Mode::new(
        r#"
        SEEN = []
        class Evil(float):
            def __del__(self): SEEN.append(float(self))
        class Player(Entity):
            a: f64 = field(1.0)
            b: f64 = field(1.0)
            seen: u8 = field(0)
            def tick(self, dt):
                self.seen = len(SEEN)
                self.a = Evil(self.a + 1.0)
                self.b = Evil(5.0)
        def start(world): world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..3 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(zone.field(1, "a"), "F64(4.0)");
    assert_eq!(zone.field(1, "b"), "F64(5.0)");
    assert_eq!(zone.field(1, "seen"), "U8(4)");
}

/// Live objects and views have their slots at the same offsets, so one's descriptors fit the other.
#[test]
fn descriptors_of_the_class_do_not_write_views() {
    let mode = Mode::new(
        r#"
        class Player(Entity):
            health: f64 = field(1.0)
            tags: object = field([1])
            def tick(self, dt):
                view = get(self.id)
                for change in (
                    lambda: Player.health.__set__(view, 99.0),
                    lambda: Player.health.__delete__(view),
                    lambda: Player.__dict__["tags"].__delete__(view),
                    lambda: Entity.__mro__[1].position.__set__(view, Vec3(1, 2, 3)),
                    lambda: type(Player.health).__set__(Player.health, view, 99.0),
                ):
                    try:
                        change()
                    except AttributeError as error:
                        assert "send it a message" in str(error), error
                    else:
                        raise AssertionError("a view was written")
                assert view.health == 1.0 + tick() and view.tags == (1,)
                Player.health.__set__(self, self.health + 1.0)
        def start(world): world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..3 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(zone.field(1, "health"), "F64(4.0)");
}

/// Bringing a ghost's view up to date releases what it showed, which may have a weak reference.
#[test]
fn callbacks_may_ask_who_is_near() {
    let mode = Mode::new(
        r#"
        import weakref
        HELD, GONE = [], []
        class Player(Entity):
            tags: object = field({1, 2, 3})
            n: u32 = field(0)
            gone: u32 = field(0)
            def tick(self, dt):
                if self.id != 1: return
                self.n = sum(other.n for other in self.near(50.0))
                def gone(ref):
                    GONE.append(ref)
                    try: find(Player), get(2), get(3)
                    except RuntimeError: pass
                HELD[:] = [weakref.ref(other.tags, gone) for other in self.near(50.0)]
                self.gone = len(GONE)
        def start(world):
            for n in range(3): world.spawn(Player, n=n)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let player = zone.kind("Player");
    let rows = [zone.row(2), zone.row(3)];
    let mut table = zone.scripts.tables()[player.index()].clone();
    for (id, row) in [2, 3].into_iter().zip(&rows) {
        zone.scripts.remove(EntityId(id));
        zone.scripts
            .ghost_row(player, EntityId(id), row)
            .expect("a ghost");
    }
    for n in 0..4 {
        zone.step();
        let mut delta = Vec::new();
        let tessera_protocol::Column::U32(column) = &mut table.columns[6] else {
            panic!("a u32")
        };
        column[1] = n;
        table.write_delta(1, 0b111 << 5, &mut delta);
        zone.scripts
            .ghost_delta(EntityId(2), &delta)
            .expect("it fits");
    }
    zone.assert_clean();
    assert_eq!(zone.field(1, "gone"), "U32(3)");
    assert_eq!(zone.field(1, "n"), "U32(4)");
}

/// Kinds are declared while the mode loads; what ends the interpreter comes too late.
#[test]
fn no_kind_is_declared_at_the_end() {
    let mode = Mode::new(
        r#"
        import atexit
        register = getattr(atexit.register, "__wrapped__", atexit.register)
        class Player(Entity):
            tags: object = field(None)
        def late():
            try:
                class Late(Entity):
                    x: object = field((1, 2))
            except DeclarationError as error:
                assert "declared too late" in str(error), error
                LATE.append(1)
            else:
                raise AssertionError("it was let through")
        LATE = []
        class AtEnd:
            def __del__(self, late=late):
                late()
        register(late)
        builtins = __import__("builtins")
        builtins.at_end = AtEnd()
        def start(world): world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
    drop(zone);
    mode.zone().assert_clean();
}

/// CPython passes no address of arguments where there are none.
#[test]
fn natives_without_arguments_say_so() {
    let mode = Mode::new(
        r#"
        import _tessera
        class Player(Entity):
            def tick(self, dt):
                for native in (_tessera.log, _tessera.register_kind, get(self.id).__setattr__,
                               self.send, self.spawn, self.near, raycast, self.tell):
                    try: next(iter(native, 1))
                    except (TypeError, AttributeError): pass
                    else: raise AssertionError(native)
        def start(world): world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}

/// A row of another zone whose `object` isn't a clone: an error of its sender's, and nothing else.
#[test]
fn a_damaged_row_changes_nothing() {
    let mode = Mode::new(
        r#"
        class Player(Entity):
            z: f64 = field(3.0)
            tags: object = field((1, 2))
            text: str = field("", max=200)
            def tick(self, dt):
                if self.id != 1: return
                seen = []
                for ask in (lambda: get(50).z, lambda: get(50).tags, lambda: len(self.near(50.0))):
                    try: seen.append(str(ask()))
                    except Exception as error: seen.append(type(error).__name__)
                self.text = " ".join(seen)
        def start(world):
            world.spawn(Player)
            world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let (player, good) = (zone.kind("Player"), zone.row(2));
    let mut bad = good.clone();
    // The tag of the tuple's last int, before the length of the empty text.
    let at = bad.len() - 4 - 2;
    bad[at] = 0xee;
    let id = EntityId(50);
    assert_eq!(
        zone.scripts.insert(player, id, &bad),
        Err(RowError::Truncated { field: 6 })
    );
    assert!(zone.row(50).is_empty());
    zone.scripts
        .ghost_row(player, id, &bad)
        .expect("not looked at yet");
    for _ in 0..2 {
        zone.step();
        let text = zone.field(1, "text");
        let errors = "ValueError ValueError ValueError";
        let expected = tessera_protocol::ValueRef::Var(errors.as_bytes());
        assert_eq!(
            text,
            format!("{expected:?}"),
            "each time, not only the first"
        );
    }
    zone.scripts.insert(player, id, &good).expect("a good row");
    zone.step();
    let expected = tessera_protocol::ValueRef::Var(b"3.0 (1, 2) 2");
    assert_eq!(zone.field(1, "text"), format!("{expected:?}"));
    zone.assert_clean();
}

/// A zone whose scripts don't end keeps its own thread, and nobody else's.
#[test]
fn a_zone_that_can_not_end_holds_up_no_other() {
    let stuck = Mode::new(
        r#"
        import atexit
        register = getattr(atexit.register, "__wrapped__", atexit.register)
        class Player(Entity): pass
        def late():
            log("at its end")
            while True: pass
        register(late)
        def start(world): world.spawn(Player)
        "#,
    );
    let (ending, ended) = mpsc::channel();
    // Not joined: it never ends.
    std::thread::spawn(move || {
        let zone = stuck.zone();
        ending.send(()).expect("the test waits");
        drop(zone);
    });
    ended.recv().expect("the zone starts");
    let (starting, started) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..3 {
            drop(Mode::new("class Player(Entity): pass").zone());
        }
        starting.send(()).expect("the test waits");
    });
    let patience = Duration::from_secs(120);
    started
        .recv_timeout(patience)
        .expect("other zones start and end");
}
