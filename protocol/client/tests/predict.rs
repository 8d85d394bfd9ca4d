//! Prediction: exact where nothing is lost, and right again soon where something is.

use std::sync::{Arc, OnceLock};

use glam::DVec3;
use proptest::prelude::*;
use tessera_client::Predictor;
use tessera_protocol::{
    Audience, Command, Field, FieldType, Kind, Quantization, Tick, WalkRules, Walker, base, buttons,
};
use tessera_world::{WalkInput, WalkState, World};

const HZ: u32 = 64;
const DT: f64 = 1.0 / 64.0;
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

/// Made once: it takes longer than a match on it.
fn map() -> Arc<World> {
    static MAP: OnceLock<Arc<World>> = OnceLock::new();
    Arc::clone(MAP.get_or_init(|| Arc::new(World::flat(512.0))))
}

fn kind() -> Kind {
    let flag = |name: &str| Field {
        name: name.to_owned(),
        ty: FieldType::Bool,
        quantization: Quantization::Exact,
        audience: Audience::Owner,
    };
    let flags = ["grounded", "crouched", "gliding"].map(flag);
    Kind {
        name: "Player".to_owned(),
        fields: base::fields(512.0).into_iter().chain(flags).collect(),
        hitbox: None,
        projectile: None,
        walker: Some(Walker {
            rules: RULES,
            grounded: base::COUNT as u16,
            crouched: Some(base::COUNT as u16 + 1),
            gliding: Some(base::COUNT as u16 + 2),
            when: None,
        }),
        is_match: false,
    }
}

/// A state as it comes over the wire.
fn rounded(state: WalkState, kind: &Kind) -> WalkState {
    let round = |vector: DVec3, field: usize| {
        let Quantization::Range { min, max, bits } = kind.fields[field].quantization else {
            return vector;
        };
        let steps = f64::from((1u32 << bits) - 1);
        let to_wire = |v: f64| ((v.clamp(min, max) - min) / (max - min) * steps).round();
        let one = |v: f64| min + to_wire(v) / steps * (max - min);
        DVec3::new(one(vector.x), one(vector.y), one(vector.z))
    };
    WalkState {
        position: round(state.position, base::POSITION),
        velocity: round(state.velocity, base::VELOCITY),
        ..state
    }
}

/// Numbers from a seed: splitmix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What somebody does who changes their mind four times a second.
fn command(dice: &mut Dice, before: &Command, tick: u32) -> Command {
    let mut command = *before;
    if tick.is_multiple_of(16) {
        let turn = (dice.unit() * 6.0 - 3.0) as f32;
        (command.move_x, command.move_z) = (turn.sin(), turn.cos());
        command.yaw = (dice.unit() * 6.0 - 3.0) as f32;
        command.buttons = dice.bits() as u16 & buttons::ALL;
    }
    command.tick = Tick(tick);
    command
}

/// How a match over a network goes.
#[derive(Clone, Copy, Debug)]
struct Network {
    /// Ticks from the client to the server and back again, each.
    way: u32,
    /// Share of commands that never come in time, and of states that don't arrive.
    loss: f64,
    /// Loss ends with this tick.
    calm_from: u32,
}

/// Errors of predictions by the tick of the state, and how far apart both ends are in the end.
struct Played {
    errors: Vec<(u32, f64)>,
    apart: f64,
    /// Client and server agree to the bit on each of the last second's states.
    exact: bool,
}

/// Plays 512 ticks: the client is `2 × way` ahead of the states that it gets.
fn play(seed: u64, network: Network) -> Played {
    let (mut dice, kind) = (Dice(seed), kind());
    let world = map();
    let mut predictor = Predictor::new(Arc::clone(&world), &kind, HZ).expect("it walks");
    // A place that rounding leaves alone.
    let resting = WalkState {
        position: DVec3::new(256.0, 0.0, 256.0),
        grounded: true,
        ..WalkState::default()
    };
    let mut server = WalkState {
        position: rounded(resting, &kind).position.with_y(0.0),
        ..resting
    };
    let (mut states, mut predicted) = (vec![server], vec![server]);
    let mut commands: Vec<Command> = Vec::new();
    let mut held = Command::default();
    let mut played = Played {
        errors: Vec::new(),
        apart: 0.0,
        exact: true,
    };
    predictor.handle_state(Tick(0), server, true);
    for tick in 0..512u32 {
        // The client makes the command of this tick now; the server consumes it `way` ticks later.
        let next = command(&mut dice, commands.last().unwrap_or(&held), tick);
        commands.push(next);
        predictor.handle_command(&next);
        predicted.push(predictor.state().expect("it predicts"));
        let Some(consumed) = tick.checked_sub(network.way) else {
            continue;
        };
        let lossy = consumed < network.calm_from;
        if !lossy || dice.unit() >= network.loss {
            held = commands[consumed as usize].validate().expect("finite");
        }
        server = world
            .walk(&RULES, &server, &WalkInput::from(&held), DT)
            .state;
        states.push(server);
        // The state after tick `t` arrives `way` ticks later.
        let Some(told) = tick.checked_sub(2 * network.way) else {
            continue;
        };
        let lost = lossy && dice.unit() < network.loss;
        let state = states[told as usize + 1];
        if !lost {
            let word = rounded(state, &kind);
            let error = predictor.handle_state(Tick(told + 1), word, true);
            played.errors.extend(error.map(|error| (told + 1, error)));
        }
        if told > 448 {
            played.exact &= predicted[told as usize + 1] == state;
        }
        played.apart = predicted[told as usize + 1]
            .position
            .distance(state.position);
    }
    played
}

