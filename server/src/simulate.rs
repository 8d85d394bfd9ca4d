//! `tessera simulate`: a match without a network, as fast as it goes.

use std::fmt;

use serde::Serialize;
use tessera_protocol::snapshot::Snapshot;
use tessera_protocol::{FieldTable, KindId, ValueRef, ZoneId};
use tessera_sim::{Simulation, TickInputs, TickTimings, ZoneTimings};

use crate::assets::Assets;
use crate::clock;
use crate::config::Config;
use crate::error::Error;
use crate::setup;
use crate::stats::{Durations, Percentiles};

/// How a simulated match went. Same seed and ticks, same `state_hash`, whatever the zones.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    /// Ticks run.
    pub ticks: u32,
    /// Number of zones.
    pub zones: usize,
    /// AI players asked for.
    pub players: u16,
    /// The match's seed.
    pub seed: u64,
    /// Hash of the whole state after the last tick, hexadecimal.
    pub state_hash: String,
    /// Entities that can be hit at the end, of kinds that can cease to be: living players.
    pub alive: usize,
    /// Messages that scripts sent each other.
    pub messages: u64,
    /// Entities that went from one zone to another.
    pub handoffs: u64,
    /// Interpreters that were replaced.
    pub restarts: u64,
    /// Hooks that raised.
    pub hook_errors: u64,
    /// Times that a zone's scripts were refused memory: a cap is a zone's, so that the state depends on the
    /// partition then.
    pub memory_denied: u64,
    /// A whole tick, wall time.
    pub tick_us: Percentiles,
    /// The zones' part of it, wall time: drain, hooks, gather, in parallel.
    pub zones_us: Percentiles,
    /// Hooks: processor time in a tick, all zones together. So are the next three.
    pub script_us: Percentiles,
    /// Python slots into columns.
    pub gather_us: Percentiles,
    /// Channels, arrivals, ghosts.
    pub exchange_us: Percentiles,
    /// Writing the snapshot's batches, and sealing them (wall time, on one thread).
    pub snapshot_us: Percentiles,
    /// Ticks a second.
    #[serde(skip)]
    pub tick_hz: u32,
}

#[derive(Default)]
struct Stages {
    tick: Durations,
    zones: Durations,
    script: Durations,
    gather: Durations,
    exchange: Durations,
    snapshot: Durations,
}

/// How a match is simulated.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Ticks to run.
    pub ticks: u32,
    /// At every boundary that this divides one zone's interpreter is killed, each in turn.
    pub kill_every: Option<u32>,
    /// Zones are held to their budgets. Otherwise they are waited for as long as they take, since no
    /// clock may decide a match.
    pub supervised: bool,
}

/// Runs a match.
///
/// # Errors
/// A mode or map that does not load, or a zone that ends.
pub fn run(config: &Config, assets: &Assets, how: &How) -> Result<Simulated, Error> {
    let How {
        ticks, kill_every, ..
    } = *how;
    let mut setup = setup::simulation(config, assets)?;
    if !how.supervised {
        setup.supervision.budget = None;
        setup.supervision.spares = usize::from(kill_every.is_some());
    }
    let mut simulation = Simulation::start(setup)?;
    let inputs = TickInputs::default();
    let mut stages = Stages::default();
    for tick in 1..=ticks {
        let began = clock::now_ns();
        let output = simulation.step(&inputs)?;
        stages.record(clock::now_ns() - began, &output.timings);
        if let Some(every) = kill_every
            && tick.is_multiple_of(every)
        {
            let zone = (tick / every) as usize % simulation.zones();
            simulation.replace_zone(ZoneId(zone as u8))?;
        }
    }
    let totals = simulation.report();
    let snapshot = simulation.snapshot();
    Ok(Simulated {
        ticks,
        zones: simulation.zones(),
        players: config.players,
        seed: config.seed,
        state_hash: format!("{:016x}", snapshot.state_hash()),
        alive: alive(snapshot, simulation.field_table()),
        messages: totals.messages(),
        handoffs: totals.handoffs(),
        tick_us: stages.tick.percentiles_us(),
        zones_us: stages.zones.percentiles_us(),
        script_us: stages.script.percentiles_us(),
        gather_us: stages.gather.percentiles_us(),
        exchange_us: stages.exchange.percentiles_us(),
        snapshot_us: stages.snapshot.percentiles_us(),
        restarts: totals.restarts(),
        hook_errors: totals.hook_errors(),
        memory_denied: totals.zones.iter().map(|zone| zone.memory_denied).sum(),
        tick_hz: config.tick_hz,
    })
}

impl Stages {
    fn record(&mut self, tick_ns: u64, timings: &TickTimings) {
        let all = |part: fn(&ZoneTimings) -> u64| timings.zones.iter().map(part).sum::<u64>();
        self.tick.record_ns(tick_ns);
        self.zones.record_ns(timings.zones_ns);
        self.script.record_ns(all(|zone| zone.script_ns));
        self.gather.record_ns(all(|zone| zone.gather_ns));
        self.exchange.record_ns(all(|zone| zone.exchange_ns));
        self.snapshot
            .record_ns(all(|zone| zone.snapshot_ns) + timings.snapshot_ns);
    }
}

/// Entities whose hitbox is there, of the kinds that say when it is. The engine knows no players; this
/// is what it knows of being alive.
fn alive(snapshot: &Snapshot, table: &FieldTable) -> usize {
    let kinds = table.kinds.iter().zip(0..);
    let conditions = kinds.filter_map(|(kind, at)| Some((KindId(at), kind.hitbox.as_ref()?.when?)));
    let rows = conditions.flat_map(|(kind, when)| {
        let there = move |value| value == ValueRef::Bool(true);
        let fields = snapshot
            .rows_of(kind)
            .map(move |row| row.field(usize::from(when)));
        fields.filter(move |value| there(*value))
    });
    rows.count()
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ticks in {} zones, seed {}; {} AI players asked for",
            self.ticks, self.zones, self.seed, self.players
        )?;
        let budget_us = 1e6 / f64::from(self.tick_hz);
        let speed = budget_us / self.tick_us.mean.max(f64::MIN_POSITIVE);
        writeln!(f, "{speed:.1} times as fast as {} Hz needs\n", self.tick_hz)?;
        let heads = ["µs a tick", "p50", "p90", "p99", "p99.9", "max", "mean"];
        write!(f, "{:<12}", heads[0])?;
        for head in &heads[1..] {
            write!(f, "{head:>10}")?;
        }
        writeln!(f)?;
        for (name, p) in [
            ("whole tick", self.tick_us),
            ("zones", self.zones_us),
            ("  script *", self.script_us),
            ("  gather *", self.gather_us),
            ("exchange *", self.exchange_us),
            ("snapshot *", self.snapshot_us),
        ] {
            write!(f, "{name:<12}")?;
            for value in [p.p50, p.p90, p.p99, p.p999, p.max, p.mean] {
                write!(f, "{value:>10.0}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "* processor time, all zones together\n")?;
        writeln!(
            f,
            "alive {}, messages {}, handoffs {}, failed hooks {}, restarts {}",
            self.alive, self.messages, self.handoffs, self.hook_errors, self.restarts
        )?;
        writeln!(f, "state {}", self.state_hash)?;
        if self.memory_denied > 0 {
            writeln!(
                f,
                "scripts were refused memory {} times: a cap is a zone's, so other zones give another state",
                self.memory_denied
            )?;
        }
        Ok(())
    }
}
