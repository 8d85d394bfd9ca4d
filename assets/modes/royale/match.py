"""The match: rounds, the circle, who is in, who won, and the next one.

It writes its own fields only. Players read them from afar with `get(self.game)`; what it
wants of a player or an item it sends.
"""

from math import cos, sin, sqrt, tau
from typing import Final

from tessera import (
    NOBODY,
    Entity,
    Match,
    Vec3,
    f32,
    field,
    find,
    ground,
    loot_points,
    map_size,
    spawn_points,
    tick,
    u8,
    u16,
    u32,
)

# Modules, not their classes: they import this one.
from . import bot, player, rules
from .arsenal import LOOT_WEIGHT, draw_loot
from .circle import LAST_PHASE_RESPAWN, PHASES, Disc, between, drawn_inside, whole_map
from .crowd import Crowd
from .loot import Loot
from .rocket import Rocket
from .rules import FIGHT, OVER, WARMUP

#: The match thinks this often, in ticks; only laying out loot goes on every tick.
_PERIOD: Final = rules.ticks(1 / 8)
#: Most bots that enter in one go, and most messages of one tick: no hook may send or spawn
#: without end, and no tick should be a spike.
_BOTS_AT_ONCE: Final = 16
_MESSAGES_MAX: Final = 1000
#: Places that are weighed for who appears on foot.
_PLACES_WEIGHED: Final = 6
#: Items laid out in one tick, so that a round's start is no spike.
_LOOT_PER_TICK: Final = 4
_ALL_LAID: Final = 0xFFFF
#: With respawning: how often loot is looked after, how many items come back at a time, and
#: how long what the dead dropped stays.
_TIDY_PERIOD: Final = rules.ticks(1.0)
_RESTOCK: Final = 3
_LITTER_TICKS: Final = rules.ticks(45.0)
#: Area for one participant at the drop, so that few land near each other: pi * this squared.
_ELBOW_ROOM: Final = 75.0
_NAME_BYTES: Final = 24


