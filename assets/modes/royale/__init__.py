"""Royale: up to a hundred drop from the sky, one is left.

The engine calls `start` once; everything else is in the entities:

- `match.Royale`: rounds, the circle, joining and leaving
- `player.Player`: a participant played by a client (combat.py)
- `bot.Bot`: a participant that plays itself (senses.py, tactics.py, steering.py)
- `loot.Loot`, `rocket.Rocket`: things on the ground and in the air

Options (`[match.options]` of the server's configuration):

- `fill_bots = 24`: players and bots together; bots make up what clients don't, 0 to 500
- `round_seconds = 480`: from the drop until the circle has closed, 30 to 7200
- `warmup_seconds = 10`: free play from the second participant until the first round, 0 to 600
- `respawn = false`: the dead return, and the round goes to most kills (for load tests)
"""

from tessera import Vec3, World, map_size

from .match import Royale


def start(world: World) -> None:
    """Puts the match into the middle of an empty map."""
    half = map_size() / 2
    world.spawn(Royale, position=Vec3(half, 0.0, half))
