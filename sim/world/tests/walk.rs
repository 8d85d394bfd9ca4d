//! Walking by wishes: what a player's client and the server both compute.

mod common;

use common::{Dice, island, standing_box};
use glam::DVec3;
use proptest::prelude::*;
use tessera_protocol::{WalkRules, buttons};
use tessera_world::{WalkInput, WalkState, Walked, World};

const DT: f64 = 1.0 / 64.0;
const MIDDLE: DVec3 = DVec3::new(32.0, 0.0, 32.0);
const RULES: WalkRules = WalkRules {
    radius: 0.4,
    height: 1.8,
    crouched_height: 1.2,
    step: 0.4,
    walk_speed: 4.6,
    sprint_speed: 7.0,
    crouch_speed: 2.2,
    jump_speed: 7.0,
    gravity: 20.0,
    ground_acceleration: 60.0,
    air_acceleration: 9.0,
    glide_speed: 13.0,
    glide_sink: 17.0,
};

fn standing() -> WalkState {
    WalkState {
        position: MIDDLE,
        grounded: true,
        ..WalkState::default()
    }
}

fn ahead(buttons: u16) -> WalkInput {
    WalkInput {
        move_z: -1.0,
        buttons,
        ..WalkInput::default()
    }
}

/// Steps with the same wish; the last one.
fn walk(world: &World, state: WalkState, input: WalkInput, ticks: usize) -> Walked {
    let first = Walked {
        state,
        landing: 0.0,
    };
    (0..ticks).fold(first, |walked, _| {
        world.walk(&RULES, &walked.state, &input, DT)
    })
}

#[test]
fn who_stands_and_wishes_nothing_stays_to_the_bit() {
    // Not even a position in the ground is mended: the step is skipped.
    let state = WalkState {
        position: MIDDLE - DVec3::Y,
        ..standing()
    };
    let walked = walk(&World::flat(64.0), state, WalkInput::default(), 10);
    assert_eq!(walked.state, state);
}

#[test]
fn speeds_are_those_of_the_rules() {
    let world = World::flat(64.0);
    for (pressed, speed) in [
        (0, RULES.walk_speed),
        (buttons::SPRINT, RULES.sprint_speed),
        (buttons::CROUCH, RULES.crouch_speed),
        (buttons::CROUCH | buttons::SPRINT, RULES.crouch_speed),
    ] {
        let velocity = walk(&world, standing(), ahead(pressed), 32).state.velocity;
        assert!(velocity.distance(DVec3::NEG_Z * speed) < 1e-9, "{velocity}");
    }
    let back = WalkInput {
        move_z: 1.0,
        buttons: buttons::SPRINT,
        ..WalkInput::default()
    };
    let velocity = walk(&world, standing(), back, 32).state.velocity;
    assert!(
        (velocity.z - RULES.walk_speed).abs() < 1e-9,
        "no sprint backwards"
    );
}

#[test]
fn the_wish_is_in_the_frame_of_the_body() {
    let input = WalkInput {
        yaw: std::f64::consts::FRAC_PI_2,
        ..ahead(0)
    };
    let velocity = walk(&World::flat(64.0), standing(), input, 32)
        .state
        .velocity;
    assert!(
        velocity.distance(DVec3::NEG_X * RULES.walk_speed) < 1e-9,
        "{velocity}"
    );
}

#[test]
fn a_jump_rises_and_its_landing_is_told_once() {
    let world = World::flat(64.0);
    let mut state = standing();
    let (mut landings, mut peak) = (Vec::new(), 0.0f64);
    for tick in 0..64 {
        let pressed = if tick == 0 { buttons::JUMP } else { 0 };
        let input = WalkInput {
            buttons: pressed,
            ..WalkInput::default()
        };
        let walked = world.walk(&RULES, &state, &input, DT);
        peak = peak.max(walked.state.position.y);
        landings.extend((walked.landing > 0.0).then_some(walked.landing));
        state = walked.state;
    }
    assert!((1.0..1.3).contains(&peak), "v²/2g is 1.2 m, not {peak}");
    assert_eq!(landings.len(), 1, "{landings:?}");
    assert!((landings[0] - RULES.jump_speed).abs() < 0.4, "{landings:?}");
}

