//! The drawings of the page, one file for each sort.

mod clients;
mod histogram;
mod mosaic;
mod network;
mod ranges;
mod stages;
mod timeline;
mod wire;
mod zones;

pub use clients::{bandwidth_timeline, client_strips, client_timeline};
pub use histogram::{Mark, histogram};
pub use mosaic::{legend as mosaic_legend, mosaic};
pub use network::link_fates;
pub use stages::{stage_bar, stage_ranges, stage_timeline};
pub use timeline::tick_timeline;
pub use wire::{encode_ranges, entity_bits};
pub use zones::{channel_matrix, zone_bars};

/// Width of a drawing over the whole page, in pixels at full size.
const FULL: f64 = 1080.0;
/// Width of a drawing over half the page.
const HALF: f64 = 530.0;

/// How a coordinate of a time axis is written: whole seconds.
fn seconds(value: f64) -> String {
    format!("{value:.0} s")
}
