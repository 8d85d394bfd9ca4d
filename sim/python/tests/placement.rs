//! What scripts see doesn't tell which zone an entity is in, nor where its objects lie.

mod common;

use common::Mode;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, Tick};

const KEEPER: &str = r#"
    KEPT = []
    class Unit(Entity):
        n: u32 = field(0)
        brain: object = field([0])
    class Counter(Unit):
        def tick(self, dt):
            self.n += 1
            self.brain = [self.n]
    class Keeper(Entity):
        def tick(self, dt):
            for at, view in enumerate(KEPT):
                assert view.n == at and view.brain == (at,), (at, view.n, view.brain)
                assert view == get(2) and view is not get(2), "one of an earlier tick"
            KEPT.append(get(2))
            assert KEPT[-1] is get(2) is self.near(50.0)[0], "one a tick"
            find(Unit)
    def start(world):
        world.spawn(Keeper)
        world.spawn(Counter)
"#;

#[test]
fn a_kept_view_of_an_own_entity_stays_as_it_was() {
    let mode = Mode::new(KEEPER);
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..4 {
        zone.step();
    }
    zone.assert_clean();
}

#[test]
fn a_kept_view_of_a_ghost_stays_as_it_was() {
    let mode = Mode::new(KEEPER);
    let (mut zone, mut home) = (mode.zone(), mode.zone());
    zone.run_start();
    home.run_start();
    let counter = zone.kind("Counter");
    home.scripts.remove(EntityId(1));
    zone.scripts.demote(EntityId(2));
    for _ in 0..2 {
        zone.step();
        home.step();
        let table = &home.scripts.tables()[counter.index()];
        let mut delta = Vec::new();
        table.write_delta(0, 0b11 << 5, &mut delta);
        zone.scripts
            .ghost_delta(EntityId(2), &delta)
            .expect("it fits");
    }
    zone.step();
    home.step();
    // Home again, and out of sight.
    zone.scripts
        .insert(counter, EntityId(2), &home.row(2))
        .expect("an arrival");
    zone.step();
    zone.step();
    zone.assert_clean();
}

#[test]
fn nan_is_not_kept_in_a_field() {
    let mode = Mode::new("class A(Entity):\n    brain: object = field((float('nan'), 1))\n");
    let error = mode.start().err().expect("a default is kept too");
    assert!(
        error
            .message
            .contains("brain[0]: NaN can't be kept in a field"),
        "{error}"
    );
    let mode = Mode::new(
        r#"
        class A(Entity):
            brain: object = field(())
            heard: u8 = field(0)
            def tick(self, dt):
                self.send(self.id, "nan", float("nan"))
                if tick() == 2: self.brain = {"at": [Vec3(0, float("nan"), 0)]}
            def on_nan(self, sender, value):
                assert value != value
                self.heard += 1
        def start(world): world.spawn(A)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..4 {
        zone.step();
    }
    let [error] = zone.errors()[..] else {
        panic!("{:?}", zone.errors())
    };
    assert!(
        error.contains("A.brain: TypeError: brain[\"at\"][0]: NaN can't be kept in a field"),
        "{error}"
    );
    // It lost tick 2 and the message that it sent to itself in it.
    assert_eq!(zone.field(1, "heard"), "U8(1)");
}

/// Sets iterate in the order of hashes.
#[test]
fn what_the_engine_hands_out_hashes_by_value() {
    let mode = Mode::new(
        r#"
        class Player(Entity):
            hashes: object = field(())
            hold: u8 = field(0)
            def command(self, cmd):
                hit = raycast(Vec3(5, 5, 5), Vec3(0, -1, 0), 50.0)
                other = raycast(Vec3(5, 5, 5), Vec3(0, -1, 0), 50.0)
                assert hit is not other and hash(hit) == hash(other)
                far = raycast(Vec3(6, 5, 5), Vec3(0, -1, 0), 50.0)
                assert hash(far) != hash(hit)
                self.hashes += (hash(cmd),)
        def start(world): world.spawn(Player, owner=1)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let command = Command {
        entity: EntityId(1),
        tick: Tick(0),
        yaw: 0.5,
        buttons: 1,
        ..Command::default()
    };
    for slot in [0, 0, 1] {
        let command = Command { slot, ..command };
        zone.step_with(&[(EntityId(1), command)]);
    }
    zone.assert_clean();
    let hashes = zone.row(1);
    let other = {
        let mut zone = mode.zone();
        zone.run_start();
        for slot in [0, 0, 1] {
            let command = Command { slot, ..command };
            zone.step_with(&[(EntityId(1), command)]);
        }
        zone.row(1)
    };
    assert_eq!(hashes, other, "of two interpreters");
}
