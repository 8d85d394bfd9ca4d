//! Puts together what the server told, what the bots measured and what surrounded them: the report.

use std::collections::BTreeMap;

use crate::args::{Args, NetworkArgs};
use crate::bot::ages;
use crate::bot::fleet::Outcome;
use crate::bot::meter::bandwidth;
use crate::chaos;
use crate::network::Relayed;
use crate::report::Report;
use crate::report::detail::{ClientRow, Conditions, Detail, HookErrors};
use crate::report::schema::{
    Baseline, ClientsReport, HostileReport, NetworkReport, ReportJson, Run, SCHEMA,
};
use crate::server::{HookError, OpsReport, Timetable};

/// µm in a centimetre.
const UM_PER_CM: f64 = 10_000.0;

/// All that a run has brought to light.
#[derive(Debug)]
pub struct Measured {
    /// By the server.
    pub told: OpsReport,
    /// By the bots.
    pub outcome: Outcome,
    /// By the simulated network, if there was one.
    pub relayed: Option<Relayed>,
    /// Of the hostile clients, if there were some.
    pub hostile: Option<HostileReport>,
    /// What was before the storm of faults, if there was one.
    pub chaos: Option<chaos::Before>,
    /// Around it.
    pub conditions: Conditions,
}

/// The report of a run.
pub fn assemble(args: &Args, measured: Measured) -> Report {
    let Measured {
        told,
        mut outcome,
        relayed,
        hostile,
        chaos,
        conditions,
    } = measured;
    if let Some(timetable) = timetable(args, &told) {
        ages::settle(&mut outcome, &timetable);
    }
    let clients = clients(&outcome, told.tick.run);
    let chaos = chaos.map(|before| chaos::tally(before, &told, outcome.dropped));
    let (chaos, chaos_detail) = chaos.unzip();
    let run = Run {
        players: args.players.into(),
        scenario: args.scenario,
        // A remote server's seed is its own; the bots' is ours in any case.
        seed: if args.server.is_none() {
            args.seed
        } else {
            told.run.seed
        },
        ..told.run
    };
    let mut counters = told.counters;
    counters.extend(outcome.counters);
    let json = ReportJson {
        schema: SCHEMA,
        run,
        tick: told.tick,
        zones: told.zones,
        clients,
        wire: told.wire,
        network: relayed.map(|relayed| network(&args.network, relayed)),
        hostile,
        chaos,
        server: told.server,
    };
    let totals = outcome.totals;
    let detail = Detail {
        ticks: told.ticks,
        seconds: told.series,
        snapshot_age: totals.age.buckets(),
        input_ack: totals.ack.buckets(),
        correction: totals.correction_um.buckets(),
        interpolation: totals.interpolation_us.buckets(),
        client_seconds: totals.seconds,
        clients: outcome.clients,
        deeds: outcome.deeds,
        counters,
        hook_errors: told.hook_errors.into_iter().map(hook_errors).collect(),
        chaos: chaos_detail,
        conditions,
        ..Detail::default()
    };
    let mut report = Report { json, detail };
    report.detail.derive_from_ticks(&report.json.run);
    report
}

/// What the bots measured while the server ran `ticks` ticks.
fn clients(outcome: &Outcome, ticks: u64) -> ClientsReport {
    let totals = &outcome.totals;
    let (down, up) = bandwidth(&outcome.clients);
    let sum = |part: fn(&ClientRow) -> u64| outcome.clients.iter().map(part).sum::<u64>();
    ClientsReport {
        joined: outcome.joined,
        dropped: outcome.dropped,
        snapshot_age_us: totals.age.percentiles(),
        input_ack_us: totals.ack.percentiles(),
        bytes_down_per_s: down,
        bytes_up_per_s: up,
        playing: outcome.clients.iter().filter(|c| plays(c, ticks)).count(),
        commands_sent: sum(|row| row.commands),
        commands_settled: sum(|row| row.settled),
        commands_applied: sum(|row| row.settled - row.missed),
        correction_cm: totals.correction_um.percentiles().scaled(1.0 / UM_PER_CM),
        interpolation_ms: totals.interpolation_us.percentiles().scaled(1e-3),
        staleness_ticks_max: totals.staleness_ticks_max,
    }
}

