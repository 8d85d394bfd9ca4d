//! What hooks ask for: messages, births, ends, events; their order and their limits.

mod common;

use common::{Mode, Zone};
use tessera_protocol::Value;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{ClientId, EntityId};
use tessera_python::{Message, OptionValue, Payload};

#[test]
fn messages_arrive_in_the_next_tick_by_sender_and_sequence() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            heard: str = field("", max=200)
            def tick(self, dt):
                if tick() == 0:
                    for n in range(2): self.send(1, "word", f"{self.id}{n}")
            def on_word(self, sender, word):
                assert word.startswith(str(sender)) and tick() == 1
                self.heard += word + " "
        def start(world):
            for _ in range(3): world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let outbox = zone.step();
    let sent: Vec<_> = outbox
        .messages
        .iter()
        .map(|m| (m.sender.0, m.seq))
        .collect();
    assert_eq!(sent, [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]);
    zone.step();
    zone.assert_clean();
    assert!(
        zone.field(1, "heard")
            .contains(&format!("{:?}", b"10 11 20 21 30 31 ".to_vec()))
    );
}

#[test]
fn one_sequence_counts_all_that_an_entity_asks_for() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            n: u8 = field(7)
            def tick(self, dt):
                if self.n == 9: return
                self.spawn(Unit, n=9, position=Vec3(1, 2, 3))
                self.send(2, "x")
                self.broadcast("fell", "who", 1, 2.5, None, True, self)
                self.spawn(Other)
                self.tell(3, "psst")
                self.despawn()
                self.despawn()
        class Other(Entity): pass
        def start(world):
            for _ in range(2): world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let outbox = zone.step();
    zone.assert_clean();
    let spawns: Vec<_> = outbox
        .spawns
        .iter()
        .map(|s| (s.parent.0, s.seq, s.kind.0))
        .collect();
    assert_eq!(spawns, [(1, 0, 0), (1, 3, 1), (2, 0, 0), (2, 3, 1)]);
    assert_eq!(outbox.despawns, [EntityId(1), EntityId(2)]);
    let [event, private, ..] = &outbox.events[..] else {
        panic!("two each")
    };
    assert_eq!(
        (event.sender, event.seq, event.to, &*event.name),
        (EntityId(1), 2, None, "fell")
    );
    let args = [
        Value::Str("who".into()),
        Value::Int(1),
        Value::Float(2.5),
        Value::None,
        Value::Bool(true),
        Value::Entity(EntityId(1)),
    ];
    assert_eq!(event.args, args);
    assert_eq!((private.seq, private.to), (4, Some(ClientId(2))));
    assert_eq!(zone.field(3, "n"), "U8(9)");
    assert_eq!(zone.field(3, "position"), "Vec3([1.0, 2.0, 3.0])");
    assert_eq!(
        zone.field(5, "n"),
        "U8(9)",
        "ids go by parent, then sequence"
    );
}

#[test]
fn limits_hold_by_entity_and_tick() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            sent: u32 = field(0)
            born: u32 = field(0)
            def tick(self, dt):
                if self.id > 2: return
                sent = born = 0
                try:
                    while True:
                        if sent % 2: self.send(1, "x")
                        else: self.broadcast("y")
                        sent += 1
                except RuntimeError as error:
                    assert "at most 1024 by one entity in one tick" in str(error)
                try:
                    while True:
                        self.spawn(Unit)
                        born += 1
                except RuntimeError as error:
                    assert "at most 256 by one entity in one tick" in str(error)
                self.sent, self.born = sent, born
            def on_x(self, sender): pass
        def start(world):
            for _ in range(1000): world.spawn(Unit)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..2 {
        let outbox = zone.step();
        zone.assert_clean();
        assert_eq!(outbox.messages.len() + outbox.events.len(), 2 * 1024);
        assert_eq!(outbox.spawns.len(), 2 * 256);
        assert_eq!(zone.field(2, "sent"), "U32(1024)");
        assert_eq!(zone.field(2, "born"), "U32(256)");
    }
}

