//! The report as it is written: the page is whole and alone, `report.json` has exactly the published keys.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use loadtest::report::{Report, Written};
use loadtest::summary::{Style, summary};
use serde_json::Value;

/// The published keys, `[]` for the elements of a list, `{P}` for a distribution, other words in braces for names that
/// aren't the report's. `wire`, `network`, `hostile` and `chaos` are only in reports of runs that have them.
const KEYS: &str = "
schema
run.commit run.cpu run.cores run.python run.players run.zones run.tick_hz run.duration_s run.seed run.mode run.map
run.scenario
tick.run tick.missed tick.duration_us{P} tick.start_jitter_us{P}
tick.stages_us.commands{P} tick.stages_us.zones{P} tick.stages_us.barrier{P} tick.stages_us.snapshot{P}
tick.stages_us.network{P}
zones[].zone zones[].entities_max zones[].script_us{P} zones[].gather_us{P} zones[].exchange_us{P} zones[].gc_us{P}
zones[].handoffs_in zones[].handoffs_out zones[].memory_bytes zones[].memory_peak_bytes zones[].restarts
zones[].channels[].to zones[].channels[].messages zones[].channels[].bytes zones[].channels[].depth_max
zones[].channels[].refused
clients.joined clients.dropped clients.snapshot_age_us{P} clients.input_ack_us{P} clients.bytes_down_per_s{P}
clients.bytes_up_per_s{P} clients.playing clients.commands_sent clients.commands_settled clients.commands_applied
clients.correction_cm{P}
clients.interpolation_ms{P} clients.staleness_ticks_max
wire.interest_us{P} wire.encode_us{P} wire.state_us{P} wire.bits_per_entity{P} wire.full_snapshots.{REASON}
wire.rewritten
network.rtt_ms network.jitter_ms network.loss_percent network.reorder_percent network.rate_kbit network.late_us{P}
network.up.forwarded network.up.lost network.up.reordered network.up.queue_drops
network.down.forwarded network.down.lost network.down.reordered network.down.queue_drops
chaos.faults.{KIND} chaos.aftermath chaos.dropped chaos.lost chaos.doubled chaos.restart_ticks{P} chaos.others_late_ticks_max
chaos.rss_growth
hostile.thrown.{WHAT} hostile.ended.{REASON} hostile.let_in.{WHAT} hostile.counted.{COUNTER}
hostile.baseline.duration_s hostile.baseline.tick_duration_us{P} hostile.baseline.snapshot_age_us{P}
hostile.baseline.rss_mib
server.cpu_s server.rss_mib_max server.rss_mib_start server.rss_mib_end
";
const P: [&str; 6] = ["p50", "p90", "p99", "p999", "max", "mean"];

fn written(report: &Report, name: &str) -> (String, String) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let files = report.write(&dir).expect("written");
    let read = |path| std::fs::read_to_string(path).expect("readable");
    (read(files.html), read(files.json))
}

fn leaves(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(value, &format!("{path}{dot}{key}"), into);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| leaves(value, &format!("{path}[]"), into)),
        _ => {
            into.insert(path.to_owned());
        }
    }
}

#[test]
fn the_json_has_exactly_the_published_keys() {
    let (_, text) = written(&common::run(), "keys");
    let mut value: Value = serde_json::from_str(&text).expect("valid JSON");
    for (pointer, stands_for) in [
        ("/wire/full_snapshots", "{REASON}"),
        ("/hostile/thrown", "{WHAT}"),
        ("/hostile/ended", "{REASON}"),
        ("/hostile/let_in", "{WHAT}"),
        ("/hostile/counted", "{COUNTER}"),
        ("/chaos/faults", "{KIND}"),
    ] {
        let named = value.pointer_mut(pointer).expect("there");
        *named = serde_json::json!({ stands_for: 0 });
    }
    let mut got = BTreeSet::new();
    leaves(&value, "", &mut got);
    let want: BTreeSet<String> = KEYS
        .split_whitespace()
        .flat_map(|key| match key.strip_suffix("{P}") {
            Some(stem) => P.map(|p| format!("{stem}.{p}")).to_vec(),
            None => vec![key.to_owned()],
        })
        .collect();
    assert_eq!(got, want);
}

#[test]
fn what_a_run_does_not_have_is_in_neither_file() {
    let (html, text) = written(&Report::default(), "plain");
    let value: Value = serde_json::from_str(&text).expect("valid JSON");
    for part in ["wire", "network", "hostile", "chaos"] {
        assert!(value.get(part).is_none(), "{part}");
        assert!(!html.contains(&format!("id=\"{part}\"")), "{part}");
    }
}

