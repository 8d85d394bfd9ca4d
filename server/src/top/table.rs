//! Lines of styled text, and tables of it that fit a width.

use super::style::{Paint, Style};

/// Text on one line, in parts that look differently.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    pub(super) fn new() -> Line {
        Line::default()
    }

    /// One part only.
    pub(super) fn of(style: Style, text: impl Into<String>) -> Line {
        Line::new().and(style, text)
    }

    /// The same with one more part.
    pub(super) fn and(mut self, style: Style, text: impl Into<String>) -> Line {
        self.0.push((style, text.into()));
        self
    }

    /// The same with some more parts.
    pub(super) fn then(mut self, line: Line) -> Line {
        self.0.extend(line.0);
        self
    }

    /// The same with blanks, up to a width.
    pub(super) fn padded(self, width: usize) -> Line {
        let missing = width.saturating_sub(self.width());
        self.and(Style::Plain, " ".repeat(missing))
    }

    /// Characters; all that we write are one column wide.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// As a terminal takes it, at most `width` columns.
    pub(super) fn show(&self, width: usize, paint: Paint) -> String {
        let mut left = width;
        let mut shown = String::new();
        for (style, text) in &self.0 {
            let part: String = text.chars().take(left).collect();
            left -= part.chars().count();
            if !part.is_empty() {
                shown.push_str(&paint.text(*style, &part));
            }
        }
        shown
    }
}

/// The groups beside each other, except those that the width does not hold: a line ends with a whole
/// group. The first is always there.
pub(super) fn beside(groups: impl IntoIterator<Item = Line>, width: usize) -> Line {
    let mut groups = groups.into_iter();
    let first = groups.next().unwrap_or_default();
    groups.fold(first, |line, group| {
        match line.width() + GAP + group.width() > width {
            true => line,
            false => line.and(Style::Plain, " ".repeat(GAP)).then(group),
        }
    })
}

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Columns of a higher rank go first where the width does not hold them all.
    pub(super) rank: u8,
    pub(super) cells: Vec<Line>,
}

/// Blanks between two columns.
const GAP: usize = 3;

/// The columns beside each other, numbers to the right, as many as fit.
pub(super) fn table(mut columns: Vec<Column>, width: usize) -> Vec<Line> {
    let wide = |columns: &[Column]| -> usize { columns.iter().map(|it| it.width() + GAP).sum() };
    while wide(&columns) > width {
        let last = columns.iter().enumerate().max_by_key(|(_, it)| it.rank);
        let Some((at, _)) = last else { break };
        columns.remove(at);
    }
    let rows = columns.iter().map(|column| column.cells.len()).max();
    let mut lines = vec![Line::new(); 1 + rows.unwrap_or(0)];
    for column in &columns {
        let head = Line::of(Style::Dim, column.head);
        for (line, cell) in lines
            .iter_mut()
            .zip([&head].into_iter().chain(&column.cells))
        {
            let blanks = column.width() + GAP - cell.width();
            let so_far = std::mem::take(line);
            *line = so_far
                .and(Style::Plain, " ".repeat(blanks))
                .then(cell.clone());
        }
    }
    lines
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(Line::width).max();
        cells.unwrap_or(0).max(self.head.chars().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(head: &'static str, rank: u8, cells: &[&str]) -> Column {
        let cells = cells.iter().map(|cell| Line::of(Style::Plain, *cell));
        Column {
            head,
            rank,
            cells: cells.collect(),
        }
    }

    fn show(columns: Vec<Column>, width: usize) -> Vec<String> {
        let lines = table(columns, width).into_iter();
        lines.map(|line| line.show(width, Paint::Nothing)).collect()
    }

    #[test]
    fn columns_line_up_and_the_least_important_goes_first() {
        let columns = || {
            vec![
                column("ZONE", 0, &["0", "1"]),
                column("GC", 2, &["7 µs", "12 µs"]),
                column("MAIL", 1, &["1", "100"]),
            ]
        };
        let all = [
            "   ZONE      GC   MAIL",
            "      0    7 µs      1",
            "      1   12 µs    100",
        ];
        assert_eq!(show(columns(), 22), all);
        let some = ["   ZONE   MAIL", "      0      1", "      1    100"];
        assert_eq!(show(columns(), 18), some);
        assert_eq!(show(columns(), 3).len(), 1, "nothing fits");
    }

    #[test]
    fn a_group_is_shown_whole_or_not_at_all() {
        let groups = || ["one", "three", "six"].map(|text| Line::of(Style::Plain, text));
        let shown = |width| beside(groups(), width).show(width, Paint::Nothing);
        assert_eq!(shown(80), "one   three   six");
        assert_eq!(shown(16), "one   three");
        assert_eq!(shown(10), "one   six");
        assert_eq!(shown(2), "on");
    }

    #[test]
    fn a_line_is_cut_by_what_is_seen_not_by_its_colours() {
        let line = Line::of(Style::Good, "green").and(Style::Bad, "red");
        assert_eq!(
            line.show(6, Paint::Colours),
            "\x1b[32mgreen\x1b[0m\x1b[1;31mr\x1b[0m"
        );
        assert_eq!(line.show(80, Paint::Nothing), "greenred");
    }
}
