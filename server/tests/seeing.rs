//! The real binary: what operators see of it.

mod common;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use common::client::Client;
use common::folder::Folder;
use common::server::{Server, Signal, tessera};
use serde_json::Value;
use tessera_protocol::CloseReason;

const TAG: [&str; 2] = ["--mode", "minimal"];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_or_draining_server_is_healthy_and_not_ready() {
    let server = Server::start(&[&TAG[..], &["--players", "1"]].concat());
    server.wait_until_ready();
    let mut ada = Client::join(server.listen, "Ada").await;
    let (status, ready) = server.ask("GET", "/ready");
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains(r#""status":"full""#), "{ready}");
    assert_eq!(server.ask("GET", "/health").0, 200);

    assert_eq!(server.ask("POST", "/drain").0, 204);
    let (status, ready) = server.ask("GET", "/ready");
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains(r#""status":"draining""#), "{ready}");
    let (status, health) = server.ask("GET", "/health");
    assert_eq!(status, 200, "who plays goes on: {health}");
    assert!(health.contains("draining"), "{health}");
    server.signal(Signal::TERM);
    assert_eq!(ada.until_closed().await.reason, CloseReason::Draining);
}

/// The samples of a page by name and labels, after a look at its form.
fn samples(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with("# EOF\n"), "it is cut short");
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("tessera_"), "{line}");
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().expect("a number");
        let twice = samples.insert(sample.to_owned(), value);
        assert!(twice.is_none(), "{sample} is there twice");
    }
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_count_since_the_start_in_base_units() {
    let server = Server::start(&[&TAG[..], &["--zones", "2"]].concat());
    let mut ada = Client::join(server.listen, "Ada").await;
    ada.until_obeyed().await;
    let before = samples(&server.ask("GET", "/metrics").1);
    assert_eq!(server.ask("POST", "/report/reset").0, 204);
    ada.until_obeyed().await;
    drop(ada);
    server.wait_for_counter("clients_left", 1);
    let (status, page) = server.ask("GET", "/metrics");
    assert_eq!(status, 200, "{page}");
    let now = samples(&page);
    for (sample, value) in &before {
        let grows = ["_total", "_count", "_sum", "_bucket"];
        let name = sample.split('{').next().unwrap_or_default();
        if grows.iter().any(|end| name.ends_with(end)) {
            assert!(now[sample] >= *value, "{sample} fell from {value}");
        }
    }
    let at = |sample: &str| *now.get(sample).unwrap_or_else(|| panic!("no {sample}"));
    for (sample, expected) in [
        ("tessera_tick_budget_seconds", 1.0 / 64.0),
        ("tessera_clients_joined_total", 1.0),
        ("tessera_clients_max", 100.0),
        ("tessera_ready", 1.0),
        (r#"tessera_connections_open{role="player"}"#, 0.0),
        (r#"tessera_joins_refused_total{reason="full"}"#, 0.0),
        (r#"tessera_zone_hook_errors_total{zone="1"}"#, 0.0),
    ] {
        assert_eq!(at(sample), expected, "{sample}");
    }
    for sample in [
        "tessera_ticks_total",
        "tessera_commands_consumed_total",
        "tessera_process_resident_memory_bytes",
        "tessera_process_cpu_seconds_total",
        "tessera_state_age_seconds_count",
        r#"tessera_network_bytes_total{direction="down"}"#,
        r#"tessera_network_bytes_total{direction="up"}"#,
        r#"tessera_stage_duration_seconds_count{stage="network"}"#,
        r#"tessera_zone_stage_cpu_seconds_sum{zone="1",stage="script"}"#,
    ] {
        assert!(at(sample) > 0.0, "{sample} is 0");
    }
    // Whether anything crosses the border is up to where her player appears.
    at(r#"tessera_channel_bytes_total{zone="0",to="1"}"#);
    at(r#"tessera_channel_depth_max{zone="0",to="1"}"#);
    let ticks = at("tessera_ticks_total");
    assert_eq!(at("tessera_tick_duration_seconds_count"), ticks);
    assert_eq!(
        at(r#"tessera_tick_duration_seconds_bucket{le="+Inf"}"#),
        ticks
    );
    let mean_s = at("tessera_tick_duration_seconds_sum") / ticks;
    assert!((1e-6..10.0).contains(&mean_s), "{mean_s} s a tick");
    // All that the report counts is here too, under its own name or as a reason.
    let report = server.report();
    for name in report["counters"].as_object().expect("counters").keys() {
        let sample = match name.as_str() {
            "hook_errors" => r#"tessera_zone_hook_errors_total{zone="0"}"#.to_owned(),
            "ticks_skipped" => r#"tessera_ticks_missed_total{reason="skipped"}"#.to_owned(),
            _ => match name.strip_prefix("refused_") {
                Some(reason) => format!(r#"tessera_joins_refused_total{{reason="{reason}"}}"#),
                None => format!("tessera_{name}_total"),
            },
        };
        at(&sample);
    }
}

/// A span of a trace: start and end in nanoseconds, and its name.
type Span = (u64, u64, String);

/// The spans of each track, by the track's name.
fn tracks(file: &Value) -> BTreeMap<String, Vec<Span>> {
    let events = file["traceEvents"].as_array().expect("events");
    let number = |value: &Value| value.as_u64().expect("a whole number");
    let ns = |value: &Value| (value.as_f64().expect("a time") * 1e3).round() as u64;
    let mut names = BTreeMap::new();
    let mut tracks: BTreeMap<_, Vec<Span>> = BTreeMap::new();
    for event in events {
        let tid = number(&event["tid"]);
        let name = event["name"].as_str().expect("a name").to_owned();
        match event["ph"].as_str() {
            Some("M") if name == "thread_name" => {
                names.insert(
                    tid,
                    event["args"]["name"].as_str().expect("text").to_owned(),
                );
            }
            Some("M") => {}
            Some("X") => {
                let (start, lasts) = (ns(&event["ts"]), ns(&event["dur"]));
                let track = tracks.entry(tid).or_default();
                track.push((start, start + lasts, name));
            }
            other => panic!("an event of phase {other:?}"),
        }
    }
    tracks
        .into_iter()
        .map(|(tid, spans)| (names[&tid].clone(), spans))
        .collect()
}

/// Every span begins no earlier than the one before and is within those that are open, or after them.
#[track_caller]
fn nested(spans: &[Span]) {
    let mut open: Vec<&Span> = Vec::new();
    let mut newest = 0;
    for span in spans {
        assert!(span.0 >= newest, "{span:?} goes back in time");
        newest = span.0;
        while open.last().is_some_and(|outer| outer.1 <= span.0) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            assert!(span.1 <= outer.1, "{span:?} sticks out of {outer:?}");
        }
        open.push(span);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_trace_has_a_track_for_each_thread_and_nested_spans() {
    let server = Server::start(&[&TAG[..], &["--zones", "2"]].concat());
    let folder = Folder::new("trace");
    let out = folder.path("trace.json");
    let url = format!("http://{}", server.ops);
    let mut ada = Client::join(server.listen, "Ada").await;
    let fetching = tokio::task::spawn_blocking({
        let out = out.clone();
        move || tessera(&["trace", "--ticks", "40", "--server", &url, "--out", &out])
    });
    let done = ada.beside(fetching).await.expect("it does not panic");
    assert!(done.success, "{}", done.stderr);
    assert!(done.stderr.contains("ui.perfetto.dev"), "{}", done.stderr);
    assert_eq!(done.stdout, "");

    let text = std::fs::read_to_string(&out).expect("the file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let tracks = tracks(&file);
    let names: Vec<_> = tracks.keys().map(String::as_str).collect();
    assert_eq!(names, ["network", "tick", "zone 0", "zone 1"]);
    for spans in tracks.values() {
        nested(spans);
    }
    let count = |track: &str, name: &str| {
        let spans = tracks[track].iter();
        spans.filter(|span| span.2 == name).count()
    };
    for name in [
        "tick", "commands", "zones", "barrier", "snapshot", "publish",
    ] {
        assert_eq!(count("tick", name), 40, "{name}");
    }
    for name in ["drain", "hooks", "gather"] {
        assert_eq!(count("zone 1", name), 40, "{name}");
    }
    for name in ["exchange", "gc"] {
        assert_eq!(count("zone 1", name), 39, "{name}, told with the next tick");
    }
    let hooks = count("zone 0", "Runner.tick") + count("zone 1", "Runner.tick");
    assert_eq!(hooks, 40, "Ada's player, wherever it is");
    // A network that cannot keep up leaves states out, and the last may be under way.
    assert!((1..=40).contains(&count("network", "send")));
    assert_eq!(file["otherData"]["ticks"], 40);
}

const SOMEBODY: &str = "somebody records a trace already";

#[test]
fn a_trace_is_of_so_many_ticks_only_and_one_at_a_time() {
    let server = Server::start(&TAG);
    let (status, said) = server.ask("POST", "/trace?ticks=6401");
    assert_eq!(
        (status, &*said),
        (422, "ticks can be 1 to 6400, not 6401\n")
    );
    assert_eq!(server.ask("POST", "/trace?ticks=0").0, 422);
    assert_eq!(server.ask("POST", "/trace?ticks=many").0, 400);
    assert_eq!(server.ask("GET", "/trace").0, 405);

    let url = server.ops.to_string();
    let folder = Folder::new("traces");
    let (out, long) = (folder.path("trace.json"), folder.path("long.json"));
    std::thread::scope(|scope| {
        // Longer than the test: it ends with the server. It comes second if a short one is faster.
        let first = scope.spawn(|| {
            loop {
                let args = ["trace", "--ticks=6400", "--server", &url, "--out", &long];
                let done = tessera(&args);
                if done.success || !done.stderr.contains(SOMEBODY) {
                    return done;
                }
            }
        });
        loop {
            let done = tessera(&["trace", "--ticks", "1", "--server", &url, "--out", &out]);
            if !done.success {
                assert!(done.stderr.contains(SOMEBODY), "{}", done.stderr);
                assert!(!std::fs::exists(&out).expect("a folder"), "an empty file");
                break;
            }
            std::fs::remove_file(&out).expect("it was written");
        }
        server.signal(Signal::TERM);
        let done = first.join().expect("it does not panic");
        assert!(
            !done.success && !done.stderr.contains("panicked"),
            "{}",
            done.stderr
        );
        assert!(!std::fs::exists(&long).expect("a folder"), "an empty file");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn top_prints_one_frame_where_nobody_watches() {
    let server = Server::start(&[&TAG[..], &["--zones", "2"]].concat());
    let url = format!("http://{}", server.ops);
    let mut ada = Client::join(server.listen, "Ada").await;
    let looking = tokio::task::spawn_blocking({
        let url = url.clone();
        move || tessera(&["top", "--server", &url, "--interval", "0.2"])
    });
    let done = ada.beside(looking).await.expect("it does not panic");
    assert!(done.success, "{}", done.stderr);
    let frame = done.stdout;
    for part in [
        "minimal on island",
        &*url,
        "1 of 100 clients",
        "ENTITIES",
        "each client",
    ] {
        assert!(frame.contains(part), "{part:?} is not in:\n{frame}");
    }
    assert!(!frame.contains('\x1b'), "colours in a file:\n{frame}");
    let zones = frame.lines().rev().take(2);
    let zones: Vec<_> = zones.map(|line| line.split_whitespace().next()).collect();
    assert_eq!(zones, [Some("1"), Some("0")]);
}

#[test]
fn who_asks_where_no_server_is_reads_what_was_tried_and_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let folder = Folder::new("nobody");
    let out = folder.path("trace.json");
    for args in [
        &["top", "--once", "--server", &nobody][..],
        &["trace", "--server", &nobody, "--out", &out],
    ] {
        let done = tessera(args);
        assert!(!done.success);
        let tried = format!("no answer from http://{nobody}/top.json: ");
        for part in [&*tried, "Is a server running", "--server names another"] {
            assert!(done.stderr.contains(part), "{}", done.stderr);
        }
    }
    let done = tessera(&["top", "--server", "https://a:1"]);
    assert!(!done.success && done.stderr.contains("http://127.0.0.1:7778"));

    // A server that is none of ours.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = listener.local_addr().expect("an address").to_string();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("it connects");
        let _ = stream.read(&mut [0; 1024]);
        let page = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
        stream.write_all(page.as_bytes()).expect("it reads");
    });
    let done = tessera(&["top", "--once", "--server", &other]);
    answering.join().expect("it answered");
    assert!(done.stderr.contains("is it one?"), "{}", done.stderr);
}

#[test]
fn a_trace_that_cannot_be_written_is_not_recorded() {
    let server = Server::start(&TAG);
    let url = server.ops.to_string();
    let done = tessera(&["trace", "--server", &url, "--out", "/nowhere/trace.json"]);
    assert!(!done.success);
    let says = "cannot write /nowhere/trace.json: No such file";
    assert!(done.stderr.contains(says), "{}", done.stderr);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["check", "minimal"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // The pipe breaks long before the mode has loaded.
    drop(check.stdout.take());
    let done = check.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
}