#[test]
fn a_canopy_slows_the_fall_and_goes_at_the_landing() {
    let world = World::flat(64.0);
    let mut walked = Walked {
        state: WalkState {
            position: MIDDLE + DVec3::Y * 40.0,
            gliding: true,
            ..WalkState::default()
        },
        landing: 0.0,
    };
    for _ in 0..640 {
        walked = world.walk(&RULES, &walked.state, &WalkInput::default(), DT);
        assert!(walked.state.velocity.y >= -RULES.glide_sink);
        assert_eq!(walked.landing, 0.0, "a canopy lands softly");
        assert_eq!(walked.state.gliding, !walked.state.grounded);
    }
    assert!(walked.state.grounded);
}

#[test]
fn one_stays_low_where_there_is_no_room_to_stand() {
    let roof = tessera_world::Solid::new(
        tessera_world::BoxKind::Wall,
        DVec3::new(32.0, 1.6, 32.0),
        DVec3::new(2.0, 0.2, 2.0),
        0.0,
    );
    let low = WalkState {
        crouched: true,
        ..standing()
    };
    let under = World::flat_with(64.0, vec![roof]);
    assert!(walk(&under, low, WalkInput::default(), 8).state.crouched);
    let free = World::flat(64.0);
    assert!(!walk(&free, low, WalkInput::default(), 8).state.crouched);
}

/// The step as it was in Python before it was native, with the host's sine: `movement.py`.
fn oracle(world: &World, state: &WalkState, input: &WalkInput) -> DVec3 {
    let crouched = input.buttons & buttons::CROUCH != 0
        || state.crouched && !world.is_free(state.position, RULES.radius, RULES.height);
    let (speed, acceleration) = if state.gliding {
        (RULES.glide_speed, RULES.air_acceleration)
    } else {
        let mut speed = RULES.walk_speed;
        if crouched {
            speed = RULES.crouch_speed;
        } else if input.buttons & buttons::SPRINT != 0 && input.move_z < -0.5 {
            speed = RULES.sprint_speed;
        }
        match state.grounded {
            true => (speed, RULES.ground_acceleration),
            false => (speed, RULES.air_acceleration),
        }
    };
    let (s, c) = input.yaw.sin_cos();
    let wish_x = (input.move_x * c + input.move_z * s) * speed - state.velocity.x;
    let wish_z = (input.move_z * c - input.move_x * s) * speed - state.velocity.z;
    let share = (acceleration * DT / wish_x.hypot(wish_z)).min(1.0);
    let mut up = state.velocity.y - RULES.gravity * DT;
    if state.gliding {
        up = up.max(-RULES.glide_sink);
    } else if state.grounded && input.buttons & buttons::JUMP != 0 && !crouched {
        up = RULES.jump_speed;
    }
    let gap = match share.is_finite() {
        true => DVec3::new(wish_x * share, 0.0, wish_z * share),
        false => DVec3::ZERO,
    };
    let velocity = state.velocity.with_y(up) + gap;
    let body = tessera_world::Character {
        radius: RULES.radius,
        height: if crouched {
            RULES.crouched_height
        } else {
            RULES.height
        },
        step: RULES.step,
    };
    world
        .move_character(&body, state.position, velocity, DT)
        .position
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_step_is_what_it_was_in_python_on_the_island(seed: u64) {
        let world = island();
        let mut dice = Dice(seed);
        let start = *dice.choose(world.spawn_points());
        let mut state = WalkState {
            position: start + DVec3::Y * dice.uniform(0.0, 20.0),
            ..WalkState::default()
        };
        state.gliding = dice.bits() & 1 == 1;
        let mut input = WalkInput::default();
        for tick in 0..256 {
            if tick % 16 == 0 {
                let (s, c) = dice.uniform(-3.0, 3.0).sin_cos();
                input = WalkInput {
                    move_x: s,
                    move_z: c,
                    yaw: dice.uniform(-3.1, 3.1),
                    buttons: dice.bits() as u16 & buttons::ALL,
                };
            }
            let expect = oracle(world, &state, &input);
            state = world.walk(&RULES, &state, &input, DT).state;
            let error_m = state.position.distance(expect);
            prop_assert!(error_m < 1e-9, "tick {tick}: {} for {expect}", state.position);
        }
    }

    #[test]
    fn a_wall_stops_whoever_walks_into_it(x in 30.0..34.0f64, yaw in -0.7..0.7f64) {
        let wall = standing_box(32.0, 28.0, [8.0, 2.0, 0.5], 0.0);
        let world = World::flat_with(64.0, vec![wall]);
        let state = WalkState { position: DVec3::new(x, 0.0, 32.0), ..standing() };
        let input = WalkInput { yaw, ..ahead(buttons::SPRINT) };
        let end = walk(&world, state, input, 60).state.position;
        prop_assert!(end.z >= 28.5 + RULES.radius - 1e-6, "{end}");
    }
}
