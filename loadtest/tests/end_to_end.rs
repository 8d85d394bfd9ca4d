//! The program itself: a few bots on a server of their own, and what it says when that can't be.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use loadtest::report::schema::ReportJson;

/// Far more than any of these runs takes, so that a hang fails the test rather than the test runner.
const TIME_MAX: Duration = Duration::from_secs(180);

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs the program from the checkout, as a person would, to its end.
fn loadtest(args: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(args.split_whitespace())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let began = Instant::now();
    while child.try_wait().expect("a child's state").is_none() {
        if began.elapsed() > TIME_MAX {
            child.kill().expect("it can be killed");
            panic!("`loadtest {args}` didn't end within {TIME_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn three_bots_play_for_two_seconds() {
    let out = folder("three_bots");
    let output = loadtest(&format!(
        "--players 3 --duration 2 --warmup 1 --zones 2 --seed 5 --out {}",
        out.display()
    ));
    let log = std::fs::read_to_string(out.join("server.log")).unwrap_or_default();
    let said = format!(
        "{}\n{}\nserver: {log}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    let json = std::fs::read_to_string(out.join("report.json")).expect("report.json is written");
    let report: ReportJson = serde_json::from_str(&json).expect("report.json is a report");
    assert_eq!(
        (report.clients.joined, report.clients.dropped),
        (3, 0),
        "{said}"
    );
    assert_eq!(
        (report.run.players, report.run.zones, report.run.seed),
        (3, 2, 5),
        "{said}"
    );
    assert_eq!(report.zones.len(), 2, "{said}");
    // About 128 ticks; how many on a machine that does other things isn't for a test to say.
    assert!(report.tick.run > 0, "{said}");
    assert!(
        report.clients.interpolation_ms.p50 > 0.0 && report.clients.correction_cm.max > 0.0,
        "the bots predict and interpolate"
    );
    assert!(
        report.clients.input_ack_us.p50 > 0.0,
        "no command was ever acknowledged\n{said}"
    );
    assert!(
        report.clients.snapshot_age_us.p50 > 0.0,
        "no state had an age\n{said}"
    );
    assert!(
        report.clients.bytes_down_per_s.p50 > 0.0 && report.clients.bytes_up_per_s.p50 > 0.0,
        "{said}"
    );
    assert!(out.join("index.html").is_file());
    assert!(text(&output.stdout).contains("players joined"), "{said}");
}

#[test]
fn a_server_that_does_not_start_is_shown_with_its_own_words() {
    let out = folder("no_mode");
    let output = loadtest(&format!(
        "--players 1 --mode no-such-mode --out {}",
        out.display()
    ));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the server didn't start"), "{said}");
    assert!(said.contains("no-such-mode"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Port 1 needs privileges to listen on; nobody does on a loopback address of one's own.
    let out = folder("nobody");
    let output = loadtest(&format!(
        "--players 1 --server 127.77.7.7:1 --ops 127.77.7.7:1 --out {}",
        out.display()
    ));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("127.77.7.7:1"), "{said}");
}
