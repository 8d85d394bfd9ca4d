//! What the bots measure, from single values to distributions.
//!
//! All times are counted from when something was *due*, not from when it was done: a sender that was held up must not make
//! the wait look short (coordinated omission).

use hdrhistogram::Histogram;

use crate::report::detail::Buckets;
use crate::report::schema::Percentiles;

/// Values above are counted as this: a minute, in µs.
const HIGHEST_US: u64 = 60_000_000;

/// A distribution of times, or of any other non-negative whole numbers up to 60 million.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u32>,
    /// Exact, unlike the buckets: the worst case is what people quote.
    max: u64,
}

impl Distribution {
    /// An empty one that keeps `digits` significant digits, 1 to 5. Two take 11 KiB, three 64 KiB.
    ///
    /// # Panics
    /// With other numbers of digits.
    pub fn new(digits: u8) -> Distribution {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_US, digits).expect("1 to 5 digits");
        Distribution { histogram, max: 0 }
    }

    /// Counts a value; negative ones count as 0.
    pub fn record(&mut self, value: i64) {
        let value = value.max(0).cast_unsigned().min(HIGHEST_US);
        self.max = self.max.max(value);
        self.histogram.saturating_record(value);
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.max = 0;
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The summary; all 0 without values.
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile| self.histogram.value_at_quantile(quantile).min(self.max) as f64;
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.max as f64,
            mean: self.histogram.mean(),
        }
    }

    /// Non-empty buckets, ascending.
    pub fn buckets(&self) -> Buckets {
        self.histogram
            .iter_recorded()
            .map(|v| (v.value_iterated_to() as f64, u64::from(v.count_at_value())))
            .collect()
    }
}

/// The summary of exact values, such as one for each client; all 0 without values.
pub fn percentiles_of(mut values: Vec<f64>) -> Percentiles {
    if values.is_empty() {
        return Percentiles::default();
    }
    values.sort_by(f64::total_cmp);
    // Nearest rank: the smallest value with at least this share at or below it.
    let at = |share: f64| {
        values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1]
    };
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        mean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_agree_with_exact_ones() {
        let mut distribution = Distribution::new(3);
        (1..=1_000).for_each(|v| distribution.record(v));
        let exact = percentiles_of((1..=1_000).map(f64::from).collect());
        assert_eq!(exact.p99, 990.0);
        let close = distribution.percentiles();
        for (a, b) in [
            (close.p50, exact.p50),
            (close.p99, exact.p99),
            (close.max, exact.max),
            (close.mean, exact.mean),
        ] {
            assert!((a - b).abs() <= b / 1_000.0, "{a} for {b}");
        }
        assert_eq!(
            distribution.buckets().iter().map(|b| b.1).sum::<u64>(),
            1_000
        );
    }

    #[test]
    fn the_outside_is_clamped_and_nothing_is_nothing() {
        let mut distribution = Distribution::new(2);
        assert_eq!(distribution.percentiles(), Percentiles::default());
        distribution.record(-5);
        distribution.record(i64::MAX);
        assert_eq!(distribution.count(), 2);
        assert_eq!(distribution.percentiles().max, 60e6);
        assert_eq!(percentiles_of(Vec::new()), Percentiles::default());
    }
}
