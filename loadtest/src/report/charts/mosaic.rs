//! The run as a mosaic: each tick one tile, coloured by how much of its budget it took.

use std::fmt::Write as _;

use super::FULL;
use crate::report::detail::Ticks;
use crate::report::draw::{Anchor, Svg};
use crate::report::format;

/// Upper bounds of the colour steps as shares of the budget; what lies beyond the last is missed.
const STEPS: [f64; 9] = [0.04, 0.08, 0.13, 0.19, 0.256, 0.36, 0.512, 0.75, 1.0];
/// Room above the tiles for the seconds.
const HEAD: f64 = 24.0;
const TILE_MAX: f64 = 27.0;
/// More columns than this and the tiles would be dust; then each tile is the slowest of several ticks.
const COLUMNS_MAX: usize = 270;

/// Draws all ticks: down half a second, then to the right.
pub fn mosaic(ticks: &Ticks, tick_hz: u32) -> String {
    let rows = (tick_hz as usize / 2).clamp(8, 64);
    let count = ticks.duration_us.len();
    let merged = count.div_ceil(rows).div_ceil(COLUMNS_MAX).max(1);
    let budget_us = 1e6 / f64::from(tick_hz);
    let steps: Vec<usize> = (0..count)
        .step_by(merged)
        .map(|first| {
            (first..(first + merged).min(count))
                .map(|i| step(ticks, i, budget_us))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let columns = steps.len().div_ceil(rows).max(1);
    let pitch = (FULL / columns as f64).min(TILE_MAX);
    let row_pitch = pitch.min(9.0);
    let gap = (pitch * 0.12).min(1.2);
    let height = HEAD + rows as f64 * row_pitch;
    let mut svg = Svg::new(
        FULL,
        height,
        "Every tick of the run as a tile, coloured by its duration",
    );

    let mut tiles = vec![Vec::new(); STEPS.len() + 1];
    for (i, &step) in steps.iter().enumerate() {
        tiles[step].push((
            (i / rows) as f64 * pitch,
            HEAD + (i % rows) as f64 * row_pitch,
        ));
    }
    for (step, corners) in tiles.iter().enumerate() {
        svg.tiles(corners, (pitch - gap, row_pitch - gap), &format!("m{step}"));
    }
    let columns_per_s = f64::from(tick_hz) / (rows * merged) as f64;
    let every_s = label_distance(columns_per_s * pitch);
    let length_s = count as f64 / f64::from(tick_hz);
    let mut at = 0.0;
    while at < length_s {
        let x = at * columns_per_s * pitch;
        svg.line((x, HEAD - 6.0), (x, HEAD - 2.0), "axis");
        // The last label must not be cut off at the right edge.
        if x < FULL - 30.0 {
            svg.text(
                x + 3.0,
                HEAD - 8.0,
                Anchor::Start,
                "tick",
                &format!("{at:.0} s"),
            );
        }
        at += every_s;
    }
    svg.finish()
}

/// Seconds between two labels when a second is so many pixels wide.
fn label_distance(pixels_per_s: f64) -> f64 {
    [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
        .into_iter()
        .find(|s| s * pixels_per_s >= 80.0)
        .unwrap_or(600.0)
}

fn step(ticks: &Ticks, i: usize, budget_us: f64) -> usize {
    let duration = f64::from(ticks.duration_us[i]);
    STEPS
        .iter()
        .position(|s| duration <= s * budget_us)
        .unwrap_or(STEPS.len())
}

/// The colours and what they mean, as HTML.
pub fn legend(tick_hz: u32) -> String {
    let budget_us = 1e6 / f64::from(tick_hz);
    let mut out = String::from(r#"<ul class="legend">"#);
    for (i, share) in STEPS.iter().enumerate() {
        let _ = write!(
            out,
            r#"<li><i class="m{i}"></i>≤ {}</li>"#,
            format::micros(share * budget_us)
        );
    }
    let _ = write!(
        out,
        r#"<li><i class="m{}"></i>missed</li></ul>"#,
        STEPS.len()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_missed_when_it_ends_after_the_next_was_due() {
        let ticks = Ticks {
            duration_us: vec![300, 15_625, 15_626],
            ..Ticks::default()
        };
        assert_eq!([0, 1, 2].map(|i| step(&ticks, i, 15_625.0)), [0, 8, 9]);
    }

    #[test]
    fn every_tick_is_a_tile_until_there_are_too_many() {
        let run = |count: usize| {
            mosaic(
                &Ticks {
                    duration_us: vec![500; count],
                    ..Ticks::default()
                },
                64,
            )
        };
        assert_eq!(run(100).matches("h-").count(), 100);
        assert_eq!(run(3_840).matches("h-").count(), 3_840);
        let merged = run(38_400).matches("h-").count();
        assert_eq!(merged, 38_400 / 5);
    }

    #[test]
    fn a_merged_tile_shows_its_slowest_tick() {
        let mut ticks = Ticks {
            duration_us: vec![500; 38_400],
            ..Ticks::default()
        };
        ticks.duration_us[20_001] = 40_000;
        assert!(mosaic(&ticks, 64).contains(r#"class="m9""#));
    }
}
