//! Sections of the page that only some runs have: the network, the wire, the hostile clients, the faults.

use std::collections::BTreeMap;

use super::charts;
use super::detail::ChaosDetail;
use super::format::{self, micros};
use super::schema::{
    ChaosReport, ClientsReport, HostileReport, NetworkReport, Percentiles, ReportJson, WireReport,
};

/// A row of a table of two columns.
pub(super) type Fact = (String, String);

/// Counters: what was counted, and the names of those that stayed zero.
pub(super) struct Counts {
    pub(super) counted: Vec<Fact>,
    pub(super) zero: Vec<String>,
}

/// Counters by their names.
pub(super) fn counts<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> Counts {
    let (counted, zero): (Vec<_>, Vec<_>) = all.partition(|(_, n)| *n > 0);
    let fact = |(name, n)| (in_words(name), format::count(n));
    Counts {
        counted: counted.into_iter().map(fact).collect(),
        zero: zero.into_iter().map(|(name, _)| in_words(name)).collect(),
    }
}

/// The simulated network and what came of it.
pub(super) struct NetworkSection {
    pub(super) what: String,
    pub(super) fates: String,
    pub(super) counts: Vec<Fact>,
    pub(super) figures: Vec<Fact>,
}

/// How the state was coded.
pub(super) struct WireSection {
    pub(super) encode: String,
    pub(super) bits: String,
    pub(super) figures: Vec<Fact>,
    pub(super) full: Vec<Fact>,
}

/// What hostile clients did, and what the server made of it.
pub(super) struct HostileSection {
    pub(super) total: String,
    pub(super) baseline: String,
    pub(super) comparison: Vec<Comparison>,
    pub(super) thrown: Vec<Fact>,
    pub(super) ended: Vec<Fact>,
    pub(super) let_in: Vec<Fact>,
    pub(super) counted: Vec<Fact>,
}

/// A figure without hostile clients and with them.
pub(crate) struct Comparison {
    pub(crate) what: &'static str,
    pub(crate) without: String,
    pub(crate) with: String,
}

/// What hostile clients changed.
pub(crate) fn comparison(json: &ReportJson, hostile: &HostileReport) -> Vec<Comparison> {
    let p99 = |p: &Percentiles| {
        let [p99] = format::numbers(p, [p.p99], micros);
        p99
    };
    let baseline = &hostile.baseline;
    let (ticks, ages) = (&json.tick.duration_us, &json.clients.snapshot_age_us);
    let mut rows = vec![
        Comparison {
            what: "tick, p99",
            without: p99(&baseline.tick_duration_us),
            with: p99(ticks),
        },
        Comparison {
            what: "state age, p99",
            without: p99(&baseline.snapshot_age_us),
            with: p99(ages),
        },
    ];
    let end_mib = json.server.rss_mib_end;
    if end_mib > 0.0 {
        rows.push(Comparison {
            what: "server memory at the end",
            without: format!("{:.1} MiB", baseline.rss_mib),
            with: format!("{end_mib:.1} MiB"),
        });
    }
    rows
}

/// What faults of scripts there were, and what they cost.
pub(super) struct ChaosSection {
    pub(super) total: String,
    pub(super) planned: String,
    pub(super) faults: Vec<Fact>,
    pub(super) answers: Counts,
    pub(super) costs: Vec<Fact>,
}

/// A network in half a sentence: `100 ms ± 20 ms each way, 5 % lost`.
pub(crate) fn network_in_words(network: &NetworkReport) -> String {
    let mut words = vec![format!("{} ms there and back", network.rtt_ms)];
    let parts = [
        (network.jitter_ms, "± ", " ms each way"),
        (network.loss_percent, "", " % lost"),
        (network.reorder_percent, "", " % reordered"),
        (network.rate_kbit, "at most ", " kbit/s"),
    ];
    let given = parts.into_iter().filter(|(value, ..)| *value > 0.0);
    words.extend(given.map(|(value, before, after)| format!("{before}{value}{after}")));
    words.join(", ")
}

