//! Where a tick's time goes.

use super::ranges::ranges;
use super::{FULL, HALF, timeline};
use crate::report::detail::Second;
use crate::report::draw::{Anchor, Axis, Scale, Svg};
use crate::report::format;
use crate::report::schema::{Percentiles, Stages};

/// Colour classes of the stages, in their order.
const COLOURS: [&str; 5] = ["c4", "c1", "c2", "c3", "c5"];
/// Stages that make up the tick; the network overlaps the next one.
const IN_TICK: usize = 4;

/// The mean tick as one bar as long as its budget.
pub fn stage_bar(stages: &Stages<Percentiles>, tick_hz: u32) -> String {
    let budget = 1e6 / f64::from(tick_hz);
    let named = stages.named();
    let in_tick: f64 = named[..IN_TICK].iter().map(|s| s.1.mean).sum();
    let x = Scale::linear((0.0, budget.max(in_tick)), (0.0, FULL));
    let mut svg = Svg::new(
        FULL,
        112.0,
        "The mean tick: how much of its budget each stage takes",
    );
    svg.rect(0.0, 22.0, FULL, 40.0, "slack", "slack");
    let mut at = 0.0;
    for (i, (name, stage)) in named[..IN_TICK].iter().enumerate() {
        let title = format!("{name}: mean {}", format::micros(stage.mean));
        svg.rect(
            x.at(at),
            22.0,
            x.at(at + stage.mean) - x.at(at),
            40.0,
            &format!("fill {}", COLOURS[i]),
            &title,
        );
        at += stage.mean;
    }
    let network = named[IN_TICK].1.mean;
    let title = format!(
        "network: mean {}, beside the next tick",
        format::micros(network)
    );
    svg.rect(
        0.0,
        66.0,
        x.at(network),
        14.0,
        &format!("fill {}", COLOURS[IN_TICK]),
        &title,
    );
    svg.text(
        x.at(network) + 6.0,
        78.0,
        Anchor::Start,
        "note",
        "network, beside the next tick",
    );
    svg.text(
        0.0,
        14.0,
        Anchor::Start,
        "note",
        &format!("in the tick {}", format::micros(in_tick)),
    );
    let slack = format!("slack {}", format::micros((budget - in_tick).max(0.0)));
    svg.text(
        FULL,
        14.0,
        Anchor::End,
        "note",
        &format!("{slack} of {}", format::micros(budget)),
    );
    for value in x.ticks(8) {
        svg.line((x.at(value), 84.0), (x.at(value), 88.0), "axis");
        let anchor = if value == 0.0 {
            Anchor::Start
        } else {
            Anchor::Middle
        };
        svg.text(x.at(value), 104.0, anchor, "tick", &format::micros(value));
    }
    svg.finish()
}

/// Median to 99th percentile of each stage, the mean and the maximum as points.
pub fn stage_ranges(stages: &Stages<Percentiles>) -> String {
    let rows: Vec<_> = stages
        .named()
        .iter()
        .zip(COLOURS)
        .map(|(&(name, p), class)| (name.to_owned(), p, class))
        .collect();
    ranges("Distribution of each stage", 34.0, &rows, format::micros)
}

/// Mean of each stage by the second, stacked.
pub fn stage_timeline(rows: &[Second], end_s: f64) -> String {
    let sum = |r: &Second| -> f64 {
        r.stages_mean_us.named()[..IN_TICK]
            .iter()
            .map(|s| s.1)
            .sum()
    };
    let high = rows.iter().map(sum).fold(100.0, f64::max) * 1.15;
    let mut plot = timeline(
        (HALF, 220.0),
        "Mean of each stage by the second",
        end_s,
        Axis {
            domain: (0.0, high),
            log: false,
            ticks: 4,
            show: format::micros,
        },
    );
    let mut below: Vec<f64> = vec![0.0; rows.len()];
    for (stage, colour) in COLOURS.into_iter().enumerate().take(IN_TICK) {
        let above: Vec<f64> = rows
            .iter()
            .zip(&below)
            .map(|(r, b)| b + r.stages_mean_us.named()[stage].1.max(0.0))
            .collect();
        let points = |values: &[f64]| -> Vec<(f64, f64)> {
            rows.iter()
                .zip(values)
                .map(|(r, v)| (plot.x.at(r.t_s + 0.5), plot.y.at(*v)))
                .collect()
        };
        let (upper, lower) = (points(&above), points(&below));
        let name = Stages::<f64>::default().named()[stage].0;
        plot.svg
            .area(&upper, &lower, &format!("fill {colour}"), name);
        if let (Some(upper), Some(lower)) = (upper.last(), lower.last()) {
            plot.name((upper.1 + lower.1) / 2.0, &format!("name {colour}"), name);
        }
        below = above;
    }
    plot.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_adds_up_to_the_budget() {
        let mut stages = Stages::<Percentiles>::default();
        stages.zones.mean = 3_000.0;
        stages.barrier.mean = 125.0;
        let svg = stage_bar(&stages, 64);
        assert!(
            svg.contains("in the tick 3.12 ms") || svg.contains("in the tick 3.13 ms"),
            "{svg}"
        );
        assert!(svg.contains("slack 12.5 ms of 15.6 ms"), "{svg}");
    }

    #[test]
    fn stages_of_nothing_still_draw() {
        let nothing = Stages::<Percentiles>::default();
        assert!(stage_bar(&nothing, 64).starts_with("<svg"));
        assert!(stage_ranges(&nothing).starts_with("<svg"));
        assert!(stage_timeline(&[], 1.0).starts_with("<svg"));
    }
}
