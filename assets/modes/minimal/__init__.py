"""Tag: one player is it; whom that player touches is it next."""

from math import cos, sin

import tessera
from tessera import Command, Entity, Match, Vec3, World, field, find, ref, tick, u32


class Runner(Entity):
    """One client's body. Only its own hooks write its fields."""

    name: str = field("", max=64)

    def command(self, cmd: Command) -> None:
        """The client's wish for this tick: +x is right and -z ahead, as the body looks."""
        x, z, s, c = cmd.move_x * 6.0, cmd.move_z * 6.0, sin(cmd.yaw), cos(cmd.yaw)
        self.yaw = cmd.yaw
        self.velocity = Vec3(x * c + z * s, self.velocity.y, z * c - x * s)

    def tick(self, dt: float) -> None:
        falling = self.velocity + Vec3(0.0, -20.0 * dt, 0.0)
        moved = tessera.move(self.position, falling, dt, radius=0.4, height=1.8)
        self.position, self.velocity, _ = moved
        (game,) = find(Tag)
        if game.it == self.id and (touched := self.near(1.5, Runner)):
            self.send(game.id, "tag", touched[0].id)

    def on_go(self, sender: int) -> None:
        self.despawn()


class Tag(Match):
    """The one entity that hears who joins and leaves; it also knows who is it."""

    it: ref = field(0)
    safe_until: u32 = field(0)

    def on_join(self, sender: int, client: int, name: str) -> None:
        side = tessera.map_size()
        x, z = self.uniform(0.1, 0.9) * side, self.uniform(0.1, 0.9) * side
        sky = Vec3(x, tessera.ground(x, z) + 30.0, z)
        self.spawn(Runner, owner=client, name=name[:16], position=sky)

    def on_leave(self, sender: int, client: int) -> None:
        for runner in find(Runner):
            if runner.owner == client:
                self.send(runner.id, "go")

    def on_tag(self, sender: int, touched: int) -> None:
        if sender == self.it and tick() >= self.safe_until:
            self.it, self.safe_until = touched, tick() + tessera.TICK_HZ

    def tick(self, dt: float) -> None:
        runners = [runner.id for runner in find(Runner)]
        if self.it not in runners:
            self.it = runners[0] if runners else 0


def start(world: World) -> None:
    world.spawn(Tag)
