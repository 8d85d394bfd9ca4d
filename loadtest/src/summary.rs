//! The summary in the terminal.

use std::fmt::Write as _;

use crate::report::format::{self, micros};
use crate::report::judgement::Verdict;
use crate::report::schema::Percentiles;
use crate::report::sections::{comparison, faults, network_in_words};
use crate::report::targets;
use crate::report::{Report, Written};

/// Colours, or none of them where no person looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to colour.
    pub colour: bool,
}

impl Style {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn verdict(&self, met: bool, text: &str) -> String {
        self.paint(if met { "32" } else { "31;1" }, text)
    }
}

/// The result in a screen: verdicts, distributions, zones, files.
pub fn summary(report: &Report, written: &Written, style: Style) -> String {
    let run = &report.json.run;
    let judgement = targets::judge(&report.json);
    let mut out = String::new();
    let title = format!(
        "{} players, {} {}, {} Hz, {} s of {} on {}",
        report.json.clients.joined,
        run.zones,
        if run.zones == 1 { "zone" } else { "zones" },
        run.tick_hz,
        format::significant(run.duration_s),
        run.mode,
        run.map
    );
    let _ = writeln!(out, "\n{}", style.bold(&title));
    if let Some(network) = &report.json.network {
        let words = format!("  over a network of {}", network_in_words(network));
        let _ = writeln!(out, "{}", style.dim(&words));
    }
    out.push('\n');
    for verdict in &judgement.verdicts {
        let _ = writeln!(out, "  {}", verdict_line(verdict, style));
    }
    for line in judgement.unjudged_in_words() {
        let _ = writeln!(out, "  {}", style.dim(&line));
    }
    distributions(&mut out, report, style);
    zones(&mut out, report, style);
    hostile(&mut out, report, style);
    storm(&mut out, report, style);
    notable(&mut out, report, style);
    let outcome = style.verdict(judgement.is_good(), &judgement.outcome());
    let _ = writeln!(out, "\n  {outcome}");
    let _ = writeln!(
        out,
        "  report  {}\n          {}",
        written.html.display(),
        written.json.display()
    );
    if let Some(log) = &written.log {
        let _ = writeln!(out, "  log     {}", log.display());
    }
    out
}

fn verdict_line(v: &Verdict, style: Style) -> String {
    let (mark, word) = if v.met {
        ("✓", "met")
    } else {
        ("✗", "missed")
    };
    // Padded before painting: the codes of a colour take no room on the screen.
    let mark = style.verdict(v.met, &format!("{mark} {word:<6}"));
    format!(
        "{mark}  {:<18} {:>10}   {}",
        v.name,
        v.value,
        style.dim(&format!("goal {}", v.limit))
    )
}

fn distributions(out: &mut String, report: &Report, style: Style) {
    let json = &report.json;
    let _ = writeln!(
        out,
        "\n  {}",
        style.dim(&format!(
            "{:<16}{:>10}{:>10}{:>10}{:>10}",
            "", "p50", "p99", "p99.9", "max"
        ))
    );
    let mut row = |name: &str, p: &Percentiles, show: fn(f64) -> String| {
        let cells = format::numbers(p, [p.p50, p.p99, p.p999, p.max], show)
            .map(|cell| format!("{cell:>10}"))
            .concat();
        let _ = writeln!(out, "  {name:<16}{cells}");
    };
    row("tick", &json.tick.duration_us, micros);
    for (name, p) in json.tick.stages_us.named() {
        row(&format!("  {name}"), &p, micros);
    }
    row("start jitter", &json.tick.start_jitter_us, micros);
    row("snapshot age", &json.clients.snapshot_age_us, micros);
    row("input ack", &json.clients.input_ack_us, micros);
    row("down per s", &json.clients.bytes_down_per_s, format::bytes);
    row("up per s", &json.clients.bytes_up_per_s, format::bytes);
    if !json.clients.correction_cm.is_empty() {
        let um = json.clients.correction_cm.scaled(1e4);
        row("correction", &um, format::micrometres);
    }
    if !json.clients.interpolation_ms.is_empty() {
        let us = json.clients.interpolation_ms.scaled(1e3);
        row("interpolation", &us, micros);
    }
    if let Some(wire) = &json.wire {
        row("interest", &wire.interest_us, micros);
        row("encoding", &wire.encode_us, micros);
        row("both", &wire.state_us, micros);
        row("bits an entity", &wire.bits_per_entity, format::significant);
    }
}

fn zones(out: &mut String, report: &Report, style: Style) {
    let head = format!(
        "{:<10}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "zone", "entities", "script p50", "script p99", "gather p99", "handoffs", "refused"
    );
    let _ = writeln!(out, "\n  {}", style.dim(&head));
    for zone in &report.json.zones {
        let refused: u64 = zone.channels.iter().map(|c| c.refused).sum();
        let (script, gather) = (&zone.script_us, &zone.gather_us);
        let [script_p50, script_p99] = format::numbers(script, [script.p50, script.p99], micros);
        let [gather_p99] = format::numbers(gather, [gather.p99], micros);
        let _ = writeln!(
            out,
            "  {:<10}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
            zone.zone,
            zone.entities_max,
            script_p50,
            script_p99,
            gather_p99,
            zone.handoffs_in + zone.handoffs_out,
            refused
        );
    }
}

