//! What a person sees while the match plays: a bar in a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::detail::ClientSecond;
use crate::report::format::{self, micros};

/// Seconds between two lines where there is no bar.
const LINE_EVERY_S: u64 = 10;

/// The bar, or its replacement.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    length_s: u64,
}

impl Progress {
    /// A bar that is full after `length`.
    pub fn new(length: Duration) -> Progress {
        let length_s = length.as_secs_f64().round() as u64;
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {bar:36.blue} {pos:>3}/{len} s  {msg}");
            let bar = ProgressBar::new(length_s);
            // The template is a constant: if it had a fault, the default style would do.
            style
                .map(|style| bar.set_style(style.progress_chars("■■·")))
                .ok();
            bar
        });
        Progress { bar, length_s }
    }

    /// What goes on before the window.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("  {text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Another second of the window is over, which began `before_s` seconds after the bar.
    pub fn second(&self, second: &ClientSecond, before_s: f64) {
        let at_s = (before_s + second.t_s) as u64 + 1;
        let commands = match second.ack_p50_us {
            0.0 => "no command acknowledged".into(),
            us => format!("commands acknowledged in {}", micros(us)),
        };
        let text = format!(
            "{} in the match · {commands} · {}/s down",
            second.connected,
            format::bytes(second.bytes_down as f64)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(at_s.min(self.length_s));
                bar.set_message(text);
            }
            None if at_s.is_multiple_of(LINE_EVERY_S) || at_s == self.length_s => {
                eprintln!("{at_s:>4}/{} s  {text}", self.length_s);
            }
            None => {}
        }
    }

    /// The window is over.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
