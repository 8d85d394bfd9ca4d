"""The words in which a class declares its fields, and what can be hit or flies."""

import math
from typing import Annotated, Final, cast

from _tessera import DeclarationError, Vec3


class FieldType:
    """Marks an annotation as the type of a field."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code

    def __repr__(self) -> str:
        return self.code


u8 = Annotated[int, FieldType("u8")]
"""A whole number from 0 to 255."""

u16 = Annotated[int, FieldType("u16")]
"""A whole number from 0 to 65,535."""

u32 = Annotated[int, FieldType("u32")]
"""A whole number from 0 to 4,294,967,295."""

i32 = Annotated[int, FieldType("i32")]
"""A whole number from -2,147,483,648 to 2,147,483,647."""

f32 = Annotated[float, FieldType("f32")]
"""A number with about seven digits. It is rounded to them at the end of each tick."""

f64 = Annotated[float, FieldType("f64")]
"""A number as precise as Python's own ``float``."""

vec3 = Annotated[Vec3, FieldType("vec3")]
"""A `Vec3`; the annotation ``Vec3`` says the same."""

ref = Annotated[int, FieldType("ref")]
"""Another entity, by its ``id``; 0 is none. `get` finds the entity to an id."""


class Audience:
    """Who receives a field: `EVERYONE`, `OWNER` or `NOBODY`."""

    __slots__ = ("code", "name")

    def __init__(self, name: str, code: int) -> None:
        self.name = name
        self.code = code

    def __repr__(self) -> str:
        return self.name


EVERYONE: Final = Audience("EVERYONE", 0)
"""Every client that has the entity in sight."""

OWNER: Final = Audience("OWNER", 1)
"""Only the client that steers the entity."""

NOBODY: Final = Audience("NOBODY", 2)
"""No client: the field is the server's own business."""


