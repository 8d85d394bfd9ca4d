//! Distributions below each other: a bar from the median to the 99th percentile, a line and a dot to the maximum.

use super::HALF;
use crate::report::draw::{Anchor, Scale, Svg};
use crate::report::schema::Percentiles;

/// Rows of distributions on a common logarithmic axis; `show` writes their values.
pub(super) fn ranges(
    label: &str,
    row_height: f64,
    rows: &[(String, Percentiles, &str)],
    show: fn(f64) -> String,
) -> String {
    const LEFT: f64 = 98.0;
    const RIGHT: f64 = 24.0;
    let positive = |v: f64| v.max(0.1);
    let low = rows
        .iter()
        .map(|r| positive(r.1.p50))
        .fold(f64::INFINITY, f64::min);
    let high = rows.iter().map(|r| positive(r.1.max)).fold(1.0, f64::max);
    let low = if low.is_finite() {
        low.min(high / 10.0)
    } else {
        0.1
    };
    let x = Scale::log((low * 0.7, high * 1.3), (LEFT, HALF - RIGHT));
    let height = rows.len() as f64 * row_height + 34.0;
    let mut svg = Svg::new(HALF, height, label);
    for value in x.ticks(5) {
        svg.line((x.at(value), 4.0), (x.at(value), height - 28.0), "grid");
        svg.text(
            x.at(value),
            height - 10.0,
            Anchor::Middle,
            "tick",
            &show(value),
        );
    }
    for (i, (name, p, class)) in rows.iter().enumerate() {
        let y = (i as f64 + 0.5) * row_height + 2.0;
        let title = format!(
            "{name}: median {}, p99 {}, p99.9 {}, max {}, mean {}",
            show(p.p50),
            show(p.p99),
            show(p.p999),
            show(p.max),
            show(p.mean)
        );
        svg.text(LEFT - 12.0, y + 4.0, Anchor::End, "row", name);
        svg.line(
            (x.at(positive(p.p50)), y),
            (x.at(positive(p.max)), y),
            &format!("whisker {class}"),
        );
        let (from, to) = (x.at(positive(p.p50)), x.at(positive(p.p99)));
        svg.rect(
            from,
            y - 6.0,
            (to - from).max(2.0),
            12.0,
            &format!("fill {class}"),
            &title,
        );
        svg.circle(
            x.at(positive(p.max)),
            y,
            3.0,
            &format!("dot {class}"),
            &title,
        );
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_their_unit() {
        let bits = Percentiles {
            p50: 40.0,
            p99: 90.0,
            max: 200.0,
            ..Percentiles::default()
        };
        let rows = [("bits".to_owned(), bits, "c1")];
        let svg = ranges("t", 30.0, &rows, |v| format!("{v:.0} bit"));
        assert!(svg.contains("median 40 bit") && !svg.contains(" ms"));
    }

    #[test]
    fn nothing_measured_still_draws() {
        let rows = [("none".to_owned(), Percentiles::default(), "c1")];
        assert!(ranges("t", 30.0, &rows, |v| v.to_string()).starts_with("<svg"));
    }
}
