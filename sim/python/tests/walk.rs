//! `tessera.walk`: the step that a client predicts, as scripts call it.

mod common;

use common::Mode;
use glam::DVec3;
use tessera_protocol::command::{Command, buttons};
use tessera_protocol::ids::{EntityId, Tick};
use tessera_world::{WalkInput, WalkState, World};

const WALKER: &str = "
    class Player(Entity):
        walker = Walker(walk_speed=5.0)
        grounded: bool = field(False, to=OWNER)
        crouched: bool = field(False)
        landed: f64 = field(0.0, to=NOBODY)
        wish: Vec3 = field(Vec3(), to=NOBODY)
        buttons: u16 = field(0, to=NOBODY)
        def command(self, cmd):
            self.wish = Vec3(cmd.move_x, 0.0, cmd.move_z)
            self.yaw = cmd.yaw
            self.buttons = cmd.buttons
        def tick(self, dt):
            self.landed = max(self.landed, walk(self, self.wish.x, self.wish.z, self.buttons))
    def start(world):
        world.spawn(Player, owner=1, position=Vec3(500.0, 3.0, 500.0))
";

/// What a client gets that steps beside the server on the same map, and knows only the field table.
#[test]
fn a_client_computes_the_same_bits() {
    let mode = Mode::new(WALKER);
    let mut zone = mode.zone();
    zone.run_start();
    let walker = zone.scripts.field_table().kinds[0].walker;
    let walker = walker.expect("the kind declares one");
    let map = World::flat(1000.0);
    let mut state = WalkState {
        position: DVec3::new(500.0, 3.0, 500.0),
        ..WalkState::default()
    };
    for tick in 0..200u32 {
        let turn = tick as f32 * 0.031;
        let command = Command {
            tick: Tick(tick),
            move_x: turn.sin(),
            move_z: turn.cos(),
            yaw: turn % 3.0,
            buttons: [0, buttons::JUMP, buttons::SPRINT, buttons::CROUCH][tick as usize / 16 % 4],
            ..Command::default()
        };
        let command = command.validate().expect("finite numbers");
        zone.step_with(&[(EntityId(1), command)]);
        zone.assert_clean();
        let input = WalkInput::from(&command);
        state = map.walk(&walker.rules, &state, &input, 1.0 / 64.0).state;
        for (field, expect) in [
            ("position", format!("Vec3({:?})", state.position.to_array())),
            ("velocity", format!("Vec3({:?})", state.velocity.to_array())),
            ("grounded", format!("Bool({})", state.grounded)),
            ("crouched", format!("Bool({})", state.crouched)),
        ] {
            assert_eq!(zone.field(1, field), expect, "{field} after tick {tick}");
        }
    }
    assert_ne!(zone.field(1, "landed"), "F64(0.0)", "it fell three metres");
}

#[test]
fn a_kind_without_a_field_for_it_does_not_crouch() {
    let mode = Mode::new(
        "
        class Player(Entity):
            walker = Walker(walk_speed=5.0)
            grounded: bool = field(True)
            def tick(self, dt):
                walk(self, 0.0, -1.0, CROUCH)
        def start(world):
            world.spawn(Player, position=Vec3(500.0, 0.0, 500.0))
        ",
    );
    let mut zone = mode.zone();
    zone.run_start();
    (0..32).for_each(|_| drop(zone.step()));
    zone.assert_clean();
    assert_eq!(zone.field(1, "velocity"), "Vec3([0.0, 0.0, -5.0])");
}

#[test]
fn wrong_calls_say_what_is_wrong() {
    for (call, expect) in [
        (
            "walk(self, 'x', 0.0, 0)",
            "walk: move_x must be a finite number, but got str 'x'",
        ),
        (
            "walk(self, 0.0, 0.0, -1)",
            "walk: buttons must be bits of buttons, but got int -1",
        ),
        ("walk(self, 0.0, 0.0)", "walk needs an argument for buttons"),
        (
            "walk(find(A)[1], 0.0, 0.0, 0)",
            "only the entity whose hook runs can do this",
        ),
        (
            "walk(3, 0.0, 0.0, 0)",
            "only the entity whose hook runs can do this",
        ),
        (
            "self.grounded = 1; walk(self, 0.0, 0.0, 0)",
            "walk: entity.grounded must be True or False, but got int 1",
        ),
        (
            "del self.velocity; walk(self, 0.0, 0.0, 0)",
            "walk: entity.velocity must be a Vec3 of finite floats",
        ),
    ] {
        let mode = Mode::new(&format!(
            "
            class A(Entity):
                walker = Walker()
                grounded: bool = field(True)
                def tick(self, dt):
                    {call}
            def start(world):
                world.spawn(A)
                world.spawn(A)
            "
        ));
        let mut zone = mode.zone();
        zone.run_start();
        zone.step();
        let errors = zone.errors();
        assert!(
            errors.first().is_some_and(|error| error.contains(expect)),
            "{call}: {errors:?}"
        );
    }
    let mode = Mode::new(
        "
        class A(Entity):
            def tick(self, dt):
                walk(self, 0.0, 0.0, 0)
        def start(world):
            world.spawn(A)
        ",
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert!(zone.errors()[0].contains("walk: A declares no walker = Walker(...)"));
}