#[test]
fn the_json_reads_back() {
    let report = common::run();
    let (_, text) = written(&report, "back");
    let back: loadtest::report::schema::ReportJson =
        serde_json::from_str(&text).expect("same types");
    assert_eq!(back, report.json.rounded());
}

#[test]
fn the_page_has_every_section_and_needs_nothing_from_elsewhere() {
    let (html, _) = written(&common::run(), "page");
    for id in [
        "targets",
        "mosaic",
        "timeline",
        "ticks",
        "stages",
        "zones",
        "clients",
        "network",
        "wire",
        "hostile",
        "chaos",
        "counters",
        "conditions",
    ] {
        assert!(html.contains(&format!("id=\"{id}\"")), "no section {id}");
    }
    for foreign in [
        "http:", "https:", "//", "<script", "<link", "<img", "<iframe", "@import", "url(",
    ] {
        assert!(!html.contains(foreign), "the page contains {foreign}");
    }
    for words in [
        "3 more not judged",
        "not judged: commands applied; state age, p99; correction, p99",
        "told anew for want of a baseline",
        "<th>with them</th>",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert!(html.contains("prefers-color-scheme:dark"));
    assert!(
        html.len() < 600_000,
        "{} bytes are too many to mail around",
        html.len()
    );
}

#[test]
fn the_page_is_well_formed() {
    let runs = [
        ("full", common::run()),
        ("empty", Report::default()),
        ("overloaded", common::run_of(16, 120, 13_000.0)),
        ("short", common::run_of(1, 2, 300.0)),
    ];
    for (name, report) in runs {
        let (html, _) = written(&report, name);
        assert_eq!(unbalanced(&html), None, "page {name}");
        assert!(
            !html.contains("NaN") && !html.contains("inf "),
            "page {name} shows a number that isn't one"
        );
    }
}

#[test]
fn text_of_scripts_is_escaped() {
    let (html, _) = written(&common::run(), "escaped");
    assert!(
        html.contains("royale/player.py:120 &#60;&#38;&#62;")
            || html.contains("royale/player.py:120 &lt;&amp;&gt;")
    );
}

/// The first tag that doesn't close as it should.
fn unbalanced(html: &str) -> Option<String> {
    const VOID: [&str; 3] = ["meta", "!doctype", "br"];
    let mut open: Vec<&str> = Vec::new();
    // What lies in the style sheet isn't markup.
    let (head, rest) = html.split_once("<style>")?;
    let (_, tail) = rest.split_once("</style>")?;
    for part in [head, tail].iter().flat_map(|text| text.split('<').skip(1)) {
        let Some((tag, _)) = part.split_once('>') else {
            return Some(part.to_owned());
        };
        let name = tag
            .split([' ', '\n', '/'])
            .find(|s| !s.is_empty())
            .unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    open.pop().map(|name| format!("<{name}> stays open"))
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let text = summary(&Report::default(), &files(), Style { colour: false });
    for row in ["tick, median", "snapshot age", "input ack", "down per s"] {
        let line = text.lines().find(|line| line.contains(row));
        assert!(line.is_some_and(|line| line.contains('–')), "{row}\n{text}");
    }
    assert!(text.contains("✗ missed  bots that play"), "{text}");
}

fn files() -> Written {
    Written {
        html: "out/index.html".into(),
        json: "out/report.json".into(),
        log: Some("out/server.log".into()),
    }
}

#[test]
fn the_summary_says_the_verdict_of_each_target() {
    let (report, written) = (common::run(), files());
    let text = summary(&report, &written, Style { colour: false });
    assert!(
        !text.contains('\x1b'),
        "no colours where none were asked for"
    );
    assert_eq!(text.matches("✓ met").count(), 15);
    assert!(text.contains("✗ missed  dropped"), "{text}");
    assert!(text.contains("15 of 16 targets met, 3 more not judged"));
    let unjudged = "not judged: commands applied; state age, p99; correction, p99";
    assert!(text.contains(unjudged), "{text}");
    assert!(text.contains("over a network of 40 ms there and back, ± 8 ms each way, 2 % lost"));
    assert!(text.contains("ended: bad name"), "{text}");
    assert!(text.contains("restarts took 1 / 2 / 3 ticks"), "{text}");
    assert!(text.contains("bot 041 was dropped: timed out"));
    assert!(text.contains("out/index.html"));
    assert!(summary(&report, &written, Style { colour: true }).contains("\x1b[31;1m"));
}
