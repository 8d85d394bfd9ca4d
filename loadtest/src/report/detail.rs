//! What the page shows beyond `report.json`: series, histograms, single clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::format;
use super::schema::{Percentiles, Run, Stages};

/// Buckets of a histogram: upper bound of each non-empty bucket (µs) and its count, ascending.
pub type Buckets = Vec<(f64, u64)>;

/// Everything that the page draws and `report.json` doesn't have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// Every tick of the window, or its last part when the window was longer than the server remembers.
    pub ticks: Ticks,
    /// The server by the second.
    pub seconds: Vec<Second>,
    /// Tick durations.
    pub duration: Buckets,
    /// Start jitter.
    pub jitter: Buckets,
    /// Ages of states at their arrival, all bots.
    pub snapshot_age: Buckets,
    /// Round trips of commands, all bots.
    pub input_ack: Buckets,
    /// By how much players were moved from where their clients had predicted them, in µm, all bots.
    pub correction: Buckets,
    /// How far in the past clients showed others, all bots.
    pub interpolation: Buckets,
    /// The bots by the second.
    pub client_seconds: Vec<ClientSecond>,
    /// The bots one by one.
    pub clients: Vec<ClientRow>,
    /// Counters of the server and of the bots, by name.
    pub counters: BTreeMap<String, u64>,
    /// Script errors that the server counted.
    pub hook_errors: Vec<HookErrors>,
    /// The storm of faults, in a run that had one.
    pub chaos: Option<ChaosDetail>,
    /// What the bots did, to judge whether it was a match.
    pub deeds: Deeds,
    /// What else a reader needs to repeat the run.
    pub conditions: Conditions,
}

/// What all bots did during the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deeds {
    /// Metres that their players moved.
    pub metres: f64,
    /// Commands with the trigger held.
    pub firing: u64,
    /// Commands with a jump.
    pub jumping: u64,
    /// Events that the server told them.
    pub events: u64,
    /// Bots whose player was alive at the end.
    pub alive: usize,
}

/// What only the page tells of a storm of faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChaosDetail {
    /// Faults that were to happen, by kind.
    pub planned: BTreeMap<String, u64>,
    /// Interpreters replaced, by reason.
    pub restarts: BTreeMap<String, u64>,
    /// Times that a zone had more restarts than it may.
    pub exhausted: u64,
    /// Hooks preempted.
    pub preemptions: u64,
    /// Entity ticks without hooks: resting, or their zone had been broken off.
    pub coasted: u64,
    /// Rests of entities.
    pub rests: u64,
    /// Allocations refused.
    pub memory_denied: u64,
    /// Ticks that ended after the next was due.
    pub late_ticks: usize,
    /// The server's resident set right before the storm, MiB.
    pub rss_mib_before: f64,
}

/// Values of single ticks, oldest first. The vectors are equally long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticks {
    /// Number of the first tick.
    pub first_tick: u32,
    /// Duration in µs.
    pub duration_us: Vec<u32>,
    /// Start jitter in µs.
    pub start_jitter_us: Vec<u32>,
    /// The first tick after each gap in the schedule, and how many slots the gap left out.
    pub skips: Vec<(u32, u32)>,
}

impl Ticks {
    /// In which slot of the schedule each tick ran, counted from the first tick's.
    pub fn slots(&self) -> Vec<usize> {
        let mut gaps = self.skips.iter().copied().peekable();
        gaps.next_if(|gap| gap.0 == self.first_tick);
        let mut left_out = 0;
        let slot = |i| {
            let tick = self.first_tick.wrapping_add(i as u32);
            left_out += gaps.next_if(|gap| gap.0 == tick).map_or(0, |gap| gap.1);
            i + left_out as usize
        };
        (0..self.duration_us.len()).map(slot).collect()
    }

    /// How long after the window's begin the first tick was due; the last was due at its end.
    pub fn begin_s(&self, run: &Run) -> f64 {
        let slots = self.slots().last().map_or(0, |last| last + 1);
        (run.duration_s - slots as f64 / f64::from(run.tick_hz.max(1))).max(0.0)
    }
}

/// The server's tick loop during one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Seconds since the window began.
    pub t_s: f64,
    /// Ticks that ran.
    pub ticks: u64,
    /// Of these, the missed ones.
    pub missed: u64,
    /// Median duration in µs.
    pub p50_us: f64,
    /// 95th percentile of the duration in µs; of 64 ticks the 99th would be the longest.
    pub p95_us: f64,
    /// Longest duration in µs.
    pub max_us: f64,
    /// Mean of each stage in µs.
    pub stages_mean_us: Stages<f64>,
}

