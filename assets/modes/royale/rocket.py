"""The launcher's rocket: flown by the engine, exploded by its script.

As a native projectile it moves by itself after its hook has run, and stops where it meets the
map, which `on_impact` hears one tick later. The hook looks whether somebody is in the way of
the motion to come.
"""

from math import sqrt, tau

from tessera import NOBODY, Entity, Projectile, Vec3, field, raycast, ref, tick, u32

# The module, not its class: player.py imports this one, through combat.py.
from . import player
from .aim import scattered, unit_between
from .arsenal import (
    KNOCKBACK,
    LAUNCHER,
    ROCKET_LIFE,
    ROCKET_SPEED,
    SELF_SPLASH,
    SPLASH_RADIUS,
    WEAPONS,
)
from .rules import HEIGHT

_CHEST = HEIGHT * 0.5


class Rocket(Entity):
    """In flight until it meets the map, a player, or the end of its life."""

    projectile = Projectile(gravity=0.0)

    #: Who fired it: passes the shooter's own hitbox, and gets the kill.
    shooter: ref = field(0)
    launched: u32 = field(0, to=NOBODY)

    def tick(self, dt: float) -> None:
        velocity = self.velocity
        here = self.position
        direction, speed = unit_between(Vec3(0.0, 0.0, 0.0), velocity)
        if speed > 0.0:
            hit = raycast(
                here, direction, speed * dt, hit=player.Player, ignore=self.shooter
            )
            if hit is not None and hit.entity:
                self._explode(hit.position)
                return
        if tick() - self.launched > ROCKET_LIFE:
            self._explode(here)

    def on_impact(self, sender: int, position: Vec3, normal: Vec3) -> None:
        """It met the map."""
        # A little off the wall, or every ray from the blast would start inside it.
        self._explode(position + normal * 0.1)

    def on_clear(self, sender: int) -> None:
        """The round is over."""
        self.despawn()

    def _explode(self, at: Vec3) -> None:
        if self.launched == 0:
            return
        # The impact's message and the end of its life may come in one tick.
        self.launched = 0
        full = WEAPONS[LAUNCHER].damage
        for victim in self.near(SPLASH_RADIUS + HEIGHT, player.Player, at=at):
            feet = victim.position
            chest = Vec3(feet.x, feet.y + _CHEST, feet.z)
            direction, distance = unit_between(at, chest)
            # The capsule's surface is nearer than its middle.
            part = 1.0 - max(0.0, distance - 0.5) / SPLASH_RADIUS
            if (
                not victim.alive
                or part <= 0.0
                or raycast(at, direction, distance) is not None
            ):
                continue
            damage = full * part * (SELF_SPLASH if victim.id == self.shooter else 1.0)
            push = KNOCKBACK * part
            self.send(victim.id, "hit", self.shooter, damage, LAUNCHER, False)
            self.send(victim.id, "push", direction * push + Vec3(0.0, 0.35 * push, 0.0))
        self.broadcast("explosion", at.x, at.y, at.z)
        self.despawn()


def launch(shooter: "player.Player", muzzle: Vec3, spread: float) -> None:
    """Sends a rocket off from the shooter's eyes."""
    radius = spread * sqrt(shooter.random())
    yaw, pitch = shooter.yaw, shooter.pitch
    direction = scattered(yaw, pitch, radius, tau * shooter.random())
    # Start ahead of the face, unless that would be behind a wall.
    wall = raycast(muzzle, direction, 0.8)
    shooter.spawn(
        Rocket,
        position=muzzle if wall is not None else muzzle + direction * 0.6,
        velocity=direction * ROCKET_SPEED,
        yaw=yaw,
        pitch=pitch,
        shooter=shooter.id,
        launched=max(1, tick()),
    )
