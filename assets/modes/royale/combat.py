"""Firing, reloading, changing weapons and healing.

Works on the player whose hook is running. Others are hurt by messages only, which arrive in
the next tick.
"""

from math import sqrt, tau

from tessera import FIRE, RELOAD, USE, Vec3, get, raycast

# The module, not its class: player.py imports this one.
from . import player as players
from . import rules
from .aim import scattered
from .arsenal import LAUNCHER, PISTOL, WEAPONS, Weapon, falloff
from .rocket import launch

#: The cone of a first shot is this much wider at a run, in the air, and on one knee.
_RUNNING, _AIRBORNE, _CROUCHED = 2.5, 4.0, 0.7
#: What rapid fire added to the cone is gone after this long, in ticks.
_CALM = rules.ticks(0.5)
_SWITCH = rules.ticks(0.35)


def with_byte(row: bytes, index: int, value: int) -> bytes:
    """The same bytes with one of them replaced."""
    return row[:index] + bytes((value,)) + row[index + 1 :]


def act(player: "players.Player", now: int) -> None:
    """What the hands of a living player do in one tick."""
    buttons = player.buttons
    if player.reload_until:
        if now < player.reload_until:
            return
        _finish_reload(player)
    if player.heal_until:
        if buttons & FIRE or not buttons & USE:
            player.heal_until = 0
        elif now >= player.heal_until:
            player.heal_until = 0
            player.medkits -= 1
            player.health = min(rules.HEALTH_MAX, player.health + rules.MEDKIT_HEALTH)
        else:
            return
    if not buttons or player.gliding:
        return
    if buttons & FIRE:
        if now >= player.ready_at:
            if player.magazines[player.weapon]:
                _fire(player, now)
            else:
                start_reload(player, now)
    elif buttons & RELOAD:
        start_reload(player, now)
    elif buttons & USE and player.medkits and player.health < rules.HEALTH_MAX:
        player.heal_until = now + rules.MEDKIT_TICKS


def select(player: "players.Player", weapon: int, now: int) -> None:
    """Takes another weapon in hand, if the player has it. Breaks off a reload."""
    if weapon == player.weapon or not player.owned >> weapon & 1:
        return
    player.weapon = weapon
    player.reload_until = 0
    player.reloading = False
    player.ready_at = max(player.ready_at, now + _SWITCH)


def start_reload(player: "players.Player", now: int) -> None:
    """Begins to fill the magazine, if there is room and something to fill it with."""
    weapon = player.weapon
    table = WEAPONS[weapon]
    if player.reload_until or player.magazines[weapon] >= table.magazine:
        return
    if weapon == PISTOL or player.reserves[weapon]:
        player.reload_until = now + table.reload
        player.reloading = True


def _finish_reload(player: "players.Player") -> None:
    weapon = player.weapon
    loaded = player.magazines[weapon]
    missing = WEAPONS[weapon].magazine - loaded
    if weapon != PISTOL:
        missing = min(missing, player.reserves[weapon])
        player.reserves = with_byte(
            player.reserves, weapon, player.reserves[weapon] - missing
        )
    player.magazines = with_byte(player.magazines, weapon, loaded + missing)
    player.reload_until = 0
    player.reloading = False


def eyes(player: "players.Player") -> Vec3:
    """Where the player's shots and looks start."""
    at = player.position
    return Vec3(
        at.x, at.y + (rules.CROUCHED_EYES if player.crouched else rules.EYES), at.z
    )


def _fire(player: "players.Player", now: int) -> None:
    weapon = player.weapon
    table = WEAPONS[weapon]
    since = now - player.shot_at
    bloom = player.bloom * (1.0 - since / _CALM) if since < _CALM else 0.0
    spread = _spread(player, table) + bloom
    player.bloom = min(table.bloom_max, bloom + table.bloom)
    player.shot_at = now
    player.ready_at = now + table.interval
    player.shots = (player.shots + 1) & 0xFF
    player.magazines = with_byte(player.magazines, weapon, player.magazines[weapon] - 1)
    if weapon == LAUNCHER:
        launch(player, eyes(player), spread)
    else:
        _shoot(player, table, spread)


def _spread(player: "players.Player", table: Weapon) -> float:
    if not player.grounded:
        return table.spread * _AIRBORNE
    velocity = player.velocity
    if velocity.x * velocity.x + velocity.z * velocity.z > 4.0:
        return table.spread * _RUNNING
    return table.spread * _CROUCHED if player.crouched else table.spread


def _shoot(player: "players.Player", table: Weapon, spread: float) -> None:
    """Hitscan: one ray a pellet, and one message to each player that pellets reached.

    Others are where the shooter's screen showed them, so aiming at what one sees is right
    at any latency.
    """
    origin = eyes(player)
    kind = players.Player
    hurt: dict[int, tuple[float, bool]] = {}
    for _ in range(table.pellets):
        radius = spread * sqrt(player.random())
        direction = scattered(player.yaw, player.pitch, radius, tau * player.random())
        hit = raycast(
            origin,
            direction,
            table.reach,
            hit=kind,
            ignore=player.id,
            rewind=player.rewind,
        )
        if hit is None or not hit.entity:
            continue
        damage, head = landed(hit.entity, hit.position.y - hit.base.y)
        if damage:
            before, headed = hurt.get(hit.entity, (0.0, False))
            damage *= falloff(table, hit.distance)
            hurt[hit.entity] = (before + damage, headed or head)
    for target, (damage, head) in hurt.items():
        player.send(target, "hit", player.id, damage, player.weapon, head)


def landed(target: int, over_feet: float) -> tuple[float, bool]:
    """Factor of a hit this high over a player's feet, and whether it's a head shot.

    The hitbox is that of a standing player, so that a shot over someone on one knee passes.
    """
    view = get(target)
    if view is None:
        return 0.0, False
    if isinstance(view, players.Player) and view.crouched:
        return (1.0, False) if over_feet <= rules.CROUCHED_HEIGHT else (0.0, False)
    return (rules.HEADSHOT, True) if over_feet >= rules.NECK else (1.0, False)
