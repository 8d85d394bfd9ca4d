//! What became of the datagrams on a simulated network.

use super::HALF;
use crate::report::draw::{Anchor, Scale, Svg};
use crate::report::format;
use crate::report::schema::{LinkCounts, NetworkReport};

/// Each direction as one bar: how much arrived in order, how much out of order, how much never did.
pub fn link_fates(network: &NetworkReport) -> String {
    const LEFT: f64 = 98.0;
    const ROW: f64 = 62.0;
    let rows = [("to server", network.up), ("to bots", network.down)];
    let mut svg = Svg::new(HALF, ROW * rows.len() as f64, "Fates of the datagrams");
    for (row, (name, counts)) in rows.into_iter().enumerate() {
        let y = row as f64 * ROW + 6.0;
        let total = total(counts);
        let x = Scale::linear((0.0, total.max(1) as f64), (LEFT, HALF));
        svg.text(LEFT - 12.0, y + 18.0, Anchor::End, "row", name);
        svg.rect(LEFT, y, HALF - LEFT, 28.0, "slack", "nothing sent");
        let mut at = 0;
        for (fate, count, class) in fates(counts) {
            let share = format::significant(count as f64 * 100.0 / total.max(1) as f64);
            let title = format!("{fate}: {} ({share} %)", format::count(count));
            let (from, to) = (x.at(at as f64), x.at((at + count) as f64));
            svg.rect(from, y, to - from, 28.0, &format!("fill {class}"), &title);
            at += count;
        }
        let note = format!("{} datagrams", format::count(total));
        svg.text(LEFT, y + 44.0, Anchor::Start, "tick", &note);
    }
    svg.finish()
}

/// The parts of a bar, in the order and colours of the page's legend.
fn fates(counts: LinkCounts) -> [(&'static str, u64, &'static str); 4] {
    let in_order = counts.forwarded - counts.reordered;
    [
        ("arrived", in_order, "c1"),
        ("arrived late, overtaken", counts.reordered, "c3"),
        ("lost", counts.lost, "c2"),
        ("dropped by a full queue", counts.queue_drops, "c5"),
    ]
}

fn total(counts: LinkCounts) -> u64 {
    counts.forwarded + counts.lost + counts.queue_drops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_bar_are_the_whole() {
        let counts = LinkCounts {
            forwarded: 90,
            lost: 8,
            reordered: 5,
            queue_drops: 2,
        };
        let parts: u64 = fates(counts).iter().map(|fate| fate.1).sum();
        assert_eq!(parts, total(counts));
        assert_eq!(total(counts), 100);
    }

    #[test]
    fn nothing_sent_still_draws() {
        assert!(link_fates(&NetworkReport::default()).starts_with("<svg"));
    }
}