/// Whether a person in a bot's place could have played: half of the ticks were told it, or more, and half of its commands
/// had an effect, as far as their fate is known. With less, one sees others jump and oneself not move.
fn plays(bot: &ClientRow, ticks: u64) -> bool {
    let applied = bot.settled - bot.missed;
    bot.states > 0 && 2 * bot.states >= ticks && applied > 0 && 2 * applied >= bot.settled
}

fn hook_errors(told: HookError) -> HookErrors {
    HookErrors {
        line: match told.file.is_empty() {
            true => "its fields".into(),
            false => format!("{}:{}", told.file, told.line),
        },
        hook: told.hook,
        count: told.count,
    }
}

fn network(asked: &NetworkArgs, relayed: Relayed) -> NetworkReport {
    NetworkReport {
        rtt_ms: asked.rtt_ms.unwrap_or(0.0),
        jitter_ms: asked.jitter_ms.unwrap_or(0.0),
        loss_percent: asked.loss_percent.unwrap_or(0.0),
        reorder_percent: asked.reorder_percent.unwrap_or(0.0),
        rate_kbit: asked.rate_kbit.unwrap_or(0.0),
        up: relayed.up,
        down: relayed.down,
        late_us: relayed.late_us,
    }
}

/// A match that was played before the one that is reported.
pub fn baseline(args: &Args, told: &OpsReport, mut outcome: Outcome, rss_mib: f64) -> Baseline {
    if let Some(timetable) = timetable(args, told) {
        ages::settle(&mut outcome, &timetable);
    }
    Baseline {
        duration_s: told.run.duration_s,
        tick_duration_us: told.tick.duration_us,
        snapshot_age_us: outcome.totals.age.percentiles(),
        rss_mib,
    }
}

/// When the server's ticks were due, if that can be compared with the bots' times: on one machine it can.
fn timetable(args: &Args, told: &OpsReport) -> Option<Timetable> {
    let clock = told.clock.filter(|_| args.is_local())?;
    Some(Timetable::new(
        clock,
        told.run.tick_hz,
        told.ticks.skips.clone(),
    ))
}

/// By how much each counter grew; those that did not are left out.
pub fn grown(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let growth = after.iter().map(|(name, now)| {
        let then = before.get(name).copied().unwrap_or(0);
        (name.clone(), now.saturating_sub(then))
    });
    growth.filter(|(_, by)| *by > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_plays_that_is_told_half_of_the_ticks_and_obeyed_half_of_the_time() {
        let bot = |states, settled, missed| ClientRow {
            states,
            settled,
            missed,
            ..ClientRow::default()
        };
        assert!(plays(&bot(100, 200, 0), 200));
        assert!(plays(&bot(100, 200, 100), 200));
        assert!(!plays(&bot(99, 200, 0), 200), "told too little");
        assert!(!plays(&bot(200, 200, 101), 200), "obeyed too rarely");
        assert!(!plays(&bot(200, 0, 0), 200), "never heard of its commands");
        assert!(!plays(&bot(0, 10, 0), 0), "never told anything");
    }

    #[test]
    fn only_what_grew_is_told_of_counters() {
        let counters = |values: &[(&str, u64)]| -> BTreeMap<String, u64> {
            let named = values.iter().map(|(name, n)| ((*name).to_owned(), *n));
            named.collect()
        };
        let before = counters(&[("a", 5), ("b", 2)]);
        let after = counters(&[("a", 5), ("b", 9), ("c", 1)]);
        assert_eq!(grown(&before, &after), counters(&[("b", 7), ("c", 1)]));
    }
}
