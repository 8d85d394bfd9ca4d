//! Nothing that a script does can end the match.

mod common;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{configuration, field, rows};
use proptest::prelude::*;
use tessera_protocol::ValueRef;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{ClientId, ZoneId};
use tessera_sim::{
    Budget, IncidentKind, RestartLimit, RestartReason, SimReport, Simulation, TickInputs,
    TickOutput,
};

/// Buttons of the saboteur.
const LOOP: u16 = 1;
const LOOP_THAT_CATCHES_ALL: u16 = 2;
const REGEX: u16 = 3;
const RAISE: u16 = 4;
const MEMORY: u16 = 5;

/// The walkers' ids: the match entity is the first.
const WALKERS: std::ops::RangeInclusive<u32> = 2..=61;

/// A monotonic clock, for budgets; no test asserts a time.
fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// A match with budgets so generous that only what never ends exceeds them, and a saboteur in zone 0.
fn sabotaged(spares: usize, restarts: RestartLimit) -> Simulation {
    let mut config = configuration("faulty", 5, 2, 2);
    config.clock = clock;
    config.supervision.budget = Some(Budget {
        soft_ns: 200_000_000,
        hard_ns: 400_000_000,
    });
    config.supervision.spares = spares;
    config.supervision.restarts = restarts;
    config.supervision.memory_cap = Some(128 << 20);
    config.supervision.quarantine.rest_ticks = 4;
    let mut simulation = Simulation::start(config).expect("a good mode");
    let mut inputs = TickInputs::default();
    inputs.joins.push((ClientId(0), "saboteur".into()));
    simulation.step(&inputs).expect("it goes on");
    for _ in 0..2 {
        step(&mut simulation, None);
    }
    let report = simulation.report();
    let errors: Vec<_> = report
        .zones
        .iter()
        .flat_map(|zone| &zone.hooks.errors)
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    simulation
}

fn step(simulation: &mut Simulation, buttons: Option<u16>) -> TickOutput {
    let mut inputs = TickInputs::default();
    if let Some(buttons) = buttons {
        let command = Command {
            buttons,
            ..Command::default()
        };
        inputs.commands.push((ClientId(0), command));
    }
    let output = simulation.step(&inputs).expect("it goes on");
    let ids = rows(simulation, &output.snapshot, "Walker");
    let ids: Vec<u32> = ids.iter().map(|row| row.id().0).collect();
    assert!(ids.iter().copied().eq(WALKERS), "{ids:?}");
    assert_eq!(output.snapshot.len(), simulation.entities());
    output
}

/// The ages of all walkers.
fn ages(simulation: &Simulation, output: &TickOutput) -> Vec<u32> {
    let age = field(simulation, "Walker", "age");
    let rows = rows(simulation, &output.snapshot, "Walker");
    let ages = rows.iter().map(|row| match row.field(age) {
        ValueRef::U32(age) => age,
        other => panic!("an age is {other:?}"),
    });
    ages.collect()
}

fn restarts(report: &SimReport, reason: RestartReason) -> u64 {
    let zones = report.zones.iter();
    zones.map(|zone| zone.restarts[reason as usize]).sum()
}

/// Whether all walkers have heard of their birth, once.
fn all_heard_of_their_birth(simulation: &Simulation, output: &TickOutput) -> bool {
    let births = field(simulation, "Walker", "births");
    let rows = rows(simulation, &output.snapshot, "Walker");
    rows.iter().all(|row| row.field(births) == ValueRef::U16(1))
}

/// How many walkers missed the tick between the two outputs.
fn coasted(before: &[u32], after: &[u32]) -> usize {
    let ticks = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before);
    ticks.filter(|&ticks| ticks == 0).count()
}

