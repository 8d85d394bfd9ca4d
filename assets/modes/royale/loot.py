"""Things on the ground, and who gets them.

A player never writes an item, it asks: whoever walks over it sends `take`. The item gives
itself to the first that asks and is gone. Messages to an entity are sorted by sender, so two
players who reach it in the same tick get the same answer wherever each of them is simulated.
"""

from math import cos, sin, tau

from tessera import NOBODY, Entity, Vec3, field, ground, raycast, ref, tick, u8, u32

from .arsenal import AMMO_OF, ARMOUR, MEDKIT, PISTOL, RIFLE_AMMO, WEAPONS


class Loot(Entity):
    """One item on the ground. It has no `tick`: what nobody touches costs nothing."""

    #: What it is (see arsenal.py) and how much of it.
    item: u8 = field(RIFLE_AMMO)
    amount: u8 = field(0)
    #: When somebody dropped it; 0 for what the round laid out.
    dropped_at: u32 = field(0, to=NOBODY)
    #: Who got it; an item that was given away answers nobody else.
    taker: ref = field(0, to=NOBODY)

    def on_take(self, sender: int) -> None:
        """A player stands on it and wants it."""
        if self.taker == 0:
            self.taker = sender
            self.send(sender, "grant", self.item, self.amount)
            self.despawn()

    def on_clear(self, sender: int) -> None:
        """The round is over."""
        self.taker = sender
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
