//! A plot area with axes, grid lines and reference lines.

use super::{Anchor, Scale, Svg};

/// How an axis writes its values.
type Show = fn(f64) -> String;

/// One axis: which values, how many grid lines, what they are called.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Lowest and highest value shown.
    pub domain: (f64, f64),
    /// Whether equal ratios are equal distances.
    pub log: bool,
    /// About how many grid lines.
    pub ticks: usize,
    /// How a value is written.
    pub show: Show,
}

impl Axis {
    fn scale(&self, range: (f64, f64)) -> Scale {
        if self.log {
            Scale::log(self.domain, range)
        } else {
            Scale::linear(self.domain, range)
        }
    }
}

/// A drawing with a plot area: draw marks with [`Plot::svg`] at coordinates from [`Plot::x`] and [`Plot::y`].
#[derive(Debug)]
pub struct Plot {
    /// The drawing.
    pub svg: Svg,
    /// From values to horizontal coordinates.
    pub x: Scale,
    /// From values to vertical coordinates.
    pub y: Scale,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    notes: Vec<(f64, f64, String)>,
    names: Vec<Name>,
}

/// The name of a line, beside its right end.
#[derive(Debug)]
struct Name {
    y: f64,
    class: String,
    text: String,
}

/// Room for the values of the vertical axis.
pub const MARGIN_LEFT: f64 = 62.0;
/// Room for the values of the horizontal axis.
const MARGIN_BOTTOM: f64 = 30.0;
/// Room for labels of reference lines.
const MARGIN_TOP: f64 = 22.0;
/// How far apart the baselines of names are at least.
const LINE: f64 = 15.0;

impl Plot {
    /// An empty plot with its grid. `margin_right` leaves room for labels beside the last value.
    pub fn new(
        size: (f64, f64),
        margin_right: f64,
        label: &str,
        x_axis: Axis,
        y_axis: Axis,
    ) -> Plot {
        let (left, right) = (MARGIN_LEFT, size.0 - margin_right);
        let (top, bottom) = (MARGIN_TOP, size.1 - MARGIN_BOTTOM);
        let (x, y) = (x_axis.scale((left, right)), y_axis.scale((bottom, top)));
        let mut svg = Svg::new(size.0, size.1, label);
        for value in y.ticks(y_axis.ticks) {
            svg.line((left, y.at(value)), (right, y.at(value)), "grid");
            svg.text(
                left - 8.0,
                y.at(value) + 4.0,
                Anchor::End,
                "tick",
                &(y_axis.show)(value),
            );
        }
        for value in x.ticks(x_axis.ticks) {
            svg.line((x.at(value), bottom), (x.at(value), bottom + 5.0), "axis");
            svg.text(
                x.at(value),
                bottom + 20.0,
                Anchor::Middle,
                "tick",
                &(x_axis.show)(value),
            );
        }
        svg.line((left, bottom), (right, bottom), "axis");
        Plot {
            svg,
            x,
            y,
            left,
            right,
            top,
            bottom,
            notes: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Vertical coordinate of the horizontal axis.
    pub fn bottom(&self) -> f64 {
        self.bottom
    }

    /// Vertical coordinate of the upper edge.
    pub fn top(&self) -> f64 {
        self.top
    }

    /// Names what ends at the height `y` of the right edge; names that would overlap are moved apart.
    pub fn name(&mut self, y: f64, class: &str, text: &str) {
        let (class, text) = (class.to_owned(), text.to_owned());
        self.names.push(Name { y, class, text });
    }

    /// A horizontal reference line at a value, its name beside its right end. Not drawn outside the domain.
    pub fn level(&mut self, value: f64, class: &str, name: &str) {
        let (low, high) = self.y.domain();
        if value < low || value > high {
            return;
        }
        let y = self.y.at(value);
        self.svg.line((self.left, y), (self.right, y), class);
        self.name(y, "note", name);
    }

    /// A vertical reference line at a value, its name at the top on its right. Not drawn outside the domain. `row` moves the name
    /// down by whole lines, so that names of close lines don't overlap.
    pub fn mark(&mut self, value: f64, class: &str, name: &str, row: usize) {
        let (low, high) = self.x.domain();
        if value < low || value > high {
            return;
        }
        let x = self.x.at(value);
        let y = self.top - 9.0 + row as f64 * LINE;
        self.svg.line((x, y + 4.0), (x, self.bottom), class);
        let drop = if row == 0 { 4.0 } else { 8.0 };
        self.notes.push((x + 4.0, y + drop, name.to_owned()));
    }

    /// The finished element; names come last, above all marks.
    pub fn finish(mut self) -> String {
        for (x, y, name) in &self.notes {
            self.svg.text(*x, *y, Anchor::Start, "note", name);
        }
        spread(&mut self.names, self.bottom);
        for Name { y, class, text } in &self.names {
            let (x, y) = (self.right + 8.0, y + 4.0);
            self.svg.text(x, y, Anchor::Start, class, text);
        }
        self.svg.finish()
    }
}

/// Sorts names by height and moves them apart by a line each, none below `bottom`.
fn spread(names: &mut [Name], bottom: f64) {
    names.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut above = f64::NEG_INFINITY;
    for name in names.iter_mut() {
        name.y = name.y.max(above + LINE);
        above = name.y;
    }
    let mut below = bottom + LINE;
    for name in names.iter_mut().rev() {
        name.y = name.y.min(below - LINE);
        below = name.y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_a_line_apart_and_above_the_axis() {
        let heights = |heights: &[f64]| {
            let named = heights.iter().map(|&y| Name {
                y,
                class: String::new(),
                text: String::new(),
            });
            let mut names: Vec<_> = named.collect();
            spread(&mut names, 100.0);
            names.iter().map(|name| name.y).collect::<Vec<_>>()
        };
        assert_eq!(heights(&[50.0, 10.0]), [10.0, 50.0]);
        assert_eq!(heights(&[50.0, 48.0, 49.0]), [48.0, 63.0, 78.0]);
        assert_eq!(heights(&[99.0, 98.0]), [85.0, 100.0]);
    }
}
