"""Walkers that count their ticks and greet each other, among them one that does harm when told so."""

import re

from tessera import Command, Entity, Match, Vec3, field, u16, u32


class Watch(Match):
    """Gives each client its saboteur."""

    def on_join(self, sender, number: int, name: str) -> None:
        self.spawn(Saboteur, position=Vec3(100.0, 0.0, 100.0), owner=number)


class Walker(Entity):
    """Counts its ticks and the greetings that it hears, across all borders."""

    age: u32 = field(0)
    greetings: u32 = field(0)
    restarts: u16 = field(0)
    births: u16 = field(0)

    def on_spawn(self) -> None:
        self.births += 1

    def tick(self, dt: float) -> None:
        self.age += 1
        self.position += Vec3(self.uniform(-30.0, 30.0), 0.0, self.uniform(-30.0, 30.0))
        for other in self.near(40.0, Walker)[:2]:
            self.send(other.id, "greet")

    def on_greet(self, sender) -> None:
        self.greetings += 1

    def on_restart(self) -> None:
        self.restarts += 1


class Saboteur(Entity):
    """Does what its client's buttons say."""

    age: u32 = field(0)

    def command(self, cmd: Command) -> None:
        match cmd.buttons:
            case 1:
                while True:
                    pass
            case 2:
                while True:
                    try:
                        while True:
                            pass
                    except BaseException:  # noqa: BLE001, S110 (that is the harm)
                        pass
            case 3:
                re.match(r"(a+)+$", "a" * 28 + "b")
            case 4:
                raise ValueError("as told")
            case 5:
                bytes(10 << 30)

    def tick(self, dt: float) -> None:
        self.age += 1


def start(world) -> None:
    world.spawn(Watch, position=Vec3(1.0, 0.0, 1.0))
    for _ in range(60):
        world.spawn(
            Walker,
            position=Vec3(world.uniform(0.0, 1000.0), 0.0, world.uniform(0.0, 1000.0)),
        )
