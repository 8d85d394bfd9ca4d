//! The server's ops endpoint, as far as the load test reads it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tessera_protocol::Tick;

use crate::chaos::Supervision;
use crate::report::detail::{Second, Ticks};
use crate::report::schema::{Run, ServerReport, TickReport, WireReport, ZoneReport};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Far more than any report; a wrong port may answer anything.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What `GET /report.json` answers.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct OpsReport {
    /// What runs and on what.
    pub run: Run,
    /// The tick loop since the last reset.
    pub tick: TickReport,
    /// The zones since the last reset.
    pub zones: Vec<ZoneReport>,
    /// The process since the last reset.
    pub server: ServerReport,
    /// Relation of ticks and time.
    #[serde(default)]
    pub clock: Option<Clock>,
    /// Single ticks since the last reset.
    #[serde(default)]
    pub ticks: Ticks,
    /// Seconds since the last reset.
    #[serde(default)]
    pub series: Vec<Second>,
    /// How the state was coded since the last reset.
    #[serde(default)]
    pub wire: Option<WireReport>,
    /// Counters by name, since the server's start.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Script errors by line, since the server's start.
    #[serde(default)]
    pub hook_errors: Vec<HookError>,
    /// What became of zones whose scripts did harm.
    #[serde(default)]
    pub supervision: Supervision,
}

/// Where hooks failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HookError {
    /// `Kind.hook`.
    pub hook: String,
    /// The file; empty for a value that doesn't fit its field.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// How often.
    pub count: u64,
}

/// When ticks are due, on the monotonic clock of the server's machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Clock {
    /// Number under which clients receive a tick's result.
    pub tick: u32,
    /// When that tick was due, in ns of `CLOCK_MONOTONIC`.
    pub due_ns: u64,
}

/// When each tick of a run was due.
#[derive(Clone, Debug)]
pub struct Timetable {
    clock: Clock,
    tick_hz: i64,
    /// The first tick after each gap, and how many slots of the schedule the gap left out.
    skips: Vec<(u32, u32)>,
}

impl Timetable {
    /// A timetable that goes through a tick whose due time is known.
    pub fn new(clock: Clock, tick_hz: u32, skips: Vec<(u32, u32)>) -> Timetable {
        Timetable {
            clock,
            tick_hz: i64::from(tick_hz.max(1)),
            skips,
        }
    }

    /// When the tick with this number was due, in ns of `CLOCK_MONOTONIC`.
    pub fn due_ns(&self, tick: Tick) -> i64 {
        let known = Tick(self.clock.tick);
        let mut slots = i64::from(tick.wrapping_sub(known));
        for &(first, left_out) in &self.skips {
            // A gap between the two moves an earlier tick further away.
            let between = Tick(first).is_newer_than(tick) && !Tick(first).is_newer_than(known);
            slots -= if between { i64::from(left_out) } else { 0 };
        }
        self.clock.due_ns.cast_signed() + slots * 1_000_000_000 / self.tick_hz
    }
}

/// The ops endpoint at an address. Each call is a connection of its own and blocks.
#[derive(Clone, Copy, Debug)]
pub struct Ops(pub SocketAddr);

impl Ops {
    /// The report since the last reset.
    ///
    /// # Errors
    /// When nobody answers there, or not with a report.
    pub fn report(&self) -> Result<OpsReport> {
        let body = self.ask("GET", "/report.json")?;
        serde_json::from_slice(&body)
            .with_context(|| format!("{} doesn't answer with a report of this build", self.0))
    }

    /// Begins the report anew.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn reset(&self) -> Result<()> {
        self.ask("POST", "/report/reset").map(drop)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>> {
        let whom = || format!("the server's ops endpoint {} ({method} {path})", self.0);
        let mut stream = TcpStream::connect_timeout(&self.0, TIMEOUT).with_context(whom)?;
        stream.set_read_timeout(Some(TIMEOUT)).with_context(whom)?;
        // Version 1.0: one answer, not in chunks, then the connection closes.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
            self.0
        );
        stream.write_all(request.as_bytes()).with_context(whom)?;
        let mut answer = Vec::new();
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer)
            .with_context(whom)?;
        body_of(answer).with_context(whom)
    }
}

/// The body of an answer, if its status is a success.
fn body_of(mut answer: Vec<u8>) -> Result<Vec<u8>> {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
        bail!("no HTTP answer");
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    ensure!(
        status.starts_with('2'),
        "it answers {:?}",
        head.lines().next().unwrap_or_default()
    );
    Ok(answer.split_off(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let body = |text: &str| {
            body_of(text.as_bytes().to_vec()).map(|b| String::from_utf8_lossy(&b).into_owned())
        };
        assert_eq!(
            body("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}").expect("a body"),
            "{}"
        );
        assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n").expect("empty"), "");
        assert!(
            body("HTTP/1.0 404 Not Found\r\n\r\nno")
                .expect_err("refused")
                .to_string()
                .contains("404")
        );
        assert!(body("SSH-2.0\r\n").is_err());
    }

    #[test]
    fn due_times_follow_the_tick_in_both_directions_and_over_the_wrap() {
        let timetable = |hz, skips| {
            Timetable::new(
                Clock {
                    tick: 2,
                    due_ns: 5_000_000_000,
                },
                hz,
                skips,
            )
        };
        assert_eq!(timetable(64, vec![]).due_ns(Tick(66)), 6_000_000_000);
        assert_eq!(timetable(3, vec![]).due_ns(Tick(u32::MAX)), 4_000_000_000);
        let gap = timetable(1, vec![(1, 2)]);
        assert_eq!(
            [3, 2, 1, 0].map(|tick| gap.due_ns(Tick(tick)) / 1_000_000_000),
            [6, 5, 4, 1]
        );
    }

    #[test]
    fn a_report_may_have_more_and_less() {
        let text = r#"{"run":{"commit":"c","cpu":"x","cores":2,"python":"3.13","players":1,"zones":1,"tick_hz":64,
            "duration_s":1.0,"seed":1,"mode":"m","map":"k"},"tick":{"run":1,"missed":0,"duration_us":{},
            "start_jitter_us":{"p50":1.5},"stages_us":{"zones":{}}},"zones":[],"server":{"cpu_s":1.0,"rss_mib_max":2.0},
            "hook_errors":[{"hook":"A.tick","file":"m/a.py","line":3,"message":"no","count":2}],"something":{"new":true}}"#;
        let report: OpsReport = serde_json::from_str(text).expect("a report");
        assert_eq!(
            (report.hook_errors[0].line, report.hook_errors[0].count),
            (3, 2)
        );
        assert_eq!(report.tick.start_jitter_us.p50, 1.5);
        assert_eq!((report.clock, report.wire), (None, None));
        let wire = r#","wire":{"encode_us":{"p99":7.0},"full_snapshots":{"first":3}}}"#;
        let text = format!("{}{wire}", text.trim_end_matches('}').to_owned() + "}");
        let report: OpsReport = serde_json::from_str(&text).expect("a report");
        let wire = report.wire.expect("told");
        assert_eq!((wire.encode_us.p99, wire.full_snapshots["first"]), (7.0, 3));
    }
}
