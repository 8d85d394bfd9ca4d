//! What classes may declare, and what they are told where they may not.

mod common;

use common::{Mode, START};
use tessera_protocol::{Audience, FieldType, Quantization, base};

#[test]
fn declarations_become_kinds() {
    let mode = Mode::new(
        r#"
        from types import MappingProxyType
        from typing import ClassVar, Final, TypedDict

        class Mind(TypedDict):
            goal: int

        type Name = str

        class Unit(Entity):
            hitbox = Capsule(radius=0.4, height=1.8, when="alive")
            SPEED: ClassVar[float] = 4.0
            NAMES = ("a", "b")
            COSTS: Final = MappingProxyType({"a": 1})
            alive: bool = field(True)
            health: f32 = field(100.0, wire=Range(0, 100, bits=8))
            heading: f64 = field(0.0, wire=Angle(10))
            ammo: u8 = field(30, to=OWNER)
            score: i32 = field(-5)
            team: u16 = field(0)
            seed: u32 = field(0)
            name: Name = field("", max=24)
            blob: bytes = field(b"", max=100)
            aim: Vec3 = field(Vec3(0, 1, 0), wire=Range(-1, 1, bits=9))
            home: vec3 = field(Vec3())
            target: ref = field(0, to=NOBODY)
            brain: object = field(None, to=NOBODY)
            mind: Mind | None = field(None)
            bag: dict[str, int] = field({"coins": 3})

        class Tank(Unit):
            hitbox = None
            armour: f32 = field(50.0)

        class Rocket(Entity):
            projectile = Projectile(gravity=1.5)

        class Game(Match):
            pass
        "#,
    );
    let zone = mode.zone();
    let table = zone.scripts.field_table();
    let names: Vec<_> = table.kinds.iter().map(|kind| &*kind.name).collect();
    assert_eq!(names, ["Unit", "Tank", "Rocket", "Game"]);
    let is_match: Vec<_> = table.kinds.iter().map(|kind| kind.is_match).collect();
    assert_eq!(is_match, [false, false, false, true]);

    let [unit, tank, rocket, _] = &table.kinds[..] else {
        unreachable!("counted above")
    };
    let fields: Vec<_> = unit.fields[base::COUNT..]
        .iter()
        .map(|field| (&*field.name, field.ty, field.audience))
        .collect();
    use Audience::{Everyone, Nobody, Owner};
    assert_eq!(
        fields,
        [
            ("alive", FieldType::Bool, Everyone),
            ("health", FieldType::F32, Everyone),
            ("heading", FieldType::F64, Everyone),
            ("ammo", FieldType::U8, Owner),
            ("score", FieldType::I32, Everyone),
            ("team", FieldType::U16, Everyone),
            ("seed", FieldType::U32, Everyone),
            ("name", FieldType::Str { max: 24 }, Everyone),
            ("blob", FieldType::Bytes { max: 100 }, Everyone),
            ("aim", FieldType::Vec3, Everyone),
            ("home", FieldType::Vec3, Everyone),
            ("target", FieldType::Entity, Nobody),
            ("brain", FieldType::Object, Nobody),
            ("mind", FieldType::Object, Nobody),
            ("bag", FieldType::Object, Nobody),
        ]
    );
    let wire = |name| unit.fields[unit.field(name).expect("declared")].quantization;
    let range = |min, max, bits| Quantization::Range { min, max, bits };
    assert_eq!(wire("health"), range(0.0, 100.0, 8));
    assert_eq!(wire("heading"), Quantization::Angle { bits: 10 });
    assert_eq!(wire("aim"), range(-1.0, 1.0, 9));
    assert_eq!(wire("score"), Quantization::Exact);

    let hitbox = unit.hitbox.expect("declared");
    assert_eq!((hitbox.radius, hitbox.height), (0.4, 1.8));
    assert_eq!(hitbox.when.map(usize::from), unit.field("alive"));
    assert_eq!(tank.hitbox, None);
    assert_eq!(tank.fields.len(), unit.fields.len() + 1);
    assert_eq!(tank.fields.last().map(|field| &*field.name), Some("armour"));
    assert_eq!(
        rocket.projectile.map(|projectile| projectile.gravity),
        Some(1.5)
    );
}

