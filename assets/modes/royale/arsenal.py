"""Weapons and what lies on the ground: tables only, no behaviour."""

from typing import Final, NamedTuple

from .rules import ticks


class Weapon(NamedTuple):
    """What a weapon does. Angles in radians, distances in metres."""

    name: str
    #: Damage of one pellet up to `near` metres; falls linearly to `damage * floor` at `far`.
    damage: float
    near: float
    far: float
    floor: float
    #: Nothing beyond this distance is hit.
    reach: float
    pellets: int
    #: Radius of the cone of a first shot by someone who stands still.
    spread: float
    #: Added to the cone by every shot, and the most that shots can add.
    bloom: float
    bloom_max: float
    #: Ticks between two shots.
    interval: int
    magazine: int
    reload: int
    #: Most rounds carried beside the magazine; the pistol's never run out.
    reserve: int


PISTOL: Final = 0
RIFLE: Final = 1
SHOTGUN: Final = 2
LAUNCHER: Final = 3

#: Indexed by weapon number. `Player.magazines` and `reserves` have one byte for each.
WEAPONS: Final = (
    Weapon(
        name="pistol",
        damage=12.0,
        near=20.0,
        far=70.0,
        floor=0.5,
        reach=140.0,
        pellets=1,
        spread=0.008,
        bloom=0.012,
        bloom_max=0.05,
        interval=ticks(0.22),
        magazine=12,
        reload=ticks(1.2),
        reserve=0,
    ),
    Weapon(
        name="rifle",
        damage=19.0,
        near=60.0,
        far=240.0,
        floor=0.5,
        reach=400.0,
        pellets=1,
        spread=0.003,
        bloom=0.004,
        bloom_max=0.035,
        interval=ticks(0.1),
        magazine=30,
        reload=ticks(2.0),
        reserve=180,
    ),
    Weapon(
        name="shotgun",
        damage=10.0,
        near=7.0,
        far=30.0,
        floor=0.15,
        reach=50.0,
        pellets=9,
        spread=0.055,
        bloom=0.0,
        bloom_max=0.0,
        interval=ticks(0.8),
        magazine=6,
        reload=ticks(2.6),
        reserve=36,
    ),
    Weapon(
        name="launcher",
        damage=105.0,
        near=0.0,
        far=0.0,
        floor=0.0,
        reach=0.0,
        pellets=0,
        spread=0.004,
        bloom=0.0,
        bloom_max=0.0,
        interval=ticks(1.1),
        magazine=2,
        reload=ticks(2.8),
        reserve=8,
    ),
)

#: What everyone starts a round with: a loaded pistol.
FIRST_MAGAZINES: Final = bytes([WEAPONS[PISTOL].magazine, 0, 0, 0])
NO_RESERVES: Final = bytes(len(WEAPONS))

# Causes of death that are no weapon; they continue the numbers of WEAPONS in the kill feed.
CIRCLE: Final = 4
FALL: Final = 5

ROCKET_SPEED: Final = 42.0
ROCKET_LIFE: Final = ticks(6.0)
SPLASH_RADIUS: Final = 5.5
#: Speed given to someone at the centre of a blast, m/s.
KNOCKBACK: Final = 14.0
#: Part of the damage that the shooter's own blast does to the shooter.
SELF_SPLASH: Final = 0.5

# --- items on the ground ------------------------------------------------------------------

# Items 1, 2 and 3 are the weapons of these numbers; amount: rounds in their magazine.
RIFLE_AMMO: Final = 4
SHELLS: Final = 5
ROCKETS: Final = 6
ARMOUR: Final = 7
MEDKIT: Final = 8

#: Which weapon's reserve an ammunition item fills.
AMMO_FOR: Final = {RIFLE_AMMO: RIFLE, SHELLS: SHOTGUN, ROCKETS: LAUNCHER}
AMMO_OF: Final = {RIFLE: RIFLE_AMMO, SHOTGUN: SHELLS, LAUNCHER: ROCKETS}

#: (item, amount, weight) of what is laid out at the start of a round.
LOOT_TABLE: Final = (
    (RIFLE, 30, 16),
    (SHOTGUN, 6, 14),
    (LAUNCHER, 2, 5),
    (RIFLE_AMMO, 60, 20),
    (SHELLS, 12, 12),
    (ROCKETS, 2, 5),
    (ARMOUR, 50, 14),
    (MEDKIT, 1, 14),
)
LOOT_WEIGHT: Final = sum(weight for _, _, weight in LOOT_TABLE)


def draw_loot(ticket: int) -> tuple[int, int]:
    """(item, amount) for a `ticket` drawn from `range(LOOT_WEIGHT)`."""
    for item, amount, weight in LOOT_TABLE:
        if ticket < weight:
            return item, amount
        ticket -= weight
    raise ValueError(f"a loot ticket is below {LOOT_WEIGHT}")


def falloff(weapon: Weapon, distance: float) -> float:
    """Damage of one pellet after `distance` metres."""
    if distance <= weapon.near:
        return weapon.damage
    if distance >= weapon.far:
        return weapon.damage * weapon.floor
    part = (distance - weapon.near) / (weapon.far - weapon.near)
    return weapon.damage * (1.0 - part * (1.0 - weapon.floor))
