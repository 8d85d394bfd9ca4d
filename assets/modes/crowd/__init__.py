"""Crowd: everyone walks about in one place, in sight of everyone else, and nobody dies.

No game, but the hardest thing that a server can be asked to tell its clients: all of them
near, all of them moving, in every tick. `loadtest --scenario crowd` measures it.
"""

from math import cos, pi, sin
from typing import Final

import tessera
from tessera import (
    NOBODY,
    OWNER,
    Capsule,
    Command,
    Entity,
    Match,
    Vec3,
    Walker,
    World,
    f32,
    field,
    find,
    u16,
)

#: Everyone starts within this of the middle, metres.
CROWD_RADIUS: Final = 25.0
#: The place is chosen for open ground this far around, metres: who walks in circles leaves
#: the start.
OPEN_RADIUS: Final = 40.0
#: Body and movement: metres and seconds.
RADIUS: Final = 0.4
HEIGHT: Final = 1.8
WALK_SPEED: Final = 4.5
GRAVITY: Final = 20.0
JUMP_SPEED: Final = 6.5


class Stroller(Entity):
    """One client's body, which its client predicts."""

    hitbox = Capsule(radius=RADIUS, height=HEIGHT)
    walker = Walker(
        radius=RADIUS,
        height=HEIGHT,
        walk_speed=WALK_SPEED,
        sprint_speed=WALK_SPEED,
        jump_speed=JUMP_SPEED,
        gravity=GRAVITY,
    )

    name: str = field("", max=24)
    grounded: bool = field(False, to=OWNER)

    # What its client wants, until its next command.
    wish_x: f32 = field(0.0, to=NOBODY)
    wish_z: f32 = field(0.0, to=NOBODY)
    buttons: u16 = field(0, to=NOBODY)

    def command(self, cmd: Command) -> None:
        """The client's wish for this tick: +x is right and -z ahead, as the body looks."""
        self.wish_x, self.wish_z, self.buttons = cmd.move_x, cmd.move_z, cmd.buttons
        self.yaw, self.pitch = cmd.yaw, cmd.pitch

    def tick(self, dt: float) -> None:
        """Walks or falls on, as the last command wished."""
        tessera.walk(self, self.wish_x, self.wish_z, self.buttons)

    def on_go(self, sender: int) -> None:
        """The client has left."""
        self.despawn()


class Crowd(Match):
    """The one entity that hears who joins and leaves. Its position is the middle of the crowd."""

    def on_join(self, sender: int, client: int, name: str) -> None:
        """Puts the client's body somewhere in the crowd."""
        # The root spreads them evenly over the disc rather than towards its middle.
        distance = CROWD_RADIUS * self.random() ** 0.5
        angle = self.uniform(-pi, pi)
        middle = self.position
        x, z = middle.x + distance * cos(angle), middle.z + distance * sin(angle)
        place = Vec3(x, tessera.ground(x, z) + 1.0, z)
        self.spawn(Stroller, owner=client, name=name[:24], position=place)

    def on_leave(self, sender: int, client: int) -> None:
        """Takes the client's body away."""
        for stroller in find(Stroller):
            if stroller.owner == client:
                self.send(stroller.id, "go")


def unevenness(middle: Vec3) -> float:
    """How bad a place is for a crowd: metres between its highest and its lowest point, and
    ten more for each point of it where nobody can stand."""
    heights: list[float] = []
    blocked = 0
    for ring in range(1, 9):
        distance = OPEN_RADIUS * ring / 8
        for step in range(4 * ring):
            angle = 2.0 * pi * step / (4 * ring)
            x, z = middle.x + distance * cos(angle), middle.z + distance * sin(angle)
            height = tessera.ground(x, z)
            heights.append(height)
            blocked += not tessera.is_free(Vec3(x, height + 0.3, z), RADIUS, HEIGHT)
    return max(heights) - min(heights) + 10.0 * blocked


def start(world: World) -> None:
    """Chooses the most open of the map's middle and its spawn points away from the edge."""
    side = tessera.map_size()
    places = [
        point
        for point in tessera.spawn_points()
        if OPEN_RADIUS < min(point.x, point.z, side - point.x, side - point.z)
    ]
    places.append(Vec3(side / 2, tessera.ground(side / 2, side / 2), side / 2))
    world.spawn(Crowd, position=min(places, key=unevenness))