/// All bots together during one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientSecond {
    /// Seconds since the window began.
    pub t_s: f64,
    /// Median age of states in µs.
    pub age_p50_us: f64,
    /// 99th percentile of the age in µs.
    pub age_p99_us: f64,
    /// Median round trip of commands in µs.
    pub ack_p50_us: f64,
    /// 99th percentile of the round trip in µs.
    pub ack_p99_us: f64,
    /// UDP payload received by all bots in this second.
    pub bytes_down: u64,
    /// UDP payload sent by all bots in this second.
    pub bytes_up: u64,
    /// Bots whose connection stood at the end of the second.
    pub connected: usize,
}

/// One bot over the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientRow {
    /// Its name in the match.
    pub name: String,
    /// Age of states in µs.
    pub snapshot_age_us: Percentiles,
    /// Round trip of commands in µs.
    pub input_ack_us: Percentiles,
    /// UDP payload received per second.
    pub bytes_down_per_s: f64,
    /// UDP payload sent per second.
    pub bytes_up_per_s: f64,
    /// States received that were newer than all before.
    pub states: u64,
    /// Commands sent.
    pub commands: u64,
    /// Commands never acknowledged.
    pub unacknowledged: u64,
    /// Commands whose fate is known.
    pub settled: u64,
    /// Of these, those without effect: a state said that their tick passed without them.
    pub missed: u64,
    /// Why the connection ended early; none for a bot that stayed.
    pub dropped: Option<String>,
}

/// Errors of one line of a script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookErrors {
    /// The hook, as class and method.
    pub hook: String,
    /// File and line.
    pub line: String,
    /// How often.
    pub count: u64,
}

/// What else a reader needs to judge and to repeat the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// The command line.
    pub command: String,
    /// When the window began, UTC, ISO 8601.
    pub started: String,
    /// Operating system and kernel.
    pub system: String,
    /// Memory of the machine in GiB.
    pub memory_gib: f64,
    /// CPU seconds that the bots took during the window, on the same cores.
    pub bots_cpu_s: f64,
    /// By how much the bots' priority was lowered (`nice`).
    pub bots_nice: i32,
    /// CPU seconds during the window that the host of a virtual machine gave to somebody else.
    pub stolen_cpu_s: f64,
    /// Processor time that equal pieces of work took during the window, in µs.
    pub work_us: Percentiles,
    /// Load average of the machine over the last minute before the start: what else was running.
    pub load_before: f64,
    /// Whether the server ran on this machine.
    pub local_server: bool,
}

/// Share of the cores' time taken by the host beyond which a run says as much about the host as about the server.
const STOLEN_SHARE_MAX: f64 = 0.01;

/// How many times longer than at the median the same work may take at 99 % and at 99.9 %. A core whose other
/// half is busy is slower by less.
const SLOWER_99_MAX: f64 = 2.0;
const SLOWER_999_MAX: f64 = 4.0;

impl Conditions {
    /// What a reader must know of the host before judging the figures, if anything.
    pub fn warning(&self, run: &Run) -> Option<String> {
        let share = self.stolen_cpu_s / (run.duration_s.max(1e-3) * run.cores.max(1) as f64);
        let stolen = (share > STOLEN_SHARE_MAX).then(|| {
            format!(
                "the host took {} % of the cores' time away during the run: latencies are the host's too",
                format::significant(share * 100.0)
            )
        });
        stolen.or_else(|| self.unevenness())
    }

    /// How much slower than usual the cores were at times, if that was much.
    fn unevenness(&self) -> Option<String> {
        let work = &self.work_us;
        let times = |at: f64| at / work.p50.max(f64::MIN_POSITIVE);
        let (rarely, seldom) = (times(work.p99), times(work.p999));
        (rarely > SLOWER_99_MAX || seldom > SLOWER_999_MAX).then(|| {
            format!(
                "the cores were uneven: the same work took {} times as long as usual in 1 of 100 cases, {} times in \
                 1 of 1 000: the highest percentiles are the host's too",
                format::significant(rarely),
                format::significant(seldom)
            )
        })
    }
}

