"""What a bot does next: flee the circle, take cover, loot, hunt, or look around.

`decide` runs four times a second for each bot and asks for at most one path.
"""

from math import cos, hypot, sin, tau
from typing import TYPE_CHECKING, Final

from tessera import Vec3, get, ground, is_free, map_size, path, raycast

# `match` as a module, not its class: match.py imports this one.
from . import combat, match, rules
from .aim import unit_between
from .arsenal import PISTOL
from .circle import Disc
from .footwork import choose_spot, in_reach
from .loot import Loot
from .senses import FRESH, SIGHT
from .steering import best_weapon

if TYPE_CHECKING:
    from .bot import Bot

ROAM: Final = 0
LOOT: Final = 1
HUNT: Final = 2
COVER: Final = 3
CIRCLE: Final = 4

#: Items are noticed this near.
_LOOT_SIGHT: Final = min(28.0, SIGHT)
#: No route is planned farther than this in one piece.
_STAGE: Final = 45.0
_PATH_NODES: Final = 1500
#: For this long after a hit any enemy in sight is worth a fight.
_WORRY: Final = rules.ticks(2.0)
_PATIENCE: Final = rules.ticks(9.0)
#: Pause between two attempts at cover.
_COVER_TIME: Final = rules.ticks(3.0)
_COVER_HEALTH: Final = 45.0
_COVER_TRIES: Final = 6


def forget(bot: "Bot") -> None:
    """Empties the head for a new life."""
    bot.enemy = 0
    bot.contacts = ()
    bot.route = ()
    bot.errand = ROAM
    bot.errand_until = 0
    bot.way_x = bot.way_z = 0.0
    bot.stuck = 0


def decide(bot: "Bot", now: int) -> None:
    """Chooses weapon and errand."""
    here = bot.position
    sees = bot.enemy != 0 and now - bot.seen_at <= FRESH
    away = 60.0
    if bot.enemy:
        away = hypot(bot.enemy_at.x - here.x, bot.enemy_at.z - here.z)
    wanted = best_weapon(bot, away)
    if wanted != bot.weapon:
        combat.select(bot, wanted, now)
    if bot.gliding:
        _glide(bot, here, now)
        return
    if (now + bot.id) % rules.ticks(0.5) < rules.ticks(0.25):
        _notice_stuck(bot, here)

    game = get(bot.game)
    round_on = isinstance(game, match.Royale) and game.state == rules.FIGHT
    disc = game.next_disc if isinstance(game, match.Royale) and round_on else None
    worried = now - bot.hurt_at < _WORRY
    if sees and bot.errand != CIRCLE and (worried or in_reach(bot, away)):
        _face(bot, here, disc, now)
        return
    if isinstance(game, match.Royale) and round_on and _flee(bot, game, here, now):
        return
    # An errand lasts until it is done, hopeless, or has taken too long.
    if bot.route and now < bot.errand_until and bot.errand != ROAM:
        return
    if _seek_loot(bot, here, now):
        return
    if bot.enemy and bot.errand != HUNT and bot.weapon != PISTOL:
        _set_out(bot, HUNT, bot.enemy_at, now)
    elif not bot.route or now >= bot.errand_until:
        _roam(bot, here, disc, now)


def _glide(bot: "Bot", here: Vec3, now: int) -> None:
    """Steers under the canopy to an item near below."""
    if bot.errand == LOOT and bot.route:
        return
    items = bot.near(SIGHT, Loot)
    if items:
        at = items[bot.randrange(len(items))].position
        bot.errand = LOOT
        bot.errand_until = now + _PATIENCE
        bot.goal = at
        bot.route = (at,)
        bot.leg = 0


def _notice_stuck(bot: "Bot", here: Vec3) -> None:
    mark = bot.mark
    if bot.way_x or bot.way_z:
        if hypot(here.x - mark.x, here.z - mark.z) < 0.6:
            bot.strafe = -bot.strafe
            bot.stuck = min(200, bot.stuck + 1)
            if bot.stuck >= 2:
                bot.route = ()
                bot.errand_until = 0
        elif bot.stuck:
            bot.stuck = 0
    bot.mark = here


def _face(bot: "Bot", here: Vec3, disc: Disc | None, now: int) -> None:
    """An enemy is in sight: fight on the spot, unless it goes badly and there is cover."""
    if bot.errand == COVER and now < bot.errand_until:
        return
    weak = bot.health < _COVER_HEALTH or bot.reload_until != 0
    if weak and _take_cover(bot, here, now):
        return
    if bot.route:
        bot.route = ()
        bot.errand = HUNT
    choose_spot(bot, disc, now)


