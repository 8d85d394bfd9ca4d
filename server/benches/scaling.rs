//! One core to two: the same match with one zone and with two, a few ticks of each in turns, so that both
//! meet the same moods of the machine: `cargo bench -p tessera-server --bench scaling`.
//!
//! Criterion would measure one after the other, and minutes later a shared host is another machine. Each
//! turn of ticks is the same work in every round, so what it takes at the least over the rounds is what it
//! takes while nobody else uses the physical cores; the quartile and the median tell of the host's mood.
//! What the two cores have to give at all is measured in between: two matches of one zone each side by
//! side, which share nothing but wait for each other after each tick, as zones do.

use std::sync::Barrier;
use std::time::Instant;

use tessera_server::assets::Assets;
use tessera_server::config::{Config, option_value};
use tessera_server::{Layout, setup};
use tessera_sim::{SimError, Simulation, TickInputs};

/// AI players: what fills a core at 64 ticks a second.
const PLAYERS: u16 = 500;
/// The border that splits their work, metres along z.
const CUT_Z: f64 = 507.0;
const TICKS: usize = 400;
/// Ticks of one match before it is the other's turn: enough that the caches are its own again for most.
const TURN_TICKS: usize = 10;
const ROUNDS: usize = 9;

/// What one turn took, seconds, by round.
#[derive(Clone, Default)]
struct Turn {
    one: Vec<f64>,
    two: Vec<f64>,
    /// Two matches of one zone each.
    side_by_side: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Whoever only builds and tries benchmarks (`cargo test --benches`) sees one turn.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (rounds, turns) = match is_bench {
        true => (ROUNDS, TICKS / TURN_TICKS),
        false => (1, 1),
    };
    println!(
        "{PLAYERS} AI players, {} ticks, in turns of {TURN_TICKS} with one zone, with two (border at z = \
         {CUT_Z} m), and in two matches of one zone at once; {rounds} rounds\n",
        turns * TURN_TICKS
    );
    let mut turns = vec![Turn::default(); turns];
    for _ in 0..rounds {
        let (mut one, mut two) = (start(&[])?, start(&[CUT_Z])?);
        let (mut left, mut right) = (start(&[])?, start(&[])?);
        for turn in &mut turns {
            turn.one.push(run(&mut one, || ())?);
            turn.two.push(run(&mut two, || ())?);
            turn.side_by_side.push(run_both(&mut left, &mut right)?);
        }
        let hash = |simulation: &Simulation| simulation.snapshot().state_hash();
        assert_eq!(
            hash(&one),
            hash(&two),
            "zones are invisible to the rules of the game"
        );
    }
    show(&mut turns);
    Ok(())
}

fn start(cuts: &[f64]) -> Result<Simulation, Box<dyn std::error::Error>> {
    let options = [
        ("fill_bots", option_value(&PLAYERS.to_string())),
        ("respawn", option_value("true")),
    ];
    let config = Config {
        seed: 7,
        players: PLAYERS,
        options: options.map(|(key, value)| (key.to_owned(), value)).into(),
        layout: Layout::Cuts {
            x: Vec::new(),
            z: cuts.to_vec(),
        },
        watch: None,
        ..Config::default()
    };
    Ok(Simulation::start(setup::simulation(
        &config,
        &Assets::find()?,
    )?)?)
}

/// Seconds of a turn; `wait` is called after each tick.
fn run(simulation: &mut Simulation, wait: impl Fn()) -> Result<f64, SimError> {
    let began = Instant::now();
    for _ in 0..TURN_TICKS {
        simulation.step(&TickInputs::default())?;
        wait();
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds of a turn of both.
fn run_both(left: &mut Simulation, right: &mut Simulation) -> Result<f64, SimError> {
    let barrier = Barrier::new(2);
    let wait = || {
        barrier.wait();
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let left = scope.spawn(|| run(left, wait));
        run(right, wait)?;
        left.join().expect("a turn doesn't panic")
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Prints what the turns took, each at the same quantile of its rounds, and how much more two zones, and
/// two matches, got done in the time of one.
fn show(turns: &mut [Turn]) {
    println!("of each turn's rounds  one zone  two zones  one to two  two matches at once");
    for (name, at) in [
        ("the least", 0.0),
        ("first quartile", 0.25),
        ("median", 0.5),
    ] {
        let mut total = |part: fn(&mut Turn) -> &mut Vec<f64>| -> f64 {
            turns.iter_mut().map(|turn| quantile(part(turn), at)).sum()
        };
        let one = total(|turn| &mut turn.one);
        let two = total(|turn| &mut turn.two);
        let side_by_side = total(|turn| &mut turn.side_by_side);
        let tick_ms = 1e3 / (turns.len() * TURN_TICKS) as f64;
        println!(
            "{name:<21} {:6.2} ms  {:6.2} ms      {:.2}×               {:.2}×",
            one * tick_ms,
            two * tick_ms,
            one / two,
            2.0 * one / side_by_side
        );
    }
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at).round() as usize]
}