def _number(what: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DeclarationError(f"{what} must be a number, not {value!r}")
    if not math.isfinite(value):
        raise DeclarationError(f"{what} must be finite, not {value!r}")
    return float(value)


def _bits(what: str, bits: int) -> int:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 32:
        raise DeclarationError(f"{what}: bits must be from 1 to 32, not {bits!r}")
    return bits


class Range:
    """Sends a number, or each part of a vector, in few bits: in equal steps from `min`
    to `max`.

    ``Range(0, 100, bits=8)`` has steps of 100 / 255. What clients see is clamped and
    rounded; the field itself isn't.
    """

    __slots__ = ("bits", "max", "min")

    def __init__(self, min: float, max: float, bits: int) -> None:
        self.min = _number("Range: min", min)
        self.max = _number("Range: max", max)
        self.bits = _bits("Range", bits)
        if self.min >= self.max:
            raise DeclarationError(f"Range: min {min!r} must be less than max {max!r}")

    def __repr__(self) -> str:
        return f"Range({self.min}, {self.max}, bits={self.bits})"


class Angle:
    """Sends an angle in few bits: wrapped to [-π, π), in equal steps around the
    circle."""

    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        self.bits = _bits("Angle", bits)

    def __repr__(self) -> str:
        return f"Angle(bits={self.bits})"


class Capsule:
    """What shots hit of an entity: an upright capsule that stands on its `position`.

    `radius` and `height` are metres, the height from the feet to the top. With
    ``when="alive"`` it is there only while the ``bool`` field ``alive`` is true.
    """

    __slots__ = ("height", "radius", "when")

    def __init__(self, radius: float, height: float, when: str | None = None) -> None:
        self.radius = _number("Capsule: radius", radius)
        self.height = _number("Capsule: height", height)
        self.when = when
        if when is not None and not isinstance(when, str):
            raise DeclarationError(
                f"Capsule: when must name a bool field, not {when!r}"
            )

    def __repr__(self) -> str:
        return f"Capsule({self.radius}, {self.height}, when={self.when!r})"


class Projectile:
    """Lets the engine move an entity: `position` follows `velocity`, which `gravity`
    bends downwards.

    `gravity` is in m/s². Where it meets the map it stops, and the entity gets the
    message ``on_impact(sender, position, normal)`` in the next tick, from sender 0.
    """

    __slots__ = ("gravity",)

    def __init__(self, gravity: float = 9.81) -> None:
        self.gravity = _number("Projectile: gravity", gravity)

    def __repr__(self) -> str:
        return f"Projectile(gravity={self.gravity})"


class Walker:
    """Lets `tessera.walk` move an entity as its client steers it, and that client
    predict where it gets to.

    The entity needs a field ``grounded: bool``, which says whether it stands on
    something; with fields ``crouched: bool`` and ``gliding: bool`` it can also do that.
    All of them must be told to `OWNER` at least. With ``when="alive"`` it walks, for
    its client, only while the ``bool`` field ``alive`` is true.

    The body is an upright cylinder of `radius` and `height` metres, or
    `crouched_height`; ledges up to `step` metres are walked up. Speeds are metres per
    second: `sprint_speed` counts forwards only, `jump_speed` is where a jump begins,
    and whoever glides moves at `glide_speed` and falls at `glide_sink` at most.
    `gravity` and the accelerations, on the ground and in the air, are m/s².
    """

    __slots__ = ("rules", "when")

    def __init__(
        self,
        *,
        radius: float = 0.4,
        height: float = 1.8,
        crouched_height: float = 1.2,
        step: float = 0.4,
        walk_speed: float = 4.6,
        sprint_speed: float = 7.0,
        crouch_speed: float = 2.2,
        jump_speed: float = 7.0,
        gravity: float = 20.0,
        ground_acceleration: float = 60.0,
        air_acceleration: float = 9.0,
        glide_speed: float = 13.0,
        glide_sink: float = 17.0,
        when: str | None = None,
    ) -> None:
        #: In the order of the engine's `WalkRules`.
        self.rules = (
            _number("Walker: radius", radius),
            _number("Walker: height", height),
            _number("Walker: crouched_height", crouched_height),
            _number("Walker: step", step),
            _number("Walker: walk_speed", walk_speed),
            _number("Walker: sprint_speed", sprint_speed),
            _number("Walker: crouch_speed", crouch_speed),
            _number("Walker: jump_speed", jump_speed),
            _number("Walker: gravity", gravity),
            _number("Walker: ground_acceleration", ground_acceleration),
            _number("Walker: air_acceleration", air_acceleration),
            _number("Walker: glide_speed", glide_speed),
            _number("Walker: glide_sink", glide_sink),
        )
        self.when = when
        if when is not None and not isinstance(when, str):
            raise DeclarationError(f"Walker: when must name a bool field, not {when!r}")

    def __repr__(self) -> str:
        return f"Walker({', '.join(map(str, self.rules))}, when={self.when!r})"


class Field:
    """What `field` returns, until the class turns it into a slot."""

    __slots__ = ("default", "max", "to", "wire")

    def __init__(
        self,
        default: object,
        max: int | None,
        wire: Range | Angle | None,
        to: Audience | None,
    ) -> None:
        self.default = default
        self.max = max
        self.wire = wire
        self.to = to


def field[T](
    default: T,
    *,
    max: int | None = None,
    wire: Range | Angle | None = None,
    to: Audience | None = None,
) -> T:
    """Declares a field of an entity: ``health: f32 = field(100.0, wire=Range(0, 100,
    bits=8))``.

    The annotation says what it holds: ``bool``, `u8`, `u16`, `u32`, `i32`, `f32`,
    `f64`, `Vec3`, `ref`, ``str``, ``bytes``, or ``object``. An ``object`` field holds
    any value made of None, bool, int, float, str, bytes, Vec3, tuple, list, dict, set
    and frozenset; it may be annotated more closely, such as ``dict[str, int]``. Prefer
    tuples there: they cost nothing while they don't change.

    `default` is the value at birth, unless ``spawn`` is given another. `max` is the
    most bytes of a ``str`` (in UTF-8) or ``bytes``, which need one. `wire` says how the
    number is rounded for clients; without it they get it exactly. `to` says which
    clients get it: `EVERYONE` by default, `NOBODY` for ``object``, which can't be sent.
    """
    if wire is not None and not isinstance(wire, (Range, Angle)):
        raise DeclarationError(
            f"field: wire must be Range(...) or Angle(...): {wire!r}"
        )
    if to is not None and not isinstance(to, Audience):
        raise DeclarationError(f"field: to must be EVERYONE, OWNER or NOBODY: {to!r}")
    if max is not None and (type(max) is not int or max < 1):
        raise DeclarationError(f"field: max must be a number of bytes, not {max!r}")
    # Type checkers see a value of the field's type; the class sees the declaration.
    return cast("T", Field(default, max, wire, to))