#[test]
fn what_can_not_be_asked_for() {
    let cases = [
        (
            "self.send(1, 'x', [{'a': (1, print)}])",
            "TypeError: args[0][0][\"a\"][1]",
        ),
        (
            "self.send(get(1), 'x')",
            "TypeError: send: target must be an entity's id (pass its .id)",
        ),
        (
            "self.send(-1, 'x')",
            "TypeError: send: target must be an entity's id, but got int -1",
        ),
        ("self.send(1)", "TypeError: send needs a target and a name"),
        (
            "self.send(1, '')",
            "TypeError: send: name must be a str of 1 to 64 bytes",
        ),
        (
            "self.send(1, 'x' * 65)",
            "TypeError: send: name must be a str of 1 to 64 bytes",
        ),
        (
            "self.spawn(int)",
            "TypeError: spawn: kind must be a class of entities",
        ),
        (
            "self.spawn()",
            "TypeError: spawn takes a kind and fields by name",
        ),
        (
            "self.spawn(Unit, 3)",
            "TypeError: spawn takes a kind and fields by name",
        ),
        (
            "self.spawn(Unit, m=3)",
            "TypeError: spawn: Unit has no field m; it has position,",
        ),
        (
            "self.spawn(Unit, n=300)",
            "TypeError: spawn: Unit.n takes u8: an int from 0 to 255, but got int 300",
        ),
        (
            "self.spawn(Unit, position=(1, 2, 3))",
            "TypeError: spawn: Unit.position takes a Vec3",
        ),
        (
            "Unit()",
            "TypeError: entities are not made by calling their class; call spawn(Unit, ...)",
        ),
        (
            "self.broadcast('x', [1])",
            "TypeError: broadcast: args[0] must be None, a bool, an int",
        ),
        (
            "self.broadcast('x', float('nan'))",
            "TypeError: broadcast: args[0] must be",
        ),
        (
            "self.tell(0, 'x')",
            "TypeError: tell: client must be a client's number",
        ),
        (
            "self.randrange(0)",
            "ValueError: randrange: n must be an int from 1 to 9223372036854775807 (2**63 - 1)",
        ),
        (
            "self.randrange(2**70)",
            "ValueError: randrange: n must be an int from 1 to 9223372036854775807 (2**63 - 1)",
        ),
        (
            "self.uniform(-1e308, 1e308)",
            "ValueError: uniform: a and b are too far apart",
        ),
        (
            "self.uniform(1, 'x')",
            "TypeError: uniform: b must be a finite number",
        ),
    ];
    for (call, expected) in cases {
        let mode = Mode::new(&format!(
            "class Unit(Entity):\n    n: u8 = field(0)\n    def tick(self, dt):\n        {call}\n\
             def start(world): world.spawn(Unit)\n"
        ));
        let mut zone = mode.zone();
        zone.run_start();
        zone.step();
        let errors = zone.errors();
        assert!(
            errors.len() == 1 && errors[0].starts_with(expected),
            "{call}: {errors:?}"
        );
    }
}

#[test]
fn large_bytes_arrive_as_a_view_even_after_their_sender() {
    let mode = Mode::new(
        r#"
        import gc
        class Sender(Entity):
            def tick(self, dt):
                if tick() == 0: self.send(2, "data", bytes(range(256)) * 256, b"small")
        class Receiver(Entity):
            sum: u32 = field(0)
            def on_data(self, sender, data, small):
                assert type(data) is memoryview and data.readonly and type(small) is bytes
                self.sum = sum(data)
        def start(world):
            world.spawn(Sender)
            world.spawn(Receiver)
        "#,
    );
    let (mut one, mut other) = (mode.zone(), mode.zone());
    one.run_start();
    other.run_start();
    let outbox = one.step();
    one.assert_clean();
    other.step(); // its own tick 0, whose message is not the point
    let [message] = &outbox.messages[..] else {
        panic!("one message")
    };
    assert!(message.payload.len() > 65536);
    let mut row = Vec::new();
    let table = &one.scripts.tables()[1];
    table.write_row(0, &mut row);
    drop(one);
    drop(outbox.spawns);
    let mut third = mode.zone();
    let kind = third.kind("Receiver");
    third
        .scripts
        .insert(kind, EntityId(2), &row)
        .expect("it fits");
    outbox
        .messages
        .into_iter()
        .for_each(|message| third.post(message));
    third.step();
    third.assert_clean();
    assert_eq!(third.field(2, "sum"), format!("U32({})", 255 * 128 * 256));
    third.step(); // takes the orphan in
}

