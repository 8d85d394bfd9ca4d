//! What ticks cost since the server's start, for metrics, and in the last ticks, for `tessera top`.
//!
//! Belongs to the tick thread alone, as the [`Recorder`](crate::recorder::Recorder) does: a tick adds to
//! plain arrays, and who wants to read asks that thread, which answers in the slack after a tick.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tessera_sim::{TickTimings, ZoneTimings};

use crate::recorder::TickTimes;

/// Upper bounds of the histograms' buckets, nanoseconds: 10 µs to 1 s, and close together about the
/// budget of a tick.
pub(crate) const BOUNDS_NS: [u64; 20] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    4_000_000,
    6_000_000,
    8_000_000,
    10_000_000,
    12_500_000,
    15_625_000,
    20_000_000,
    31_250_000,
    62_500_000,
    250_000_000,
    1_000_000_000,
];

/// Ticks that [`Lately`] remembers: four seconds at 64 a second.
const LATELY_TICKS: usize = 256;

/// A histogram with the bounds of [`BOUNDS_NS`], and a bucket above them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets {
    /// How many were within each bound but not within the one before.
    pub(crate) counts: [u64; BOUNDS_NS.len() + 1],
    pub(crate) sum_ns: u64,
}

impl Buckets {
    /// Counts one of `ns` nanoseconds.
    pub(crate) fn record_ns(&mut self, ns: u64) {
        self.counts[BOUNDS_NS.partition_point(|bound| *bound < ns)] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }
}

/// One duration of each of the last ticks, whole microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Lately(VecDeque<u32>);

impl Default for Lately {
    fn default() -> Lately {
        Lately(VecDeque::with_capacity(LATELY_TICKS))
    }
}

impl Lately {
    /// Takes in the newest and forgets the oldest.
    pub(crate) fn record_ns(&mut self, ns: u64) {
        if self.0.len() == LATELY_TICKS {
            self.0.pop_front();
        }
        self.0
            .push_back(u32::try_from(ns / 1000).unwrap_or(u32::MAX));
    }

    /// The summary; all zero when there was none.
    pub(crate) fn quantiles_us(&self) -> Quantiles {
        Quantiles::of(self.0.iter().copied().collect())
    }
}

/// A distribution over the last ticks, or over clients. The unit is in the name of the field that
/// holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) max: u32,
}

impl Quantiles {
    pub(crate) fn of(mut values: Vec<u32>) -> Quantiles {
        values.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (values.len() * hundredths).div_ceil(100);
            values.get(rank.max(1) - 1).copied().unwrap_or(0)
        };
        Quantiles {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) ticks: u64,
    /// Ticks that ended after the next was due.
    pub(crate) late: u64,
    /// Slots of the schedule that were left out.
    pub(crate) skipped: u64,
    /// From when a tick was due to its end.
    pub(crate) duration: Buckets,
    /// From when a tick was due to its start.
    pub(crate) start_jitter: Buckets,
    pub(crate) commands: Buckets,
    pub(crate) zones_stage: Buckets,
    pub(crate) barrier: Buckets,
    pub(crate) snapshot: Buckets,
    /// In zone order.
    pub(crate) zones: Vec<ZoneTally>,
    /// As `duration`.
    pub(crate) lately: Lately,
}

/// What one zone's thread spent: processor time a tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZoneTally {
    pub(crate) script: Buckets,
    pub(crate) gather: Buckets,
    pub(crate) exchange: Buckets,
    pub(crate) snapshot: Buckets,
    pub(crate) gc: Buckets,
    pub(crate) script_lately: Lately,
    pub(crate) exchange_lately: Lately,
    pub(crate) gc_lately: Lately,
}

impl Tally {
    pub(crate) fn new(zones: usize) -> Tally {
        Tally {
            ticks: 0,
            late: 0,
            skipped: 0,
            duration: Buckets::default(),
            start_jitter: Buckets::default(),
            commands: Buckets::default(),
            zones_stage: Buckets::default(),
            barrier: Buckets::default(),
            snapshot: Buckets::default(),
            zones: (0..zones).map(|_| ZoneTally::default()).collect(),
            lately: Lately::default(),
        }
    }

    /// Adds a tick. Never allocates.
    pub(crate) fn record(&mut self, times: &TickTimes, timings: &TickTimings) {
        self.ticks += 1;
        self.late += u64::from(times.is_late());
        self.skipped += times.skipped;
        self.duration.record_ns(times.duration_ns());
        self.lately.record_ns(times.duration_ns());
        self.start_jitter.record_ns(times.start_jitter_ns());
        self.commands.record_ns(times.commands_ns(timings));
        self.zones_stage.record_ns(timings.zones_ns);
        self.barrier.record_ns(timings.barrier_ns);
        self.snapshot.record_ns(timings.snapshot_ns);
        for (tally, zone) in self.zones.iter_mut().zip(&timings.zones) {
            tally.record(zone);
        }
    }
}

impl ZoneTally {
    fn record(&mut self, zone: &ZoneTimings) {
        self.script.record_ns(zone.script_ns);
        self.gather.record_ns(zone.gather_ns);
        self.exchange.record_ns(zone.exchange_ns);
        self.snapshot.record_ns(zone.snapshot_ns);
        self.gc.record_ns(zone.gc_ns);
        self.script_lately.record_ns(zone.script_ns);
        self.exchange_lately.record_ns(zone.exchange_ns);
        self.gc_lately.record_ns(zone.gc_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it() {
        let mut buckets = Buckets::default();
        for ns in [0, 10_000, 10_001, 15_625_000, u64::MAX] {
            buckets.record_ns(ns);
        }
        assert_eq!(buckets.counts[..2], [2, 1]);
        assert_eq!(buckets.counts[14], 1, "a bound belongs to its bucket");
        assert_eq!(buckets.counts[20], 1, "above all bounds");
        assert_eq!(buckets.sum_ns, u64::MAX, "the sum saturates");
        assert!(BOUNDS_NS.is_sorted());
    }

    #[test]
    fn quantiles_are_of_the_last_ticks() {
        assert_eq!(Lately::default().quantiles_us(), Quantiles::default());
        let mut lately = Lately::default();
        for us in 0..1000 {
            lately.record_ns(us * 1000);
        }
        let expected = Quantiles {
            p50: 744 + 127,
            p99: 744 + 253,
            max: 999,
        };
        assert_eq!(lately.quantiles_us(), expected);
        assert_eq!(Quantiles::of(vec![7]).p99, 7);
    }
}
