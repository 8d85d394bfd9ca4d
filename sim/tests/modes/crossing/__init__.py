"""Movers that jump across the whole world every tick, and count their own ticks."""

from tessera import Entity, Match, Vec3, field, u32


class Watch(Match):
    """The match entity that a mode must have."""


class Mover(Entity):
    """Jumps anywhere, or only over the nearest border, by its own choice."""

    age: u32 = field(0)
    trail: object = field(())

    def tick(self, dt: float) -> None:
        self.age += 1
        if self.random() < 0.5:
            self.position = Vec3(
                self.uniform(0.0, 1000.0), 0.0, self.uniform(0.0, 1000.0)
            )
        else:
            step = Vec3(self.uniform(-250.0, 250.0), 0.0, self.uniform(-250.0, 250.0))
            place = self.position + step
            self.position = Vec3(place.x % 1000.0, 0.0, place.z % 1000.0)
        self.trail = (*self.trail[-3:], self.age)


def start(world) -> None:
    world.spawn(Watch, position=Vec3(1.0, 0.0, 1.0))
    for _ in range(200):
        world.spawn(
            Mover,
            position=Vec3(world.uniform(0.0, 1000.0), 0.0, world.uniform(0.0, 1000.0)),
        )
