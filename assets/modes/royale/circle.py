"""The circle: a schedule of waits and closings, and where it stands in between."""

from math import cos, hypot, sin, sqrt, tau
from typing import Final, NamedTuple

from tessera import Entity, map_size

from .rules import ROUND_SECONDS, ticks


class Phase(NamedTuple):
    """One wait, then one closing."""

    wait: int
    closing: int
    #: Radius after the closing, as a part of the map's side.
    radius: float
    #: Health taken each second outside, from the phase's first tick.
    damage: float


class Disc(NamedTuple):
    """A circle on the ground plane."""

    x: float
    z: float
    radius: float

    def outside(self, x: float, z: float) -> float:
        """How many metres (x, z) lies outside; negative inside."""
        return hypot(x - self.x, z - self.z) - self.radius


#: The parts add up to one round. The last circle is a point: someone has to win.
PHASES: Final = tuple(
    Phase(ticks(wait * ROUND_SECONDS), ticks(closing * ROUND_SECONDS), radius, damage)
    for wait, closing, radius, damage in (
        (0.20, 0.12, 0.330, 1.0),
        (0.12, 0.10, 0.190, 2.0),
        (0.10, 0.08, 0.100, 4.0),
        (0.07, 0.06, 0.045, 7.0),
        (0.05, 0.10, 0.000, 12.0),
    )
)
#: With respawning the circle stops here, to leave room for everyone.
LAST_PHASE_RESPAWN: Final = 2


def whole_map() -> Disc:
    """The circle of a round's start, which leaves out nothing."""
    half = map_size() / 2
    return Disc(half, half, half * sqrt(2.0))


def drawn_inside(outer: Disc, radius: float, by: Entity) -> Disc:
    """A circle of `radius` somewhere inside `outer` and on the map, drawn from `by`'s numbers."""
    angle = by.uniform(0.0, tau)
    away = max(0.0, outer.radius - radius) * sqrt(by.random())
    side = map_size()
    margin = min(radius, side * 0.45)
    x = min(max(outer.x + away * cos(angle), margin), side - margin)
    z = min(max(outer.z + away * sin(angle), margin), side - margin)
    return Disc(x, z, radius)


def between(old: Disc, new: Disc, part: float) -> Disc:
    """The circle when `part` (0 to 1) of the way from `old` to `new` is done."""
    return Disc(
        old.x + (new.x - old.x) * part,
        old.z + (new.z - old.z) * part,
        old.radius + (new.radius - old.radius) * part,
    )
