//! The run as a mosaic: each tick one tile, coloured by how much of its budget it took.

use std::fmt::Write as _;

use super::{FULL, FULL_NAMES, seconds};
use crate::report::detail::Ticks;
use crate::report::draw::{Anchor, MARGIN_LEFT, Scale, Svg};
use crate::report::format;

/// Upper bounds of the colour steps as shares of the budget; what lies beyond the last is missed.
const STEPS: [f64; 9] = [0.04, 0.08, 0.13, 0.19, 0.256, 0.36, 0.512, 0.75, 1.0];
/// Room above the tiles for the seconds.
const HEAD: f64 = 24.0;
/// Height of a tile in a short run.
const ROW_MAX: f64 = 9.0;
/// More columns than this and the tiles would be dust; then each tile is the slowest of several ticks.
const COLUMNS_MAX: usize = 270;

/// Draws all ticks: down half a second, then to the right, on the time axis of the timelines. `begin_s` is when the first
/// tick was due. Where the schedule left slots out there are holes.
pub fn mosaic(ticks: &Ticks, tick_hz: u32, begin_s: f64, end_s: f64) -> String {
    let rows = (tick_hz as usize / 2).clamp(8, 64);
    let budget_us = 1e6 / f64::from(tick_hz);
    let slots = ticks.slots();
    let count = slots.last().map_or(0, |last| last + 1);
    let merged = count.div_ceil(rows).div_ceil(COLUMNS_MAX).max(1);
    let mut steps = vec![None; count.div_ceil(merged)];
    for (i, slot) in slots.iter().enumerate() {
        let slowest = &mut steps[slot / merged];
        *slowest = (*slowest).max(Some(step(ticks, i, budget_us)));
    }
    let x = Scale::linear((0.0, end_s), (MARGIN_LEFT, FULL - FULL_NAMES));
    let column_s = (rows * merged) as f64 / f64::from(tick_hz);
    let pitch = x.at(column_s) - x.at(0.0);
    let row_pitch = pitch.min(ROW_MAX);
    let gap = (pitch * 0.12).min(1.2);
    let height = HEAD + rows as f64 * row_pitch;
    let mut svg = Svg::new(
        FULL,
        height,
        "Every tick of the run as a tile, coloured by its duration",
    );

    let mut tiles = vec![Vec::new(); STEPS.len() + 1];
    for (i, step) in steps.into_iter().enumerate() {
        let Some(step) = step else { continue };
        tiles[step].push((
            x.at(begin_s + (i / rows) as f64 * column_s),
            HEAD + (i % rows) as f64 * row_pitch,
        ));
    }
    for (step, corners) in tiles.iter().enumerate() {
        svg.tiles(corners, (pitch - gap, row_pitch - gap), &format!("m{step}"));
    }
    for value in x.ticks(12) {
        let at = x.at(value);
        svg.line((at, HEAD - 7.0), (at, HEAD - 2.0), "axis");
        svg.text(at, HEAD - 11.0, Anchor::Middle, "tick", &seconds(value));
    }
    svg.finish()
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
                0.0,
                count as f64 / 64.0,
            )
        };
        assert_eq!(run(100).matches("h-").count(), 100);
        assert_eq!(run(3_840).matches("h-").count(), 3_840);
        let merged = run(38_400).matches("h-").count();
        assert_eq!(merged, 38_400 / 5);
    }

    #[test]
    fn a_slot_that_was_left_out_is_a_hole() {
        let ticks = Ticks {
            first_tick: 5,
            duration_us: vec![500; 3],
            skips: vec![(5, 9), (7, 2)],
            ..Ticks::default()
        };
        assert_eq!(ticks.slots(), [0, 1, 4]);
        let svg = mosaic(&ticks, 64, 0.0, 1.0);
        assert_eq!(svg.matches("h-").count(), 3);
    }

    #[test]
    fn a_merged_tile_shows_its_slowest_tick() {
        let mut ticks = Ticks {
            duration_us: vec![500; 38_400],
            ..Ticks::default()
        };
        ticks.duration_us[20_001] = 40_000;
        assert!(mosaic(&ticks, 64, 0.0, 600.0).contains(r#"class="m9""#));
    }
}
