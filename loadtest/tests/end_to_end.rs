//! The program itself: a few bots on a server of their own, and what it says when that can't be.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use loadtest::args::Scenario;
use loadtest::chaos::{IN_PROCESSES, IN_SCRIPTS};
use loadtest::report::schema::ReportJson;
use loadtest::server::{HIDDEN_COMMAND, Ops};

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

/// Runs it with a server of its own; gives the report, and all that was said, for messages.
fn report_of(name: &str, args: &str) -> (ReportJson, String) {
    let out = folder(name);
    let output = loadtest(&format!("{args} --zones 2 --out {}", out.display()));
    let log = std::fs::read_to_string(out.join("server.log")).unwrap_or_default();
    let said = format!(
        "{}\n{}\nserver: {log}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    let json = std::fs::read_to_string(out.join("report.json")).expect("report.json is written");
    let report = serde_json::from_str(&json).expect("report.json is a report");
    (report, said)
}

#[test]
fn three_bots_play_for_two_seconds() {
    let (report, said) = report_of("three_bots", "--players 3 --duration 2 --warmup 1 --seed 5");
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
    let commands_settled = report.clients.commands_settled;
    assert!(
        report.clients.commands_sent > 0 && commands_settled > 0,
        "{said}"
    );
    assert!(said.contains("bots that play"), "{said}");
    assert!(folder("three_bots").join("index.html").is_file());
    assert!(said.contains("players joined"), "{said}");
}

#[test]
fn a_bad_network_is_simulated_and_told() {
    let args = "--players 3 --duration 2 --warmup 2 --rtt 60 --loss 10";
    let (report, said) = report_of("bad_network", args);
    assert_eq!(report.clients.dropped, 0, "{said}");
    let network = report.network.expect("a network was asked for");
    assert_eq!((network.rtt_ms, network.loss_percent), (60.0, 10.0));
    assert!(network.up.lost > 0 && network.down.lost > 0, "{said}");
    assert_eq!((network.up.reordered, network.down.reordered), (0, 0));
    // Nothing is faster than the network; how much slower is not for a test to say.
    let clients = &report.clients;
    assert!(clients.snapshot_age_us.p50 >= 30_000.0, "{said}");
    assert!(clients.input_ack_us.p50 >= 60_000.0, "{said}");
    assert!(said.contains("60 ms there and back, 10 % lost"), "{said}");
}

#[test]
fn a_crowd_walks_in_a_mode_of_its_own() {
    let args = "--scenario crowd --players 4 --duration 1 --warmup 1";
    let (report, said) = report_of("crowd", args);
    assert_eq!(
        (report.run.mode.as_str(), report.run.scenario),
        ("crowd", Scenario::Crowd)
    );
    assert_eq!(
        (report.clients.joined, report.clients.dropped),
        (4, 0),
        "{said}"
    );
    assert!(report.clients.commands_applied > 0, "{said}");
}

#[test]
fn hostile_clients_are_told_off_and_honest_ones_stay() {
    let args = "--scenario hostile --players 3 --duration 10 --warmup 1 --seed 5";
    let (report, said) = report_of("hostile", args);
    assert_eq!(
        (report.clients.joined, report.clients.dropped),
        (3, 0),
        "{said}"
    );
    let hostile = report.hostile.expect("there were hostile clients");
    let baseline = &hostile.baseline;
    assert!(baseline.duration_s >= 5.0, "{baseline:?}");
    assert!(
        baseline.tick_duration_us.p99 > 0.0 && baseline.snapshot_age_us.p99 > 0.0,
        "{baseline:?}"
    );
    assert!(said.contains("tick p99, growth"), "{said}");
    let ended = |why: &str| hostile.ended.get(why).copied().unwrap_or(0);
    assert!(ended("bad name") > 0, "{said}");
    assert!(ended("another protocol") > 0, "{said}");
    assert!(ended("garbage on the control stream") > 0, "{said}");
    for why in [
        "no token",
        "token used before",
        "token expired",
        "token for another match",
        "token not signed",
    ] {
        assert!(ended(why) > 0, "{why}\n{said}");
    }
    let counted = |what: &str| hostile.counted.get(what).copied().unwrap_or(0);
    for reason in ["missing", "used", "expired", "for_another_match", "bad"] {
        let refused = counted(&format!("refused_token_{reason}"));
        assert!(refused > 0, "{reason}\n{said}");
    }
    assert!(hostile.thrown.contains_key("tokens: replayed"), "{said}");
    assert!(hostile.let_in.is_empty(), "{said}");
    let key = folder("hostile").join("hostile/token.key");
    assert!(!key.exists(), "the key is gone with the run");
    assert!(counted("datagrams_bad") > 0, "{said}");
    assert!(counted("commands_not_finite") > 0, "{said}");
    assert!(counted("commands_foreign") > 0, "{said}");
}

#[test]
fn a_match_goes_on_while_its_scripts_do_harm() {
    let args = "--chaos 5 --players 3 --duration 4 --warmup 1";
    let (report, said) = report_of("chaos", args);
    assert_eq!(
        report.run.mode, "royale",
        "its own name, not that of the copy"
    );
    assert_eq!(
        (report.clients.joined, report.clients.dropped),
        (3, 0),
        "{said}"
    );
    let chaos = report.chaos.expect("there was a storm");
    assert_eq!(
        (chaos.dropped, chaos.lost, chaos.doubled),
        (0, 0, 0),
        "{said}"
    );
    // About 68 are planned; which of them a busy machine lets happen isn't for a test to say.
    assert!(chaos.faults.values().sum::<u64>() > 0, "{said}");
    assert!(
        said.contains("faults that happened, of those planned"),
        "{said}"
    );
}

#[test]
fn ends_of_processes_are_counted_by_how_they_ended() {
    let args = "--chaos 5 --isolation process --players 3 --duration 4 --warmup 1";
    let (report, said) = report_of("chaos_processes", args);
    assert_eq!(
        (report.clients.joined, report.clients.dropped),
        (3, 0),
        "{said}"
    );
    let chaos = report.chaos.expect("there was a storm");
    let ended = |kind: &&str| chaos.faults.contains_key(*kind);
    assert!(IN_PROCESSES.iter().any(ended), "{said}");
    let planned = |kind: &str| IN_PROCESSES.contains(&kind) || IN_SCRIPTS.contains(&kind);
    assert!(chaos.faults.keys().all(|kind| planned(kind)), "{said}");
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_starts() {
    let output = loadtest("--players 1 --rtt 10 --jitter 20");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--rtt 40 or more"), "{said}");
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

/// A server that is there before a load test, ended with the test.
struct Running {
    child: Child,
    listen: String,
    ops: String,
}

impl Running {
    fn start(args: &[&str]) -> Running {
        let addresses = ["--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args([HIDDEN_COMMAND, "serve", "--ready-json"])
            .args(addresses)
            .args(args)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it says where it listens");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let at = |key: &str| ready[key].as_str().expect("an address").to_owned();
        Running {
            listen: at("listen"),
            ops: at("ops"),
            child,
        }
    }

    /// Runs the load tester against it.
    fn loadtest(&self, args: &str) -> Output {
        let (listen, ops) = (&self.listen, &self.ops);
        loadtest(&format!("--server {listen} --ops {ops} {args}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_asks_for_tokens_lets_in_bots_with_its_key() {
    let out = folder("tokens");
    std::fs::create_dir_all(&out).expect("a folder");
    let (key, config) = (out.join("token.key"), out.join("tessera.toml"));
    let _ = std::fs::remove_file(&key); // of a run before
    make_key(&key);
    let keys = format!("token_key_file = {key:?}\nmatch_id = \"eu-1\"\n");
    std::fs::write(&config, format!("[net]\ntokens = \"required\"\n{keys}")).expect("written");
    let config = config.display().to_string();
    let server = Running::start(&["--players", "4", "--zones", "1", "--config", &config]);

    let run = format!(
        "--players 2 --duration 1 --warmup 1 --out {}",
        out.display()
    );
    let without = server.loadtest(&run);
    let said = text(&without.stderr);
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--token-key FILE and --token-match NAME"),
        "{said}"
    );
    let with = format!("{run} --token-key {} --token-match", key.display());
    let wrong = server.loadtest(&format!("{with} eu-2"));
    let said = text(&wrong.stderr);
    assert!(said.contains("--token-match isn't"), "{said}");
    // Twice: the second run's tokens are none that the first has used.
    for _ in 0..2 {
        let right = server.loadtest(&format!("{with} eu-1"));
        assert!(right.status.success(), "{}", text(&right.stderr));
    }
}

fn make_key(path: &Path) {
    let made = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([HIDDEN_COMMAND, "token", "--new-key"])
        .arg(path)
        .status();
    assert!(made.expect("the command starts").success());
}

#[test]
fn a_server_that_is_stopped_during_the_run_is_told_of() {
    let out = folder("stopped");
    let server = &Running::start(&["--players", "2", "--zones", "1"]);
    let pid = server.child.id().to_string();
    let stopped = std::thread::scope(|scope| {
        let run = format!("--players 2 --duration 60 --out {}", out.display());
        let run = scope.spawn(move || server.loadtest(&run));
        while !run.is_finished() && !clients_joined(&server.ops) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let killed = Command::new("kill").arg(&pid).status();
        assert!(killed.expect("the command starts").success());
        run.join().expect("no panic")
    });
    let said = text(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the server was stopped during the run"),
        "{said}"
    );
    assert!(said.contains("Draining"), "{said}");
}

/// Whether the two bots of a test are in the match.
fn clients_joined(ops: &str) -> bool {
    let ops = Ops(ops.parse().expect("an address"));
    ops.report().expect("it answers").run.players == 2
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
