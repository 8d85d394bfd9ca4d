//! The zones and the channels between them.

use super::HALF;
use super::ranges::ranges;
use crate::report::draw::{Anchor, Svg};
use crate::report::format;
use crate::report::schema::{ChannelReport, ZoneReport};

/// Script time of each zone: how evenly the load is spread.
pub fn zone_bars(zones: &[ZoneReport]) -> String {
    let rows: Vec<_> = zones
        .iter()
        .map(|z| (format!("zone {}", z.zone), z.script_us, "c1"))
        .collect();
    // About as high as the matrix beside it.
    let row_height = (240.0 / zones.len().max(1) as f64).clamp(18.0, 60.0);
    let label = "Python time of each zone per tick";
    ranges(label, row_height, &rows, format::micros)
}

/// Who sends how much to whom: rows send, columns receive.
pub fn channel_matrix(zones: &[ZoneReport]) -> String {
    const LEFT: f64 = 98.0;
    const TOP: f64 = 40.0;
    let n = zones.len().max(1);
    let cell = ((HALF - LEFT) / n as f64).min(118.0);
    let cell_height = cell.min(66.0);
    let width = HALF;
    let mut svg = Svg::new(
        width,
        TOP + n as f64 * cell_height + 4.0,
        "Channels: bytes from each zone to each other",
    );
    let most = zones
        .iter()
        .flat_map(|z| &z.channels)
        .map(|c| c.bytes)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    svg.text(LEFT - 12.0, TOP - 10.0, Anchor::End, "note", "from ↓  to →");
    for (row, from) in zones.iter().enumerate() {
        let y = TOP + row as f64 * cell_height;
        let middle = y + cell_height / 2.0;
        svg.text(
            LEFT - 12.0,
            middle + 4.0,
            Anchor::End,
            "row",
            &format!("zone {}", from.zone),
        );
        let x = LEFT + (row as f64 + 0.5) * cell;
        svg.text(x, TOP - 10.0, Anchor::Middle, "row", &from.zone.to_string());
        for (column, to) in zones.iter().enumerate() {
            let x = LEFT + column as f64 * cell;
            if row == column {
                svg.rect(x, y, cell - 3.0, cell_height - 3.0, "cell self", "");
                continue;
            }
            match from.channels.iter().find(|c| c.to == to.zone) {
                Some(channel) => draw_cell(
                    &mut svg,
                    (x, y),
                    (cell, cell_height),
                    from.zone,
                    channel,
                    most,
                ),
                None => svg.rect(x, y, cell - 3.0, cell_height - 3.0, "cell", "no channel"),
            }
        }
    }
    svg.finish()
}

fn draw_cell(
    svg: &mut Svg,
    at: (f64, f64),
    size: (f64, f64),
    from: u32,
    channel: &ChannelReport,
    most: f64,
) {
    let title = format!(
        "zone {from} → zone {}: {} messages, {}, deepest {}, refused {}",
        channel.to,
        format::count(channel.messages),
        format::bytes(channel.bytes as f64),
        channel.depth_max,
        channel.refused
    );
    // Square root: the eye compares areas, and neighbours differ from the far corners by orders of magnitude.
    let strength = (channel.bytes as f64 / most).sqrt();
    let step = (strength * 6.0).round() as usize;
    let class = if channel.refused > 0 {
        "cell bad".to_owned()
    } else {
        format!("cell h{step}")
    };
    svg.rect(at.0, at.1, size.0 - 3.0, size.1 - 3.0, &class, &title);
    let (x, y) = (at.0 + (size.0 - 3.0) / 2.0, at.1 + size.1 / 2.0);
    let ink = if step >= 4 { "on-dark" } else { "on-light" };
    if size.0 >= 90.0 {
        svg.text(
            x,
            y - 6.0,
            Anchor::Middle,
            &format!("value {ink}"),
            &format::bytes(channel.bytes as f64),
        );
        let note = match channel.refused {
            0 => format!("depth {}", channel.depth_max),
            refused => format!("refused {refused}"),
        };
        svg.text(x, y + 14.0, Anchor::Middle, &format!("tick {ink}"), &note);
    } else if size.0 >= 44.0 {
        svg.text(
            x,
            y + 4.0,
            Anchor::Middle,
            &format!("tick {ink}"),
            &format::bytes(channel.bytes as f64),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(n: u32) -> Vec<ZoneReport> {
        (0..n)
            .map(|zone| ZoneReport {
                zone,
                channels: (0..n)
                    .filter(|to| *to != zone)
                    .map(|to| ChannelReport {
                        to,
                        messages: 5,
                        bytes: 1_000,
                        depth_max: 3,
                        refused: u64::from(to == 1),
                    })
                    .collect(),
                ..ZoneReport::default()
            })
            .collect()
    }

    #[test]
    fn a_refusal_stands_out() {
        let svg = channel_matrix(&zones(4));
        assert_eq!(svg.matches("cell bad").count(), 3);
        assert_eq!(svg.matches("cell self").count(), 4);
    }

    #[test]
    fn one_zone_and_many_zones_draw() {
        for n in [0, 1, 16, 64] {
            assert!(channel_matrix(&zones(n)).starts_with("<svg"));
            assert!(zone_bars(&zones(n)).starts_with("<svg"));
        }
    }
}