/// Annotations that are postponed, or not, mean the same.
#[test]
fn annotations_may_be_postponed() {
    let body = format!(
        "from tessera import *\nclass A(Entity):\n    n: u8 = field(1)\n    v: Vec3 = field(Vec3())\n{START}"
    );
    let now = Mode::exact(&body).zone();
    let later = Mode::exact(&format!("from __future__ import annotations\n{body}")).zone();
    assert_eq!(now.scripts.field_table(), later.scripts.field_table());
}

/// A mutable default isn't shared between entities.
#[test]
fn defaults_are_copied() {
    let mode = Mode::new(
        r#"
        class Box(Entity):
            items: list[int] = field([])
            def tick(self, dt):
                self.items.append(self.id)
        def start(world):
            world.spawn(Box)
            world.spawn(Box)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(zone.scripts.stats().errors, []);
    assert_ne!(zone.field(1, "items"), zone.field(2, "items"));
}

#[test]
fn mistakes_name_class_field_and_what_is_permitted() {
    for (body, expect) in [
        (
            "health: f32",
            "A.health isn't declared as a field: write health: f32 = field(<default>)",
        ),
        (
            "health: f32 = 100.0",
            "A.health isn't declared as a field: write health: f32 = field(100.0)",
        ),
        (
            "health = field(100.0)",
            "A.health has no type: write health: <type> = field(...)",
        ),
        (
            "n: int = field(1)",
            "A.n: int can't be the type of a field: an int needs a width, or ref",
        ),
        (
            "n: float = field(1)",
            "A.n: float can't be the type of a field: f32 rounds",
        ),
        (
            "n: Entity = field(1)",
            "A.n: Entity can't be the type of a field: another entity is kept by its id",
        ),
        (
            "n: complex = field(1)",
            "A.n: complex can't be the type of a field; one of bool, u8, u16",
        ),
        (
            "n: Unknown = field(1)",
            "A.n: the type 'Unknown' isn't known",
        ),
        ("n: str = field('')", "A.n: str needs max="),
        (
            "n: str = field('', max=900)",
            "A: its fields take up to 919 bytes on the wire, at most 700 are possible",
        ),
        (
            "n: u8 = field(1, max=3)",
            "A.n: max= is for str and bytes, not for u8",
        ),
        (
            "n: u8 = field(1, max=0)",
            "field: max must be a number of bytes, not 0",
        ),
        (
            "n: u8 = field(300)",
            "A.n takes u8: an int from 0 to 255, but got",
        ),
        (
            "n: u8 = field('x')",
            "A.n takes u8: an int from 0 to 255, but got str 'x'",
        ),
        (
            "n: str = field('long', max=3)",
            "A.n takes a str of at most 3 bytes",
        ),
        ("n: object = field(object())", "A.n"),
        (
            "n: object = field(1, to=OWNER)",
            "A.n is an object, which clients can't receive",
        ),
        (
            "n: u8 = field(1, to='owner')",
            "field: to must be EVERYONE, OWNER or NOBODY: 'owner'",
        ),
        (
            "n: u8 = field(1, wire=8)",
            "field: wire must be Range(...) or Angle(...): 8",
        ),
        (
            "n: f32 = field(1, wire=Range(1, 0, 8))",
            "Range: min 1 must be less than max 0",
        ),
        (
            "n: f32 = field(1, wire=Range(0, 1, 33))",
            "Range: bits must be from 1 to 32, not 33",
        ),
        (
            "n: f32 = field(1, wire=Range(0, float('inf'), 3))",
            "Range: max must be finite, not inf",
        ),
        (
            "n: f32 = field(1, wire=Angle(0))",
            "Angle: bits must be from 1 to 32, not 0",
        ),
        (
            "n: bool = field(True, wire=Angle(3))",
            "A.n: wire=angle doesn't go with this type",
        ),
        (
            "_n: u8 = field(1)",
            "A._n: the name of a field can't begin with an underscore",
        ),
        (
            "position: Vec3 = field(Vec3())",
            "A.position: every entity has a field position already",
        ),
        (
            "send: u8 = field(1)",
            "A.send: every entity has something called send already",
        ),
        (
            "hitbox: u8 = field(1)",
            "A.hitbox: every entity has something called hitbox already",
        ),
        ("hitbox = 3", "A.hitbox must be a Capsule(...), not 3"),
        (
            "hitbox = Capsule(1, 1)",
            "A.hitbox: height 1 must be at least twice the radius 1",
        ),
        (
            "hitbox = Capsule(1, 2, when='alive')",
            "A.hitbox: when=\"alive\" must name a bool field",
        ),
        (
            "hitbox = Capsule('wide', 2)",
            "Capsule: radius must be a number, not 'wide'",
        ),
        (
            "walker = Walker()",
            "A.walker needs a field for whether it stands on something: grounded: bool = field(False, to=OWNER)",
        ),
        (
            "grounded: bool = field(False, to=NOBODY)\n    walker = Walker()",
            "A.grounded must be a bool that its owner is told, for A.walker",
        ),
        (
            "grounded: bool = field(False)\n    walker = Walker(when='alive')",
            "A.walker: when=\"alive\" must name a bool field of A",
        ),
        (
            "grounded: bool = field(False)\n    walker = Walker(walk_speed=-1)",
            "A.walker: walk_speed must be from 0 to 1000",
        ),
        (
            "walker = Walker(gravity='strong')",
            "Walker: gravity must be a number, not 'strong'",
        ),
        (
            "projectile = True",
            "A.projectile must be a Projectile(...), not True",
        ),
        (
            "hp: int = 100",
            "A.hp isn't declared as a field: write hp: i32 = field(100), or ClassVar for a constant",
        ),
        (
            "name: str = 'x'",
            "A.name isn't declared as a field: write name: str = field('x', max=32)",
        ),
        (
            "target: Entity = None",
            "A.target isn't declared as a field: write target: ref = field(0)",
        ),
        (
            "SEEN = []",
            "A.SEEN is a list, which the entities of a zone would share and other zones wouldn't \
             see: write a tuple for a constant, or declare a field",
        ),
        (
            "SEEN = set()",
            "A.SEEN is a set, which the entities of a zone would share",
        ),
        (
            "COSTS = {}",
            "write a types.MappingProxyType for a constant, or declare a field",
        ),
        (
            "import typing; SEEN: typing.ClassVar = bytearray()",
            "A.SEEN is a bytearray",
        ),
        (
            "def on_hit(self, sender, n=1, acc=[]): pass",
            "A.on_hit: the default of acc is a list, which the entities of a zone would share",
        ),
        (
            "@staticmethod\n    def f(*, memo={}): pass",
            "A.f: the default of memo is a dict",
        ),
        ("__init__ = None", "A.__init__ would never run"),
        (
            "def __del__(self): pass",
            "A.__del__ would run whenever an entity crosses into another zone, not only at its end; \
             write on_despawn",
        ),
        (
            "__slots__ = ()",
            "A: __slots__ are made of the declared fields; leave them out",
        ),
    ] {
        let mode = Mode::new(&format!("class A(Entity):\n    {body}\n"));
        let error = mode
            .start()
            .err()
            .unwrap_or_else(|| panic!("{body} should be refused"));
        assert!(error.message.contains(expect), "{body}: {}", error.message);
        assert!(matches!(error.line, Some(3 | 4)), "{body}: {error}");
        assert!(
            error.file.is_some_and(|file| file.ends_with("__init__.py")),
            "{body}"
        );
    }
    for (source, expect) in [
        (
            "class A(Entity):\n    n: u8 = field(1)\nclass B(A):\n    n: u8 = field(2)\n",
            "B.n: a class it derives from declares n already",
        ),
        (
            "class Mixin:\n    __slots__ = ()\n    SEEN = []\nclass A(Mixin, Entity): pass\n",
            "Mixin.SEEN is a list",
        ),
        (
            "class Mixin: pass\nclass A(Mixin, Entity): pass\n",
            "__slots__ = ()",
        ),
    ] {
        let error = Mode::new(source).start().err().expect(source);
        assert!(
            error.message.contains(expect),
            "{source}: {}",
            error.message
        );
    }
}

#[test]
fn undeclared_attributes_are_errors() {
    let mode = Mode::new(
        r#"
        class Mixin:
            __slots__ = ()
            def double(self): return self.n * 2
        class A(Mixin, Entity):
            n: u8 = field(2)
            LIVES = 3
            def tick(self, dt):
                assert self.double() == 4
                if tick() == 0: self.undeclared = 1
                if tick() == 1: self.LIVES -= 1
                if tick() == 2: Vec3().w = 1.0
        def start(world):
            world.spawn(A)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..3 {
        zone.step();
    }
    let [undeclared, constant, vector] = &zone.errors()[..] else {
        panic!("{:?}", zone.errors());
    };
    assert!(
        undeclared.contains("'A' object has no attribute 'undeclared'")
            && undeclared
                .ends_with("; declare it in the class: `undeclared: <type> = field(<default>)`"),
        "{undeclared}"
    );
    assert!(
        constant.ends_with(
            "'LIVES' is read-only; what an entity's class gives without field() is a constant; for a \
             field declare `LIVES: <type> = field(<default>)`"
        ),
        "{constant}"
    );
    assert!(!vector.contains("field("), "{vector}");
}

/// Each zone has its own classes: what a hook kept in one would be undeclared state.
#[test]
fn classes_are_sealed_when_the_mode_has_loaded() {
    let mode = Mode::new(
        r#"
        class A(Entity):
            total = 0
            n: u8 = field(2)
        A.total = 5
        A.extra = 6
        del A.extra
        def refused(code):
            try:
                exec(code, globals())
            except AttributeError as error:
                assert "Keep it in a field" in str(error), error
            else:
                raise AssertionError(f"{code} was let through")
        class B(Entity):
            def tick(self, dt):
                assert A.total == 5
                refused("A.total += 1")
                refused("A.other = 1")
                refused("del A.total")
                refused("type(get(2)).total = 1")
                refused("Entity.total = 1")
        def start(world):
            world.spawn(B)
            world.spawn(A)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}

/// A set's order follows from hashes, which for classes must not be addresses.
#[test]
fn classes_hash_by_name() {
    let mode = Mode::new(
        r#"
        class A(Entity): pass
        class B(Entity): pass
        class C(A): pass
        for kind in (A, B, C, Match, Entity):
            assert hash(kind) == hash((kind.__module__, kind.__qualname__)), kind
        assert A != B and A == A and {A: 1, B: 2, C: 3}[C] == 3
        class D(Entity):
            def tick(self, dt):
                view = type(get(2))
                assert hash(view) == hash(A) and view in {view}
        def start(world):
            world.spawn(D)
            world.spawn(A)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}

#[test]
fn an_entity_keeps_its_kind() {
    let mode = Mode::new(
        r#"
        class A(Entity):
            n: u8 = field(1)
            def tick(self, dt):
                assert self.__class__ is A and isinstance(self, A) and not isinstance(self, B)
                assert isinstance(get(2), B) and not isinstance(get(2), A)
                for change in (lambda: setattr(self, "__class__", B),
                               lambda: object.__setattr__(self, "__class__", B)):
                    try:
                        change()
                    except AttributeError as error:
                        assert "spawn one of that kind" in str(error), error
                    else:
                        raise AssertionError("it became another kind")
                assign = object.__dict__["__class__"].__set__
                for change in (lambda: assign(get(2), B), lambda: assign(self, type(get(2)))):
                    try:
                        change()
                    except TypeError:
                        pass
                    else:
                        raise AssertionError("a view became a live object, or the other way")
        class B(Entity):
            n: u8 = field(1)
        def start(world):
            world.spawn(A)
            world.spawn(B)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}

/// The classes of views are the engine's own business.
#[test]
fn a_registry_holds_each_class_once() {
    let mode = Mode::new(
        r#"
        KINDS, MIXED = [], []
        class Mixin:
            __slots__ = ()
            def __init_subclass__(cls, **kwargs):
                super().__init_subclass__(**kwargs)
                MIXED.append(cls.__name__)
        class Base(Entity):
            def __init_subclass__(cls, tag=None, **kwargs):
                super().__init_subclass__(**kwargs)
                KINDS.append((cls.__name__, tag))
        class A(Base, tag="a"): pass
        class B(Mixin, Base): pass
        class C(B): pass
        class D(Mixin, Entity): pass
        class E(D): pass
        class Last(Entity):
            def tick(self, dt):
                assert KINDS == [("A", "a"), ("B", None), ("C", None)], KINDS
                assert MIXED == ["B", "C", "D", "E"], MIXED
                assert Base.__subclasses__() == [A, B], Base.__subclasses__()
                assert C.__subclasses__() == []
        def start(world):
            world.spawn(Last)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
}
