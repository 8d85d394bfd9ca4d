//! The tick's duration over the run.

use super::{FULL, timeline};
use crate::report::detail::Second;
use crate::report::draw::Axis;
use crate::report::format;
use crate::report::targets;

/// Median, 95th percentile and maximum by the second, against the budget.
pub fn tick_timeline(rows: &[Second], tick_hz: u32, end_s: f64) -> String {
    let budget = 1e6 / f64::from(tick_hz);
    let positive = |v: f64| v.max(10.0);
    let low = rows
        .iter()
        .map(|r| positive(r.p50_us))
        .fold(budget / 4.0, f64::min)
        * 0.7;
    let high = rows.iter().map(|r| r.max_us).fold(budget, f64::max) * 1.15;
    let mut plot = timeline(
        (FULL, 300.0),
        "Tick duration by the second: median, 95th percentile, maximum",
        end_s,
        Axis {
            domain: (low, high),
            log: true,
            ticks: 6,
            show: format::micros,
        },
    );
    plot.level(
        budget,
        "limit",
        &format!("budget {}", format::micros(budget)),
    );
    plot.level(targets::TICK_P99_US_MAX, "goal", "p99 goal");
    plot.level(targets::TICK_P50_US_MAX, "goal", "median goal");

    let line = |value: fn(&Second) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (plot.x.at(r.t_s + 0.5), plot.y.at(positive(value(r)))))
            .collect()
    };
    let (p50, p95, max) = (line(|r| r.p50_us), line(|r| r.p95_us), line(|r| r.max_us));
    plot.svg
        .area(&p95, &p50, "band c1", "median to 95th percentile");
    plot.svg.polyline(&max, "line thin c3");
    plot.svg.polyline(&p95, "line c2");
    plot.svg.polyline(&p50, "line strong c1");
    let names = [
        ("max", &max, "c3"),
        ("p95", &p95, "c2"),
        ("median", &p50, "c1"),
    ];
    for (name, points, class) in names {
        if let Some(&(_, y)) = points.last() {
            plot.name(y, &format!("name {class}"), name);
        }
    }
    let bottom = plot.bottom();
    for row in rows {
        let x = plot.x.at(row.t_s + 0.5);
        if row.missed > 0 {
            let title = format!("{} missed in second {:.0}", row.missed, row.t_s);
            plot.svg.circle(
                x,
                bottom - 7.0,
                3.0 + (row.missed as f64).sqrt().min(5.0),
                "missed",
                &title,
            );
        }
        let title = format!(
            "second {:.0}: median {}, p95 {}, max {}, {} ticks",
            row.t_s,
            format::micros(row.p50_us),
            format::micros(row.p95_us),
            format::micros(row.max_us),
            row.ticks
        );
        let half = (plot.x.at(1.0) - plot.x.at(0.0)) / 2.0;
        let top = plot.top();
        plot.svg
            .rect(x - half, top, 2.0 * half, bottom - top, "hover", &title);
    }
    plot.finish()
}
