//! A growing string of SVG.

use std::fmt::Write as _;

/// Which point of a text its x coordinate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// x is where the text begins.
    Start,
    /// x is its middle.
    Middle,
    /// x is where it ends.
    End,
}

/// A drawing under construction. Coordinates are pixels at full size, x to the right, y down.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

impl Svg {
    /// An empty drawing; `label` is what a screen reader says about it.
    pub fn new(width: f64, height: f64, label: &str) -> Svg {
        Svg {
            width,
            height,
            label: escape(label),
            body: String::new(),
        }
    }

    /// A rectangle; `title` shows on hover, empty for none. Nothing is drawn where width or height isn't positive.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str, title: &str) {
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}""#,
            n(x),
            n(y),
            n(width),
            n(height)
        );
        self.close("rect", title);
    }

    /// A circle.
    pub fn circle(&mut self, x: f64, y: f64, radius: f64, class: &str, title: &str) {
        let _ = write!(
            self.body,
            r#"<circle class="{class}" cx="{}" cy="{}" r="{}""#,
            n(x),
            n(y),
            n(radius)
        );
        self.close("circle", title);
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = write!(
            self.body,
            r#"<line class="{class}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            n(from.0),
            n(from.1),
            n(to.0),
            n(to.1)
        );
    }

    /// An open line through the points.
    pub fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, r#"<path class="{class}" d="{}"/>"#, path(points));
    }

    /// A filled area between two lines with the same x coordinates.
    pub fn area(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], class: &str, title: &str) {
        if upper.is_empty() {
            return;
        }
        let outline: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
        let _ = write!(
            self.body,
            r#"<path class="{class}" d="{}z""#,
            path(&outline)
        );
        self.close("path", title);
    }

    /// Equal rectangles as one path: thousands of tiles in a few bytes each.
    pub fn tiles(&mut self, corners: &[(f64, f64)], size: (f64, f64), class: &str) {
        if corners.is_empty() {
            return;
        }
        let _ = write!(self.body, r#"<path class="{class}" d=""#);
        for &(x, y) in corners {
            let _ = write!(
                self.body,
                "M{} {}h{}v{}h-{}z",
                n(x),
                n(y),
                n(size.0),
                n(size.1),
                n(size.0)
            );
        }
        self.body.push_str(r#""/>"#);
    }

    /// A text on the baseline y.
    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.body,
            r#"<text class="{class}" x="{}" y="{}" text-anchor="{anchor}">{}</text>"#,
            n(x),
            n(y),
            escape(text)
        );
    }

    /// The finished element.
    pub fn finish(self) -> String {
        format!(
            r#"<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>"#,
            n(self.width),
            n(self.height),
            self.label,
            self.body
        )
    }

    fn close(&mut self, element: &str, title: &str) {
        if title.is_empty() {
            self.body.push_str("/>");
        } else {
            let _ = write!(self.body, "><title>{}</title></{element}>", escape(title));
        }
    }
}

/// A coordinate in at most one decimal; more is below what one can see and doubles the file.
fn n(value: f64) -> String {
    debug_assert!(value.is_finite(), "a coordinate must be finite");
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 12);
    for (i, &(x, y)) in points.iter().enumerate() {
        let _ = write!(out, "{}{} {}", if i == 0 { 'M' } else { 'L' }, n(x), n(y));
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_coordinates_are_short() {
        let mut svg = Svg::new(10.0, 20.0, "a \"b\" & c");
        svg.rect(1.0, 2.26, 3.04, 4.0, "k", "<1>");
        svg.text(0.0, -0.01, Anchor::End, "t", "a<b");
        svg.tiles(&[(1.0, 2.0)], (3.0, 4.0), "m");
        assert_eq!(
            svg.finish(),
            concat!(
                r#"<svg viewBox="0 0 10 20" role="img" aria-label="a &quot;b&quot; &amp; c">"#,
                r#"<rect class="k" x="1" y="2.3" width="3" height="4"><title>&lt;1&gt;</title></rect>"#,
                r#"<text class="t" x="0" y="0" text-anchor="end">a&lt;b</text>"#,
                r#"<path class="m" d="M1 2h3v4h-3z"/></svg>"#,
            )
        );
    }

    #[test]
    fn what_has_no_extent_is_not_drawn() {
        let mut svg = Svg::new(1.0, 1.0, "");
        svg.rect(0.0, 0.0, 0.0, 5.0, "k", "");
        svg.polyline(&[], "k");
        svg.area(&[], &[], "k", "");
        svg.tiles(&[], (1.0, 1.0), "k");
        assert!(!svg.finish().contains("class"));
    }
}
