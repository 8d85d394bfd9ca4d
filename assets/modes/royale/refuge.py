"""Where a bot would go if it came under fire.

A query over the terrain, one candidate a tick: instead of weighing thirty places when the
first shot falls, a bot weighs one in each tick and remembers the best. It costs the same in
every tick, and the answer is there when it is needed.
"""

from math import cos, hypot, sin, sqrt, tau
from typing import TYPE_CHECKING, Final

from tessera import Vec3, ground, is_free, raycast

from . import rules
from .aim import unit_between

if TYPE_CHECKING:
    from .bot import Bot

#: Candidates lie this near; a refuge farther away than the second is none any more.
_REACH: Final = 20.0
_LOST: Final = 26.0
#: Contacts that a refuge has to hide from, and how old they may be.
_THREATS: Final = 3
_STALE: Final = rules.ticks(5.0)
#: Without contacts: walls this near make a refuge.
_WALL: Final = 6.0
#: What a refuge is worth less for each tick since it was weighed, and the least worth having.
_FADE: Final = 1.5 / rules.ticks(1.0)
WORTH: Final = 4.0
_CHEST: Final = 1.0


def ponder(bot: "Bot", now: int) -> None:
    """Weighs one place nearby, and keeps it if it is the best so far."""
    here = bot.position
    angle = tau * bot.random()
    # The root makes near and far equally likely, by area.
    away = _REACH * sqrt(bot.random())
    x, z = here.x + away * cos(angle), here.z + away * sin(angle)
    spot = Vec3(x, ground(x, z), z)
    if abs(spot.y - here.y) < _REACH * 0.5 and is_free(
        spot, rules.RADIUS, rules.HEIGHT
    ):
        score = _shelter(bot, spot, now) - 0.25 * away
        if score > worth(bot, now):
            bot.refuge = spot
            bot.refuge_worth = score
            bot.refuge_at = now


def worth(bot: "Bot", now: int) -> float:
    """What the refuge is worth by now: less with time, nothing once it is far."""
    here, best = bot.position, bot.refuge
    if hypot(best.x - here.x, best.z - here.z) > _LOST:
        return 0.0
    return max(0.0, bot.refuge_worth - _FADE * (now - bot.refuge_at))


def _shelter(bot: "Bot", spot: Vec3, now: int) -> float:
    """How well the map hides somebody at the spot: 0 to about 12."""
    chest = Vec3(spot.x, spot.y + _CHEST, spot.z)
    hidden = threats = 0
    for _, x, y, z, seen in bot.contacts:
        if now - seen < _STALE:
            threats += 1
            direction, distance = unit_between(Vec3(x, y + rules.EYES, z), chest)
            if distance > _WALL and raycast(chest, -direction, distance) is not None:
                hidden += 1
            if threats == _THREATS:
                break
    if threats:
        return 12.0 * hidden / threats
    # Nobody to hide from yet: a corner is good against most.
    turn = tau * bot.random()
    walls = 0
    for side in range(3):
        angle = turn + side * (tau / 3)
        if raycast(chest, Vec3(cos(angle), 0.0, sin(angle)), _WALL) is not None:
            walls += 1
    return 3.5 * walls
