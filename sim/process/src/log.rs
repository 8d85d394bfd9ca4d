//! What a child process writes to its standard output and error, as lines of the server's log.

use std::io::{self, Read};

use rustix::io::Errno;
use tessera_protocol::ids::ZoneId;

/// Bytes that are read at a time, and in one tick at most.
const CHUNK_BYTES: usize = 4 << 10;
const TICK_BYTES: usize = 64 << 10;
/// Longer lines are cut here.
const LINE_BYTES_MAX: usize = 2 << 10;
/// Lines that one tick may add to the log; the others are only counted.
const TICK_LINES: usize = 64;

/// Reads what a child writes, without ever waiting for it.
pub(crate) struct Log {
    pipe: io::PipeReader,
    line: Vec<u8>,
}

impl Log {
    /// The child writes to the other end of `pipe`. What it writes while the pipe is full is lost.
    pub(crate) fn new(pipe: io::PipeReader) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            pipe,
            line: Vec::new(),
        })
    }

    /// Logs what the child has written so far, as of its zone, if it has one.
    pub(crate) fn drain(&mut self, zone: Option<ZoneId>) {
        let mut chunk = [0; CHUNK_BYTES];
        let (mut bytes, mut lines) = (0, 0);
        while bytes < TICK_BYTES
            && let Ok(count @ 1..) = self.pipe.read(&mut chunk)
        {
            bytes += count;
            for &byte in &chunk[..count] {
                if byte != b'\n' {
                    if self.line.len() < LINE_BYTES_MAX {
                        self.line.push(byte);
                    }
                    continue;
                }
                lines += 1;
                if lines <= TICK_LINES {
                    tell(zone, &String::from_utf8_lossy(&self.line));
                }
                self.line.clear();
            }
        }
        if let more @ 1.. = lines.saturating_sub(TICK_LINES) {
            let zone = zone.map(|zone| zone.0);
            tracing::warn!(target: "tessera::script", zone, "{more} more lines in this tick");
        }
    }

    /// Logs what is left when the child has ended.
    pub(crate) fn finish(&mut self, zone: Option<ZoneId>) {
        self.drain(zone);
        if !self.line.is_empty() {
            tell(zone, &String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

/// Logs a line at the level that it begins with: the child's own log does so.
fn tell(zone: Option<ZoneId>, line: &str) {
    let zone = zone.map(|zone| zone.0);
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let line = line.trim();
    let (level, rest) = line.split_once(' ').unwrap_or(("", line));
    match level {
        "ERROR" => tracing::error!(target: "tessera::script", zone, "{rest}"),
        "WARN" => tracing::warn!(target: "tessera::script", zone, "{rest}"),
        "INFO" => tracing::info!(target: "tessera::script", zone, "{rest}"),
        "DEBUG" => tracing::debug!(target: "tessera::script", zone, "{rest}"),
        "TRACE" => tracing::trace!(target: "tessera::script", zone, "{rest}"),
        _ => tracing::warn!(target: "tessera::script", zone, "{line}"),
    }
}

/// Begins the child's own log, on its standard error.
pub(crate) fn begin() {
    use tracing_subscriber::EnvFilter;
    // The environment is empty: this is what the server shows by default.
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_env_filter(EnvFilter::new("info"))
        .log_internal_errors(false)
        .with_writer(io::stderr)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