#[test]
fn commands_reach_their_entity_before_its_tick() {
    let mode = Mode::new(
        r#"
        class Player(Entity):
            log: str = field("", max=200)
            def command(self, cmd):
                assert cmd.buttons & FIRE and not cmd.buttons & JUMP
                self.log += f"{cmd.move_x} {cmd.move_z} {cmd.yaw} {cmd.pitch} {cmd.slot};"
                try: cmd.slot = 1
                except AttributeError: self.log += "ro;"
            def on_hello(self, sender): self.log += "hello;"
            def tick(self, dt): self.log += "tick;"
        class Crate(Entity): pass
        def start(world):
            world.spawn(Crate)
            world.spawn(Player)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let command = Command {
        entity: EntityId(2),
        move_x: 0.5,
        move_z: -0.25,
        yaw: 1.5,
        pitch: -0.75,
        buttons: 1,
        slot: 3,
        ..Command::default()
    };
    zone.post(Message {
        target: EntityId(2),
        sender: EntityId::NONE,
        seq: 0,
        payload: Payload::new("hello", &[]),
    });
    let stale = Command { slot: 9, ..command };
    // For an entity that isn't here, one without a hook, and twice: the last one counts.
    let commands = [
        (EntityId(1), stale),
        (EntityId(2), stale),
        (EntityId(2), command),
        (EntityId(9), stale),
    ];
    zone.step_with(&commands);
    zone.assert_clean();
    let log = b"hello;0.5 -0.25 1.5 -0.75 3;ro;tick;".to_vec();
    assert_eq!(zone.field(2, "log"), format!("Var({log:?})"));
}

#[test]
fn the_match_hears_the_engine() {
    let mode = Mode::new(
        r#"
        class Player(Entity):
            name: str = field("", max=20)
        class Game(Match):
            def on_join(self, sender, client, name):
                assert sender == 0
                self.spawn(Player, owner=client, name=name)
        def start(world): world.spawn(Game)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.post(Message {
        target: EntityId(1),
        sender: EntityId::NONE,
        seq: 0,
        payload: Payload::new("join", &[Value::Int(4), Value::Str("Ada".into())]),
    });
    zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(2, "owner"), "U16(4)");
    assert_eq!(zone.field(2, "name"), format!("Var({:?})", b"Ada".to_vec()));
}

#[test]
fn draws_depend_on_seed_entity_and_tick_only() {
    let source = r#"
        class Unit(Entity):
            drawn: object = field(())
            def tick(self, dt):
                if self.id == 1: self.random()  # somebody else's draws don't matter
                self.drawn = (self.random(), self.uniform(2, 3), self.randrange(10))
                assert 0 <= self.drawn[0] < 1 and 2 <= self.drawn[1] <= 3 and self.drawn[2] in range(10)
        def start(world):
            for _ in range(3): world.spawn(Unit, position=Vec3(world.uniform(0, 9), 0, 0))
    "#;
    let run = |seed, remove_first| {
        let mode = Mode::new(source);
        let mut config = mode.config();
        config.seed = seed;
        let mut zone = Zone::start(&config);
        zone.run_start();
        if remove_first {
            zone.scripts.remove(EntityId(1));
        }
        let ticks: Vec<_> = (0..3)
            .map(|_| {
                zone.step();
                zone.assert_clean();
                (
                    zone.field(2, "drawn"),
                    zone.field(3, "drawn"),
                    zone.field(2, "position"),
                )
            })
            .collect();
        assert!(ticks[0] != ticks[1] && ticks[0].0 != ticks[0].1);
        ticks
    };
    assert_eq!(run(7, false), run(7, true));
    assert_ne!(run(7, false), run(8, false));
}

#[test]
fn settings_of_the_match() {
    let mode = Mode::new(
        r#"
        assert (TICK_HZ, HALO) == (32, 60.0)
        assert dict(options) == {"bots": 5, "fast": True, "name": "x", "speed": 1.5}
        assert type(options["fast"]) is bool
        class Unit(Entity):
            def tick(self, dt):
                assert dt == 1 / 32
                log("a line", "warning")
                log(self)
                print("a line", 3, end="\n\nrest")
                try: options["bots"] = 6
                except TypeError: pass
                else: raise AssertionError
        def start(world): world.spawn(Unit)
        "#,
    );
    let mut config = mode.config();
    config.tick_hz = 32;
    config.halo_m = 60.0;
    config.options = [
        ("bots".to_owned(), OptionValue::Int(5)),
        ("fast".to_owned(), OptionValue::Bool(true)),
        ("name".to_owned(), OptionValue::Str("x".into())),
        ("speed".to_owned(), OptionValue::Float(1.5)),
    ]
    .into();
    let mut zone = Zone::start(&config);
    zone.run_start();
    zone.step();
    zone.assert_clean();
}

#[test]
fn projectiles_fly_stop_and_tell() {
    let mode = Mode::new(
        r#"
        class Ball(Entity):
            projectile = Projectile(gravity=6.5)
            landed: Vec3 = field(Vec3())
            fails: bool = field(False)
            def tick(self, dt):
                if self.fails: raise ValueError
            def on_impact(self, sender, position, normal):
                assert sender == 0 and normal == Vec3(0, 1, 0) and position == self.position
                self.landed = self.landed + Vec3(1, 0, 0)
        def start(world):
            world.spawn(Ball, position=Vec3(5, 1, 5), velocity=Vec3(64, 0, 0))
            world.spawn(Ball, position=Vec3(5, 1, 5), velocity=Vec3(64, 0, 0), fails=True)
            world.spawn(Ball, position=Vec3(5, 3, 5))
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(
        zone.field(1, "velocity"),
        "Vec3([64.0, -0.1015625, 0.0])",
        "gravity first"
    );
    assert_eq!(
        zone.field(1, "position"),
        format!("Vec3([6.0, {}, 5.0])", 1.0 - 0.1015625 / 64.0),
        "then the step"
    );
    assert_eq!(
        zone.field(2, "position"),
        "Vec3([5.0, 1.0, 5.0])",
        "one that lost its tick stays"
    );
    assert_eq!(
        zone.field(3, "position"),
        "Vec3([5.0, 3.0, 5.0])",
        "one at rest stays"
    );
    for _ in 0..60 {
        zone.step();
    }
    assert_eq!(
        zone.field(1, "velocity"),
        "Vec3([0.0, 0.0, 0.0])",
        "it has landed"
    );
    assert_eq!(
        zone.field(1, "landed"),
        "Vec3([1.0, 0.0, 0.0])",
        "and heard of it once"
    );
    assert_eq!(zone.errors(), ["ValueError"]);
}