def _take_cover(bot: "Bot", here: Vec3, now: int) -> bool:
    """Looks for a place nearby that the enemy can't see."""
    at = bot.enemy_at
    threat = Vec3(at.x, at.y + rules.EYES, at.z)
    start = bot.uniform(0.0, tau)
    for i in range(_COVER_TRIES):
        angle = start + tau * i / _COVER_TRIES
        away = 5.0 + 2.0 * i
        x, z = here.x + away * cos(angle), here.z + away * sin(angle)
        if not _on_map(x, z):
            continue
        spot = Vec3(x, ground(x, z), z)
        direction, distance = unit_between(threat, Vec3(x, spot.y + 1.0, z))
        if raycast(threat, direction, distance) is None:
            continue
        if is_free(spot, rules.RADIUS, rules.HEIGHT):
            _set_out(bot, COVER, spot, now)
            bot.errand_until = now + _COVER_TIME
            return True
    return False


def _flee(bot: "Bot", game: "match.Royale", here: Vec3, now: int) -> bool:
    """Heads into the circle to be, in time."""
    disc = game.next_disc
    outside = disc.outside(here.x, here.z)
    if outside <= 0.0:
        return False
    if game.radius >= disc.radius and not game.closing:
        # Time left beyond what the walk takes: loot first.
        spare = (game.phase_ends - now) / rules.ticks(1.0) - outside / rules.WALK_SPEED
        if spare > 15.0:
            return False
    if bot.errand == CIRCLE and bot.route and now < bot.errand_until:
        return True
    # A different point for each bot, or all would meet in the middle.
    angle = bot.uniform(0.0, tau)
    away = disc.radius * 0.8 * bot.random()
    goal = Vec3(disc.x + away * cos(angle), 0.0, disc.z + away * sin(angle))
    _set_out(bot, CIRCLE, goal, now)
    return True


def _seek_loot(bot: "Bot", here: Vec3, now: int) -> bool:
    best, best_distance = None, _LOOT_SIGHT
    for item in bot.near(_LOOT_SIGHT, Loot):
        at = item.position
        distance = hypot(at.x - here.x, at.z - here.z)
        if (
            distance < best_distance
            and abs(at.y - here.y) < 6.0
            and bot.wants(item.item)
        ):
            best, best_distance = at, distance
    if best is None:
        return False
    if bot.errand == LOOT and bot.goal == best:
        # Asked for it before and it's still there: not to be reached.
        return bool(bot.route)
    _set_out(bot, LOOT, best, now)
    return True


def _roam(bot: "Bot", here: Vec3, disc: Disc | None, now: int) -> None:
    angle = bot.uniform(0.0, tau)
    away = bot.uniform(20.0, 60.0)
    x, z = here.x + away * cos(angle), here.z + away * sin(angle)
    if disc is not None and disc.outside(x, z) > 0.0:
        x, z = (x + disc.x) / 2, (z + disc.z) / 2
    _set_out(bot, ROAM, Vec3(x, 0.0, z), now)


def _on_map(x: float, z: float) -> bool:
    side = map_size()
    return 1.0 <= x <= side - 1.0 and 1.0 <= z <= side - 1.0


def _set_out(bot: "Bot", errand: int, goal: Vec3, now: int) -> None:
    """Plans a route to the goal, or to a stage on the way to it."""
    here = bot.position
    bot.errand = errand
    bot.goal = goal
    bot.errand_until = now + _PATIENCE
    bot.leg = 0
    x, z = goal.x, goal.z
    dx, dz = x - here.x, z - here.z
    far = hypot(dx, dz)
    if far > _STAGE:
        x, z = here.x + dx / far * _STAGE, here.z + dz / far * _STAGE
    side = map_size()
    x, z = min(max(x, 2.0), side - 2.0), min(max(z, 2.0), side - 2.0)
    # Loot may lie on a floor above ground; every other goal is on it.
    high = errand == LOOT and far <= _STAGE
    stage = Vec3(x, goal.y if high else ground(x, z), z)
    if _walkable(here, stage):
        bot.route = (stage,)
        return
    if not high and not is_free(stage, rules.RADIUS, rules.HEIGHT):
        angle = bot.uniform(0.0, tau)
        x, z = x + 6.0 * cos(angle), z + 6.0 * sin(angle)
        if not _on_map(x, z):
            bot.route = ()
            return
        stage = Vec3(x, ground(x, z), z)
    bot.route = path(here, stage, _PATH_NODES)


def _walkable(here: Vec3, there: Vec3) -> bool:
    """Whether a straight line at the height of a hip meets nothing, on both flanks."""
    a = Vec3(here.x, here.y + 0.7, here.z)
    b = Vec3(there.x, there.y + 0.7, there.z)
    direction, distance = unit_between(a, b)
    if distance < 0.5:
        return True
    aside = Vec3(direction.z * rules.RADIUS, 0.0, -direction.x * rules.RADIUS)
    return (
        raycast(a + aside, direction, distance) is None
        and raycast(a - aside, direction, distance) is None
    )
