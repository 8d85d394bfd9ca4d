//! A histogram of latencies: logarithmic in both directions, so that one slow tick in four thousand is visible.

use super::HALF;
use crate::report::draw::{Axis, Plot};
use crate::report::format;

/// A named vertical line.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// Where, in the unit of the values.
    pub value: f64,
    /// Its name.
    pub name: &'a str,
    /// A limit (values beyond it are drawn as bad) or just a percentile.
    pub limit: bool,
}

const BINS: usize = 64;
/// How far the count axis reaches above the highest bar, so that the marks' names have room.
const HEADROOM: f64 = 12.0;

/// Draws buckets (upper bound, count); `show` writes their values.
pub fn histogram(
    label: &str,
    buckets: &[(f64, u64)],
    marks: &[Mark<'_>],
    show: fn(f64) -> String,
) -> String {
    let total: u64 = buckets.iter().map(|b| b.1).sum();
    let (low, high) = domain(buckets, marks);
    let bins = rebin(buckets, low, high);
    let highest = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut plot = Plot::new(
        (HALF, 260.0),
        // The name of the last mark stands beside it.
        96.0,
        label,
        Axis {
            domain: (low, high),
            log: true,
            ticks: 5,
            show,
        },
        Axis {
            domain: (0.6, highest * HEADROOM),
            log: true,
            ticks: 5,
            show: format::short_count,
        },
    );
    let limit = marks
        .iter()
        .find(|m| m.limit)
        .map_or(f64::INFINITY, |m| m.value);
    for (i, &count) in bins.iter().enumerate().filter(|(_, c)| **c > 0) {
        let (from, to) = (edge(low, high, i), edge(low, high, i + 1));
        let (x0, x1, y) = (plot.x.at(from), plot.x.at(to), plot.y.at(count as f64));
        let class = if from >= limit { "bar bad" } else { "bar" };
        let title = format!(
            "{} – {}: {} ({} %)",
            show(from),
            show(to),
            format::count(count),
            format::significant(count as f64 * 100.0 / total as f64)
        );
        let bottom = plot.bottom();
        plot.svg
            .rect(x0 + 0.4, y, x1 - x0 - 0.8, bottom - y, class, &title);
    }
    // From left to right each name a line lower: so none is crossed by another's line.
    let mut marks = marks.to_vec();
    marks.sort_by(|a, b| a.value.total_cmp(&b.value));
    for (row, mark) in marks.iter().enumerate() {
        let name = format!("{} {}", mark.name, show(mark.value));
        plot.mark(
            mark.value,
            if mark.limit { "limit" } else { "percentile" },
            &name,
            row,
        );
    }
    plot.finish()
}

/// From the fastest value to the slowest or the limit, with a little air; at least half a decade.
fn domain(buckets: &[(f64, u64)], marks: &[Mark<'_>]) -> (f64, f64) {
    let low = buckets.first().map_or(1.0, |b| b.0).max(1.0);
    let slowest = buckets.last().map_or(low, |b| b.0).max(low);
    // A limit that is far off would squeeze the data into a corner; then its absence says enough.
    let limit = marks
        .iter()
        .filter(|m| m.limit && m.value < slowest * 12.0)
        .map(|m| m.value);
    let high = limit.fold(slowest, f64::max) * 1.25;
    (low * 0.9, high.max(low * 3.0))
}

fn edge(low: f64, high: f64, i: usize) -> f64 {
    low * (high / low).powf(i as f64 / BINS as f64)
}

fn rebin(buckets: &[(f64, u64)], low: f64, high: f64) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    let width = (high / low).ln() / BINS as f64;
    for &(value, count) in buckets {
        let bin = ((value.max(low) / low).ln() / width) as usize;
        bins[bin.min(BINS - 1)] += count;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_lost_in_rebinning() {
        let buckets = [(0.0, 2), (900.0, 5), (1_000.0, 7), (40_000.0, 1)];
        let (low, high) = domain(&buckets, &[]);
        assert_eq!(rebin(&buckets, low, high).iter().sum::<u64>(), 15);
    }

    #[test]
    fn values_beyond_the_limit_are_drawn_as_bad() {
        let limit = Mark {
            value: 15_625.0,
            name: "budget",
            limit: true,
        };
        let svg = histogram(
            "t",
            &[(3_000.0, 100), (18_000.0, 1)],
            &[limit],
            format::micros,
        );
        assert_eq!(svg.matches("bar bad").count(), 1);
        assert!(svg.contains("budget 15.6 ms"));
    }

    #[test]
    fn nothing_measured_still_draws() {
        assert!(histogram("t", &[], &[], format::micros).starts_with("<svg"));
    }
}
