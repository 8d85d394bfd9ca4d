//! The terminal: keys without echo, a screen of its own, and both given back on every way out.

use std::io::{Read, Write, stdin, stdout};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The cursor, and the screen from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Q, or Ctrl-C.
const QUIT: [u8; 3] = [b'q', b'Q', 3];

/// What the person at the terminal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Quit,
    Resized,
}

/// The terminal, until it is dropped.
pub(super) struct Screen {
    /// `None` where keys come from elsewhere; then signals alone end it.
    keys: Option<Keys>,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    resize: Signal,
}

impl Screen {
    pub(super) fn enter() -> std::io::Result<Screen> {
        // Signals first: from here on one of them ends this in order.
        let screen = Screen {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            resize: signal(SignalKind::window_change())?,
            keys: Keys::take()?,
        };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows a frame in place of the one before, as much as the window holds.
    pub(super) fn draw(&mut self, lines: &[String]) -> std::io::Result<()> {
        let rows = tcgetwinsize(stdout()).map_or(usize::MAX, |size| usize::from(size.ws_row));
        let lines = lines.get(..rows).unwrap_or(lines);
        // Each line is cleared after it was written, so nothing flickers.
        write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }

    /// Waits for a key or signal that means something.
    pub(super) async fn happens(&mut self) -> Happened {
        tokio::select! {
            () = quits(self.keys.as_mut()) => Happened::Quit,
            _ = self.interrupt.recv() => Happened::Quit,
            _ = self.terminate.recv() => Happened::Quit,
            _ = self.hang_up.recv() => Happened::Quit,
            _ = self.resize.recv() => Happened::Resized,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
        let _ = write(LEAVE);
    }
}

/// Keys as they are pressed, without echo, until this is dropped.
struct Keys {
    before: Termios,
    quit: mpsc::Receiver<()>,
}

impl Keys {
    fn take() -> std::io::Result<Option<Keys>> {
        let Ok(before) = tcgetattr(stdin()) else {
            return Ok(None);
        };
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        let (pressed, quit) = mpsc::channel(1);
        let keys = Keys { before, quit };
        tcsetattr(stdin(), OptionalActions::Flush, &modes)?;
        // A read cannot be called off: the thread waits in it until the process ends.
        thread::spawn(move || {
            let mut keys = stdin().lock().bytes().map_while(Result::ok);
            if keys.any(|key| QUIT.contains(&key)) {
                let _ = pressed.blocking_send(());
            }
        });
        Ok(Some(keys))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Waits for a key that quits, or for the end of all keys.
async fn quits(keys: Option<&mut Keys>) {
    match keys {
        Some(keys) => drop(keys.quit.recv().await),
        None => std::future::pending().await,
    }
}

/// Columns of the terminal that standard output is; `None` where it is none.
pub(super) fn width() -> Option<usize> {
    let columns = tcgetwinsize(stdout()).ok()?.ws_col;
    (columns > 0).then_some(columns.into())
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