pub(super) fn network(json: &ReportJson) -> Option<NetworkSection> {
    let network = json.network.as_ref()?;
    let row = |name: &str, of: fn(&super::schema::LinkCounts) -> u64| {
        let (up, down) = (of(&network.up), of(&network.down));
        let both = format!("{} / {}", format::count(up), format::count(down));
        (name.to_owned(), both)
    };
    Some(NetworkSection {
        what: network_in_words(network),
        fates: charts::link_fates(network),
        counts: vec![
            row("arrived, up / down", |c| c.forwarded),
            row("of these overtaken", |c| c.reordered),
            row("lost", |c| c.lost),
            row("dropped by a full queue", |c| c.queue_drops),
        ],
        figures: figures_under(network, &json.clients),
    })
}

/// What clients noticed of the network.
fn figures_under(network: &NetworkReport, clients: &ClientsReport) -> Vec<Fact> {
    let two = |p: &Percentiles, show: fn(f64) -> String| {
        format::numbers(p, [p.p50, p.p99], show).join(" / ")
    };
    let mut rows = vec![];
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let age = &clients.snapshot_age_us;
    row("state age, p50 / p99", two(age, micros));
    let one_way_us = network.rtt_ms * 500.0;
    let beyond = format::numbers(age, [age.p50, age.p99], |us| {
        micros((us - one_way_us).max(0.0))
    });
    row("beyond half the round trip", beyond.join(" / "));
    row(
        "command round trip, p50 / p99",
        two(&clients.input_ack_us, micros),
    );
    let applied = clients.applied_share();
    row(
        "commands applied, where their fate is known",
        applied.map_or_else(|| format::NONE.into(), format::share),
    );
    row("correction, p50 / p99", two(&clients.correction_cm, cm));
    let shown = two(&clients.interpolation_ms, |ms| micros(ms * 1e3));
    row("interpolation, p50 / p99", shown);
    row(
        "added by the simulation itself, p99",
        micros(network.late_us.p99),
    );
    rows
}

fn cm(value: f64) -> String {
    format!("{} cm", format::significant(value))
}

pub(super) fn wire(json: &ReportJson) -> Option<WireSection> {
    let wire: &WireReport = json.wire.as_ref()?;
    let full = wire.full_snapshots.iter();
    let full = full.filter(|(_, count)| **count > 0);
    let us = |p: &Percentiles| format::numbers(p, [p.p50, p.p99, p.max], micros).join(" / ");
    let bits = &wire.bits_per_entity;
    Some(WireSection {
        encode: charts::encode_ranges(wire),
        bits: charts::entity_bits(wire),
        figures: vec![
            ("interest, p50 / p99 / max".into(), us(&wire.interest_us)),
            ("encoding, p50 / p99 / max".into(), us(&wire.encode_us)),
            ("both, p50 / p99 / max".into(), us(&wire.state_us)),
            (
                "bits an entity, mean / p99".into(),
                format::numbers(bits, [bits.mean, bits.p99], format::significant).join(" / "),
            ),
            (
                "told anew for want of a baseline".into(),
                format!("{} entities", format::count(wire.rewritten)),
            ),
        ],
        full: full
            .map(|(why, n)| (in_words(why), format::count(*n)))
            .collect(),
    })
}

pub(super) fn hostile(json: &ReportJson) -> Option<HostileSection> {
    let hostile: &HostileReport = json.hostile.as_ref()?;
    let facts = |map: &std::collections::BTreeMap<String, u64>| -> Vec<Fact> {
        let rows = map.iter();
        rows.map(|(name, n)| (in_words(name), format::count(*n)))
            .collect()
    };
    Some(HostileSection {
        total: format::count(hostile.thrown.values().sum()),
        baseline: format::significant(hostile.baseline.duration_s),
        comparison: comparison(json, hostile),
        thrown: facts(&hostile.thrown),
        ended: facts(&hostile.ended),
        let_in: facts(&hostile.let_in),
        counted: facts(&hostile.counted),
    })
}

