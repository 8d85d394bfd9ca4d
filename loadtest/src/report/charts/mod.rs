//! The drawings of the page, one file for each sort.

mod clients;
mod histogram;
mod mosaic;
mod network;
mod ranges;
mod stages;
mod ticks;
mod wire;
mod zones;

pub use clients::{bandwidth_timeline, client_latencies, client_rates, client_timeline};
pub use histogram::{Mark, histogram};
pub use mosaic::{legend as mosaic_legend, mosaic};
pub use network::link_fates;
pub use stages::{stage_bar, stage_ranges, stage_timeline};
pub use ticks::tick_timeline;
pub use wire::{encode_ranges, entity_bits};
pub use zones::{channel_matrix, zone_bars};

use super::draw::{Axis, Plot};

/// Width of a drawing over the whole page, in pixels at full size.
const FULL: f64 = 1080.0;
/// Width of a drawing over half the page.
const HALF: f64 = 530.0;

/// Room for names beside a timeline over the whole page: also for those of reference lines.
const FULL_NAMES: f64 = 108.0;
/// Room for names beside a timeline over half the page.
const HALF_NAMES: f64 = 88.0;

/// An empty timeline. All of a page end at the same second, so that those one above the other line up.
fn timeline(size: (f64, f64), label: &str, end_s: f64, y_axis: Axis) -> Plot {
    let full = size.0 == FULL;
    let (names, ticks) = if full {
        (FULL_NAMES, 12)
    } else {
        (HALF_NAMES, 6)
    };
    let x_axis = Axis {
        domain: (0.0, end_s),
        log: false,
        ticks,
        show: seconds,
    };
    Plot::new(size, names, label, x_axis, y_axis)
}

/// How a coordinate of a time axis is written: whole seconds.
fn seconds(value: f64) -> String {
    format!("{value:.0} s")
}
