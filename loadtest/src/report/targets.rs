//! What a run must reach, and whether it did.

use super::format;
use super::judgement::{Judgement, Verdict, at_most, time_at_most};
use super::schema::{ChaosReport, HostileReport, NetworkReport, ReportJson};
use crate::args::Scenario;
use crate::chaos;

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

/// Received by a client of a match, mean over clients, in bytes per second.
pub const MATCH_DOWN_MAX: f64 = 16.0 * 1024.0;
/// Received by a client in a crowd, mean over clients, in bytes per second.
pub const CROWD_DOWN_MAX: f64 = 32.0 * 1024.0;
/// Interest and encoding of a tick for a crowd, in µs: the 99th percentiles of both, added up.
pub const CROWD_ENCODE_P99_US_MAX: f64 = 1_500.0;
/// The bad network that a client must bear: the last three targets hold up to it.
pub const NETWORK: NetworkLimit = NetworkLimit {
    rtt_ms: 100.0,
    jitter_ms: 20.0,
    loss_percent: 5.0,
};
/// Share of commands that have an effect.
pub const APPLIED_SHARE_MIN: f64 = 0.9999;
/// 99th percentile of the age of states, without the half of the round trip that nobody can avoid, in µs.
pub const AGE_P99_US_MAX: f64 = 60_000.0;
/// 99th percentile of the correction of a predicted position, in cm.
pub const CORRECTION_P99_CM_MAX: f64 = 5.0;

/// How many times as high as before them the 99th percentiles of ticks and of states' ages may be with hostile clients.
pub const HOSTILE_TIMES_MAX: f64 = 1.25;
/// What grows from less than that, microseconds, is compared with that: of a few players it would be noise.
const HOSTILE_BASELINE_US_MIN: f64 = 500.0;
/// By how large a share the server's memory may grow while hostile clients are there.
pub const HOSTILE_RSS_GROWTH_MAX: f64 = 0.1;

/// Faults of scripts that a match must bear in a minute.
pub const FAULTS_MIN: u64 = 1_000;
/// 99th percentile of the time until a zone has an interpreter again, in ticks.
pub const RESTART_TICKS_MAX: f64 = 2.0;
/// The same for a zone that has a process of its own, in seconds.
pub const RESTART_PROCESS_S_MAX: f64 = 0.25;
/// How late a fault may make the zones that it isn't in, in ticks.
pub const OTHERS_LATE_TICKS_MAX: f64 = 1.0;
/// By how large a share the server's memory may grow in a storm of faults.
pub const RSS_GROWTH_MAX: f64 = 0.05;

/// A network as bad as the targets ask for.
#[derive(Clone, Copy, Debug)]
pub struct NetworkLimit {
    /// Round trip, in ms.
    pub rtt_ms: f64,
    /// Jitter of each way, in ms.
    pub jitter_ms: f64,
    /// Datagrams lost each way, in percent.
    pub loss_percent: f64,
}

impl NetworkLimit {
    /// It in half a sentence.
    fn in_words(&self) -> String {
        format!(
            "{} ms ± {} ms, {} % lost, in order, no rate limit",
            self.rtt_ms, self.jitter_ms, self.loss_percent
        )
    }

    /// Whether a network is no worse than this.
    fn covers(&self, network: &NetworkReport) -> bool {
        network.rtt_ms <= self.rtt_ms
            && network.jitter_ms <= self.jitter_ms
            && network.loss_percent <= self.loss_percent
            && network.reorder_percent == 0.0
            && network.rate_kbit == 0.0
    }
}

/// Why a target isn't judged that has no sample.
const NO_SAMPLE: &str = "nothing was measured";

/// Judges a run by all targets that runs of its sort have.
pub fn judge(report: &ReportJson) -> Judgement {
    let mut judgement = Judgement {
        verdicts: of_every_run(report),
        unjudged: Vec::new(),
    };
    judgement.verdicts.extend(of_the_wire(report));
    if let Some(network) = &report.network {
        of_a_bad_network(report, network, &mut judgement);
    }
    if let Some(hostile) = &report.hostile {
        of_hostile_clients(report, hostile, &mut judgement);
    }
    if let Some(chaos) = &report.chaos {
        judgement.verdicts.extend(of_chaos(report, chaos));
    }
    judgement
}

