"""Shots at the past: stands that fire once a tick, by their clients' rewind, at targets on the run."""

from tessera import (
    TICK_HZ,
    Capsule,
    Command,
    Entity,
    Match,
    Vec3,
    f64,
    field,
    find,
    options,
    raycast,
    ref,
    u32,
)

STANDS = int(options.get("stands", 128))
TARGETS = int(options.get("targets", 48))


class Target(Entity):
    """Runs, turns, plays dead for a while, and ends now and then to be born elsewhere."""

    hitbox = Capsule(radius=0.6, height=2.0, when="alive")

    alive: bool = field(True)

    def tick(self, dt: float) -> None:
        at = self.position + self.velocity * dt
        self.position = Vec3(
            min(990.0, max(10.0, at.x)), at.y, min(990.0, max(10.0, at.z))
        )
        if self.random() < 0.05:
            self.velocity = self.turned()
        if self.random() < 0.02:
            self.alive = not self.alive
        if self.random() < 0.005:
            self.spawn(Target, position=at, velocity=self.turned())
            self.despawn()

    def turned(self) -> Vec3:
        """A speed that crosses several capsules' width within the longest rewind."""
        return Vec3(self.uniform(-40.0, 40.0), 0.0, self.uniform(-40.0, 40.0))


class Stand(Entity):
    """Fires from where it stands, and writes down where to, how far back, and at whom it was."""

    number: u32 = field(0)
    direction: Vec3 = field(Vec3(0.0, 0.0, -1.0))
    rewind: f64 = field(0.0)
    hit: ref = field(0)
    distance: f64 = field(-1.0)

    def command(self, cmd: Command) -> None:
        self.rewind = cmd.rewind

    def tick(self, dt: float) -> None:
        targets = find(Target)
        target = targets[self.randrange(len(targets))]
        was = target.position - target.velocity * (self.rewind / TICK_HZ)
        aim = was + Vec3(
            self.uniform(-0.9, 0.9), self.uniform(0.0, 2.2), self.uniform(-0.9, 0.9)
        )
        self.direction = (aim - self.position).normalized()
        met = raycast(
            self.position, self.direction, 1500.0, hit=Target, rewind=self.rewind
        )
        self.hit = met.entity if met else 0
        self.distance = met.distance if met else -1.0


class Gallery(Match):
    """Sets up a stand for each client."""

    def on_join(self, sender: int, client: int, name: str) -> None:
        at = Vec3(self.uniform(20.0, 980.0), 1.0, self.uniform(20.0, 980.0))
        self.spawn(Stand, owner=client, number=client, position=at)


def start(world) -> None:
    world.spawn(Gallery)
    for _ in range(TARGETS):
        at = Vec3(world.uniform(10.0, 990.0), 0.0, world.uniform(10.0, 990.0))
        velocity = Vec3(world.uniform(-40.0, 40.0), 0.0, world.uniform(-40.0, 40.0))
        world.spawn(Target, position=at, velocity=velocity)
