//! Lag compensation: a shot at the past has the same verdict whoever owns the target's zone, and it
//! is the one that the stored snapshots give.

mod common;

use common::{field, simulation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tessera_protocol::command::Command;
use tessera_protocol::ids::{ClientId, EntityId, KindId, Tick};
use tessera_protocol::snapshot::Snapshot;
use tessera_protocol::value::ValueRef;
use tessera_sim::{Grid, Simulation, TickInputs};
use tessera_world::{World, ray_capsule};

/// As many clients, a stand each; one shot a stand and tick.
const STANDS: u16 = 128;
/// Of a match, in which 10⁵ shots are fired.
const TICKS: u32 = 800;
/// Verdicts may differ in distance by this, metres: at 1 km the rounding of a ray that only grazes a
/// capsule moves the point where it enters by up to a micrometre.
const GRAZE_M: f64 = 1e-4;
/// Ticks that the longest rewind goes back: 250 ms at 64 Hz.
const REWIND_TICKS: i32 = 16;

/// Everybody joins; then each says how far back it sees, up to and beyond what is granted.
fn inputs(seed: u64, tick: u32) -> TickInputs {
    let mut inputs = TickInputs::default();
    for client in 0..STANDS {
        if tick == 0 {
            inputs
                .joins
                .push((ClientId(client), format!("stand {client}")));
        }
        let mut dice = seed ^ u64::from(tick) << 32 ^ u64::from(client) << 8;
        dice = dice.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        dice = (dice ^ dice >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let view = match dice >> 60 {
            0 => 0,
            1 => u16::MAX,
            2 => (dice >> 40) as u16 % 17 * 256,
            _ => (dice >> 40) as u16 % 4097,
        };
        let command = Command {
            tick: Tick(tick),
            view,
            ..Command::default()
        };
        inputs.commands.push((ClientId(client), command));
    }
    inputs
}

/// One shot, as a stand wrote it down.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Shot {
    origin: [f64; 3],
    direction: [f64; 3],
    rewind: f64,
    hit: EntityId,
    distance: f64,
}

/// Where the mode's fields are.
struct Fields {
    stand: KindId,
    target: KindId,
    direction: usize,
    rewind: usize,
    hit: usize,
    distance: usize,
    alive: usize,
    ground: World,
}

impl Fields {
    fn of(simulation: &Simulation) -> Self {
        let kind = |name| simulation.field_table().kind(name).expect("declared");
        Self {
            stand: kind("Stand"),
            target: kind("Target"),
            direction: field(simulation, "Stand", "direction"),
            rewind: field(simulation, "Stand", "rewind"),
            hit: field(simulation, "Stand", "hit"),
            distance: field(simulation, "Stand", "distance"),
            alive: field(simulation, "Target", "alive"),
            ground: World::flat(1000.0),
        }
    }

    /// The shots fired in the tick that made this state, by ascending stand.
    fn shots(&self, state: &Snapshot) -> Vec<Shot> {
        let mut rows: Vec<_> = state.rows_of(self.stand).collect();
        rows.sort_by_key(|row| row.id());
        let number = |value| match value {
            ValueRef::F64(number) => number,
            other => panic!("{other:?}"),
        };
        let shots = rows.iter().map(|row| Shot {
            origin: row.position(),
            direction: match row.field(self.direction) {
                ValueRef::Vec3(direction) => direction,
                other => panic!("{other:?}"),
            },
            rewind: number(row.field(self.rewind)),
            hit: match row.field(self.hit) {
                ValueRef::Entity(id) => EntityId(id),
                other => panic!("{other:?}"),
            },
            distance: number(row.field(self.distance)),
        });
        shots.collect()
    }

    /// Where a living target is in a state.
    fn place(&self, state: &Snapshot, id: EntityId) -> Option<glam::DVec3> {
        let row = state.rows_of(self.target).find(|row| row.id() == id)?;
        let alive = row.field(self.alive) == ValueRef::Bool(true);
        alive.then(|| row.position().into())
    }

    /// The verdict that the stored snapshots give on a shot fired at the state of `now`: each target
    /// on its own, looked up by its id.
    fn verdict(&self, simulation: &Simulation, now: Tick, shot: &Shot) -> (EntityId, f64) {
        let state = |back: i32| {
            // Before the beginning everything was as it was then.
            let back = back.min(now.0.cast_signed());
            simulation.snapshot_at(now.offset(-back)).expect("kept")
        };
        let back = (shot.rewind.floor() as i32).min(now.0.cast_signed());
        let between = shot.rewind - f64::from(back);
        let (origin, direction) = (shot.origin.into(), shot.direction.into());
        let ground = self.ground.raycast(origin, direction, 1500.0);
        let mut verdict = ground.map_or((EntityId::NONE, f64::INFINITY), |ground| {
            (EntityId::NONE, ground.distance)
        });
        for row in state(0).rows_of(self.target) {
            let place = |back| self.place(state(back), row.id());
            let exact = between == 0.0 || back == now.0.cast_signed();
            let base = match (place(0), place(back), exact) {
                (Some(_), place, true) => place,
                (Some(_), Some(new), false) => {
                    place(back + 1).map(|old| old * between + new * (1.0 - between))
                }
                _ => None,
            };
            let hit = base.and_then(|base| ray_capsule(origin, direction, 1500.0, base, 0.6, 2.0));
            if let Some(distance) = hit.filter(|distance| *distance < verdict.1) {
                verdict = (row.id(), distance);
            }
        }
        verdict
    }
}

/// Plays a match; `look` sees the simulation after each tick and the shots fired in it.
fn play(
    seed: u64,
    columns: usize,
    rows: usize,
    mut look: impl FnMut(&Simulation, &Fields, &[Shot]),
) -> Vec<Vec<Shot>> {
    let mut simulation = simulation("gallery", seed, columns, rows);
    let fields = Fields::of(&simulation);
    let mut all = Vec::new();
    for tick in 0..TICKS {
        let output = simulation.step(&inputs(seed, tick)).expect("no zone stops");
        if tick == 0 {
            continue; // the stands were born in it
        }
        let shots = fields.shots(&output.snapshot);
        look(&simulation, &fields, &shots);
        all.push(shots);
    }
    let report = simulation.report();
    assert_eq!(report.hook_errors(), 0);
    all
}

#[test]
fn a_hundred_thousand_shots_have_the_same_verdict_under_every_partition() {
    let config = Config {
        cases: 1,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&any::<u64>(), |seed| {
        let whole = play(seed, 1, 1, |_, _, _| ());
        let fired: usize = whole.iter().map(Vec::len).sum();
        prop_assert!(fired >= 100_000, "{fired}");
        let grid = Grid::even(3, 3, 1000.0).expect("a small grid");
        let (mut hits, mut over_border) = (0u32, 0u32);
        let cut = play(seed, 3, 3, |simulation, fields, shots| {
            let state = simulation.snapshot();
            for shot in shots.iter().filter(|shot| !shot.hit.is_none()) {
                hits += 1;
                let target = state
                    .rows_of(fields.target)
                    .find(|row| row.id() == shot.hit);
                let other = |at| grid.zone_of(at) != grid.zone_of(shot.origin);
                over_border += u32::from(target.is_some_and(|row| other(row.position())));
            }
        });
        prop_assert!(hits > 20_000, "only {hits} hits say little");
        prop_assert!(
            2 * over_border >= hits,
            "{over_border} of {hits} over a border"
        );
        for (tick, (whole, cut)) in whole.iter().zip(&cut).enumerate() {
            prop_assert_eq!(whole, cut, "tick {}", tick);
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn verdicts_are_those_of_the_stored_snapshots() {
    let config = Config {
        cases: 1,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&any::<u64>(), |seed| {
        let (mut hits, mut past, mut wrong) = (0u32, 0u32, Vec::new());
        play(seed, 2, 2, |simulation, fields, shots| {
            let now = simulation.tick().offset(-1);
            // All of the beginning, where there is less than 250 ms to go back; later some.
            let step = if now.0 < 2 * REWIND_TICKS.cast_unsigned() {
                1
            } else {
                8
            };
            for shot in shots.iter().skip(now.0 as usize % step).step_by(step) {
                assert!((0.0..=f64::from(REWIND_TICKS)).contains(&shot.rewind));
                let (hit, distance) = fields.verdict(simulation, now, shot);
                let miss = hit.is_none() && distance == f64::INFINITY;
                let expect = if miss { -1.0 } else { distance };
                if hit != shot.hit || (expect - shot.distance).abs() > GRAZE_M {
                    wrong.push((now, *shot, hit, distance));
                }
                hits += u32::from(!hit.is_none());
                let unmoved = Shot {
                    rewind: 0.0,
                    ..*shot
                };
                past += u32::from(fields.verdict(simulation, now, &unmoved).0 != hit);
            }
        });
        prop_assert!(
            wrong.is_empty(),
            "{} wrong, first {:?}",
            wrong.len(),
            wrong[0]
        );
        prop_assert!(hits > 2_000, "only {hits} hits say little");
        prop_assert!(
            past > hits / 2,
            "rewinding changes {past} of {hits}: too few to tell"
        );
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
