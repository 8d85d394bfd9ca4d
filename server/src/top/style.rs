//! Colours that mean something: green is well within, yellow is worth a look, red is not as it should be.

use std::io::IsTerminal;

/// How some text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    #[default]
    Plain,
    /// What stands beside what matters: heads, units.
    Dim,
    /// What one looks for first.
    Strong,
    Good,
    Warning,
    Bad,
}

impl Style {
    /// By how much of a limit is used.
    pub(super) fn of_share(share: f64) -> Style {
        match share {
            share if share < 0.6 => Style::Good,
            share if share < 0.9 => Style::Warning,
            _ => Style::Bad,
        }
    }

    /// For a number that should be zero.
    pub(super) fn of_faults(count: u64, style: Style) -> Style {
        if count > 0 { style } else { Style::Plain }
    }
}

/// Whether styles are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Nothing,
}

impl Paint {
    /// As <https://no-color.org> asks for, and never into a file.
    pub(super) fn for_stdout() -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match refused || !std::io::stdout().is_terminal() {
            true => Paint::Nothing,
            false => Paint::Colours,
        }
    }

    pub(super) fn text(self, style: Style, text: &str) -> String {
        let code = match style {
            _ if self == Paint::Nothing => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Dim => "2",
            Style::Strong => "1",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
