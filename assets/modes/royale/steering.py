"""A bot's hands and feet: turning, aiming, the trigger, and following a route.

Everything ends in the wishes that a client's command would set: `wish_x`, `wish_z`, `yaw`,
`pitch`, `buttons`.
"""

from math import atan2, cos, hypot, pi, sin
from typing import TYPE_CHECKING, Final

from tessera import FIRE, JUMP, RELOAD, SPRINT, USE, get

from . import rules
from .aim import wrapped, yaw_towards
from .arsenal import LAUNCHER, PISTOL, RIFLE, ROCKET_SPEED, SHOTGUN, WEAPONS
from .footwork import feel_ahead
from .player import Player
from .senses import FRESH

if TYPE_CHECKING:
    from .bot import Bot

#: Radians a second: slowest and fastest hand, and the gain of the last few degrees.
_TURN_SLOW: Final = 2.5
_TURN_FAST: Final = 7.0
_GAIN: Final = 12.0
#: Ticks from seeing to shooting, for the slowest; the fastest need a third of it.
_REACTION: Final = rules.ticks(0.6)
#: A point of the route is reached within this many metres.
_REACHED: Final = 0.9
#: What is right behind the next point is the route's affair.
_FEEL_BEYOND: Final = 1.8
#: Nearer than this the launcher would hurt its owner.
_SAFE_BLAST: Final = 9.0
#: Farther away a pistol only gives its owner away.
_PISTOL_REACH: Final = 22.0
_CALM: Final = rules.ticks(2.0)
_BURST: Final = rules.ticks(0.7)
_PAUSE: Final = rules.ticks(0.35)


def turn(bot: "Bot", dt: float, now: int) -> float:
    """Turns towards the enemy or the way ahead; gives the radians left to the enemy, or pi."""
    off = pi
    yaw = bot.yaw
    if bot.enemy and now - bot.seen_at <= FRESH:
        want_yaw, want_pitch = _aim(bot)
        if bot.enemy:
            off = abs(wrapped(want_yaw - yaw)) + abs(want_pitch - bot.pitch)
    elif bot.enemy:
        at, here = bot.enemy_at, bot.position
        want_yaw, want_pitch = yaw_towards(at.x - here.x, at.z - here.z), 0.0
    else:
        want_yaw, want_pitch = bot.watch_yaw, 0.0
    rate = (_TURN_SLOW + (_TURN_FAST - _TURN_SLOW) * bot.skill) * dt
    gain = min(1.0, _GAIN * dt)
    step = wrapped(want_yaw - yaw) * gain
    bot.yaw = yaw = wrapped(yaw + max(-rate, min(rate, step)))
    pitch = bot.pitch
    if pitch != want_pitch:
        step = (want_pitch - pitch) * gain
        bot.pitch = pitch + max(-rate, min(rate, step))

    # The way over the ground, in the frame of the body that has just turned.
    way_x, way_z = bot.way_x, bot.way_z
    if way_x or way_z:
        s, c = sin(yaw), cos(yaw)
        bot.wish_x = way_x * c - way_z * s
        bot.wish_z = way_x * s + way_z * c
    elif bot.wish_x or bot.wish_z:
        bot.wish_x = bot.wish_z = 0.0
    return off


def _aim(bot: "Bot") -> tuple[float, float]:
    """Yaw and pitch to where the enemy will be, give or take the bot's error."""
    view = get(bot.enemy)
    if not isinstance(view, Player) or not view.alive:
        bot.enemy = 0
        return bot.yaw, bot.pitch
    here, at = bot.position, view.position
    dx, dz = at.x - here.x, at.z - here.z
    dy = at.y - here.y - 0.4
    flat = hypot(dx, dz)
    if bot.weapon == LAUNCHER:
        velocity = view.velocity
        ahead = flat / ROCKET_SPEED
        dx += velocity.x * ahead
        dz += velocity.z * ahead
        # At the feet: the ground makes up for what the lead gets wrong.
        dy -= 0.9
    return yaw_towards(dx, dz) + bot.miss_yaw, atan2(dy, flat) + bot.miss_pitch


def trigger(bot: "Bot", off: float, now: int) -> None:
    """Decides about fire, reload and medkit for this tick."""
    moves = bot.buttons & (SPRINT | JUMP)
    weapon = bot.weapon
    loaded = bot.magazines[weapon]
    if off < pi:
        at, here = bot.enemy_at, bot.position
        distance = hypot(at.x - here.x, at.z - here.z)
        ready = now - bot.spotted_at > _REACTION * (1.0 - 0.66 * bot.skill)
        # A body is about a metre wide across all that a bot's aim may be off.
        close = off < 0.03 + 0.6 / max(distance, 1.0)
        if ready and loaded and close and _worth_it(bot, weapon, distance, now):
            bot.buttons = moves & ~SPRINT | FIRE
            return
        if not loaded:
            moves |= RELOAD
    elif now - bot.seen_at > _CALM:
        if bot.heal_until or (
            bot.medkits and bot.health < 65.0 and now - bot.hurt_at > _CALM
        ):
            moves |= USE
        elif loaded * 2 <= WEAPONS[weapon].magazine:
            moves |= RELOAD
    bot.buttons = moves


def _worth_it(bot: "Bot", weapon: int, distance: float, now: int) -> bool:
    if weapon == LAUNCHER:
        return distance > _SAFE_BLAST
    if weapon == SHOTGUN:
        return distance < WEAPONS[SHOTGUN].far
    if weapon == PISTOL and distance > _PISTOL_REACH:
        return False
    # Far away in bursts, so that the cone can close again.
    return distance < 25.0 or (now + bot.id * 7) % (_BURST + _PAUSE) < _BURST


def best_weapon(bot: "Bot", distance: float) -> int:
    """The loaded, or else loadable, weapon that suits the distance."""
    for weapon, suits in (
        (SHOTGUN, distance < 11.0),
        (LAUNCHER, 13.0 < distance < 45.0),
        (RIFLE, True),
        (SHOTGUN, distance < 25.0),
    ):
        if (
            suits
            and bot.owned >> weapon & 1
            and (bot.magazines[weapon] or bot.reserves[weapon])
        ):
            return weapon
    return PISTOL


def steer(bot: "Bot", now: int) -> None:
    """Sets the direction of the feet: along the route, or as the fight wants it."""
    here = bot.position
    route = bot.route
    if bot.leg >= len(route):
        bot.buttons &= ~(SPRINT | JUMP)
        if route:
            bot.route = ()
        if not bot.enemy or now - bot.seen_at > FRESH:
            bot.way_x = bot.way_z = 0.0
        elif bot.random() < 0.03:
            bot.buttons |= JUMP
        return
    point = route[bot.leg]
    dx, dz = point.x - here.x, point.z - here.z
    distance = hypot(dx, dz)
    if distance < _REACHED:
        bot.leg += 1
        return
    x, z, jump = dx / distance, dz / distance, False
    if distance > _FEEL_BEYOND and not bot.gliding:
        x, z, jump = feel_ahead(bot, here, x, z)
    bot.way_x, bot.way_z = x, z
    bot.buttons = bot.buttons & ~JUMP | SPRINT
    if jump or (bot.stuck and (now + bot.id) % rules.ticks(0.5) < rules.ticks(0.1)):
        bot.buttons |= JUMP
