//! Single ticks, kept for a while, and the same by the second: what a timeline is drawn from.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Ticks that are remembered one by one: over four minutes at 64 a second.
const TICKS_KEPT: usize = 1 << 14;

/// The last values of something that happens once a tick.
#[derive(Clone, Debug)]
pub(crate) struct Recent<T> {
    /// By tick number, oldest first.
    kept: VecDeque<(u32, T)>,
}

impl<T> Recent<T> {
    pub(crate) fn new() -> Recent<T> {
        Recent {
            kept: VecDeque::with_capacity(TICKS_KEPT),
        }
    }

    pub(crate) fn push(&mut self, tick: u32, value: T) {
        if self.kept.len() == TICKS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((tick, value));
    }

    fn iter(&self) -> impl Iterator<Item = &(u32, T)> {
        self.kept.iter()
    }
}

/// One tick. Times in whole microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) duration_us: u32,
    pub(crate) start_jitter_us: u32,
    /// Slots of the schedule that were left out just before it.
    pub(crate) skipped: u32,
    /// Whether it ended after the next was due.
    pub(crate) missed: bool,
    pub(crate) commands_us: u32,
    pub(crate) zones_us: u32,
    pub(crate) barrier_us: u32,
    pub(crate) snapshot_us: u32,
}

/// Single ticks, oldest first. The vectors are equally long.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SingleTicks {
    /// Number of the first tick.
    pub first_tick: u32,
    /// From when each was due to its end.
    pub duration_us: Vec<u32>,
    /// From when each was due to its start.
    pub start_jitter_us: Vec<u32>,
    /// The first tick after each gap in the schedule, and how many slots the gap left out: from there
    /// on every tick is due so much later than its number says.
    pub skips: Vec<(u32, u32)>,
}

/// The ticks of one second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// Seconds since the first tick that is remembered.
    pub t_s: u32,
    /// Ticks that ran.
    pub ticks: usize,
    /// Of these, the missed ones.
    pub missed: usize,
    /// Median duration.
    pub p50_us: u32,
    /// 99th percentile of the duration.
    pub p99_us: u32,
    /// Longest duration.
    pub max_us: u32,
    /// Mean of each stage.
    pub stages_mean_us: StageMeans,
}

/// Means of a tick's parts over a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are those of the report's stages")]
pub struct StageMeans {
    pub commands: f64,
    pub zones: f64,
    pub barrier: f64,
    pub snapshot: f64,
    pub network: f64,
}

/// The single ticks of a record.
pub(crate) fn single_ticks(samples: &Recent<Sample>) -> SingleTicks {
    let values = |of: fn(&Sample) -> u32| samples.iter().map(|(_, sample)| of(sample)).collect();
    SingleTicks {
        first_tick: samples.iter().next().map_or(0, |(tick, _)| *tick),
        duration_us: values(|sample| sample.duration_us),
        start_jitter_us: values(|sample| sample.start_jitter_us),
        skips: samples
            .iter()
            .filter(|(_, sample)| sample.skipped > 0)
            .map(|(tick, sample)| (*tick, sample.skipped))
            .collect(),
    }
}

/// A record by the second of game time. `sent` is how long the network took for each tick that it sent.
pub(crate) fn seconds(samples: &Recent<Sample>, sent: &Recent<u32>, tick_hz: u32) -> Vec<Second> {
    let Some((first, _)) = samples.iter().next() else {
        return Vec::new();
    };
    let second_of = |tick: u32| tick.wrapping_sub(*first) / tick_hz;
    let mut ticks: BTreeMap<u32, Vec<Sample>> = BTreeMap::new();
    for (tick, sample) in samples.iter() {
        ticks.entry(second_of(*tick)).or_default().push(*sample);
    }
    let mut sending: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (tick, took_us) in sent.iter() {
        sending.entry(second_of(*tick)).or_default().push(*took_us);
    }
    let none = Vec::new();
    let seconds = ticks.iter().map(|(t_s, samples)| {
        let network = mean(sending.get(t_s).unwrap_or(&none).iter().copied());
        second(*t_s, samples, network)
    });
    seconds.collect()
}

fn second(t_s: u32, samples: &[Sample], network: f64) -> Second {
    let mut durations: Vec<_> = samples.iter().map(|sample| sample.duration_us).collect();
    durations.sort_unstable();
    let at = |quantile: f64| {
        let rank = (durations.len() as f64 * quantile).ceil() as usize;
        durations[rank.clamp(1, durations.len()) - 1]
    };
    let stage = |of: fn(&Sample) -> u32| mean(samples.iter().map(of));
    Second {
        t_s,
        ticks: samples.len(),
        missed: samples.iter().filter(|sample| sample.missed).count(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        max_us: at(1.0),
        stages_mean_us: StageMeans {
            commands: stage(|sample| sample.commands_us),
            zones: stage(|sample| sample.zones_us),
            barrier: stage(|sample| sample.barrier_us),
            snapshot: stage(|sample| sample.snapshot_us),
            network,
        },
    }
}

fn mean(values: impl ExactSizeIterator<Item = u32>) -> f64 {
    let count = values.len().max(1) as f64;
    let sum: f64 = values.map(f64::from).sum();
    (sum / count * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(duration_us: u32) -> Sample {
        Sample {
            duration_us,
            start_jitter_us: 7,
            missed: duration_us > 100,
            zones_us: 10,
            ..Sample::default()
        }
    }

    #[test]
    fn ticks_are_told_one_by_one_and_by_the_second() {
        let (mut samples, mut sent) = (Recent::new(), Recent::new());
        for k in 0..25 {
            let tick = (u32::MAX - 4).wrapping_add(k);
            samples.push(tick, sample(if k == 12 { 500 } else { k }));
            sent.push(tick, 3);
        }
        let single = single_ticks(&samples);
        assert_eq!(
            (single.first_tick, single.duration_us.len()),
            (u32::MAX - 4, 25)
        );
        let seconds = seconds(&samples, &sent, 10);
        let rows: Vec<_> = seconds
            .iter()
            .map(|s| (s.t_s, s.ticks, s.missed, s.max_us))
            .collect();
        assert_eq!(rows, [(0, 10, 0, 9), (1, 10, 1, 500), (2, 5, 0, 24)]);
        assert_eq!(seconds[0].p50_us, 4);
        assert_eq!(seconds[2].stages_mean_us.zones, 10.0);
        assert_eq!(seconds[2].stages_mean_us.network, 3.0);
    }

    #[test]
    fn the_oldest_ticks_are_forgotten() {
        let mut samples = Recent::new();
        for tick in 0..TICKS_KEPT as u32 + 5 {
            let skipped = if tick % 100 == 4 { tick } else { 0 };
            let sample = Sample {
                skipped,
                ..sample(1)
            };
            samples.push(tick, sample);
        }
        let single = single_ticks(&samples);
        assert_eq!(
            single.skips[..2],
            [(104, 104), (204, 204)],
            "4 is forgotten"
        );
        assert_eq!(
            (single.first_tick, single.duration_us.len()),
            (5, TICKS_KEPT)
        );
    }
}