class Royale(Match):
    """The state of the match."""

    state: u8 = field(WARMUP)
    round: u16 = field(0)
    #: Participants of the round, and how many of them live.
    entrants: u16 = field(0)
    alive: u16 = field(0)
    #: Tick at which the warm-up or the pause between rounds ends; 0: waiting for a second player.
    next_at: u32 = field(0)
    #: The circle now, and the one it closes to.
    circle_x: f32 = field(0.0)
    circle_z: f32 = field(0.0)
    radius: f32 = field(0.0)
    next_x: f32 = field(0.0)
    next_z: f32 = field(0.0)
    next_radius: f32 = field(0.0)
    phase: u8 = field(0)
    closing: bool = field(False)
    #: Tick at which the wait or the closing ends.
    phase_ends: u32 = field(0)
    #: Health taken each second outside the circle.
    damage: f32 = field(0.0)
    winner: str = field("", max=_NAME_BYTES)

    began: u32 = field(0, to=NOBODY)
    #: Where the circle was when it began to close: x, z, radius.
    old: tuple[float, float, float] = field((0.0, 0.0, 0.0))
    #: No verdict before this tick: somebody is still on the way in.
    settled_at: u32 = field(0, to=NOBODY)
    loot_laid: u16 = field(0, to=NOBODY)
    bots_made: u32 = field(0, to=NOBODY)
    #: Clients that left before their player was there to be found, and when.
    leaving: tuple[int, ...] = field(())
    left_at: u32 = field(0, to=NOBODY)

    # --- what players ask (reads only, so it works on views) --------------------------

    @property
    def disc(self) -> Disc:
        """The circle now."""
        return Disc(self.circle_x, self.circle_z, self.radius)

    @property
    def next_disc(self) -> Disc:
        """The circle to be."""
        return Disc(self.next_x, self.next_z, self.next_radius)

    @property
    def respawns(self) -> bool:
        """Whether the dead come back."""
        return rules.RESPAWN and self.state != OVER or self.state == WARMUP

    def ground_spawn(self, by: Entity, crowd: Crowd) -> Vec3:
        """A place to appear on foot: in the circle, and of some the one with the fewest near
        it. Counts as taken from now on."""
        points = spawn_points()
        if not points:
            half = map_size() / 2
            return Vec3(half, ground(half, half), half)
        disc = self.next_disc if self.state == FIGHT else whole_map()
        anywhere, *drawn = (
            points[by.randrange(len(points))] for _ in range(1 + _PLACES_WEIGHED)
        )
        inside = [at for at in drawn if disc.outside(at.x, at.z) <= 0.0]
        best = min(inside, key=crowd.near, default=anywhere)
        crowd.add(best)
        return best

    # --- messages ---------------------------------------------------------------------

    def on_join(self, sender: int, client: int, name: str) -> None:
        """A client is connected: it plays at once, or watches until the next round."""
        name = name.encode()[:_NAME_BYTES].decode(errors="ignore") or f"player {client}"
        now = tick()
        self.settled_at = now + 4
        self.broadcast("joined", name)
        if self.respawns:
            # Nobody is asked for: a hundred may join in one tick.
            at, gliding = self.ground_spawn(self, Crowd()), False
        elif self.state == FIGHT and now - self.began <= rules.LATE_JOIN_TICKS:
            at, gliding = self._drop_point(self.next_disc), True
            self.entrants += 1
            self.alive += 1
        else:
            half = map_size() / 2
            at = Vec3(half, ground(half, half), half)
            self.spawn(
                player.Player, owner=client, name=name, position=at, game=self.id
            )
            return
        self.spawn(
            player.Player,
            owner=client,
            name=name,
            position=at,
            alive=True,
            gliding=gliding,
            game=self.id,
        )

    def on_leave(self, sender: int, client: int) -> None:
        """A client is gone."""
        if not self._dismiss(client):
            # Its player is being spawned in this very tick.
            self.leaving = (*self.leaving, client)
            self.left_at = tick()

    def on_died(
        self,
        sender: int,
        name: str,
        killer: int,
        killer_name: str,
        weapon: int,
        head: bool,
    ) -> None:
        """A player died; `killer` is 0 for the circle and for falls."""
        self.alive = max(0, self.alive - 1)
        self.broadcast(
            "kill", sender, name, killer, killer_name, weapon, head, self.alive
        )
        if self.state == FIGHT and not self.respawns:
            place = self.alive + 1
            self.send(sender, "placed", place)
            if place == 1:
                # The last ones died together; the round is the one's who was heard last.
                self._win(sender, name)

    # --- time -------------------------------------------------------------------------

    def tick(self, dt: float) -> None:
        """Loot, circle, and what state the match is in."""
        now = tick()
        if self.leaving and now > self.left_at:
            for client in self.leaving:
                self._dismiss(client)
            self.leaving = ()
        self._lay_loot(now)
        if now % _PERIOD:
            return
        people = find(player.Player)
        self._balance(people, now)
        if self.state == FIGHT:
            self._fight(people, now)
        elif self.state == OVER:
            if now >= self.next_at:
                self._begin_or_wait(people, now)
        elif len(people) < 2:
            self.next_at = 0
        elif self.next_at == 0:
            self.next_at = now + rules.ticks(rules.WARMUP_SECONDS)
        elif now >= self.next_at:
            self._begin_or_wait(people, now)

    def _fight(self, people: "list[player.Player]", now: int) -> None:
        self._move_circle(now)
        living = [p for p in people if p.alive]
        if now < self.settled_at:
            return
        self.alive = len(living)
        if rules.RESPAWN:
            if now - self.began >= rules.ticks(rules.ROUND_SECONDS) and people:
                # Ties go to the one who has been here longest.
                best = max(people, key=lambda p: (p.kills, -p.id))
                self._win(best.id, best.name)
        elif len(living) == 1:
            self.send(living[0].id, "placed", 1)
            self._win(living[0].id, living[0].name)
        elif not living:
            self._win(0, "")

    def _win(self, winner: int, name: str) -> None:
        self.winner = name
        self.state = OVER
        self.damage = 0.0
        self.next_at = tick() + rules.INTERMISSION_TICKS
        self.broadcast("winner", winner, name, self.round)

    # --- rounds -----------------------------------------------------------------------

    def _begin_or_wait(self, people: "list[player.Player]", now: int) -> None:
        stale: list[Entity] = [*find(Loot), *find(Rocket)]
        room = max(0, _MESSAGES_MAX - len(people))
        for thing in stale[:room]:
            self.send(thing.id, "clear")
        if len(stale) > room:
            # A long fight has left more than fits into one tick; the rest next time.
            return
        self.loot_laid = 0
        self.winner = ""
        self.phase = 0
        self.closing = False
        self._set_circle(whole_map(), whole_map())
        if len(people) >= 2:
            self._begin(people, now)
            return
        self.state = WARMUP
        self.next_at = 0
        crowd = Crowd()
        for p in people:
            self.send(p.id, "enter", self.ground_spawn(self, crowd))

    def _begin(self, people: "list[player.Player]", now: int) -> None:
        self.state = FIGHT
        self.round = (self.round + 1) & 0xFFFF
        self.began = now
        self.next_at = 0
        self.settled_at = now + 4
        self.entrants = self.alive = len(people)

        area = whole_map()
        radius = min(area.radius * 0.66, _ELBOW_ROOM * sqrt(len(people)))
        drop = drawn_inside(Disc(area.x, area.z, area.x), radius, self)
        for p in people:
            self.send(p.id, "enter", self._drop_point(drop))
        first = PHASES[0]
        self.damage = first.damage
        self.phase_ends = now + first.wait
        self._set_circle(area, drawn_inside(drop, first.radius * map_size(), self))
        self.broadcast("round", self.round, self.entrants)
        self._announce(first.wait)

    def _drop_point(self, over: Disc) -> Vec3:
        """A place in the sky over the disc."""
        angle = self.uniform(0.0, tau)
        away = over.radius * sqrt(self.random())
        low, high = 20.0, map_size() - 20.0
        x = min(max(over.x + away * cos(angle), low), high)
        z = min(max(over.z + away * sin(angle), low), high)
        return Vec3(x, ground(x, z) + rules.DROP_HEIGHT, z)

    # --- the circle -------------------------------------------------------------------

    def _set_circle(self, now: Disc, to: Disc) -> None:
        self.circle_x, self.circle_z, self.radius = now
        self.next_x, self.next_z, self.next_radius = to
        self.old = (now.x, now.z, now.radius)

    def _move_circle(self, now: int) -> None:
        phase = PHASES[self.phase]
        left = self.phase_ends - now
        if self.closing:
            x, z, radius = self.old
            part = 1.0 - max(0, left) / phase.closing
            disc = between(Disc(x, z, radius), self.next_disc, part)
            self.circle_x, self.circle_z, self.radius = disc
        if left > 0:
            return
        if not self.closing:
            self.closing = True
            self.phase_ends = now + phase.closing
            self._announce(phase.closing)
            return
        last = LAST_PHASE_RESPAWN if rules.RESPAWN else len(PHASES) - 1
        if self.phase >= last:
            return
        self.closing = False
        self.phase += 1
        phase = PHASES[self.phase]
        self.damage = phase.damage
        self.phase_ends = now + phase.wait
        radius = min(self.radius, phase.radius * map_size())
        self._set_circle(self.disc, drawn_inside(self.disc, radius, self))
        self._announce(phase.wait)

    def _announce(self, ticks_left: int) -> None:
        self.broadcast(
            "circle",
            self.phase,
            self.closing,
            self.next_x,
            self.next_z,
            self.next_radius,
            ticks_left,
        )

    # --- who is here ------------------------------------------------------------------

    def _dismiss(self, client: int) -> bool:
        """Sends a client's player away; the eldest, if the slot has a new owner already."""
        for p in find(player.Player):
            if p.owner == client:
                self.send(p.id, "dismiss")
                self.broadcast("left", p.name)
                return True
        return False

    def _balance(self, people: "list[player.Player]", now: int) -> None:
        """Bots make up the number that clients leave open, while anyone may come in."""
        young = self.state == FIGHT and now - self.began <= rules.LATE_JOIN_TICKS
        if not young and not self.respawns:
            return
        bots = [p for p in people if not p.owner]
        wanted = max(0, rules.FILL_BOTS - (len(people) - len(bots)))
        if len(bots) > wanted:
            # The dead first: a place that is empty anyhow.
            bots.sort(key=lambda p: (p.alive, -p.id))
            for surplus in bots[: len(bots) - wanted]:
                self.send(surplus.id, "dismiss")
        missing = min(wanted - len(bots), _BOTS_AT_ONCE)
        if missing > 0 and self.respawns:
            crowd = Crowd(p.position for p in people if p.alive)
            for _ in range(missing):
                self._add_bot(self.ground_spawn(self, crowd), gliding=False)
        else:
            for _ in range(missing):
                self._add_bot(self._drop_point(self.next_disc), gliding=True)
                self.entrants += 1
                self.alive += 1
                self.settled_at = now + 4

    def _add_bot(self, at: Vec3, gliding: bool) -> None:
        self.bots_made += 1
        self.spawn(
            bot.Bot,
            name=bot.name_of(self.bots_made),
            position=at,
            alive=True,
            gliding=gliding,
            game=self.id,
            skill=0.25 + 0.7 * self.random(),
            yaw=self.uniform(-3.0, 3.0),
        )

    # --- loot -------------------------------------------------------------------------

    def _lay_loot(self, now: int) -> None:
        if self.loot_laid < _ALL_LAID:
            points = loot_points()
            for at in points[self.loot_laid : self.loot_laid + _LOOT_PER_TICK]:
                self._lay(at)
            laid = self.loot_laid + _LOOT_PER_TICK
            self.loot_laid = laid if laid < len(points) else _ALL_LAID
        elif rules.RESPAWN and now % _TIDY_PERIOD == 0:
            self._tidy(now)

    def _tidy(self, now: int) -> None:
        """In a fight without end, what lies about for long goes, and what was taken returns."""
        items = find(Loot)
        lying = len(items)
        for item in items:
            if item.dropped_at and now - item.dropped_at > _LITTER_TICKS:
                self.send(item.id, "clear")
                lying -= 1
        points = loot_points()
        for _ in range(min(_RESTOCK, len(points) - lying)):
            self._lay(points[self.randrange(len(points))])

    def _lay(self, at: Vec3) -> None:
        item, amount = draw_loot(self.randrange(LOOT_WEIGHT))
        self.spawn(Loot, position=at, item=item, amount=amount)
