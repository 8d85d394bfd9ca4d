"""The engine, as the package `tessera` uses it. Modes import from `tessera`."""

from collections.abc import Iterator, Mapping
from typing import Final, Self, final, overload

import tessera

class DeclarationError(TypeError):
    """A class declares something that can't be: the text says which, and what is
    permitted."""

class Preempted(BaseException):
    """A script ran for too long, and the engine breaks it off. Raised wherever it is,
    and again if it goes on."""

TICK_HZ: Final[int]
"""Ticks per second."""

HALO: Final[float]
"""How far `Entity.near` can reach, metres."""

options: Final[Mapping[str, bool | int | float | str]]
"""The mode's options, from the server's configuration. Read-only."""

FIRE: Final[int]
JUMP: Final[int]
RELOAD: Final[int]
CROUCH: Final[int]
SPRINT: Final[int]
USE: Final[int]

@final
class Vec3:
    """A point or a direction: three floats, metres unless said otherwise, y is up.
    Immutable.

    ``a + b``, ``a - b``, ``-a``, ``a * 2.0``, ``2.0 * a``, ``a / 2.0``, ``a == b``,
    ``x, y, z = a``.
    """

    def __new__(cls, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Self: ...
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float:
        """Up."""

    @property
    def z(self) -> float: ...
    def length(self) -> float:
        """Distance from the origin."""

    def length_squared(self) -> float:
        """Square of the length; cheaper, and enough to compare."""

    def normalized(self) -> Vec3:
        """The direction, with length 1. Of the zero vector: the zero vector."""

    def flat(self) -> Vec3:
        """The same with y = 0."""

    def with_y(self, y: float, /) -> Vec3:
        """The same with another y."""

    def dot(self, other: Vec3, /) -> float:
        """The dot product: positive where both point the same way."""

    def cross(self, other: Vec3, /) -> Vec3:
        """The cross product: at right angles to both. The frame is right-handed."""

    def distance(self, other: Vec3, /) -> float:
        """Distance between two points."""

    def distance_squared(self, other: Vec3, /) -> float:
        """Square of the distance; cheaper, and enough to compare."""

    def lerp(self, other: Vec3, t: float, /) -> Vec3:
        """The point at fraction `t` of the way to `other`. `t` isn't clamped."""

    def __add__(self, other: Vec3, /) -> Vec3: ...
    def __sub__(self, other: Vec3, /) -> Vec3: ...
    def __mul__(self, factor: float, /) -> Vec3: ...
    def __rmul__(self, factor: float, /) -> Vec3: ...
    def __truediv__(self, divisor: float, /) -> Vec3: ...
    def __neg__(self) -> Vec3: ...
    def __pos__(self) -> Vec3: ...
    def __iter__(self) -> Iterator[float]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> float: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Command:
    """What a client wants of its player in this tick. It has been checked: all numbers
    are in range."""

    @property
    def move_x(self) -> float:
        """Wish to move right (+) or left (-), in [-1, 1]; with `move_z` never longer
        than 1."""

    @property
    def move_z(self) -> float:
        """Wish to move back (+) or forward (-), in [-1, 1]."""

    @property
    def yaw(self) -> float:
        """Where it looks: radians about +y in [-π, π); 0 is along -z."""

    @property
    def pitch(self) -> float:
        """Where it looks: radians above the horizon in [-π/2, π/2]."""

    @property
    def rewind(self) -> float:
        """How far back in time its client saw the others, in ticks: at least 0, at most
        250 ms. For `raycast`, so that what was aimed at is hit."""

    @property
    def buttons(self) -> int:
        """What is pressed: ``if cmd.buttons & FIRE``; FIRE, JUMP, RELOAD, CROUCH,
        SPRINT, USE."""

    @property
    def slot(self) -> int:
        """The chosen weapon or item."""

@final
class Hit:
    """What a ray met."""

    @property
    def distance(self) -> float:
        """Metres from the ray's origin."""

    @property
    def position(self) -> Vec3:
        """The point met."""

    @property
    def normal(self) -> Vec3:
        """Which way the surface faces there; length 1."""

    @property
    def entity(self) -> int:
        """Id of the entity that was hit; 0 for the map."""

    @property
    def base(self) -> Vec3:
        """Where that entity was when the ray met it, which with `rewind` is the past:
        the foot of its hitbox. For the map, the point met."""

class Entity:
    """The native base of all entities; derive from `tessera.Entity`."""

    position: Vec3
    """Metres; for a character its feet."""

    velocity: Vec3
    """Metres per second."""

    yaw: float
    """Radians about +y; 0 looks along -z."""

    pitch: float
    """Radians above the horizon."""

    owner: int
    """The number of the client that steers it, as `on_join` was given it; 0 for
    none."""

    @property
    def id(self) -> int:
        """Its number, which no other entity of the match ever has. Entities are
        numbered by birth."""

    @overload
    def near(
        self, radius: float, kind: None = None, at: Vec3 | None = None
    ) -> list[tessera.Entity]: ...
    @overload
    def near[E: Entity](
        self, radius: float, kind: type[E], at: Vec3 | None = None
    ) -> list[E]:
        """Who is within `radius` metres of this entity, or of `at`, by ascending id,
        without itself.

        They are seen as they were when the tick began, and can't be changed. With
        `kind` only entities of that class, or of one of several. What is asked for must
        lie within `HALO` metres of where this entity was when the tick began: use
        `find` for more.
        """

    @overload
    def near(
        self, radius: float, kind: tuple[type[Entity], ...], at: Vec3 | None = None
    ) -> list[tessera.Entity]: ...
    def send(self, target: int, name: str, /, *args: object) -> None:
        """Calls ``on_<name>(sender, *args)`` of the entity with the id `target` in the
        next tick.

        Arguments are copied: None, bool, int, float, str, bytes, Vec3, tuple, list,
        dict, set and frozenset of such can be sent; another entity is sent as its
        ``id``. ``bytes`` of 4 KiB and more arrive as a read-only ``memoryview``,
        without a copy. An entity that is gone by then gets nothing. The names "spawn",
        "restart" and "despawn" are the engine's.
        """

    def spawn(self, kind: type[Entity], /, **fields: object) -> None:
        """Asks for an entity, which is born when the tick ends: ``self.spawn(Rocket,
        velocity=v)``.

        Fields that aren't named have their defaults. An entity may spawn 256 in a tick,
        and nobody any while the match has 65,536: more raise `RuntimeError`.
        """

    def despawn(self) -> None:
        """Ends this entity when the tick ends, after its ``on_despawn()``."""

    def broadcast(
        self, name: str, /, *args: None | bool | float | str | Entity
    ) -> None:
        """Tells all clients of an event, such as a line of the kill feed."""

    def tell(
        self,
        client: int,
        name: str,
        /,
        *args: None | bool | float | str | Entity,
    ) -> None:
        """Tells one client of an event; `client` as `on_join` was given it."""

    def random(self) -> float:
        """A random number in [0, 1). The same match gives the same numbers every
        time."""

    def uniform(self, a: float, b: float, /) -> float:
        """A random number between `a` and `b`."""

    def randrange(self, n: int, /) -> int:
        """A random whole number from 0 to `n` - 1, all equally likely; `n` is at most
        2**63 - 1."""

@final
class World:
    """The match before its first tick, as the mode's ``start(world)`` gets it."""

    def spawn(self, kind: type[Entity], /, **fields: object) -> None:
        """Puts an entity into the match. Fields that aren't named have their
        defaults."""

    def random(self) -> float:
        """A random number in [0, 1). The same match gives the same numbers every
        time."""

    def uniform(self, a: float, b: float, /) -> float:
        """A random number between `a` and `b`."""

    def randrange(self, n: int, /) -> int:
        """A random whole number from 0 to `n` - 1, all equally likely; `n` is at most
        2**63 - 1."""

def register_kind(
    cls: type,
    fields: tuple[tuple[str, str, int, object, tuple[object, ...], int], ...],
    hitbox: tuple[float, float, str | None] | None,
    projectile: float | None,
    walker: tuple[tuple[float, ...], str | None] | None,
    is_match: bool,
    /,
) -> None:
    """Makes a kind of a class; for the package's metaclass."""

def log(level: int, message: object, /) -> None:
    """Writes to the server's log; `level` as in the standard library's ``logging``."""

def _source(name: str, /) -> str:
    """The text of a module of the mode or the engine."""

def tick() -> int:
    """The number of the tick that runs. Time since the start is ``tick() / TICK_HZ``
    seconds."""

@overload
def find[E: Entity](kind: type[E], /) -> list[E]:
    """All entities of a kind, or of several, in the whole world, by ascending id.

    They are seen as they were when the tick began, and can't be changed.
    """

@overload
def find(kind: tuple[type[Entity], ...], /) -> list[tessera.Entity]: ...
def get(id: int, /) -> tessera.Entity | None:
    """The entity with this id as it was when the tick began; None if there is none."""

def snapshot() -> memoryview:
    """The whole state as it was when the tick began: a FlatBuffers `Snapshot`,
    read-only.

    It is laid out by zones, so its bytes differ with how the map is divided. Look
    entities up in it by id; never hash it, and go by no order or length in it.
    """

def raycast(
    origin: Vec3,
    direction: Vec3,
    max_distance: float,
    hit: type[Entity] | tuple[type[Entity], ...] | None = None,
    ignore: int = 0,
    rewind: float = 0.0,
) -> Hit | None:
    """The first thing that a ray meets within `max_distance` metres, or None.

    Without `hit` that is the map; with a kind or several also the hitboxes of such
    entities, where they were when the tick began, except that of the entity with the id
    `ignore`. `direction` can have any length but zero.

    With `rewind` the hitboxes are where they were so many ticks before, or between two
    ticks: pass ``cmd.rewind`` for a shot at what the client had on its screen, wherever
    in the world it is. Only who was there then and is there now is hit; the map doesn't
    change. More than 250 ms is an error.
    """

def ground(x: float, z: float) -> float:
    """Height of the terrain, metres; buildings don't count."""

def move(
    position: Vec3,
    velocity: Vec3,
    dt: float,
    radius: float,
    height: float,
    step: float = 0.4,
) -> tuple[Vec3, Vec3, bool]:
    """Moves a character for `dt` seconds; it slides along what it meets.

    `position` is its feet. Ledges up to `step` metres are walked up. Gravity is up to
    you: add it to `velocity` first. Returns its position, its velocity, and whether it
    stands on something.
    """

def walk(entity: Entity, move_x: float, move_z: float, buttons: int) -> float:
    """Walks `entity`, whose hook runs, for one tick by the rules of its `Walker`; how
    fast it landed, in m/s, if it did in this tick, else 0.

    `move_x` (right) and `move_z` (back) are the wish, taken to [-1, 1], in the frame of
    its `yaw`; of `buttons` JUMP, CROUCH and SPRINT count. Pass what its last `Command`
    said: its client predicts just that. Changes its ``position`` and ``velocity``, and
    its fields ``grounded``, ``crouched`` and ``gliding``.
    """

def path(start: Vec3, goal: Vec3, max_nodes: int = 4096) -> tuple[Vec3, ...]:
    """Points to walk to one after another, around obstacles, the goal last; empty if no
    way is found.

    `max_nodes` bounds the search. Ask once and keep the result: it is the dearest thing
    here.
    """

def is_free(position: Vec3, radius: float, height: float) -> bool:
    """Whether a character fits there, its feet at `position`."""

def spawn_points() -> tuple[Vec3, ...]:
    """Where the map suggests that players start."""

def loot_points() -> tuple[Vec3, ...]:
    """Where the map suggests that loot lies."""

def map_size() -> float:
    """Side of the map, metres: it spans [0, size] along x and z."""
