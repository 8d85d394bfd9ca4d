//! What a run must reach, and whether it did.

use super::format;
use super::schema::ReportJson;

/// How large a share of ticks may be missed.
pub const MISSED_SHARE_MAX: f64 = 0.001;
/// Median tick duration, in µs at 64 Hz.
pub const TICK_P50_US_MAX: f64 = 4_000.0;
/// 99th percentile of the tick duration, in µs at 64 Hz.
pub const TICK_P99_US_MAX: f64 = 8_000.0;
/// 99th percentile of the start jitter, in µs.
pub const JITTER_P99_US_MAX: f64 = 500.0;
/// Resident memory of the server, in MiB.
pub const RSS_MIB_MAX: f64 = 300.0;

/// One target and what the run made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is measured.
    pub name: &'static str,
    /// The measured value, for people.
    pub value: String,
    /// The limit, for people.
    pub limit: String,
    /// Measured value as a share of the limit; 1 is at the limit. May exceed 1.
    pub share: f64,
    /// Whether the target is met.
    pub met: bool,
    /// What the number means, in half a sentence.
    pub meaning: &'static str,
}

/// All targets, in the order in which one wants to read them.
pub fn verdicts(report: &ReportJson) -> Vec<Verdict> {
    let (run, tick, clients) = (&report.run, &report.tick, &report.clients);
    let missing = run.players.saturating_sub(clients.joined);
    let missed_share = if tick.run == 0 {
        1.0
    } else {
        tick.missed as f64 / tick.run as f64
    };
    vec![
        Verdict {
            name: "players joined",
            value: clients.joined.to_string(),
            limit: format!("all {}", run.players),
            share: clients.joined as f64 / run.players.max(1) as f64,
            met: missing == 0 && run.players > 0,
            meaning: "clients over QUIC, each with its own session",
        },
        at_most(
            "dropped",
            clients.dropped as f64,
            0.0,
            |v| format::count(v as u64),
            "connections that ended before the run did",
        ),
        at_most(
            "ticks missed",
            missed_share,
            MISSED_SHARE_MAX,
            |v| format!("{} %", format::significant(v * 100.0)),
            "ended after the next one was due",
        ),
        at_most(
            "tick, median",
            tick.duration_us.p50,
            TICK_P50_US_MAX,
            format::micros,
            "half of all ticks are faster",
        ),
        at_most(
            "tick, p99",
            tick.duration_us.p99,
            TICK_P99_US_MAX,
            format::micros,
            "one tick in a hundred is slower",
        ),
        at_most(
            "start jitter, p99",
            tick.start_jitter_us.p99,
            JITTER_P99_US_MAX,
            format::micros,
            "lateness of a tick against the absolute clock",
        ),
        at_most(
            "server memory",
            report.server.rss_mib_max,
            RSS_MIB_MAX,
            |v| format!("{v:.0} MiB"),
            "largest resident set, all interpreters",
        ),
    ]
}

fn at_most(
    name: &'static str,
    value: f64,
    limit: f64,
    show: impl Fn(f64) -> String,
    meaning: &'static str,
) -> Verdict {
    // A limit of zero has no share: it is met entirely or not at all.
    let share = if limit > 0.0 {
        value / limit
    } else if value > 0.0 {
        f64::INFINITY
    } else {
        0.0
    };
    let limit_text = if limit > 0.0 {
        format!("≤ {}", show(limit))
    } else {
        show(limit)
    };
    Verdict {
        name,
        value: show(value),
        limit: limit_text,
        share,
        met: value <= limit,
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ReportJson {
        let mut report = ReportJson::default();
        report.run.players = 100;
        report.clients.joined = 100;
        report.tick.run = 3840;
        report.tick.missed = 3;
        report.tick.duration_us.p50 = 3_900.0;
        report.tick.duration_us.p99 = 8_000.0;
        report.tick.start_jitter_us.p99 = 80.0;
        report.server.rss_mib_max = 120.0;
        report
    }

    fn missed_by(change: impl Fn(&mut ReportJson)) -> Vec<&'static str> {
        let mut report = good();
        change(&mut report);
        verdicts(&report)
            .iter()
            .filter(|v| !v.met)
            .map(|v| v.name)
            .collect()
    }

    #[test]
    fn each_target_fails_alone_and_only_beyond_its_limit() {
        assert_eq!(missed_by(|_| ()), [""; 0]);
        assert_eq!(missed_by(|r| r.clients.joined = 99), ["players joined"]);
        assert_eq!(missed_by(|r| r.clients.dropped = 1), ["dropped"]);
        assert_eq!(missed_by(|r| r.tick.missed = 4), ["ticks missed"]);
        assert_eq!(
            missed_by(|r| r.tick.duration_us.p50 = 4_000.1),
            ["tick, median"]
        );
        assert_eq!(
            missed_by(|r| r.tick.duration_us.p99 = 8_000.1),
            ["tick, p99"]
        );
        assert_eq!(
            missed_by(|r| r.tick.start_jitter_us.p99 = 501.0),
            ["start jitter, p99"]
        );
        assert_eq!(
            missed_by(|r| r.server.rss_mib_max = 301.0),
            ["server memory"]
        );
    }

    #[test]
    fn a_run_without_ticks_meets_nothing_by_accident() {
        assert!(missed_by(|r| r.tick.run = 0).contains(&"ticks missed"));
    }
}