fn of_every_run(report: &ReportJson) -> Vec<Verdict> {
    let (run, tick, clients) = (&report.run, &report.tick, &report.clients);
    let missing = run.players.saturating_sub(clients.joined);
    let missed_share = if tick.run == 0 {
        1.0
    } else {
        tick.missed as f64 / tick.run as f64
    };
    let all = vec![
        Verdict {
            name: "players joined",
            value: clients.joined.to_string(),
            limit: format!("all {}", run.players),
            share: clients.joined as f64 / run.players.max(1) as f64,
            met: missing == 0 && run.players > 0,
            meaning: "clients over QUIC, each with its own session",
        },
        Verdict {
            name: "bots that play",
            value: clients.playing.to_string(),
            limit: format!("all {}", clients.joined),
            share: clients.playing as f64 / clients.joined.max(1) as f64,
            met: clients.playing == clients.joined && clients.joined > 0,
            meaning: "told of half of the ticks or more, half of their commands or more applied",
        },
        at_most(
            "dropped",
            clients.dropped as f64,
            0.0,
            |v| format::count(v as u64),
            match report.run.scenario {
                Scenario::Hostile => "honest connections that ended before the run did",
                Scenario::Match | Scenario::Crowd => "connections that ended before the run did",
            },
        ),
        at_most(
            "ticks missed",
            missed_share,
            MISSED_SHARE_MAX,
            |v| format!("{} %", format::significant(v * 100.0)),
            "ended after the next one was due",
        ),
        time_at_most(
            "tick, median",
            (&tick.duration_us, tick.duration_us.p50),
            TICK_P50_US_MAX,
            "half of all ticks are faster",
        ),
        time_at_most(
            "tick, p99",
            (&tick.duration_us, tick.duration_us.p99),
            TICK_P99_US_MAX,
            "one tick in a hundred is slower",
        ),
        time_at_most(
            "start jitter, p99",
            (&tick.start_jitter_us, tick.start_jitter_us.p99),
            JITTER_P99_US_MAX,
            "lateness of a tick against the absolute clock",
        ),
        at_most(
            "server memory",
            report.server.rss_mib_max,
            RSS_MIB_MAX,
            |v| format!("{v:.0} MiB"),
            "largest resident set, all interpreters",
        ),
    ];
    // A storm makes ticks late on purpose: by how much is judged of each, not of the most.
    let calm = report.chaos.is_none();
    let holds = |verdict: &Verdict| {
        calm || !["ticks missed", "tick, p99", "start jitter, p99"].contains(&verdict.name)
    };
    all.into_iter().filter(holds).collect()
}

/// What hostile clients may reach.
fn of_hostile_clients(report: &ReportJson, hostile: &HostileReport, judgement: &mut Judgement) {
    judgement.judge(at_most(
        "forgeries let in",
        hostile.let_in.values().sum::<u64>() as f64,
        0.0,
        |v| format::count(v as u64),
        "hellos and tokens that are false, used or too late",
    ));
    let baseline = &hostile.baseline;
    let times = [
        (
            "tick p99, growth",
            &report.tick.duration_us,
            &baseline.tick_duration_us,
            "against the same match before the hostile clients",
        ),
        (
            "state age, growth",
            &report.clients.snapshot_age_us,
            &baseline.snapshot_age_us,
            "its p99, against the same match before the hostile clients",
        ),
    ];
    for (name, with, without, meaning) in times {
        if with.is_empty() || without.is_empty() {
            judgement.leave_out(name, NO_SAMPLE);
            continue;
        }
        judgement.judge(at_most(
            name,
            with.p99 / without.p99.max(HOSTILE_BASELINE_US_MIN),
            HOSTILE_TIMES_MAX,
            |v| format!("{v:.2}×"),
            meaning,
        ));
    }
    if baseline.rss_mib > 0.0 {
        let growth = report.server.rss_mib_end / baseline.rss_mib - 1.0;
        judgement.judge(at_most(
            "memory growth",
            growth.max(0.0),
            HOSTILE_RSS_GROWTH_MAX,
            format::share,
            "of the server, from before the hostile clients to the end",
        ));
    } else {
        let why = "the server isn't the load tester's own";
        judgement.leave_out("memory growth", why);
    }
}

