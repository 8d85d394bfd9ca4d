"""A participant that plays itself.

A bot sees what a player's eyes would, turns no faster than a hand, and acts through the same
wishes as a client's command. Its thinking is cut into slices that run every few ticks, in
ticks that depend on its id, so that a hundred bots are an even load:

    each tick       turn and aim, pull the trigger        steering.turn, steering.trigger
    each tick       one place to hide                     refuge.ponder
    32 times a s    where to put the feet                 steering.steer
    32 times a s    who is to be seen                     senses.look
     8 times a s    what to do next, and a path there     tactics.decide, footwork
     3 times a s    where somebody might come from        senses.scan
     2 times a s    whether it gets anywhere              tactics.notice_stuck
"""

from typing import Final

from tessera import NOBODY, Vec3, f32, field, i32, ref, tick, u8, u32, vec3

from . import refuge, rules, senses, steering, tactics
from .player import Player

_STEER: Final = rules.ticks(1 / 32)
_LOOK: Final = rules.ticks(1 / 32)
_SCAN: Final = rules.ticks(1 / 3)
_DECIDE: Final = rules.ticks(1 / 8)
_STUCK: Final = rules.ticks(1 / 2)

# fmt: off
_NAMES: Final = (
    "Ada", "Alan", "Alonzo", "Barbara", "Bjarne", "Claude", "Dennis", "Donald",
    "Dorothy", "Edsger", "Frances", "Fred", "Grace", "Guido", "Hedy", "Jean",
    "John", "Katherine", "Ken", "Kurt", "Leslie", "Linus", "Margaret", "Marvin",
    "Niklaus", "Radia", "Robin", "Rosalind", "Sophie", "Tony", "Vint", "Whitfield",
)
# fmt: on


def name_of(serial: int) -> str:
    """A name for the match's `serial`-th bot."""
    name, turn = _NAMES[serial % len(_NAMES)], serial // len(_NAMES)
    return f"{name} {turn + 1}" if turn else name


class Bot(Player):
    """A player with a brain. Nothing below is sent to anybody."""

    #: 0 (slow hands, poor aim) to 1.
    skill: f32 = field(0.5, to=NOBODY)

    # Whom it fights. Moments are ticks.
    enemy: ref = field(0, to=NOBODY)
    enemy_at: vec3 = field(Vec3(0.0, 0.0, 0.0), to=NOBODY)
    #: First and last moment of having seen the enemy.
    spotted_at: u32 = field(0, to=NOBODY)
    seen_at: u32 = field(0, to=NOBODY)
    hurt_at: u32 = field(0, to=NOBODY)
    #: How far beside the enemy it aims, radians.
    miss_yaw: f32 = field(0.0, to=NOBODY)
    miss_pitch: f32 = field(0.0, to=NOBODY)

    #: What it remembers of others, newest first.
    contacts: tuple[senses.Contact, ...] = field(())

    #: Where it looks when there is nobody to look at.
    watch_yaw: f32 = field(0.0, to=NOBODY)

    # Where it is going.
    #: What for: one of tactics.ROAM and the like.
    errand: u8 = field(0, to=NOBODY)
    goal: vec3 = field(Vec3(0.0, 0.0, 0.0), to=NOBODY)
    errand_until: u32 = field(0, to=NOBODY)
    #: The best place to hide that it knows, and what it was worth when.
    refuge: vec3 = field(Vec3(0.0, 0.0, 0.0), to=NOBODY)
    refuge_worth: f32 = field(0.0, to=NOBODY)
    refuge_at: u32 = field(0, to=NOBODY)
    #: Points on the way to the goal, and which is next.
    route: tuple[Vec3, ...] = field(())
    leg: u8 = field(0, to=NOBODY)
    #: Direction of the feet over the ground, a unit vector or zero.
    way_x: f32 = field(0.0, to=NOBODY)
    way_z: f32 = field(0.0, to=NOBODY)
    #: -1 or 1: which way it circles an enemy.
    strafe: i32 = field(1, to=NOBODY)
    #: Where it was when it last asked itself whether it is stuck, and how often it was.
    mark: vec3 = field(Vec3(0.0, 0.0, 0.0), to=NOBODY)
    stuck: u8 = field(0, to=NOBODY)

    def tick(self, dt: float) -> None:
        """The slices whose turn it is, then a player's tick."""
        now = tick()
        if self.alive and self.appeared_at != now:
            turn = now + self.id
            # Different phases, so that no tick of one bot has them all.
            if not self.gliding:
                refuge.ponder(self, now)
                if turn % _LOOK == 0:
                    senses.look(self, now)
                if (turn + 5) % _SCAN == 0:
                    senses.scan(self, now)
                if (turn + 7) % _STUCK == 0:
                    tactics.notice_stuck(self)
            if (turn + 3) % _DECIDE == 0:
                tactics.decide(self, now)
            if (turn + 1) % _STEER == 0:
                steering.steer(self, now)
            off = steering.turn(self, dt, now)
            steering.trigger(self, off, now)
        Player.tick(self, dt)

    def on_hit(
        self, sender: int, shooter: int, damage: float, weapon: int, head: bool
    ) -> None:
        """Being shot at tells where from."""
        Player.on_hit(self, sender, shooter, damage, weapon, head)
        if self.alive and shooter and shooter != self.id:
            senses.feel(self, shooter, tick())

    def appear(self, at: Vec3, gliding: bool) -> None:
        """A new life, with an empty head."""
        Player.appear(self, at, gliding)
        tactics.forget(self)
