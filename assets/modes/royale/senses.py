"""What a bot notices: who stands in its field of view with nothing between, and who hurts it.

What it has seen it keeps for a while as contacts: `(id, x, y, z, tick)`, newest first.
"""

from math import cos, hypot, tau
from typing import TYPE_CHECKING, Final

from tessera import HALO, Vec3, get, raycast

from . import rules
from .aim import forward, unit_between, wrapped, yaw_towards
from .player import Player

if TYPE_CHECKING:
    from .bot import Bot

type Contact = tuple[int, float, float, float, int]

#: Eyes reach this far, metres; never farther than a zone knows its neighbours.
SIGHT: Final = min(100.0, HALO * 0.9)
#: Cosine of half the field of view.
_VIEW: Final = 0.42
#: Nearer than this others are heard breathing, m.
_BESIDE: Final = 7.0
#: Shots are heard this far, for this long.
_EARSHOT: Final = 70.0
_ECHO: Final = rules.ticks(0.7)
#: Others checked for a clear view in one look, and contacts kept.
_CHECKED: Final = 4
_CONTACTS: Final = 6
#: Somebody out of sight is forgotten after this.
_MEMORY: Final = rules.ticks(7.0)
#: Seen this recently counts as in sight: two looks.
FRESH: Final = rules.ticks(0.2)
_CHEST: Final = 1.2
#: Directions that are weighed in one look around, and how far it matters that they are open.
_FAN: Final = 12
_OPEN: Final = 50.0


def look(bot: "Bot", now: int) -> None:
    """Refreshes the contacts and picks the worst of them as the enemy."""
    here = bot.position
    eyes_height = rules.CROUCHED_EYES if bot.crouched else rules.EYES
    eyes = Vec3(here.x, here.y + eyes_height, here.z)
    seen: list[Contact] = []
    best, best_at, best_rank = 0, here, SIGHT
    for rank, identity, other in _noticed(bot, here, now)[:_CHECKED]:
        at = other.position
        if clear_view(eyes, at, other.crouched):
            seen.append((identity, at.x, at.y, at.z, now))
            if rank < best_rank:
                best, best_at, best_rank = identity, at, rank
    known = bot.contacts
    if seen or known:
        bot.contacts = _merged(seen, known, now)
    if best:
        _fix(bot, best, best_at, now)
    elif bot.enemy and now - bot.seen_at > _MEMORY:
        bot.enemy = 0


def scan(bot: "Bot", now: int) -> None:
    """Looks around for where somebody might come from: the open, the way ahead, the noise."""
    if bot.enemy and now - bot.seen_at <= FRESH:
        return
    here = bot.position
    eyes = Vec3(here.x, here.y + rules.EYES, here.z)
    x, z = here.x, here.z
    # Each contact is a direction that deserves a look, the more so the fresher it is.
    worries = [
        (yaw_towards(at_x - x, at_z - z), 1.0 - (now - seen) / _MEMORY)
        for _, at_x, _, at_z, seen in bot.contacts
    ]
    ahead = yaw_towards(bot.way_x, bot.way_z) if bot.way_x or bot.way_z else bot.yaw
    turn = bot.uniform(0.0, tau / _FAN)
    best, best_score = bot.watch_yaw, -1e9
    for i in range(_FAN):
        yaw = wrapped(turn + i * (tau / _FAN))
        hit = raycast(eyes, forward(yaw, 0.0), _OPEN)
        score = _OPEN if hit is None else hit.distance
        score += 25.0 * cos(yaw - ahead)
        # A look that was there a moment ago learns less than another.
        score -= 15.0 * cos(yaw - bot.watch_yaw)
        for worry, weight in worries:
            score += 30.0 * weight * max(0.0, cos(yaw - worry))
        score += 12.0 * bot.random()
        if score > best_score:
            best, best_score = yaw, score
    bot.watch_yaw = best


def _noticed(bot: "Bot", here: Vec3, now: int) -> list[tuple[float, int, Player]]:
    """Everyone alive that eyes or ears point to, the greatest threat first."""
    x, z = here.x, here.z
    face = forward(bot.yaw, 0.0)
    face_x, face_z = face.x, face.z
    enemy = bot.enemy
    noticed: list[tuple[float, int, Player]] = []
    for other in bot.near(SIGHT, Player):
        if not other.alive:
            continue
        at = other.position
        dx, dz = at.x - x, at.z - z
        distance = hypot(dx, dz)
        loud = now - other.shot_at < _ECHO
        if (
            dx * face_x + dz * face_z > _VIEW * distance
            or distance < _BESIDE
            or (loud and distance < _EARSHOT)
        ):
            rank = distance
            if other.id == enemy:
                # Another has to be far worse to draw attention from a fight.
                rank *= 0.6
            if loud:
                rank *= 0.8
            if other.gliding:
                rank *= 1.5
            noticed.append((rank, other.id, other))
    noticed.sort()
    return noticed


def clear_view(eyes: Vec3, at: Vec3, crouched: bool) -> bool:
    """Whether the map leaves the chest or the head of somebody at `at` to be seen."""
    if crouched:
        heights: tuple[float, ...] = (rules.CROUCHED_EYES,)
    else:
        heights = (_CHEST, rules.EYES)
    for height in heights:
        direction, distance = unit_between(eyes, Vec3(at.x, at.y + height, at.z))
        if raycast(eyes, direction, distance) is None:
            return True
    return False


def _merged(
    seen: list[Contact], known: tuple[Contact, ...], now: int
) -> tuple[Contact, ...]:
    fresh = {contact[0] for contact in seen}
    for contact in known:
        if contact[0] not in fresh and now - contact[4] <= _MEMORY:
            seen.append(contact)
    return tuple(seen[:_CONTACTS])


def feel(bot: "Bot", shooter: int, now: int) -> None:
    """Somebody hit it: unless it is busy with one it sees, that is the enemy now."""
    bot.hurt_at = now
    if bot.enemy == shooter or (bot.enemy and now - bot.seen_at <= FRESH):
        return
    view = get(shooter)
    if view is not None:
        bot.enemy = shooter
        bot.enemy_at = view.position
        bot.spotted_at = now
        # Known where to look, not seen: it has to turn first.
        bot.seen_at = max(0, now - FRESH - 1)


def _fix(bot: "Bot", identity: int, at: Vec3, now: int) -> None:
    """This one is in sight and the enemy."""
    if identity != bot.enemy or now - bot.seen_at > FRESH * 4:
        bot.enemy = identity
        bot.spotted_at = now
    bot.enemy_at = at
    bot.seen_at = now
    # The longer it has been on target, the steadier the hand.
    nerve = 1.0 - 0.5 * min(1.0, (now - bot.spotted_at) / rules.ticks(2.0))
    wobble = (0.03 + 0.11 * (1.0 - bot.skill)) * nerve
    # The hand drifts rather than jumps from one error to the next.
    bot.miss_yaw = 0.6 * bot.miss_yaw + (bot.random() - 0.5) * 1.6 * wobble
    bot.miss_pitch = 0.6 * bot.miss_pitch + (bot.random() - 0.5) * wobble
