//! `tessera top`: a running server in a terminal.
//!
//! - `top/frame.rs`: two views of the server become the lines of a frame;
//! - `top/table.rs`: columns that line up and fit the width;
//! - `top/screen.rs`: the terminal, which is given back as it was.

use std::io::IsTerminal;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::ops::view::View;
use crate::remote::{Remote, RemoteError};
use crate::stdout;

mod frame;
mod screen;
mod style;
mod table;

use frame::Frame;
use screen::{Happened, Screen};
use style::Paint;

/// Columns of a frame that no terminal limits.
const WIDTH_WITHOUT_TERMINAL: usize = 120;

/// How often and how long to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub(crate) every: Duration,
    /// One frame, and the end.
    pub(crate) once: bool,
}

/// Shows the server until it is told to stop, or once where nobody watches.
///
/// # Errors
/// There is no server at that address, or no terminal to be had.
pub(crate) fn run(server: &str, looks: Looks) -> Result<(), Error> {
    let remote = Remote::new(server)?;
    let first: View = remote.get("/top.json")?;
    if looks.once || !std::io::stdout().is_terminal() {
        // Rates need a second look.
        thread::sleep(looks.every);
        let frame = Frame {
            server: remote.address(),
            before: Some(&first),
            now: &remote.get("/top.json")?,
            trouble: None,
        };
        let width = screen::width().unwrap_or(WIDTH_WITHOUT_TERMINAL);
        stdout::print(&frame.lines(width, Paint::for_stdout()).join("\n"))?;
        return Ok(stdout::print("\n")?);
    }
    let address = remote.address().to_owned();
    let views = look_again_and_again(remote, looks.every);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(show(&address, first, views))
}

/// Looks on a thread of its own, since an answer may take its time while keys are heard.
fn look_again_and_again(
    remote: Remote,
    every: Duration,
) -> mpsc::Receiver<Result<View, RemoteError>> {
    let (looked, views) = mpsc::channel(1);
    thread::spawn(move || {
        loop {
            thread::sleep(every);
            if looked.blocking_send(remote.get("/top.json")).is_err() {
                // The screen has gone.
                return;
            }
        }
    });
    views
}

async fn show(
    server: &str,
    first: View,
    mut views: mpsc::Receiver<Result<View, RemoteError>>,
) -> Result<(), Error> {
    let mut screen = Screen::enter()?;
    let (mut before, mut now, mut trouble) = (None, first, None);
    loop {
        let frame = Frame {
            server,
            before: before.as_ref(),
            now: &now,
            trouble: trouble.as_ref(),
        };
        let width = screen::width().unwrap_or(WIDTH_WITHOUT_TERMINAL);
        screen.draw(&frame.lines(width, Paint::for_stdout()))?;
        tokio::select! {
            happened = screen.happens() => match happened {
                Happened::Quit => return Ok(()),
                Happened::Resized => {}
            },
            Some(looked) = views.recv() => match looked {
                Ok(view) => {
                    trouble = None;
                    before = Some(std::mem::replace(&mut now, view));
                }
                Err(error) => trouble = Some(error),
            },
        }
    }
}