proptest! {
    #[test]
    fn without_loss_the_prediction_is_the_server_bit_for_bit(seed in any::<u64>(), way in 0..12u32) {
        let played = play(seed, Network { way, loss: 0.0, calm_from: 0 });
        prop_assert!(played.exact);
        prop_assert!(played.errors.len() > 400);
        for (tick, error) in played.errors {
            prop_assert!(error < 0.01, "{} m at tick {}: more than rounding", error, tick);
        }
    }

    #[test]
    fn with_loss_it_errs_and_converges(seed in any::<u64>(), way in 0..12u32, loss in 0.02..0.3f64) {
        let played = play(seed, Network { way, loss, calm_from: 350 });
        let errors = |range: std::ops::Range<u32>| {
            let within = played.errors.iter().filter(move |(tick, _)| range.contains(tick));
            within.map(|(_, error)| *error).fold(0.0, f64::max)
        };
        // A lost command costs at most the commands of one change of mind.
        prop_assert!(errors(0..350) < 4.0, "{} m", errors(0..350));
        // Once all that was wrong has been told of, what is left is rounding that adds up in the air.
        prop_assert!(errors(420..512) < 0.05, "{} m long after the last loss", errors(420..512));
        prop_assert!(played.apart < 0.05, "{} m apart", played.apart);
    }
}

#[test]
fn a_lost_command_is_an_error_and_is_shown_smoothly() {
    let mut predictor = Predictor::new(map(), &kind(), HZ).expect("it walks");
    let state = WalkState {
        position: DVec3::new(256.0, 0.0, 256.0),
        grounded: true,
        ..WalkState::default()
    };
    predictor.handle_state(Tick(0), state, true);
    let ahead = |tick| Command {
        tick: Tick(tick),
        move_z: -1.0,
        ..Command::default()
    };
    (0..8).for_each(|tick| predictor.handle_command(&ahead(tick)));
    let shown = predictor.position().expect("it predicts");
    // The server pushed it aside.
    let pushed = WalkState {
        position: state.position + DVec3::X,
        ..state
    };
    let error = predictor.handle_state(Tick(4), pushed, true);
    assert!(error.is_some_and(|error| error > 1.0));
    let corrected = predictor.state().expect("it predicts").position;
    assert!(corrected.distance(shown) > 0.9);
    assert_eq!(predictor.position(), Some(shown), "nothing jumps at once");
    let mut before = corrected.distance(shown);
    for tick in 8..24 {
        predictor.handle_command(&ahead(tick));
        let (shown, exact) = (predictor.position(), predictor.state());
        let off = shown
            .expect("shown")
            .distance(exact.expect("predicted").position);
        assert!(off < before || off == 0.0);
        before = off;
    }
    assert!(before < 0.02, "{before} m off after a quarter of a second");
}

#[test]
fn who_is_put_elsewhere_or_dies_is_no_error() {
    let mut predictor = Predictor::new(map(), &kind(), HZ).expect("it walks");
    let state = WalkState {
        position: DVec3::new(256.0, 0.0, 256.0),
        grounded: true,
        ..WalkState::default()
    };
    predictor.handle_state(Tick(0), state, true);
    let command = |tick| Command {
        tick: Tick(tick),
        ..Command::default()
    };
    predictor.handle_command(&command(0));
    let elsewhere = WalkState {
        position: DVec3::new(20.0, 90.0, 20.0),
        ..state
    };
    assert_eq!(predictor.handle_state(Tick(1), elsewhere, true), None);
    assert_eq!(predictor.position(), Some(elsewhere.position));
    assert_eq!(predictor.leaps(), 1);
    assert_eq!(predictor.handle_state(Tick(2), state, false), None);
    predictor.handle_command(&command(3));
    assert_eq!(predictor.state(), None, "the dead don't walk");
    assert_eq!(predictor.handle_state(Tick(9), state, true), None);
    assert_eq!(predictor.position(), Some(state.position));
}
