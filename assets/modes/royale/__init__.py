"""Royale: up to a hundred drop from the sky, one is left.

The engine calls `start` once; everything else is in the entities:

- `match.Royale`: rounds, the circle, joining and leaving
- `player.Player`: a participant played by a client (movement.py, combat.py)
- `bot.Bot`: a participant that plays itself (senses.py, tactics.py, steering.py)
- `loot.Loot`, `rocket.Rocket`: things on the ground and in the air
"""

from tessera import Vec3, World, map_size

from .match import Royale


def start(world: World) -> None:
    """Puts the match into the middle of an empty map."""
    half = map_size() / 2
    world.spawn(Royale, position=Vec3(half, 0.0, half))