/// What a storm of faults in the scripts may do to the match.
fn of_chaos(report: &ReportJson, chaos: &ChaosReport) -> Vec<Verdict> {
    let faults = chaos.faults.values().sum::<u64>();
    let ends_process = |kind: &String| chaos::IN_PROCESSES.contains(&kind.as_str());
    let has_processes = chaos.faults.keys().any(ends_process);
    let restart_ticks = if has_processes {
        RESTART_PROCESS_S_MAX * f64::from(report.run.tick_hz)
    } else {
        RESTART_TICKS_MAX
    };
    let ticks = |v: f64| match format::significant(v).as_str() {
        "1" => "1 tick".to_owned(),
        other => format!("{other} ticks"),
    };
    let entities = |v: f64| format::count(v as u64);
    vec![
        Verdict {
            name: "faults borne",
            value: format::count(faults),
            limit: format!("≥ {}", format::count(FAULTS_MIN)),
            share: faults as f64 / FAULTS_MIN as f64,
            met: faults >= FAULTS_MIN,
            meaning: "of scripts, while the match went on",
        },
        at_most(
            "entities lost",
            chaos.lost as f64,
            0.0,
            entities,
            "that were in no zone",
        ),
        at_most(
            "entities doubled",
            chaos.doubled as f64,
            0.0,
            entities,
            "that were in two zones",
        ),
        at_most(
            "restart, p99",
            chaos.restart_ticks.p99,
            restart_ticks,
            ticks,
            "until a zone has an interpreter again",
        ),
        at_most(
            "other zones late",
            chaos.others_late_ticks_max,
            OTHERS_LATE_TICKS_MAX,
            ticks,
            "the latest end of a tick after the next was due",
        ),
        at_most(
            "memory growth",
            chaos.rss_growth.max(0.0),
            RSS_GROWTH_MAX,
            format::share,
            "from right before the storm to the end of the calm after it",
        ),
    ]
}

/// What the state costs, by what is asked of it.
fn of_the_wire(report: &ReportJson) -> Vec<Verdict> {
    let crowd = report.run.scenario == Scenario::Crowd;
    let limit = if crowd {
        CROWD_DOWN_MAX
    } else {
        MATCH_DOWN_MAX
    };
    let down = report.clients.bytes_down_per_s.mean;
    let down = at_most(
        "down per client",
        down,
        limit,
        |v| format!("{} KiB/s", format::significant(v / 1024.0)),
        "received by a client, mean over clients",
    );
    let encode = report.wire.as_ref().filter(|_| crowd).map(|wire| {
        time_at_most(
            "encode, p99",
            (&wire.state_us, wire.state_us.p99),
            CROWD_ENCODE_P99_US_MAX,
            "interest and encoding of a tick together, all clients",
        )
    });
    encode.into_iter().chain([down]).collect()
}

