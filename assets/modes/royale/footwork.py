"""Where a bot puts its feet: around an enemy, and around what stands in the way."""

from math import cos, hypot, sin, tau
from typing import TYPE_CHECKING, Final

from tessera import Vec3, ground, raycast

from . import rules
from .aim import unit_between
from .circle import Disc
from .senses import clear_view

if TYPE_CHECKING:
    from .bot import Bot

#: Spots around a fighting bot that are weighed against each other, and how far they are.
_SPOTS: Final = 8
_STRIDE: Final = 4.0
#: From and to which distance a weapon wants to be used, by weapon number.
_RANGES: Final = ((4.0, 10.0), (18.0, 55.0), (2.0, 9.0), (14.0, 35.0))
#: Contacts older than this are no reason to hide.
_STALE: Final = rules.ticks(3.0)
_THREATS: Final = 3
_WEAK: Final = 40.0
#: Whoever stands lower or higher than the ground by more is on a roof, or in a cellar.
_STOREY: Final = 1.5
#: Height of the ray that finds obstacles, of the one that tells what can be jumped, and reach.
_SHIN: Final = 0.55
_JUMPABLE: Final = 1.15
_FEELER: Final = 1.6
#: Sideways feelers point this far off the way, radians.
_ASIDE: Final = 0.75


def choose_spot(bot: "Bot", disc: Disc | None, now: int) -> None:
    """Weighs spots a few steps away and sets out for the best: in range, in view of the
    enemy and of nobody else, or out of everyone's sight when it goes badly."""
    here = bot.position
    enemy = bot.enemy_at
    weak = bot.health < _WEAK or bot.reload_until != 0
    low, high = _RANGES[bot.weapon]
    threats = [
        Vec3(x, y + rules.EYES, z)
        for identity, x, y, z, seen in bot.contacts[: _THREATS + 1]
        if identity != bot.enemy and now - seen < _STALE
    ]
    floor = here.y if here.y - ground(here.x, here.z) > _STOREY else None
    hip = Vec3(here.x, here.y + 0.7, here.z)
    start = bot.uniform(0.0, tau)
    best, best_score = here, -1e9
    for i in range(_SPOTS):
        angle = start + tau * i / _SPOTS
        x, z = here.x + _STRIDE * cos(angle), here.z + _STRIDE * sin(angle)
        y = ground(x, z) if floor is None else floor
        score = bot.random()
        distance = hypot(enemy.x - x, enemy.z - z)
        score -= 0.5 * (max(0.0, low - distance) + max(0.0, distance - high))
        # Keeps circling the way it does, which is harder to follow than back and forth.
        turning = (x - here.x) * (enemy.z - here.z) - (z - here.z) * (enemy.x - here.x)
        if turning * bot.strafe > 0.0:
            score += 2.0
        if disc is not None and disc.outside(x, z) > 0.0:
            score -= 12.0
        if score + 8.0 <= best_score:
            # Not even the best of views would make up for it.
            continue
        spot = Vec3(x, y, z)
        direction, length = unit_between(hip, Vec3(x, y + 0.7, z))
        if raycast(hip, direction, length) is not None:
            continue
        eyes = Vec3(x, y + rules.EYES, z)
        seen = clear_view(eyes, enemy, False)
        score += (-8.0 if seen else 8.0) if weak else (6.0 if seen else -4.0)
        for threat in threats:
            if clear_view(threat, spot, False):
                score -= 3.0
        if score > best_score:
            best, best_score = spot, score
    _walk_to(bot, here, best)
    if bot.random() < 0.15:
        bot.strafe = -bot.strafe


def _walk_to(bot: "Bot", here: Vec3, spot: Vec3) -> None:
    dx, dz = spot.x - here.x, spot.z - here.z
    length = hypot(dx, dz)
    if length > 0.1:
        bot.way_x, bot.way_z = dx / length, dz / length
    else:
        bot.way_x = bot.way_z = 0.0


def feel_ahead(bot: "Bot", here: Vec3, x: float, z: float) -> tuple[float, float, bool]:
    """The way `(x, z)` bent around what is right ahead, and whether to jump over it."""
    low = Vec3(here.x, here.y + _SHIN, here.z)
    hit = raycast(low, Vec3(x, 0.0, z), _FEELER)
    if hit is None or hit.normal.y > 0.6:
        return x, z, False
    high = Vec3(here.x, here.y + _JUMPABLE, here.z)
    if raycast(high, Vec3(x, 0.0, z), _FEELER) is None:
        return x, z, True
    best, best_free = (x, z), hit.distance
    for side in (_ASIDE * bot.strafe, -_ASIDE * bot.strafe):
        s, c = sin(side), cos(side)
        way_x, way_z = x * c - z * s, x * s + z * c
        length = hypot(way_x, way_z)
        hit = raycast(low, Vec3(way_x / length, 0.0, way_z / length), _FEELER)
        free = _FEELER if hit is None else hit.distance
        if free > best_free:
            best, best_free = (way_x, way_z), free
    return *best, False


def in_reach(bot: "Bot", distance: float) -> bool:
    """Whether a fight at this distance makes sense with the weapon in hand."""
    return distance < _RANGES[bot.weapon][1] * 1.5