pub(super) fn chaos(json: &ReportJson, detail: Option<&ChaosDetail>) -> Option<ChaosSection> {
    let (chaos, detail): (&ChaosReport, _) = (json.chaos.as_ref()?, detail?);
    let total = |counts: &BTreeMap<String, u64>| format::count(counts.values().sum());
    let restarts = detail.restarts.iter();
    let restarts: Vec<_> = restarts
        .map(|(why, n)| (format!("interpreters replaced: {why}"), *n))
        .collect();
    let restarts = restarts.iter().map(|(name, n)| (name.as_str(), *n));
    let others = [
        ("exceptions on hearing of a restart", chaos.aftermath),
        ("hooks preempted", detail.preemptions),
        ("allocations refused", detail.memory_denied),
        ("rests of entities", detail.rests),
        ("entity ticks without hooks", detail.coasted),
        ("zones restarted too often", detail.exhausted),
    ];
    let restart = &chaos.restart_ticks;
    let ticks = |p: f64| format::significant(p);
    let of_ticks = |n: usize| {
        let share = n as f64 / json.tick.run.max(1) as f64;
        format!("{} ({})", format::count(n as u64), format::share(share))
    };
    Some(ChaosSection {
        total: total(&chaos.faults),
        planned: total(&detail.planned),
        faults: faults(chaos, detail),
        answers: counts(restarts.chain(others)),
        costs: vec![
            (
                "ticks of a restart, p50 / p99".into(),
                format!("{} / {}", ticks(restart.p50), ticks(restart.p99)),
            ),
            ("the longest of them".into(), ticks(restart.max)),
            ("ticks that ended late".into(), of_ticks(detail.late_ticks)),
            (
                "the latest of them, in ticks".into(),
                ticks(chaos.others_late_ticks_max),
            ),
            (
                "entities lost / doubled".into(),
                format!("{} / {}", chaos.lost, chaos.doubled),
            ),
            ("bots dropped".into(), chaos.dropped.to_string()),
            (
                "memory before / after".into(),
                format!(
                    "{:.0} / {:.0} MiB",
                    detail.rss_mib_before, json.server.rss_mib_end
                ),
            ),
        ],
    })
}

/// Each kind with how many of those that were planned happened: who was coasting couldn't do its part.
pub(crate) fn faults(chaos: &ChaosReport, detail: &ChaosDetail) -> Vec<Fact> {
    let kinds = chaos.faults.keys().chain(detail.planned.keys());
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    let row = |kind: &String| {
        let happened = chaos.faults.get(kind).copied().unwrap_or(0);
        let value = match detail.planned.get(kind) {
            Some(planned) => format!("{} of {}", format::count(happened), format::count(*planned)),
            None => format::count(happened),
        };
        (in_words(kind), value)
    };
    kinds.into_iter().map(row).collect()
}

/// A counter's name as people write it.
fn in_words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_told_by_what_is_wrong_with_it() {
        let mut network = NetworkReport {
            rtt_ms: 100.0,
            ..NetworkReport::default()
        };
        assert_eq!(network_in_words(&network), "100 ms there and back");
        (network.jitter_ms, network.loss_percent) = (20.0, 2.5);
        network.rate_kbit = 512.0;
        assert_eq!(
            network_in_words(&network),
            "100 ms there and back, ± 20 ms each way, 2.5 % lost, at most 512 kbit/s"
        );
    }

    #[test]
    fn counters_that_stayed_zero_are_only_named() {
        let Counts { counted, zero } = counts([("a_b", 0), ("c_d", 2_000)].into_iter());
        assert_eq!(counted, [("c d".to_owned(), format::count(2_000))]);
        assert_eq!(zero, ["a b"]);
    }

    #[test]
    fn sections_are_there_only_for_runs_that_have_them() {
        let plain = ReportJson::default();
        assert!(network(&plain).is_none() && wire(&plain).is_none() && hostile(&plain).is_none());
        assert!(chaos(&plain, None).is_none());
    }
}
