"""A participant: what it is, what happens to it, and one tick of its life.

Somebody plays it through `command`; `bot.Bot` is the same with a brain instead.
"""

from tessera import (
    FIRE,
    NOBODY,
    OWNER,
    Capsule,
    Command,
    Entity,
    Range,
    Vec3,
    Walker,
    f32,
    field,
    find,
    get,
    ref,
    tick,
    u8,
    u16,
    u32,
    walk,
)

from . import combat, match, rules
from .arsenal import (
    AMMO_FOR,
    AMMO_OF,
    ARMOUR,
    CIRCLE,
    FALL,
    FIRST_MAGAZINES,
    MEDKIT,
    NO_RESERVES,
    PISTOL,
    WEAPONS,
)
from .crowd import Crowd
from .loot import Loot, drop, drop_all

_HEALTH = Range(0.0, 100.0, bits=8)


class Player(Entity):
    """One participant of the match, alive or watching."""

    hitbox = Capsule(radius=rules.RADIUS, height=rules.HEIGHT, when="alive")
    walker = Walker(
        radius=rules.RADIUS,
        height=rules.HEIGHT,
        crouched_height=rules.CROUCHED_HEIGHT,
        walk_speed=rules.WALK_SPEED,
        sprint_speed=rules.SPRINT_SPEED,
        crouch_speed=rules.CROUCH_SPEED,
        jump_speed=rules.JUMP_SPEED,
        gravity=rules.GRAVITY,
        ground_acceleration=rules.GROUND_ACCELERATION,
        air_acceleration=rules.AIR_ACCELERATION,
        glide_speed=rules.GLIDE_SPEED,
        glide_sink=rules.GLIDE_SINK,
        when="alive",
    )

    # What everyone in sight sees.
    name: str = field("", max=24)
    alive: bool = field(False)
    weapon: u8 = field(PISTOL)
    crouched: bool = field(False)
    gliding: bool = field(False)
    reloading: bool = field(False)
    #: Shots fired, wrapping: a change is a muzzle flash.
    shots: u8 = field(0)
    kills: u8 = field(0)

    # What only its own client knows.
    grounded: bool = field(False, to=OWNER)
    health: f32 = field(rules.HEALTH_MAX, wire=_HEALTH, to=OWNER)
    armour: f32 = field(0.0, wire=_HEALTH, to=OWNER)
    #: Bit w is set when it has weapon w.
    owned: u8 = field(1 << PISTOL, to=OWNER)
    #: Rounds in the magazine and beside it, one byte a weapon.
    magazines: bytes = field(FIRST_MAGAZINES, max=len(WEAPONS), to=OWNER)
    reserves: bytes = field(NO_RESERVES, max=len(WEAPONS), to=OWNER)
    medkits: u8 = field(0, to=OWNER)
    #: Place in the round once dead; 0 while alive or not in the round.
    place: u8 = field(0, to=OWNER)
    #: Whom the dead look at.
    watching: ref = field(0, to=OWNER)

    # What a client wants, until its next command.
    wish_x: f32 = field(0.0, to=NOBODY)
    wish_z: f32 = field(0.0, to=NOBODY)
    buttons: u16 = field(0, to=NOBODY)
    #: How far back in time its shots aim, in ticks; 0 for who has no client.
    rewind: f32 = field(0.0, to=NOBODY)

    # Rules. Moments are ticks; 0: not going on.
    game: ref = field(0, to=NOBODY)
    appeared_at: u32 = field(0, to=NOBODY)
    bloom: f32 = field(0.0, to=NOBODY)
    shot_at: u32 = field(0, to=NOBODY)
    ready_at: u32 = field(0, to=NOBODY)
    reload_until: u32 = field(0, to=NOBODY)
    heal_until: u32 = field(0, to=NOBODY)
    respawn_at: u32 = field(0, to=NOBODY)

    # --- what the engine calls --------------------------------------------------------

    def command(self, cmd: Command) -> None:
        """Its client's wish for this tick."""
        if not self.alive and cmd.buttons & FIRE and not self.buttons & FIRE:
            self.watching = 0
        self.wish_x = cmd.move_x
        self.wish_z = cmd.move_z
        self.yaw = cmd.yaw
        self.pitch = cmd.pitch
        self.buttons = cmd.buttons
        self.rewind = cmd.rewind
        # Slot 0 keeps what is in hand, slot w + 1 is weapon w.
        if cmd.slot and self.alive:
            combat.select(self, cmd.slot - 1, tick())

    def tick(self, dt: float) -> None:
        """Hands, feet, and what lies under them."""
        now = tick()
        if not self.alive:
            self._dead(now)
            return
        if self.appeared_at == now:
            # Elsewhere until this moment: what is near here is known from the next tick on.
            return
        if self.buttons or self.reload_until or self.heal_until:
            combat.act(self, now)
        landing = walk(self, self.wish_x, self.wish_z, self.buttons)
        if landing > rules.SAFE_LANDING:
            self._suffer((landing - rules.SAFE_LANDING) * rules.LANDING_DAMAGE, FALL)
        turn = now + self.id
        if turn % rules.PICKUP_PERIOD == 0 and self.alive and not self.gliding:
            self._pick_up()
        if turn % rules.CIRCLE_PERIOD == 0 and self.alive:
            self._feel_circle()

    # --- messages ---------------------------------------------------------------------

    def on_hit(
        self, sender: int, shooter: int, damage: float, weapon: int, head: bool
    ) -> None:
        """A shot or a blast reached it."""
        if not self.alive:
            return
        absorbed = min(self.armour, damage * rules.ARMOUR_SHARE)
        self.armour -= absorbed
        self.health -= damage - absorbed
        killed = self.health <= 0.0
        if shooter != self.id:
            self.send(shooter, "scored", damage, killed)
        if killed:
            self._die(shooter, weapon, head)

    def on_push(self, sender: int, velocity: Vec3) -> None:
        """A blast throws it."""
        if self.alive:
            self.velocity = self.velocity + velocity
            self.grounded = False

    def on_scored(self, sender: int, damage: float, killed: bool) -> None:
        """It hurt somebody."""
        if killed:
            self.kills = min(255, self.kills + 1)
        if self.owner:
            self.tell(self.owner, "hit", sender, round(damage), killed)

    def on_grant(self, sender: int, item: int, amount: int) -> None:
        """An item it asked for is its own."""
        if not self.alive:
            # Died on the way to it: it lies there again.
            drop(self, item, amount)
        elif item == ARMOUR:
            self.armour += amount
        elif item == MEDKIT:
            self.medkits += amount
        elif item in AMMO_FOR:
            weapon = AMMO_FOR[item]
            held = self.reserves[weapon] + amount
            self.reserves = combat.with_byte(self.reserves, weapon, held)
        else:
            self.owned |= 1 << item
            self.magazines = combat.with_byte(self.magazines, item, amount)
            if self.weapon == PISTOL:
                combat.select(self, item, tick())

    def on_enter(self, sender: int, at: Vec3) -> None:
        """The match puts it into a round."""
        self.kills = 0
        self.appear(at, gliding=True)

    def on_placed(self, sender: int, place: int) -> None:
        """The match says how it did."""
        self.place = min(255, place)

    def on_dismiss(self, sender: int) -> None:
        """Its client is gone, or its place is taken."""
        if self.alive and self.owner:
            self._drop_everything()
        self.alive = False
        self.despawn()

    # --- questions --------------------------------------------------------------------

    def wants(self, item: Loot) -> bool:
        """Whether picking up this item would be of any use."""
        kind = item.item
        if kind in AMMO_OF:
            if not self.owned >> kind & 1:
                return True
            kind = AMMO_OF[kind]
        return item.amount > 0 and self.room(kind) > 0

    def room(self, item: int) -> int:
        """How much more it can carry of armour, medkits or a kind of rounds."""
        if item == ARMOUR:
            return int(rules.ARMOUR_MAX - self.armour)
        if item == MEDKIT:
            return rules.MEDKITS_MAX - self.medkits
        weapon = AMMO_FOR[item]
        return WEAPONS[weapon].reserve - self.reserves[weapon]

    # --- rules ------------------------------------------------------------------------

    def appear(self, at: Vec3, gliding: bool) -> None:
        """Begins a life at `at`, with nothing but a pistol."""
        self.position = at
        self.velocity = Vec3(0.0, 0.0, 0.0)
        self.alive = True
        self.appeared_at = tick()
        self.gliding = gliding
        self.grounded = False
        self.crouched = False
        self.health = rules.HEALTH_MAX
        self.armour = 0.0
        self.weapon = PISTOL
        self.owned = 1 << PISTOL
        self.magazines = FIRST_MAGAZINES
        self.reserves = NO_RESERVES
        self.medkits = 0
        self.reloading = False
        self.reload_until = self.heal_until = self.respawn_at = 0
        self.place = 0
        self.watching = 0

    def _pick_up(self) -> None:
        """Asks what lies in reach for as much as there is room for, all of it together.

        Nothing is on its way here by now, see `rules.PICKUP_PERIOD`. Until it arrives there
        can only be more room: rounds go into magazines, medkits and armour are used up.
        """
        owned = self.owned
        room: dict[int, int] = {}
        for loot in self.near(rules.PICKUP_REACH, Loot):
            item = loot.item
            if item in AMMO_OF:
                if not owned >> item & 1:
                    owned |= 1 << item
                    self.send(loot.id, "take", item, WEAPONS[item].magazine)
                    continue
                # It has one: of a second only the rounds are of use.
                item = AMMO_OF[item]
            free = room.get(item, self.room(item))
            if (most := min(free, loot.amount)) > 0:
                room[item] = free - most
                self.send(loot.id, "take", item, most)

    def _feel_circle(self) -> None:
        game = get(self.game)
        if not isinstance(game, match.Royale) or game.damage == 0.0:
            return
        at = self.position
        if game.disc.outside(at.x, at.z) > 0.0:
            self._suffer(game.damage * 0.5, CIRCLE)

    def _suffer(self, damage: float, cause: int) -> None:
        """Harm that armour doesn't hold off and nobody gets credit for."""
        self.health -= damage
        if self.health <= 0.0:
            self._die(0, cause, False)

    def _die(self, killer: int, weapon: int, head: bool) -> None:
        self.health = 0.0
        self.alive = False
        self.gliding = False
        self.velocity = Vec3(0.0, 0.0, 0.0)
        self.reloading = False
        self._drop_everything()
        self.armour = 0.0
        self.watching = killer if killer != self.id else 0
        view = get(killer)
        name = view.name if isinstance(view, Player) else ""
        self.send(self.game, "died", self.name, killer, name, weapon, head)
        game = get(self.game)
        if isinstance(game, match.Royale) and game.respawns:
            self.respawn_at = tick() + rules.RESPAWN_TICKS

    def _drop_everything(self) -> None:
        drop_all(
            self, self.owned, self.magazines, self.reserves, self.medkits, self.armour
        )

    def _dead(self, now: int) -> None:
        if self.respawn_at and now >= self.respawn_at:
            game = get(self.game)
            if isinstance(game, match.Royale):
                crowd = Crowd(p.position for p in find(Player) if p.alive)
                self.appear(game.ground_spawn(self, crowd), gliding=False)
        elif self.owner:
            self._watch(now)

    def _watch(self, now: int) -> None:
        """Follows somebody who is alive, so that the client sees what goes on around them."""
        view = get(self.watching)
        if isinstance(view, Player) and view.alive:
            self.position = view.position
            self.velocity = view.velocity
        elif (now + self.id) % rules.PICKUP_PERIOD == 0:
            living = [other.id for other in find(Player) if other.alive]
            self.watching = living[self.randrange(len(living))] if living else 0
