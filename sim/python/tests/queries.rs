//! What hooks can read: the neighbourhood, the whole world, the map; always as of the tick's start.

mod common;

use common::{HALO_M, Mode, Zone};
use proptest::prelude::*;
use tessera_protocol::ids::{EntityId, KindId};

#[test]
fn views_show_the_ticks_start_and_can_not_be_written() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            n: u32 = field(0)
            @property
            def double(self): return self.n * 2
            def bump(self): self.n += 1
            def tick(self, dt):
                self.n += 1
                for other in self.near(50.0, Unit):
                    assert other.n == tick(), "S_t, in whatever order hooks run"
                    assert other.double == 2 * other.n and isinstance(other, Unit)
                    assert type(other).__name__ == "Unit" and self.near(50.0, type(other)) == [other]
                    for attempt in (
                        lambda: setattr(other, "n", 5), lambda: setattr(other, "x", 5), other.bump,
                        lambda: object.__setattr__(other, "n", 5), lambda: delattr(other, "n"),
                        lambda: setattr(other, "position", Vec3()),
                    ):
                        try: attempt()
                        except (AttributeError, TypeError): pass
                        else: raise AssertionError("a view was written")
                    for attempt in (
                        lambda: other.send(1, "x"), lambda: other.near(1.0), other.despawn,
                        lambda: other.spawn(Unit), other.random, lambda: other.broadcast("x"),
                    ):
                        try: attempt()
                        except RuntimeError as error: assert "send it a message" in str(error)
                        else: raise AssertionError("a view acted")
                view = get(self.id)
                assert view is not self and view.n == tick() and self.n == tick() + 1
                assert view == self and not view != self and hash(view) == hash(self.id)
                assert get(3 - self.id) != self and len({view, self, get(3 - self.id)}) == 2
                try: self.near(1.0)[0]
                except IndexError: pass  # never itself
        def start(world):
            world.spawn(Unit)
            world.spawn(Unit, position=Vec3(1, 2, 3))
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..3 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(zone.field(2, "n"), "U32(3)");
}

#[test]
fn the_error_of_writing_a_view_says_what_to_do() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            health: f32 = field(1.0)
            def tick(self, dt): get(2).health = 0.0
        def start(world):
            world.spawn(Unit)
            world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(
        zone.errors(),
        [
            "AttributeError: <Unit 2> is a view of another entity as it was when the tick began; its \
          health can't be set: send it a message, and let it set its own fields"
        ]
    );
}

