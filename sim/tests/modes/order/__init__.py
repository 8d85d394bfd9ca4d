"""Senders all over the world write to one reader, which keeps what it hears in order."""

from tessera import Entity, Match, Vec3, field, u32


class Reader(Match):
    """Looks whether the tick's messages came by (sender, number)."""

    heard: object = field(())
    in_order: bool = field(False)
    count: u32 = field(0)

    def on_say(self, sender: int, number: int) -> None:
        self.heard = (*self.heard, (sender, number))

    def tick(self, dt: float) -> None:
        self.in_order = self.heard == tuple(sorted(self.heard))
        self.count = len(self.heard)
        self.heard = ()


class Sender(Entity):
    """Says three things a tick, and has one child in its third tick."""

    age: u32 = field(0)
    parent: u32 = field(0)

    def tick(self, dt: float) -> None:
        self.age += 1
        for number in range(3):
            self.send(1, "say", number)
        if self.age == 3 and self.parent == 0:
            where = Vec3(1000.0 - self.position.x, 0.0, 1000.0 - self.position.z)
            self.spawn(Sender, position=where, parent=self.id)


def start(world) -> None:
    world.spawn(Reader, position=Vec3(500.0, 0.0, 500.0))
    for number in range(20):
        # Descending along x, so that ascending ids are not ascending zones.
        world.spawn(
            Sender, position=Vec3(990.0 - number * 50.0, 0.0, (number * 377) % 1000)
        )
