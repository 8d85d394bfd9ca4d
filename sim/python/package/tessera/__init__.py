"""Write a game: classes of entities, and what each does in a tick.

A *mode* is a folder with an ``__init__.py``. It declares kinds of entities and says how
a match starts::

    from tessera import Entity, Match, Vec3, World, f32, field, u8

    class Player(Entity):
        health: f32 = field(100.0)
        ammo: u8 = field(30)

        def tick(self, dt: float) -> None:
            for other in self.near(10.0, Player):
                self.send(other.id, "hit", 5.0 * dt)

        def on_hit(self, sender: int, damage: float) -> None:
            self.health -= damage

    class Game(Match):
        def on_join(self, sender: int, client: int, name: str) -> None:
            self.spawn(Player, owner=client, position=Vec3(10.0, 0.0, 10.0))

    def start(world: World) -> None:
        world.spawn(Game)

The rules, which let a match run on all cores at once and come out the same every time:

* What an entity knows is in its declared fields. Setting any other attribute is an
  error, and so is setting one of its class once the mode has loaded. Nothing else lasts:
  a module's variables differ from zone to zone. A class may hold constants, but no
  list, dict or set.
* A field's value is another object, equal to the one before, once its entity is in
  another zone: compare with ``==``. ``is`` is for None, True, False and classes.
* A hook (``tick``, ``command``, ``on_...``) changes its own entity only. Other entities
  are seen as they were when the tick began, and can't be changed: send them a message,
  which arrives next tick.
* Time and chance come from ``tick()`` and from ``self.random()``. The clocks and
  generators of Python's library are refused: they would differ from run to run. So are
  other processes, sockets, and files but for reading. A ``random.Random(seed)`` works,
  within the hook that makes it.
* A hook that runs for too long is broken off with `Preempted`, and one that takes too
  much memory gets a ``MemoryError``. Either costs the entity its tick.
* A set of functions, of classes or of objects without a ``__hash__`` has no order that
  may reach a field or a message: it follows from where they lie in memory, which
  ``repr`` shows too. Keep ids, or strings, tuples and numbers; entities and their
  classes are fine.

Lengths are metres, times seconds, angles radians. The frame is right-handed and y is
up; the map spans [0, size] along x and z. At yaw 0 one looks along -z.
"""

from _tessera import (
    CROUCH,
    FIRE,
    HALO,
    JUMP,
    RELOAD,
    SPRINT,
    TICK_HZ,
    USE,
    Command,
    DeclarationError,
    Hit,
    Preempted,
    Vec3,
    World,
    find,
    get,
    ground,
    is_free,
    loot_points,
    map_size,
    move,
    options,
    path,
    raycast,
    snapshot,
    spawn_points,
    tick,
    walk,
)
from tessera._entity import Entity, Match
from tessera._fields import (
    EVERYONE,
    NOBODY,
    OWNER,
    Angle,
    Audience,
    Capsule,
    Projectile,
    Range,
    Walker,
    f32,
    f64,
    field,
    i32,
    ref,
    u8,
    u16,
    u32,
    vec3,
)
from tessera._guard import DeterminismError
from tessera._log import log

__all__ = [
    "CROUCH",
    "EVERYONE",
    "FIRE",
    "HALO",
    "JUMP",
    "NOBODY",
    "OWNER",
    "RELOAD",
    "SPRINT",
    "TICK_HZ",
    "USE",
    "Angle",
    "Audience",
    "Capsule",
    "Command",
    "DeclarationError",
    "DeterminismError",
    "Entity",
    "Hit",
    "Match",
    "Preempted",
    "Projectile",
    "Range",
    "Vec3",
    "Walker",
    "World",
    "f32",
    "f64",
    "field",
    "find",
    "get",
    "ground",
    "i32",
    "is_free",
    "log",
    "loot_points",
    "map_size",
    "move",
    "options",
    "path",
    "raycast",
    "ref",
    "snapshot",
    "spawn_points",
    "tick",
    "u8",
    "u16",
    "u32",
    "vec3",
    "walk",
]