#[test]
fn an_endless_loop_costs_its_zone_one_tick_and_nobody_a_restart() {
    for buttons in [LOOP, LOOP_THAT_CATCHES_ALL] {
        let mut simulation = sabotaged(0, RestartLimit::default());
        let output = step(&mut simulation, None);
        let before = ages(&simulation, &output);
        let output = step(&mut simulation, Some(buttons));
        let after = ages(&simulation, &output);
        let missed = coasted(&before, &after);
        assert!(missed < before.len() / 2, "{missed} of {}", before.len());
        let report = simulation.report();
        assert_eq!(report.restarts(), 0);
        assert_eq!(report.zones[0].hooks.preemptions, 1);
        assert_eq!(report.zones[0].rests, 1);
        // While it rests it does nothing, whatever it is told.
        let output = step(&mut simulation, Some(buttons));
        assert_eq!(coasted(&after, &ages(&simulation, &output)), 0);
        assert_eq!(simulation.report().zones[0].hooks.preemptions, 1);
    }
}

#[test]
fn a_zone_that_is_stuck_in_c_code_is_given_to_a_spare_and_loses_one_tick() {
    let mut simulation = sabotaged(1, RestartLimit::default());
    wait_for_a_spare(&mut simulation);
    let output = step(&mut simulation, None);
    let before = ages(&simulation, &output);
    let output = step(&mut simulation, Some(REGEX));
    let told: Vec<_> = output
        .incidents
        .iter()
        .map(|incident| &incident.what)
        .collect();
    assert!(
        matches!(
            told[..],
            [
                IncidentKind::Lost {
                    reason: RestartReason::Stuck,
                    ..
                },
                IncidentKind::Restarted { ticks: 1 }
            ]
        ),
        "{told:?}"
    );
    let after = ages(&simulation, &output);
    assert!(coasted(&before, &after) > 0, "its zone coasted");
    let output = step(&mut simulation, None);
    assert_eq!(coasted(&after, &ages(&simulation, &output)), 0);
    let heard = field(&simulation, "Walker", "restarts");
    let heard = rows(&simulation, &output.snapshot, "Walker")
        .iter()
        .filter(|row| row.field(heard) == ValueRef::U16(1))
        .count();
    assert!(heard > 0, "who was in the zone hears of the restart");
    assert!(
        all_heard_of_their_birth(&simulation, &output),
        "and not of its birth again"
    );
    assert_eq!(restarts(&simulation.report(), RestartReason::Stuck), 1);
}

/// The first time that somebody joins, that doesn't end.
const RELUCTANT: &str = r#"
from tessera import Entity, Match, field, u32

struck = []

class Player(Entity):
    client: u32 = field(0)

class Game(Match):
    joins: u32 = field(0)
    def on_join(self, sender, client, name):
        if not struck:
            struck.append(name)
            while True: pass
        self.joins += 1
        self.spawn(Player, owner=client, client=client)

def start(world):
    world.spawn(Game)
"#;

#[test]
fn who_joins_while_the_match_loses_its_tick_or_rests_is_heard_of_later() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = folder.path().join("reluctant");
    std::fs::create_dir(&mode).expect("a folder");
    std::fs::write(mode.join("__init__.py"), RELUCTANT).expect("a file");
    let mut config = configuration("faulty", 5, 2, 2);
    config.mode = mode;
    config.clock = clock;
    config.supervision.budget = Some(Budget {
        soft_ns: 200_000_000,
        hard_ns: 400_000_000,
    });
    config.supervision.quarantine.rest_ticks = 4;
    let mut simulation = Simulation::start(config).expect("a good mode");
    let owners = |output: &TickOutput| output.owners.iter().map(|o| o.0.0).collect::<Vec<_>>();
    let mut inputs = TickInputs::default();
    inputs.joins.push((ClientId(3), "first".into()));
    let output = simulation.step(&inputs).expect("it goes on");
    assert!(owners(&output).is_empty(), "the match was preempted");
    // Whoever comes next waits behind those before.
    inputs.joins = vec![(ClientId(4), "next".into())];
    simulation.step(&inputs).expect("it goes on");
    let step = |_| simulation.step(&TickInputs::default()).expect("it goes on");
    let output = (0..6).map(step).last().expect("six");
    assert_eq!(owners(&output), [3, 4]);
    let joins = field(&simulation, "Game", "joins");
    let game = rows(&simulation, &output.snapshot, "Game");
    assert_eq!(game[0].field(joins), ValueRef::U32(2), "each once");
}

