//! Durations, counted cheaply and told as percentiles.

use hdrhistogram::Histogram as Hdr;
use serde::Serialize;

/// The resolution of small durations; larger ones keep three digits.
const RESOLUTION_NS: u64 = 64;

/// Longer durations count as this long.
const LONGEST_NS: u64 = 60_000_000_000;

/// How long something took, over many times.
#[derive(Clone, Debug)]
pub struct Durations(Hdr<u32>);

impl Durations {
    /// None so far.
    pub fn new() -> Durations {
        let histogram = Hdr::new_with_bounds(RESOLUTION_NS, LONGEST_NS, 3);
        Durations(histogram.expect("the bounds are constants in order"))
    }

    /// Counts one of `ns` nanoseconds. Never allocates.
    pub fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The summary; all zero when nothing was counted.
    pub fn percentiles_us(&self) -> Percentiles {
        let us = |ns: u64| ns as f64 / 1e3;
        // A histogram answers with the upper end of a bucket, which may be above the true maximum.
        let at = |quantile| us(self.0.value_at_quantile(quantile).min(self.0.max()));
        if self.0.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: us(self.0.max()),
            mean: self.0.mean().round() / 1e3,
        }
    }
}

impl Default for Durations {
    fn default() -> Durations {
        Durations::new()
    }
}

/// A distribution in a report. The unit is in the name of the field that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the definition")]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub mean: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let mut durations = Durations::new();
        assert_eq!(durations.percentiles_us(), Percentiles::default());
        for us in 1..=1000 {
            durations.record_ns(us * 1000);
        }
        let p = durations.percentiles_us();
        for (value, expected) in [
            (p.p50, 500.0),
            (p.p90, 900.0),
            (p.p99, 990.0),
            (p.p999, 999.0),
            (p.max, 1000.0),
            (p.mean, 500.5),
        ] {
            assert!(
                (value - expected).abs() <= expected / 1000.0,
                "{value} for {expected}"
            );
        }
        assert_eq!(durations.count(), 1000);
    }

    #[test]
    fn absurd_durations_saturate() {
        let mut durations = Durations::new();
        durations.record_ns(u64::MAX);
        let max = durations.percentiles_us().max;
        assert!((60e6..61e6).contains(&max), "{max}");
    }
}