#[test]
fn near_stays_within_the_halo() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            def tick(self, dt):
                if tick() == 0: self.near(100.0)
                if tick() == 1: self.near(100.5)
                if tick() == 2: self.near(60.0, at=Vec3(30, 0, 40))
                if tick() == 3: self.position = Vec3(500, 0, 0); self.near(50.0)  # of where it was
                if tick() == 4: self.near(-1.0)
                if tick() == 5: self.near(float("nan"))
                if tick() == 6: self.near(1.0, kind=3)
                if tick() == 7: self.near(radius=1.0, kind=(Unit,), at=None)
                if tick() == 8: self.near(1.0, size=2)
                if tick() == 9: self.near(5.0, int)
                if tick() == 10: find(())
                if tick() == 11: find((Unit, int))
                if tick() == 12: assert find(Match) == [] and len(find(Mixin)) == 1
        class Mixin: __slots__ = ()
        class Mixed(Mixin, Entity): pass
        def start(world):
            world.spawn(Unit)
            world.spawn(Mixed)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..13 {
        zone.step();
    }
    let errors = zone.errors();
    let expected = [
        "ValueError: near: a radius of 100.5 m reaches 100.50 m from this entity, beyond the halo of \
         100 m; ask for less, or use find() for the whole world",
        "ValueError: near: a radius of 60 m reaches 110.00 m",
        "TypeError: near: radius must be a finite number of at least 0, but got float -1.0",
        "TypeError: near: radius must be a finite number of at least 0, but got float nan",
        "TypeError: near: kind must be a kind (a class of entities) or a tuple of them, but got int 3",
        "TypeError: near has no argument size; it takes radius, kind, at",
        "TypeError: near: kind must be a kind (a class of entities) or a tuple of them, but got type",
        "TypeError: find: kind must be a kind (a class of entities) or a tuple of them, but got tuple ()",
        "TypeError: find: kind must be a kind (a class of entities) or a tuple of them, but got type",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Three kinds, one derived from another; `found` is what `near` returned.
const NEAR: &str = r#"
    class Unit(Entity):
        radius: f64 = field(0.0)
        filter: u8 = field(0)
        found: str = field("", max=4000, to=NOBODY)
        def tick(self, dt):
            kind = (None, Unit, Special, Crate, (Special, Crate), Entity)[self.filter]
            self.found = " ".join(str(view.id) for view in self.near(self.radius, kind))
    class Special(Unit): pass
    class Crate(Entity): pass
    def start(world): world.spawn(Unit)
"#;

/// Row of a kind of [`NEAR`].
fn near_row(kind: u8, position: [f64; 3], radius: f64, filter: u8) -> Vec<u8> {
    let mut row: Vec<u8> = position
        .iter()
        .flat_map(|axis| axis.to_le_bytes())
        .collect();
    row.extend([0; 24 + 4 + 4 + 2]);
    if kind < 2 {
        row.extend(radius.to_le_bytes());
        row.push(filter);
        row.extend([0; 4]);
    }
    row
}

#[derive(Debug, Clone)]
struct Placed {
    kind: u8,
    position: [f64; 3],
    radius: f64,
    filter: u8,
    ghost: bool,
}

fn placed() -> impl Strategy<Value = Placed> {
    // A few clusters, so that neighbourhoods are neither empty nor everybody.
    let axis = || (0..3, -40.0..40.0f64).prop_map(|(cluster, at)| f64::from(cluster) * 200.0 + at);
    (
        0..3u8,
        (axis(), -20.0..20.0f64, axis()),
        0.0..HALO_M,
        0..6u8,
        any::<bool>(),
    )
        .prop_map(|(kind, (x, y, z), radius, filter, ghost)| Placed {
            kind,
            position: [x, y, z],
            radius,
            filter,
            ghost,
        })
}

#[test]
fn near_finds_whom_brute_force_finds() {
    let mode = Mode::new(NEAR);
    let zone = std::cell::RefCell::new(mode.zone());
    let mut runner = proptest::test_runner::TestRunner::default();
    let world = prop::collection::vec(placed(), 1..60);
    runner
        .run(&world, |world| {
            let mut zone = zone.borrow_mut();
            for (id, one) in (1..).zip(&world) {
                let row = near_row(one.kind, one.position, one.radius, one.filter);
                let (kind, id) = (KindId(one.kind), EntityId(id));
                match one.ghost {
                    true => zone.scripts.ghost_row(kind, id, &row).expect("it fits"),
                    false => zone.scripts.insert(kind, id, &row).expect("it fits"),
                }
            }
            zone.step();
            zone.assert_clean();
            for (id, one) in (1..)
                .zip(&world)
                .filter(|(_, one)| !one.ghost && one.kind < 2)
            {
                let expected = brute_force(&world, id, one);
                let expected = tessera_protocol::ValueRef::Var(expected.as_bytes());
                prop_assert_eq!(zone.field(id as u32, "found"), format!("{:?}", expected));
            }
            for id in (1..).take(world.len()).map(EntityId) {
                zone.scripts.remove(id);
                zone.scripts.ghost_remove(id);
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn brute_force(world: &[Placed], id: usize, one: &Placed) -> String {
    let kinds: &[u8] =
        [&[0, 1, 2][..], &[0, 1], &[1], &[2], &[1, 2], &[0, 1, 2]][one.filter as usize];
    let near = |other: &Placed| {
        let square: f64 = (0..3)
            .map(|axis| (other.position[axis] - one.position[axis]).powi(2))
            .sum();
        square <= one.radius * one.radius
    };
    let found = (1..)
        .zip(world)
        .filter(|(other_id, other)| *other_id != id && kinds.contains(&other.kind) && near(other));
    found
        .map(|(id, _)| id.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn find_and_get_reach_the_whole_world() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            n: u32 = field(0)
            sum: u32 = field(0)
            def tick(self, dt):
                units = find(Unit)
                assert [unit.id for unit in units] == sorted(unit.id for unit in units)
                assert find(Unit)[0] is units[0] and find(Unit) is not units
                units.clear()
                assert len(find(Unit)) == 3 and len(find(Entity)) == 4 and len(find((Crate,))) == 1
                self.sum = sum(unit.n for unit in find(Unit)) + get(4).n
                assert get(99) is None and get(0) is None
        class Crate(Entity):
            n: u32 = field(100)
        def start(world):
            for n in range(3): world.spawn(Unit, n=n, position=Vec3(n * 400, 0, 0))
            world.spawn(Crate, position=Vec3(900, 0, 900))
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    // The snapshot has all four, the zone only two of them: the others are elsewhere.
    let snapshot = zone.snapshot();
    zone.scripts.remove(EntityId(2));
    zone.scripts.remove(EntityId(4));
    zone.scripts
        .begin_tick(zone.tick, snapshot, zone.hitboxes.clone());
    zone.scripts.run_hooks(&Vec::new(), &[], &[]);
    zone.scripts.gather();
    zone.assert_clean();
    assert_eq!(zone.field(1, "sum"), "U32(103)");
    assert_eq!(zone.field(3, "sum"), "U32(103)");
}

/// A zone after so many ticks that has only the first of four entities: the others are elsewhere, and go on.
fn first_of_four(mode: &Mode, ticks: usize) -> Zone {
    let mut zone = mode.zone();
    zone.run_start();
    let mut elsewhere = mode.zone();
    elsewhere.run_start();
    for id in 2..=4 {
        zone.scripts.remove(EntityId(id));
    }
    zone.scripts.release();
    for _ in 0..ticks {
        let (tick, snapshot) = (elsewhere.tick, elsewhere.snapshot());
        zone.scripts
            .begin_tick(tick, snapshot, zone.hitboxes.clone());
        zone.scripts.run_hooks(&Vec::new(), &[], &[]);
        zone.scripts.gather();
        elsewhere.step();
    }
    zone
}

#[test]
fn a_view_from_afar_is_whole_however_and_whenever_it_is_read() {
    let mode = Mode::new(
        r#"
        import copy
        kept = []
        class Unit(Entity):
            n: u32 = field(0)
            name: str = field("", max=8)
            trail: tuple = field(())
            checks: u32 = field(0)
            def tick(self, dt):
                self.n += 10
                for n, view in enumerate(kept):
                    # Kept since an earlier tick: as it was then, also what nobody has read yet.
                    assert view.n == 3 + 10 * n and view.name == "far" and view.trail == ((1, 2), "x")
                    assert not hasattr(view, "other")
                    self.checks += 1
                if self.id == 1:
                    kept.append(get(4))
                    one = get(4)
                    assert one is get(4) and type(one) is type(find(Unit)[0])
                    assert Unit.n.__get__(one) == one.n and getattr(one, "position").x == 1200.0
                    try: one.n = 5
                    except AttributeError: pass
                    else: raise AssertionError("a view was written")
                    try: Crate.n.__get__(one)
                    except TypeError: pass
                    else: raise AssertionError("a crate's slot was read in a unit")
                    # Often enough for the interpreter to specialize the load.
                    assert sum(unit.n for _ in range(40) for unit in find(Unit)) > 0
        class Crate(Entity):
            n: u32 = field(0)
        def start(world):
            for n in range(4):
                world.spawn(Unit, n=n, name="far", trail=((1, 2), "x"), position=Vec3(n * 400, 0, 0))
        "#,
    );
    let zone = first_of_four(&mode, 3);
    zone.assert_clean();
    assert_eq!(zone.field(1, "checks"), "U32(3)");
}

#[test]
fn a_view_from_afar_that_its_finalizer_saves_shows_its_tick_whole() {
    let mode = Mode::new(
        r#"
        asked, saved = [], []
        class Unit(Entity):
            n: u32 = field(0)
            checks: u32 = field(0)
            def tick(self, dt):
                assert [view.n for view in saved] == [10 * at for at in range(len(saved))]
                self.checks += len(saved)
                self.n += 10
                if self.id == 1:
                    asked.append(get(4).position)
        def save(self):
            if asked and self.id == 4: saved.append(self)
        type.__setattr__(Unit, "__del__", save)  # a class body may not have it
        def start(world):
            for n in range(4): world.spawn(Unit, position=Vec3(n * 400, 0, 0))
        "#,
    );
    let zone = first_of_four(&mode, 4);
    zone.assert_clean();
    assert_eq!(zone.field(1, "checks"), "U32(6)", "0 + 1 + 2 + 3 saved");
}

#[test]
fn a_snapshots_bytes_stay_while_a_memoryview_looks_at_them() {
    let mode = Mode::new(
        r#"
        kept = []
        class Unit(Entity):
            def tick(self, dt):
                view = snapshot()
                assert view.readonly and view.nbytes > 16
                try: view[0] = 1
                except TypeError: pass
                kept.append((view, bytes(view)))
                for old, copy in kept: assert old == copy
        def start(world): world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let first = zone.snapshot();
    zone.scripts
        .begin_tick(zone.tick, first.clone(), zone.hitboxes.clone());
    zone.scripts.run_hooks(&Vec::new(), &[], &[]);
    for _ in 0..5 {
        zone.step();
    }
    zone.assert_clean();
    assert_eq!(
        std::sync::Arc::strong_count(&first),
        2,
        "the script's is the other"
    );
    drop(zone);
    assert_eq!(std::sync::Arc::strong_count(&first), 1);
}

#[test]
fn natives_outside_of_hooks_say_so() {
    let mode = Mode::exact(
        r#"
from tessera import *
def refused(call, *args):
    try: call(*args)
    except RuntimeError as error: return "in hooks only" in str(error)
assert refused(find, Entity) and refused(get, 1) and refused(snapshot)
assert ground(1.0, 2.0) == 0.0 and map_size() == 1000.0 and tick() == 0
kept = []
class Unit(Entity):
    def tick(self, dt): kept.append(self)
    def on_other(self, sender):
        first = kept[0]
        assert first is not self
        for call, *args in ((first.send, 1, "x"), (first.despawn,), (first.near, 1.0)):
            try: call(*args)
            except RuntimeError as error: assert "only the entity whose hook runs" in str(error)
            else: raise AssertionError
def start(world):
    world.spawn(Unit)
    world.spawn(Unit)
    assert len(find(Unit)) == 0
"#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.post(tessera_python::Message {
        target: EntityId(2),
        sender: EntityId::NONE,
        seq: 0,
        payload: tessera_python::Payload::new("other", &[]),
    });
    zone.step();
    // Keeping `self` is refused on its own account; nothing else went wrong.
    let errors = zone.errors();
    assert!(
        errors.iter().all(|error| error.contains("self was kept")),
        "{errors:?}"
    );
}

#[test]
fn rays_meet_the_hitboxes_of_the_ticks_start() {
    let mode = Mode::new(
        r#"
        class Target(Entity):
            hitbox = Capsule(radius=0.5, height=2.0, when="alive")
            alive: bool = field(True)
            def tick(self, dt): self.position += Vec3(0, 50, 0)
        class Shooter(Entity):
            hitbox = Capsule(radius=0.5, height=2.0)
            def tick(self, dt):
                eye, ahead = Vec3(0, 1, 0), Vec3(3, 0, 0)
                if tick() > 0:
                    assert raycast(eye, ahead, 50.0, hit=Target, ignore=self.id) is None
                    return
                hit = raycast(eye, ahead, 50.0, hit=Target)
                assert (hit.entity, hit.distance) == (2, 9.5), hit
                assert hit.position == Vec3(9.5, 1, 0) and hit.normal == Vec3(-1, 0, 0), hit
                assert raycast(eye, ahead, 9.0, hit=Target) is None
                assert raycast(eye, ahead, 50.0) is None
                assert raycast(eye, ahead, 50.0, hit=Target, ignore=2).entity == 3
                assert raycast(eye, ahead, 50.0, hit=(Shooter, Target)).entity == 1  # itself
                assert raycast(eye, ahead, 50.0, hit=Entity, ignore=1).entity == 2
                ground = raycast(eye, Vec3(0, -1, 0), 5.0)
                assert (ground.entity, ground.distance, ground.normal) == (0, 1.0, Vec3(0, 1, 0))
                try: raycast(eye, Vec3(), 1.0)
                except ValueError as error: assert "direction must not be zero" in str(error)
                try: raycast(eye, ahead, 1.0, hit=3)
                except TypeError as error: assert "hit must be a kind" in str(error)
        def start(world):
            world.spawn(Shooter)
            world.spawn(Target, position=Vec3(10, 0, 0))
            world.spawn(Target, position=Vec3(20, 0, 0))
            world.spawn(Target, position=Vec3(5, 0, 0), alive=False)
        "#,
    );
    let mut zone: Zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.step();
    zone.assert_clean();
}

#[test]
fn the_map_answers() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            def tick(self, dt):
                position, velocity, grounded = move(Vec3(9, 4, 9), Vec3(64, -300, 0), dt, 0.4, 1.8)
                assert grounded is True and abs(position.y) < 0.05
                assert path(Vec3(1, 0, 1), Vec3(5, 0, 1))[-1] == Vec3(5, 0, 1)
                assert is_free(Vec3(9, 0, 9), radius=0.4, height=1.8)
                assert all(type(point) is Vec3 for point in spawn_points() + loot_points())
                for call in (
                    lambda: move(1, 2, 3, 4, 5), lambda: move(Vec3(), Vec3(), -1.0, 0.4, 1.8),
                    lambda: ground(1), lambda: ground(float("inf"), 0), lambda: is_free(Vec3(), 0, 1),
                    lambda: path(Vec3(), Vec3(), 0), lambda: map_size(1),
                ):
                    try: call()
                    except TypeError: pass
                    else: raise AssertionError
        def start(world): world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}
