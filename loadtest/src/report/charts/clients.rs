//! The bots: over time, and one by one.

use super::{HALF, timeline};
use crate::report::detail::{ClientRow, ClientSecond};
use crate::report::draw::{Anchor, Axis, Scale, Svg};
use crate::report::format;

/// Age of states and round trip of commands by the second.
pub fn client_timeline(rows: &[ClientSecond], end_s: f64) -> String {
    let high = rows
        .iter()
        .flat_map(|r| [r.age_p99_us, r.ack_p99_us])
        .fold(1_000.0, f64::max)
        * 1.15;
    let mut plot = timeline(
        (HALF, 240.0),
        "Age of states and round trip of commands by the second",
        end_s,
        Axis {
            domain: (0.0, high),
            log: false,
            ticks: 5,
            show: format::micros,
        },
    );
    let line = |value: fn(&ClientSecond) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (plot.x.at(r.t_s + 0.5), plot.y.at(value(r))))
            .collect()
    };
    let (age50, age99) = (line(|r| r.age_p50_us), line(|r| r.age_p99_us));
    let (ack50, ack99) = (line(|r| r.ack_p50_us), line(|r| r.ack_p99_us));
    for (p50, p99, class, name) in [
        (ack50, ack99, "c2", "command"),
        (age50, age99, "c1", "state"),
    ] {
        plot.svg.area(
            &p99,
            &p50,
            &format!("band {class}"),
            "median to 99th percentile",
        );
        plot.svg.polyline(&p99, &format!("line thin {class}"));
        plot.svg.polyline(&p50, &format!("line strong {class}"));
        for (points, name) in [(p50, name), (p99, "p99")] {
            if let Some(&(_, y)) = points.last() {
                plot.name(y, &format!("name {class}"), name);
            }
        }
    }
    plot.finish()
}

/// What all bots receive and send by the second.
pub fn bandwidth_timeline(rows: &[ClientSecond], end_s: f64) -> String {
    let high = rows
        .iter()
        .map(|r| r.bytes_down.max(r.bytes_up))
        .max()
        .unwrap_or(0)
        .max(1_000) as f64
        * 1.15;
    let mut plot = timeline(
        (HALF, 240.0),
        "Bytes received and sent by all bots by the second",
        end_s,
        Axis {
            domain: (0.0, high),
            log: false,
            ticks: 5,
            show: format::bytes,
        },
    );
    let line = |value: fn(&ClientSecond) -> u64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (plot.x.at(r.t_s + 0.5), plot.y.at(value(r) as f64)))
            .collect()
    };
    let lines = [
        (line(|r| r.bytes_down), "c4", "received"),
        (line(|r| r.bytes_up), "c3", "sent"),
    ];
    for (points, class, name) in lines {
        plot.svg.polyline(&points, &format!("line strong {class}"));
        if let Some(&(_, y)) = points.last() {
            plot.name(y, &format!("name {class}"), name);
        }
    }
    plot.finish()
}

/// One measure on a strip of its own.
struct Strip {
    name: &'static str,
    measure: fn(&ClientRow) -> f64,
    show: fn(f64) -> String,
    class: &'static str,
}

const LATENCIES: [Strip; 2] = [
    Strip {
        name: "state age, p99",
        measure: |c| c.snapshot_age_us.p99,
        show: format::micros,
        class: "c1",
    },
    Strip {
        name: "command, p99",
        measure: |c| c.input_ack_us.p99,
        show: format::micros,
        class: "c2",
    },
];

const RATES: [Strip; 2] = [
    Strip {
        name: "received per s",
        measure: |c| c.bytes_down_per_s,
        show: format::bytes,
        class: "c4",
    },
    Strip {
        name: "sent per s",
        measure: |c| c.bytes_up_per_s,
        show: format::bytes,
        class: "c3",
    },
];

/// How late each client was told and heard: an outlier is seen at once, and whether it is one on both measures.
pub fn client_latencies(clients: &[ClientRow]) -> String {
    strips("Each client's latencies as dots", clients, LATENCIES)
}

/// How much each client received and sent.
pub fn client_rates(clients: &[ClientRow]) -> String {
    strips("Each client's traffic as dots", clients, RATES)
}

/// Each client a dot on each measure.
fn strips(label: &str, clients: &[ClientRow], strips: [Strip; 2]) -> String {
    const ROW: f64 = 62.0;
    const LEFT: f64 = 128.0;
    const RIGHT: f64 = 12.0;
    let mut svg = Svg::new(HALF, ROW * strips.len() as f64, label);
    for (
        i,
        Strip {
            name,
            measure,
            show,
            class,
        },
    ) in strips.into_iter().enumerate()
    {
        let y = i as f64 * ROW + 24.0;
        let values: Vec<f64> = clients.iter().map(measure).collect();
        let high = values.iter().copied().fold(1.0, f64::max) * 1.05;
        let x = Scale::linear((0.0, high), (LEFT, HALF - RIGHT));
        svg.text(LEFT - 12.0, y + 4.0, Anchor::End, "row", name);
        svg.line((LEFT, y), (HALF - RIGHT, y), "grid");
        for value in x.ticks(4) {
            svg.text(x.at(value), y + 26.0, Anchor::Middle, "tick", &show(value));
        }
        for (k, (client, value)) in clients.iter().zip(&values).enumerate() {
            // A fixed scatter keeps equal values apart; the height means nothing.
            let lift = ((k * 37) % 17) as f64 - 8.0;
            svg.circle(
                x.at(*value),
                y + lift,
                3.4,
                &format!("dot {class}"),
                &format!("{}: {}", client.name, show(*value)),
            );
        }
    }
    svg.finish()
}
