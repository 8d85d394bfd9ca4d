"""Numbers of the game: body, movement, damage over time, and the few options a server may set.

Metres, seconds, radians. Whatever is counted in ticks is made by `ticks()`, so that a
server at 32 or 128 Hz plays the same game.
"""

from typing import Final

from tessera import TICK_HZ, options

# --- options of the server's configuration ------------------------------------------------


def option_int(name: str, default: int, low: int, high: int) -> int:
    """Whole number from the mode's options, in `[low, high]`."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"option {name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"option {name} must be from {low} to {high}, not {value!r}")
    return value


def option_bool(name: str, default: bool) -> bool:
    """Switch from the mode's options."""
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise TypeError(f"option {name} must be true or false, not {value!r}")
    return value


_OPTIONS: Final = ("fill_bots", "respawn", "round_seconds", "warmup_seconds")
for _name in options:
    if _name not in _OPTIONS:
        raise ValueError(
            f"royale has no option {_name!r}; it has {', '.join(_OPTIONS)}"
        )

#: Players and bots together at the start of a round; bots make up what clients don't.
FILL_BOTS: Final = option_int("fill_bots", 24, 0, 500)
#: From the drop until the circle has closed entirely.
ROUND_SECONDS: Final = option_int("round_seconds", 480, 30, 7200)
#: From the second participant's arrival until the first round; the fight is free until then.
WARMUP_SECONDS: Final = option_int("warmup_seconds", 10, 0, 600)
#: The dead return after a few seconds, and the round goes to the one with most kills.
RESPAWN: Final = option_bool("respawn", False)

# --- states of the match (Royale.state) ---------------------------------------------------

#: Free play with respawning, until there are two and the countdown is over.
WARMUP: Final = 0
#: The round.
FIGHT: Final = 1
#: Somebody won; the next round starts soon.
OVER: Final = 2

# --- time ---------------------------------------------------------------------------------


def ticks(seconds: float) -> int:
    """Number of ticks nearest to `seconds`, at least one."""
    return max(1, round(seconds * TICK_HZ))


INTERMISSION_TICKS: Final = ticks(10.0)
RESPAWN_TICKS: Final = ticks(3.0)
#: A client that joins this early after a round's start still gets into it.
LATE_JOIN_TICKS: Final = ticks(min(60.0, ROUND_SECONDS / 4))

# --- body ---------------------------------------------------------------------------------

RADIUS: Final = 0.4
HEIGHT: Final = 1.8
CROUCHED_HEIGHT: Final = 1.2
EYES: Final = 1.62
CROUCHED_EYES: Final = 1.05
#: Hits above this height over the feet of a standing player count as head shots.
NECK: Final = 1.48

# --- movement -----------------------------------------------------------------------------

GRAVITY: Final = 20.0
WALK_SPEED: Final = 4.6
SPRINT_SPEED: Final = 7.0
CROUCH_SPEED: Final = 2.2
JUMP_SPEED: Final = 7.0
GROUND_ACCELERATION: Final = 60.0
AIR_ACCELERATION: Final = 9.0
#: Everyone enters a round hanging from a canopy at this height over the ground.
DROP_HEIGHT: Final = 120.0
GLIDE_SPEED: Final = 13.0
GLIDE_SINK: Final = 17.0
#: Landing faster than this hurts, by so many points for each m/s above it.
SAFE_LANDING: Final = 13.0
LANDING_DAMAGE: Final = 6.0

# --- health -------------------------------------------------------------------------------

HEALTH_MAX: Final = 100.0
ARMOUR_MAX: Final = 100.0
#: Part of a shot's damage that armour takes while it lasts.
ARMOUR_SHARE: Final = 0.5
HEADSHOT: Final = 1.6
MEDKIT_HEALTH: Final = 60.0
MEDKIT_TICKS: Final = ticks(2.5)
MEDKITS_MAX: Final = 3

# --- staggered work -----------------------------------------------------------------------

#: The circle bites every so many ticks; who is bitten in which tick depends on the id.
CIRCLE_PERIOD: Final = ticks(0.5)
#: Items underfoot are looked for every so many ticks: at least two, after which what was asked
#: for last time is there.
PICKUP_PERIOD: Final = max(2, ticks(1 / 16))
PICKUP_REACH: Final = 1.4
