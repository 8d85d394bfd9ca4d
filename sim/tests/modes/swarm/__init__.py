"""A swarm that does all that a script can do: what one zone makes of it, sixteen must too."""

from tessera import (
    Entity,
    Match,
    Range,
    Vec3,
    f64,
    field,
    find,
    get,
    options,
    ref,
    tick,
    u16,
)

AGENTS = int(options.get("agents", 48))


class Arena(Match):
    """Counts what its agents report, and hears joins."""

    reports: u16 = field(0)
    last: ref = field(0)
    names: object = field(())

    def on_report(self, sender: int, hits: int) -> None:
        self.reports = (self.reports + hits) % 65536
        self.last = sender

    def on_join(self, sender: int, client: int, name: str) -> None:
        self.names = (*self.names, (client, name))
        self.spawn(Agent, owner=client, position=Vec3(500.0, 0.0, 500.0), label=name)

    def on_leave(self, sender: int, client: int) -> None:
        self.names = tuple(entry for entry in self.names if entry[0] != client)


class Agent(Entity):
    """Wanders, pushes neighbours, remembers them, shoots, dies and is born again elsewhere."""

    health: f64 = field(100.0, wire=Range(0, 100, bits=8))
    label: str = field("", max=24)
    pushed: object = field(None)
    friends: object = field(None)
    steered: bool = field(False)

    def on_spawn(self) -> None:
        self.label = f"{self.label} since {tick()}"[:24]

    def on_despawn(self) -> None:
        self.broadcast("gone", self.id)

    def command(self, cmd) -> None:
        self.steered = True
        self.yaw = cmd.yaw
        self.velocity = Vec3(cmd.move_x * 50.0, 0.0, cmd.move_z * 50.0)

    def on_push(self, sender: int, by: Vec3, why: dict[str, object]) -> None:
        self.velocity = self.velocity + by
        self.pushed = {"by": sender, "why": why}

    def on_hit(self, sender: int, damage: float) -> None:
        self.health = self.health - damage
        if self.health <= 0.0:
            arena = find(Arena)[0]
            self.send(arena.id, "report", 1)
            self.broadcast("died", self.id, sender)
            self.spawn(
                Agent,
                position=Vec3(
                    self.uniform(0.0, 1000.0), 0.0, self.uniform(0.0, 1000.0)
                ),
                label=f"child of {self.id}",
                owner=self.owner,
            )
            self.despawn()

    def tick(self, dt: float) -> None:
        if not self.steered and self.random() < 0.1:
            self.velocity = Vec3(
                self.uniform(-60.0, 60.0), 0.0, self.uniform(-60.0, 60.0)
            )
        near = self.near(70.0, Agent)
        if near:
            closest = min(
                near,
                key=lambda other: (other.position.distance(self.position), other.id),
            )
            away = closest.position - self.position
            self.send(
                closest.id,
                "push",
                away * 0.1,
                {"tick": tick(), "tags": [1, 2, {"x": None}]},
            )
            if self.random() < 0.3:
                self.send(closest.id, "hit", self.uniform(5.0, 40.0))
            friends = self.friends or {}
            friends[closest.id] = friends.get(closest.id, 0) + 1
            self.friends = friends if len(friends) < 6 else None
        if self.friends:
            best = get(next(iter(self.friends)))
            if best is not None and best.position.distance(self.position) > 300.0:
                self.spawn(
                    Spark, position=self.position, velocity=Vec3(80.0, 0.0, -35.0)
                )
        if self.random() < 0.01:
            raise ValueError("one in a hundred hooks fails")
        place = self.position + self.velocity * dt * 8.0
        self.position = Vec3(place.x % 1000.0, 0.0, place.z % 1000.0)


class Spark(Entity):
    """Flies for half a second."""

    age: u16 = field(0)

    def tick(self, dt: float) -> None:
        self.age += 1
        self.position = self.position + self.velocity * dt
        for agent in self.near(5.0, Agent):
            self.send(agent.id, "hit", 2.0)
        if self.age > 32:
            self.despawn()


def start(world) -> None:
    world.spawn(Arena, position=Vec3(500.0, 0.0, 500.0))
    for number in range(AGENTS):
        world.spawn(
            Agent,
            position=Vec3(world.uniform(0.0, 1000.0), 0.0, world.uniform(0.0, 1000.0)),
            label=f"agent {number}",
        )
