"""Things on the ground, and who gets them.

A player never writes an item, it asks: whoever walks over it sends `take` with as much as it
has room for. The item gives that much, or what it has, and stays with the rest. Messages to
an entity are sorted by sender, so two players who reach it in the same tick get the same
answer wherever each of them is simulated.
"""

from math import cos, sin, tau

from tessera import NOBODY, Entity, Vec3, field, ground, raycast, tick, u8, u32

from .arsenal import AMMO_OF, ARMOUR, MEDKIT, PISTOL, RIFLE_AMMO, WEAPONS


class Loot(Entity):
    """One item on the ground. It has no `tick`: what nobody touches costs nothing."""

    #: What it is (see arsenal.py) and how much of it.
    item: u8 = field(RIFLE_AMMO)
    amount: u8 = field(0)
    #: When somebody dropped it, or left it with the rest; 0 for what the round laid out.
    dropped_at: u32 = field(0, to=NOBODY)
    #: Whether it ends with this tick: it answers nobody else.
    gone: bool = field(False, to=NOBODY)

    def on_take(self, sender: int, item: int, most: int) -> None:
        """A player stands on it, and has room for `most` of `item`: of what it is, or of the
        rounds in a weapon."""
        if self.gone or item != self.item and not self.amount:
            # Somebody else had it, or its rounds, first.
            return
        given = min(most, self.amount)
        self.amount -= given
        self.dropped_at = max(1, tick())
        self.send(sender, "grant", item, given)
        # A weapon without rounds stays: it is of use to who has none. Who takes the weapon has
        # room for all rounds in it, which are a magazine at most.
        if item == self.item and (item in AMMO_OF or not self.amount):
            self._go()

    def on_clear(self, sender: int) -> None:
        """The round is over."""
        self._go()

    def _go(self) -> None:
        self.gone = True
        self.despawn()


def drop(by: Entity, item: int, amount: int) -> None:
    """Puts one item down a step away from `by`."""
    angle = by.uniform(0.0, tau)
    away = by.uniform(0.4, 1.3)
    at = by.position
    over = Vec3(at.x + away * cos(angle), at.y + 0.5, at.z + away * sin(angle))
    floor = raycast(over, Vec3(0.0, -1.0, 0.0), over.y + 100.0)
    y = floor.position.y if floor is not None else ground(over.x, over.z)
    by.spawn(
        Loot,
        position=Vec3(over.x, y, over.z),
        item=item,
        amount=amount,
        dropped_at=max(1, tick()),
    )


def drop_all(
    by: Entity,
    owned: int,
    magazines: bytes,
    reserves: bytes,
    medkits: int,
    armour: float,
) -> None:
    """Lays out what a dead player carried."""
    for weapon in range(PISTOL + 1, len(WEAPONS)):
        if owned >> weapon & 1:
            drop(by, weapon, magazines[weapon])
        if reserves[weapon]:
            drop(by, AMMO_OF[weapon], reserves[weapon])
    if medkits:
        drop(by, MEDKIT, medkits)
    if armour >= 10.0:
        drop(by, ARMOUR, int(armour))
