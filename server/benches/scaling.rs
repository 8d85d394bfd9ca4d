//! One core to two: the same match with one zone and with two, a few ticks of each in turns, so that both
//! meet the same moods of the machine: `cargo bench -p tessera-server --bench scaling`.
//!
//! Criterion would measure one after the other, and minutes later a shared host is another machine. What
//! the two cores have to give at all is measured in between: two matches of one zone each side by side,
//! which share nothing but wait for each other after each tick, as zones do.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use tessera_server::assets::Assets;
use tessera_server::config::{Config, option_value};
use tessera_server::{Layout, setup};
use tessera_sim::{SimError, Simulation, TickInputs};

/// AI players: what fills a core at 64 ticks a second.
const PLAYERS: u16 = 500;
/// The border that splits their work, metres along z.
const CUT_Z: f64 = 507.0;
const TICKS: usize = 400;
/// Ticks of one match before it is the other's turn.
const TURN_TICKS: usize = 4;
const ROUNDS: usize = 5;

/// What a turn took.
struct Turn {
    one: Duration,
    two: Duration,
    /// Two matches of one zone each.
    side_by_side: Duration,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Whoever only builds and tries benchmarks (`cargo test --benches`) sees one turn.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (rounds, turns) = match is_bench {
        true => (ROUNDS, TICKS / TURN_TICKS),
        false => (1, 1),
    };
    println!(
        "{PLAYERS} AI players, {} ticks; one zone, two (border at z = {CUT_Z} m) and two matches of one \
         zone, {TURN_TICKS} ticks in turns. Throughput of the whole, and by turn: q1 / median / q3\n",
        turns * TURN_TICKS
    );
    println!("  one zone  two zones   one to two                      two matches at once");
    let (mut zones, mut matches) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (mut one, mut two) = (start(&[])?, start(&[CUT_Z])?);
        let (mut left, mut right) = (start(&[])?, start(&[])?);
        let turns: Result<Vec<Turn>, SimError> = (0..turns)
            .map(|_| {
                Ok(Turn {
                    one: run(&mut one, || ())?,
                    two: run(&mut two, || ())?,
                    side_by_side: run_both(&mut left, &mut right)?,
                })
            })
            .collect();
        let hash = |simulation: &Simulation| simulation.snapshot().state_hash();
        assert_eq!(
            hash(&one),
            hash(&two),
            "zones are invisible to the rules of the game"
        );
        let (more, most) = show(&turns?);
        zones.push(more);
        matches.push(most);
    }
    println!(
        "\nmedian of the rounds: {:.2}× with two zones, {:.2}× with two matches",
        quantile(&mut zones, 0.5),
        quantile(&mut matches, 0.5)
    );
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

/// Time of a turn; `wait` is called after each tick.
fn run(simulation: &mut Simulation, wait: impl Fn()) -> Result<Duration, SimError> {
    let began = Instant::now();
    for _ in 0..TURN_TICKS {
        simulation.step(&TickInputs::default())?;
        wait();
    }
    Ok(began.elapsed())
}

/// Time of a turn of both.
fn run_both(left: &mut Simulation, right: &mut Simulation) -> Result<Duration, SimError> {
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
    Ok(began.elapsed())
}

/// Prints a round; gives how much more two zones, and two matches, got done in the time of one.
fn show(turns: &[Turn]) -> (f64, f64) {
    let sum = |part: fn(&Turn) -> Duration| turns.iter().map(part).sum::<Duration>();
    let ms = |time: Duration| time.as_secs_f64() * 1e3 / (turns.len() * TURN_TICKS) as f64;
    let column = |part: fn(&Turn) -> f64, whole: f64| {
        let mut ratios: Vec<f64> = turns.iter().map(part).collect();
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|at| quantile(&mut ratios, at));
        format!("{whole:.2}×  {low:.2} / {middle:.2} / {high:.2}")
    };
    let one = sum(|turn| turn.one);
    let two = sum(|turn| turn.two);
    let more = one.div_duration_f64(two);
    let most = 2.0 * one.div_duration_f64(sum(|turn| turn.side_by_side));
    println!(
        "{:7.2} ms {:7.2} ms   {}       {}",
        ms(one),
        ms(two),
        column(|turn| turn.one.div_duration_f64(turn.two), more),
        column(
            |turn| 2.0 * turn.one.div_duration_f64(turn.side_by_side),
            most
        ),
    );
    (more, most)
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at).round() as usize]
}