/// What clients notice of a network that is no worse than [`NETWORK`].
fn of_a_bad_network(report: &ReportJson, network: &NetworkReport, judgement: &mut Judgement) {
    const NAMES: [&str; 3] = ["commands applied", "state age, p99", "correction, p99"];
    let [applied, age, correction] = NAMES;
    let clients = &report.clients;
    if !NETWORK.covers(network) {
        let why = format!("this network is worse than {}", NETWORK.in_words());
        NAMES
            .iter()
            .for_each(|name| judgement.leave_out(name, &why));
        return;
    }
    match clients.applied_share() {
        Some(share) => judgement.judge(Verdict {
            name: applied,
            value: format::share(share),
            limit: format!("≥ {} %", APPLIED_SHARE_MIN * 100.0),
            share: share / APPLIED_SHARE_MIN,
            met: share >= APPLIED_SHARE_MIN,
            meaning: "commands that were there when their tick was",
        }),
        None => judgement.leave_out(applied, NO_SAMPLE),
    }
    if clients.snapshot_age_us.is_empty() {
        judgement.leave_out(age, NO_SAMPLE);
    } else {
        let one_way_us = network.rtt_ms * 1e3 / 2.0;
        judgement.judge(at_most(
            age,
            (clients.snapshot_age_us.p99 - one_way_us).max(0.0),
            AGE_P99_US_MAX,
            format::micros,
            "beyond half the round trip",
        ));
    }
    if clients.correction_cm.is_empty() {
        judgement.leave_out(correction, NO_SAMPLE);
    } else {
        judgement.judge(at_most(
            correction,
            clients.correction_cm.p99,
            CORRECTION_P99_CM_MAX,
            |v| format!("{} cm", format::significant(v)),
            "between a predicted position and the server's",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::schema::{Percentiles, WireReport};

    fn good() -> ReportJson {
        let mut report = ReportJson::default();
        report.run.players = 100;
        report.clients.joined = 100;
        report.clients.playing = 100;
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
        judge(&report)
            .verdicts
            .iter()
            .filter(|v| !v.met)
            .map(|v| v.name)
            .collect()
    }

    #[test]
    fn each_target_fails_alone_and_only_beyond_its_limit() {
        assert_eq!(missed_by(|_| ()), [""; 0]);
        let one_missing = |r: &mut ReportJson| (r.clients.joined, r.clients.playing) = (99, 99);
        assert_eq!(missed_by(one_missing), ["players joined"]);
        assert_eq!(missed_by(|r| r.clients.playing = 99), ["bots that play"]);
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
    fn a_client_of_a_match_may_receive_half_as_much_as_in_a_crowd() {
        let down = |scenario, kib: f64| {
            missed_by(|r| {
                r.run.scenario = scenario;
                r.clients.bytes_down_per_s.mean = kib * 1024.0;
            })
        };
        for scenario in [Scenario::Match, Scenario::Hostile] {
            assert_eq!(down(scenario, 16.0), [""; 0]);
            assert_eq!(down(scenario, 16.1), ["down per client"]);
        }
        assert_eq!(down(Scenario::Crowd, 32.0), [""; 0]);
        assert_eq!(down(Scenario::Crowd, 32.1), ["down per client"]);
    }

    #[test]
    fn encoding_is_judged_in_a_crowd_and_where_the_server_tells_of_it() {
        let slow = |r: &mut ReportJson| {
            let mut wire = WireReport::default();
            wire.state_us.p99 = 1501.0;
            r.wire = Some(wire);
        };
        assert_eq!(missed_by(slow), [""; 0], "not in a match");
        let in_a_crowd = |r: &mut ReportJson| {
            r.run.scenario = Scenario::Crowd;
            slow(r);
        };
        assert_eq!(missed_by(in_a_crowd), ["encode, p99"]);
    }

    #[test]
    fn a_bad_network_has_targets_of_its_own() {
        let bad = |r: &mut ReportJson| {
            r.network = Some(NetworkReport {
                rtt_ms: 100.0,
                jitter_ms: 20.0,
                loss_percent: 5.0,
                ..NetworkReport::default()
            });
            (r.clients.commands_settled, r.clients.commands_applied) = (100_000, 99_989);
            r.clients.snapshot_age_us.p99 = 110_100.0;
            r.clients.correction_cm.p99 = 5.1;
        };
        let names = ["commands applied", "state age, p99", "correction, p99"];
        assert_eq!(missed_by(bad), names);
        let good_enough = |r: &mut ReportJson| {
            bad(r);
            r.clients.commands_applied = 99_990;
            r.clients.snapshot_age_us.p99 = 110_000.0;
            r.clients.correction_cm.p99 = 5.0;
        };
        assert_eq!(missed_by(good_enough), [""; 0]);
        let worse = |r: &mut ReportJson| {
            bad(r);
            r.network.as_mut().expect("set").loss_percent = 6.0;
        };
        assert_eq!(missed_by(worse), [""; 0], "nobody promised that");
        let without = |r: &mut ReportJson| {
            bad(r);
            r.network = None;
        };
        assert_eq!(missed_by(without), [""; 0]);
    }

    #[test]
    fn targets_that_are_not_judged_are_told_with_the_reason() {
        let judged = |network: NetworkReport| {
            let mut report = good();
            report.network = Some(network);
            judge(&report)
        };
        let fast = judged(NetworkReport::default());
        let names = "commands applied; state age, p99; correction, p99";
        let line = format!("not judged: {names} (nothing was measured)");
        assert_eq!(fast.unjudged_in_words(), [line]);
        let slow = judged(NetworkReport {
            rate_kbit: 512.0,
            ..NetworkReport::default()
        });
        let why = "this network is worse than 100 ms ± 20 ms, 5 % lost, in order, no rate limit";
        let line = format!("not judged: {names} ({why})");
        assert_eq!(slow.unjudged_in_words(), [line]);
        assert_eq!(slow.outcome(), "9 of 9 targets met, 3 more not judged");
        assert_eq!(judge(&good()).outcome(), "9 of 9 targets met");
    }

    #[test]
    fn hostile_clients_let_nobody_in_and_make_little_difference() {
        let p99 = |p99| Percentiles {
            p99,
            ..Percentiles::default()
        };
        let attacked = |r: &mut ReportJson| {
            r.tick.duration_us.p99 = 5_000.0;
            r.clients.snapshot_age_us.p99 = 10_000.0;
            r.server.rss_mib_end = 130.0;
            let hostile = r.hostile.insert(HostileReport::default());
            hostile.baseline.tick_duration_us = p99(4_000.0);
            hostile.baseline.snapshot_age_us = p99(8_000.0);
            hostile.baseline.rss_mib = 120.0;
        };
        assert_eq!(missed_by(attacked), [""; 0]);
        let missed_with = |change: fn(&mut HostileReport)| {
            missed_by(|r| {
                attacked(r);
                r.hostile.iter_mut().for_each(change);
            })
        };
        let one_in = |h: &mut HostileReport| {
            h.let_in.insert("tokens: replayed".into(), 1);
        };
        assert_eq!(missed_with(one_in), ["forgeries let in"]);
        let slower = |h: &mut HostileReport| h.baseline.tick_duration_us.p99 = 3_999.0;
        assert_eq!(missed_with(slower), ["tick p99, growth"]);
        let older = |h: &mut HostileReport| h.baseline.snapshot_age_us.p99 = 7_999.0;
        assert_eq!(missed_with(older), ["state age, growth"]);
        let grown = |h: &mut HostileReport| h.baseline.rss_mib = 118.0;
        assert_eq!(missed_with(grown), ["memory growth"]);
        assert_eq!(missed_with(|h| h.baseline.rss_mib = 200.0), [""; 0]);

        let mut elsewhere = good();
        attacked(&mut elsewhere);
        let hostile = elsewhere.hostile.as_mut().expect("attacked");
        hostile.baseline.rss_mib = 0.0;
        elsewhere.clients.snapshot_age_us = Percentiles::default();
        let unjudged = judge(&elsewhere).unjudged;
        let names: Vec<_> = unjudged.iter().map(|unjudged| unjudged.name).collect();
        assert_eq!(names, ["state age, growth", "memory growth"]);
    }

    #[test]
    fn a_storm_is_judged_by_what_it_cost_and_not_by_the_usual_tick() {
        let storm = |r: &mut ReportJson| {
            (
                r.tick.missed,
                r.tick.duration_us.p99,
                r.tick.start_jitter_us.p99,
            ) = (900, 2e4, 5e3);
            r.run.tick_hz = 64;
            let chaos = r.chaos.insert(ChaosReport::default());
            chaos.faults.insert("endless_loop".into(), 1_000);
            chaos.restart_ticks.p99 = 2.0;
            (chaos.others_late_ticks_max, chaos.rss_growth) = (1.0, 0.05);
        };
        assert_eq!(missed_by(storm), [""; 0]);
        let missed_with = |change: fn(&mut ChaosReport)| {
            missed_by(|r| {
                storm(r);
                r.chaos.iter_mut().for_each(change);
            })
        };
        assert_eq!(missed_with(|c| c.faults.clear()), ["faults borne"]);
        let aftermath_only = |c: &mut ChaosReport| {
            c.faults.clear();
            c.aftermath = 1_000;
        };
        assert_eq!(missed_with(aftermath_only), ["faults borne"]);
        assert_eq!(missed_with(|c| c.lost = 1), ["entities lost"]);
        assert_eq!(missed_with(|c| c.doubled = 1), ["entities doubled"]);
        assert_eq!(missed_with(|c| c.restart_ticks.p99 = 2.1), ["restart, p99"]);
        assert_eq!(
            missed_with(|c| c.others_late_ticks_max = 1.1),
            ["other zones late"]
        );
        assert_eq!(missed_with(|c| c.rss_growth = 0.051), ["memory growth"]);
        assert_eq!(missed_with(|c| c.rss_growth = -0.2), [""; 0]);
        // A process takes longer to start: 250 ms are 16 ticks.
        let with_processes = |c: &mut ChaosReport| {
            c.faults.insert("sigkill".into(), 1);
            c.restart_ticks.p99 = 16.0;
        };
        assert_eq!(missed_with(with_processes), [""; 0]);
    }

    #[test]
    fn a_run_without_ticks_meets_nothing_by_accident() {
        let names = [
            "players joined",
            "bots that play",
            "ticks missed",
            "tick, median",
            "tick, p99",
            "start jitter, p99",
        ];
        let nothing = |r: &mut ReportJson| *r = ReportJson::default();
        assert_eq!(missed_by(nothing), names);
    }
}