#[test]
fn a_zone_without_a_spare_coasts_until_there_is_one() {
    let mut simulation = sabotaged(0, RestartLimit::default());
    step(&mut simulation, Some(REGEX));
    assert!(simulation.report().zones[0].vacant);
    // Whoever walks into the zone meanwhile is kept, and whoever is told something is not told.
    let mut ticks = 1;
    while simulation.report().zones[0].vacant {
        std::thread::sleep(Duration::from_millis(5));
        step(&mut simulation, Some(RAISE));
        ticks += 1;
        assert!(ticks < 10_000, "nobody came");
    }
    let output = step(&mut simulation, None);
    let before = ages(&simulation, &output);
    let output = step(&mut simulation, None);
    assert_eq!(coasted(&before, &ages(&simulation, &output)), 0);
}

#[test]
fn a_zone_that_is_lost_too_often_coasts_for_a_period() {
    let limit = RestartLimit {
        intensity: 0,
        period_ticks: 20,
    };
    let mut simulation = sabotaged(1, limit);
    wait_for_a_spare(&mut simulation);
    let output = step(&mut simulation, Some(REGEX));
    let exhausted = output
        .incidents
        .iter()
        .find_map(|incident| match incident.what {
            IncidentKind::Exhausted { until } => Some(until),
            _ => None,
        });
    let until = exhausted.expect("the limit allows no restart at all");
    while until.is_newer_than(simulation.tick()) {
        assert!(simulation.report().zones[0].vacant);
        step(&mut simulation, None);
    }
    step(&mut simulation, None);
    assert!(!simulation.report().zones[0].vacant);
}

#[test]
fn memory_beyond_the_cap_is_an_exception_and_no_more() {
    let mut simulation = sabotaged(0, RestartLimit::default());
    step(&mut simulation, Some(MEMORY));
    let report = simulation.report();
    assert_eq!(report.restarts(), 0);
    assert_eq!(report.zones[0].hooks.failures, 1);
    assert!(report.zones[0].memory.denied > 0);
}

/// Steps until a spare has been taken in, without anything happening.
fn wait_for_a_spare(simulation: &mut Simulation) {
    for _ in 0..10_000 {
        step(simulation, None);
        if simulation.spares() > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no spare became ready");
}

/// The hashes of a match in which zones are replaced at the given boundaries.
fn play(seed: u64, grid: (usize, usize), kills: &[(u32, u8)]) -> Vec<u64> {
    let mut config = configuration("swarm", seed, grid.0, grid.1);
    config.supervision.spares = 1;
    let mut simulation = Simulation::start(config).expect("a good mode");
    let zones = simulation.zones() as u8;
    let mut hashes = Vec::new();
    for tick in 0..48 {
        for (_, zone) in kills.iter().filter(|(at, _)| *at == tick) {
            simulation
                .replace_zone(ZoneId(zone % zones))
                .expect("it starts again");
        }
        let mut inputs = TickInputs::default();
        if tick == 3 {
            inputs.joins.push((ClientId(0), "somebody".into()));
        }
        let output = simulation.step(&inputs).expect("it goes on");
        hashes.push(output.snapshot.state_hash());
    }
    assert_eq!(simulation.report().restarts(), kills.len() as u64);
    hashes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_match_whose_zones_are_killed_at_boundaries_is_the_same(
        seed in any::<u64>(),
        kills in prop::collection::vec((1_u32..48, any::<u8>()), 1..6),
    ) {
        let undisturbed = play(seed, (1, 1), &[]);
        prop_assert_eq!(&play(seed, (2, 2), &kills), &undisturbed);
    }
}