impl Detail {
    /// Makes histograms and seconds out of single ticks; of the seconds the server told, the stages are kept.
    pub fn derive_from_ticks(&mut self, run: &Run) {
        let tick_hz = run.tick_hz.max(1);
        let hz = tick_hz as usize;
        let budget_us = 1_000_000 / tick_hz;
        let (begin_s, slots) = (self.ticks.begin_s(run), self.ticks.slots());
        self.duration = buckets_of(&self.ticks.duration_us);
        self.jitter = buckets_of(&self.ticks.start_jitter_us);
        // A part of a second at the end has too few ticks to compare.
        let whole = self.ticks.duration_us.len() / hz;
        self.seconds.resize_with(whole, Second::default);
        for (i, (second, ticks)) in self
            .seconds
            .iter_mut()
            .zip(self.ticks.duration_us.chunks(hz))
            .enumerate()
        {
            let mut sorted = ticks.to_vec();
            sorted.sort_unstable();
            let at = |share: f64| {
                f64::from(sorted[((hz as f64 * share).ceil() as usize).clamp(1, hz) - 1])
            };
            second.t_s = begin_s + slots[i * hz] as f64 / f64::from(tick_hz);
            second.ticks = ticks.len() as u64;
            second.missed = ticks.iter().filter(|us| **us > budget_us).count() as u64;
            (second.p50_us, second.p95_us, second.max_us) = (at(0.5), at(0.95), at(1.0));
        }
    }
}

/// Values as buckets of about two per cent.
fn buckets_of(values: &[u32]) -> Buckets {
    const PER_E: f64 = 50.0;
    let mut counts = BTreeMap::new();
    for value in values {
        *counts
            .entry((f64::from(*value).max(1.0).ln() * PER_E).round() as u32)
            .or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(step, count)| ((f64::from(step) / PER_E).exp(), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_takes_the_cores_away_is_named() {
        let run = Run {
            duration_s: 60.0,
            cores: 2,
            ..Run::default()
        };
        let warning = |stolen_cpu_s| {
            let conditions = Conditions {
                stolen_cpu_s,
                ..Conditions::default()
            };
            conditions.warning(&run)
        };
        assert_eq!(warning(1.2), None);
        let text = warning(6.0).expect("5 % is a lot");
        assert!(text.contains("took 5 %"), "{text}");
    }

    #[test]
    fn uneven_cores_are_told_of() {
        let warning = |p99, p999| {
            let work_us = Percentiles {
                p50: 100.0,
                p99,
                p999,
                ..Percentiles::default()
            };
            let conditions = Conditions {
                work_us,
                ..Conditions::default()
            };
            conditions.warning(&Run::default())
        };
        assert_eq!(Conditions::default().warning(&Run::default()), None);
        assert_eq!(warning(180.0, 390.0), None);
        for (p99, p999) in [(250.0, 300.0), (150.0, 1200.0)] {
            let text = warning(p99, p999).expect("uneven");
            assert!(text.contains("uneven"), "{text}");
        }
    }

    #[test]
    fn seconds_begin_when_they_did_after_gaps_and_forgotten_ticks() {
        let begins = |duration_s| {
            let ticks = Ticks {
                duration_us: vec![3_000; 128],
                skips: vec![(64, 32)],
                ..Ticks::default()
            };
            let mut detail = Detail {
                ticks,
                ..Detail::default()
            };
            let run = Run {
                tick_hz: 64,
                duration_s,
                ..Run::default()
            };
            detail.derive_from_ticks(&run);
            let begins = detail.seconds.iter().map(|s| s.t_s);
            begins.collect::<Vec<_>>()
        };
        assert_eq!(begins(2.5), [0.0, 1.5]);
        assert_eq!(begins(10.0), [7.5, 9.0]);
    }

    #[test]
    fn seconds_and_histograms_come_from_ticks() {
        let mut duration_us = vec![3_000; 128 + 30];
        duration_us[70] = 16_000;
        let ticks = Ticks {
            start_jitter_us: vec![50; 128 + 30],
            duration_us,
            ..Ticks::default()
        };
        let mut detail = Detail {
            ticks,
            ..Detail::default()
        };
        let run = Run {
            tick_hz: 64,
            ..Run::default()
        };
        detail.derive_from_ticks(&run);
        let rows: Vec<_> = detail
            .seconds
            .iter()
            .map(|s| (s.t_s, s.ticks, s.missed, s.max_us))
            .collect();
        assert_eq!(rows, [(0.0, 64, 0, 3_000.0), (1.0, 64, 1, 16_000.0)]);
        assert_eq!(
            detail.duration.iter().map(|b| b.1).collect::<Vec<_>>(),
            [157, 1]
        );
        assert!((detail.jitter[0].0 - 50.0).abs() < 1.0);
    }
}
