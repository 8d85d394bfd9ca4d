"""What a bot does next: flee the circle, take cover, loot, hunt, or look around.

`decide` runs eight times a second for each bot and asks for at most one path.
"""

from math import cos, hypot, sin, tau
from typing import TYPE_CHECKING, Final

from tessera import Vec3, get, ground, is_free, map_size, path, raycast

# `match` as a module, not its class: match.py imports this one.
from . import combat, match, rules
from .aim import unit_between
from .arsenal import AMMO_FOR, ARMOUR, MEDKIT, PISTOL
from .circle import Disc
from .footwork import choose_spot, in_reach
from .loot import Loot
from .refuge import WORTH, worth
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
#: Items looked at in one decision, and how near they are known without being seen.
_LOOT_CHECKED: Final = 4
_LOOT_FELT: Final = 3.0
#: Places weighed for the next walk, and how near a wall shelters one.
_ROAM_TRIES: Final = 5
_SHELTER: Final = 8.0
#: No route is planned farther than this in one piece.
_STAGE: Final = 45.0
_PATH_NODES: Final = 1500
#: For this long after a hit any enemy in sight is worth a fight.
_WORRY: Final = rules.ticks(2.0)
_PATIENCE: Final = rules.ticks(9.0)
#: Pause between two attempts at cover.
_COVER_TIME: Final = rules.ticks(3.0)
_COVER_HEALTH: Final = 45.0


def forget(bot: "Bot") -> None:
    """Empties the head for a new life."""
    bot.enemy = 0
    bot.contacts = ()
    bot.route = ()
    bot.errand = ROAM
    bot.errand_until = 0
    bot.way_x = bot.way_z = 0.0
    bot.stuck = 0
    bot.refuge_worth = 0.0


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

    game = get(bot.game)
    round_on = isinstance(game, match.Royale) and game.state == rules.FIGHT
    disc = game.next_disc if isinstance(game, match.Royale) and round_on else None
    worried = now - bot.hurt_at < _WORRY
    if sees and bot.errand != CIRCLE and (worried or in_reach(bot, away)):
        _face(bot, disc, now)
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


def notice_stuck(bot: "Bot") -> None:
    """Gives up a route on which it makes no way."""
    here, mark = bot.position, bot.mark
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


def _face(bot: "Bot", disc: Disc | None, now: int) -> None:
    """An enemy is in sight: fight on the spot, unless it goes badly and there is cover."""
    if bot.errand == COVER and now < bot.errand_until:
        return
    weak = bot.health < _COVER_HEALTH or bot.reload_until != 0
    if weak and _take_cover(bot, now):
        return
    if bot.route:
        bot.route = ()
        bot.errand = HUNT
    choose_spot(bot, disc, now)


def _take_cover(bot: "Bot", now: int) -> bool:
    """Runs for the refuge, if there is one worth it."""
    if worth(bot, now) < WORTH:
        return False
    _set_out(bot, COVER, bot.refuge, now)
    bot.errand_until = now + _COVER_TIME
    return True


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
    """Sets out for the most useful item in sight."""
    wanted = []
    for item in bot.near(_LOOT_SIGHT, Loot):
        kind = item.item
        at = item.position
        if bot.wants(item) and abs(at.y - here.y) < 6.0:
            away = hypot(at.x - here.x, at.z - here.z)
            wanted.append((away - _need(bot, kind), item.id, at))
    wanted.sort()
    eyes = Vec3(here.x, here.y + rules.EYES, here.z)
    for _, _, at in wanted[:_LOOT_CHECKED]:
        if bot.errand == LOOT and bot.goal == at:
            # Asked for it before and it's still there: not to be reached.
            return bool(bot.route)
        direction, distance = unit_between(eyes, Vec3(at.x, at.y + 0.3, at.z))
        if distance < _LOOT_FELT or raycast(eyes, direction, distance) is None:
            _set_out(bot, LOOT, at, now)
            return True
    return False


def _need(bot: "Bot", item: int) -> float:
    """How many metres of detour a kind of item is worth."""
    if item == ARMOUR:
        return 8.0 if bot.armour < 50.0 else 0.0
    if item == MEDKIT:
        return 10.0 if bot.health < 60.0 or not bot.medkits else 0.0
    weapon = AMMO_FOR.get(item, item)
    if item == weapon:
        armed = bot.owned != 1 << PISTOL
        return 5.0 if armed else 25.0
    # Rounds for nothing are for later.
    return 4.0 if bot.owned >> weapon & 1 else -8.0


def _roam(bot: "Bot", here: Vec3, disc: Disc | None, now: int) -> None:
    """Picks the most promising of a few places: in the circle, sheltered, and ahead."""
    if bot.enemy and bot.weapon == PISTOL and worth(bot, now) >= WORTH:
        # Somebody is about, and a pistol is not much.
        _set_out(bot, ROAM, bot.refuge, now)
        return
    best_x, best_z, best_score = here.x, here.z, -1e9
    ahead_x, ahead_z = bot.way_x, bot.way_z
    for _ in range(_ROAM_TRIES):
        angle = bot.uniform(0.0, tau)
        away = bot.uniform(20.0, 60.0)
        x, z = here.x + away * cos(angle), here.z + away * sin(angle)
        if not _on_map(x, z):
            continue
        ahead = ahead_x * cos(angle) + ahead_z * sin(angle)
        score = 10.0 * bot.random() + 6.0 * ahead
        if disc is not None:
            score -= max(0.0, disc.outside(x, z))
        chest = Vec3(x, ground(x, z) + 1.2, z)
        for side in range(4):
            turn = angle + side * (tau / 4)
            if raycast(chest, Vec3(cos(turn), 0.0, sin(turn)), _SHELTER) is not None:
                score += 3.0
        for _, at_x, _, at_z, _ in bot.contacts:
            if hypot(at_x - x, at_z - z) < 25.0:
                score -= 5.0
        if score > best_score:
            best_x, best_z, best_score = x, z, score
    _set_out(bot, ROAM, Vec3(best_x, 0.0, best_z), now)


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