/// What hostile clients threw, beside what the server counted meanwhile.
fn hostile(out: &mut String, report: &Report, style: Style) {
    let Some(hostile) = &report.json.hostile else {
        return;
    };
    let (what, without, with) = ("with hostile clients and before", "before", "with");
    let head = format!("{what:<38}{without:>9}    {with:>9}");
    let _ = writeln!(out, "\n  {}", style.dim(&head));
    for row in comparison(&report.json, hostile) {
        let (what, without, with) = (row.what, row.without, row.with);
        let _ = writeln!(out, "  {what:<38}{without:>9}    {with:>9}");
    }
    let (left, right) = (
        "thrown by hostile clients",
        "counted by the server meanwhile",
    );
    let head = format!("{left:<38}{:>9}    {right:<30}{:>9}", "", "");
    let _ = writeln!(out, "\n  {}", style.dim(head.trim_end()));
    let ended = hostile.ended.iter();
    let ended = ended.map(|(why, n)| (format!("ended: {why}"), *n));
    let counted = hostile.counted.iter();
    let counted = counted.map(|(name, n)| (name.replace('_', " "), *n));
    let let_in = hostile.let_in.iter();
    let let_in = let_in.map(|(what, n)| (format!("let in: {what}"), *n));
    let mut right = ended.chain(let_in).chain(counted);
    let mut left = hostile.thrown.iter();
    loop {
        let (thrown, told) = (left.next(), right.next());
        if thrown.is_none() && told.is_none() {
            return;
        }
        let cell =
            |name: &str, count: u64, width| format!("{name:<width$}{:>9}", format::count(count));
        let thrown = thrown.map_or_else(|| " ".repeat(47), |(what, n)| cell(what, *n, 38));
        let told = told.map_or_else(String::new, |(what, n)| cell(&what, n, 38));
        let _ = writeln!(out, "  {}", format!("{thrown}    {told}").trim_end());
    }
}

/// The faults of the scripts, by kind.
fn storm(out: &mut String, report: &Report, style: Style) {
    let (Some(chaos), Some(detail)) = (&report.json.chaos, &report.detail.chaos) else {
        return;
    };
    let _ = writeln!(
        out,
        "\n  {}",
        style.dim("faults that happened, of those planned")
    );
    for pair in faults(chaos, detail).chunks(2) {
        let cell = |(kind, n): &(String, String)| format!("{kind:<30}{n:>12}");
        let row = pair.iter().map(cell).collect::<Vec<_>>().join("    ");
        let _ = writeln!(out, "  {row}");
    }
    let p = &chaos.restart_ticks;
    let restart = [p.p50, p.p99, p.max].map(format::significant).join(" / ");
    let _ = writeln!(
        out,
        "  restarts took {restart} ticks (p50 / p99 / max), and {} exceptions on hearing of them; {} of {} ticks ended late",
        format::count(chaos.aftermath),
        format::count(detail.late_ticks as u64),
        format::count(report.json.tick.run)
    );
}

/// What a reader should know beside the targets: how the cores were shared, and what went wrong.
fn notable(out: &mut String, report: &Report, style: Style) {
    let (json, detail) = (&report.json, &report.detail);
    let seconds = json.run.duration_s.max(1e-3);
    let cores = |cpu_s: f64| format::significant(cpu_s / seconds);
    let _ = writeln!(
        out,
        "\n  server {} cores, bots {} cores (nice +{}), of {}; load before the start {:.2}",
        cores(json.server.cpu_s),
        cores(detail.conditions.bots_cpu_s),
        detail.conditions.bots_nice,
        json.run.cores,
        detail.conditions.load_before
    );
    let applied = json.clients.applied_share();
    if json.clients.commands_sent > 0 {
        let _ = writeln!(
            out,
            "  {} commands sent; of the {} whose fate is known, {} applied; a moving entity was told of after {} ticks at most",
            format::count(json.clients.commands_sent),
            format::count(json.clients.commands_settled),
            applied.map_or_else(|| format::NONE.into(), format::share),
            json.clients.staleness_ticks_max
        );
    }
    if let Some(warning) = detail.conditions.warning(&json.run) {
        let _ = writeln!(out, "  {}", style.paint("33", &warning));
    }
    let errors: u64 = detail.hook_errors.iter().map(|e| e.count).sum();
    if errors > 0 {
        let worst = detail.hook_errors.iter().max_by_key(|e| e.count);
        let at = worst
            .map(|e| format!(", most in {} at {}", e.hook, e.line))
            .unwrap_or_default();
        let noun = if errors == 1 { "error" } else { "errors" };
        let _ = writeln!(
            out,
            "  {}",
            style.paint("33", &format!("{errors} script {noun}{at}"))
        );
    }
    for client in detail
        .clients
        .iter()
        .filter(|c| c.dropped.is_some())
        .take(5)
    {
        let reason = client.dropped.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "  {}",
            style.paint("33", &format!("{} was dropped: {reason}", client.name))
        );
    }
}
