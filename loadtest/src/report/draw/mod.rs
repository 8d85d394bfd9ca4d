//! Just enough drawing for the report: a string of SVG, scales, and a plot area with axes.
//!
//! Colours, strokes and type are classes of the page's style sheet, so that one drawing serves light and dark.

mod plot;
mod scale;
mod svg;

pub use plot::{Axis, MARGIN_LEFT, Plot};
pub use scale::Scale;
pub use svg::{Anchor, Svg};
