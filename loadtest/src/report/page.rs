//! The page: numbers and drawings put into the template.

use askama::Template;

use super::Report;
use super::charts::{self, Mark};
use super::detail::{ClientRow, HookErrors};
use super::format::{self, micrometres, micros};
use super::judgement::{Judgement, Verdict};
use super::schema::{Percentiles, ReportJson, ZoneReport};
use super::sections::{self, ChaosSection, Counts, HostileSection, NetworkSection, WireSection};
use super::targets;
use crate::args::Scenario;

/// How many of the slowest clients are listed by name.
const OUTLIERS: usize = 8;

/// As many cards have room beside each other.
const CARDS_IN_A_ROW_MAX: usize = 6;

/// What the template reads. Text is escaped there; what is drawn is SVG already.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: &'static str,
    json: &'a ReportJson,
    length: String,
    ticks_run: String,
    cards: Vec<Card>,
    /// Cards in a row of a wide window.
    columns: usize,
    judgement: Judgement,
    overhead: String,
    command: &'a str,
    local_server: bool,
    scenario: &'static str,
    warning: Option<String>,

    mosaic: String,
    mosaic_legend: String,
    holes: bool,
    timeline: String,
    duration: String,
    jitter: String,
    stage_bar: String,
    stage_ranges: String,
    stage_timeline: String,
    zone_bars: String,
    channels: String,
    snapshot_age: String,
    input_ack: String,
    client_timeline: String,
    client_latencies: String,
    client_rates: String,
    bandwidth: String,
    correction: Option<String>,
    interpolation: Option<String>,
    network: Option<NetworkSection>,
    wire: Option<WireSection>,
    hostile: Option<HostileSection>,
    chaos: Option<ChaosSection>,

    stages: Vec<Row>,
    zones: Vec<Row>,
    outliers: Vec<Row>,
    hook_errors: Vec<Row>,
    traffic: Vec<(&'static str, String)>,
    deeds: Vec<(&'static str, String)>,
    counters: Counts,
    conditions: Vec<(&'static str, String)>,
}

/// A target as a card.
struct Card {
    verdict: Verdict,
    /// How full its meter is, in percent.
    width: u32,
}

/// A row of a table.
struct Row {
    name: String,
    cells: Vec<String>,
}

/// The page as one HTML file.
///
/// # Panics
/// Never: the template calls nothing that can fail.
pub fn render(report: &Report) -> String {
    let Report { json, detail } = report;
    let hz = json.run.tick_hz.max(1);
    let judgement = targets::judge(json);
    let cards: Vec<Card> = judgement.verdicts.iter().map(card).collect();
    let budget = Mark {
        value: 1e6 / f64::from(hz),
        name: "budget",
        limit: true,
    };
    let goal = Mark {
        value: targets::JITTER_P99_US_MAX,
        name: "goal",
        limit: true,
    };
    let end_s = end_s(report);
    let page = Page {
        style: include_str!("../../templates/report.css"),
        json,
        length: format::significant(json.run.duration_s),
        ticks_run: format::count(json.tick.run),
        columns: columns(cards.len()),
        cards,
        judgement,
        overhead: overhead(json),
        command: &detail.conditions.command,
        local_server: detail.conditions.local_server,
        scenario: match json.run.scenario {
            Scenario::Match => "",
            Scenario::Crowd => "all in one place",
            Scenario::Hostile => "hostile clients beside them",
        },
        warning: detail.conditions.warning(&json.run),
        mosaic: charts::mosaic(&detail.ticks, hz, detail.ticks.begin_s(&json.run), end_s),
        mosaic_legend: charts::mosaic_legend(hz),
        holes: detail.ticks.slots().last() >= Some(&detail.ticks.duration_us.len()),
        timeline: charts::tick_timeline(&detail.seconds, hz, end_s),
        duration: histogram(
            "Tick durations",
            &detail.duration,
            &json.tick.duration_us,
            Some(budget),
        ),
        jitter: histogram(
            "Start jitter of ticks",
            &detail.jitter,
            &json.tick.start_jitter_us,
            Some(goal),
        ),
        stage_bar: charts::stage_bar(&json.tick.stages_us, hz),
        stage_ranges: charts::stage_ranges(&json.tick.stages_us),
        stage_timeline: charts::stage_timeline(&detail.seconds, end_s),
        zone_bars: charts::zone_bars(&json.zones),
        channels: charts::channel_matrix(&json.zones),
        snapshot_age: histogram(
            "Ages of states",
            &detail.snapshot_age,
            &json.clients.snapshot_age_us,
            None,
        ),
        input_ack: histogram(
            "Round trips of commands",
            &detail.input_ack,
            &json.clients.input_ack_us,
            None,
        ),
        client_timeline: charts::client_timeline(&detail.client_seconds, end_s),
        client_latencies: charts::client_latencies(&detail.clients),
        client_rates: charts::client_rates(&detail.clients),
        bandwidth: charts::bandwidth_timeline(&detail.client_seconds, end_s),
        correction: (!detail.correction.is_empty()).then(|| {
            let p = json.clients.correction_cm.scaled(1e4);
            let label = "Corrections of predicted positions";
            histogram_of(label, &detail.correction, &p, None, micrometres)
        }),
        interpolation: (!detail.interpolation.is_empty()).then(|| {
            let p = json.clients.interpolation_ms.scaled(1e3);
            let label = "How far in the past others are shown";
            histogram(label, &detail.interpolation, &p, None)
        }),
        network: sections::network(json),
        wire: sections::wire(json),
        hostile: sections::hostile(json),
        chaos: sections::chaos(json, detail.chaos.as_ref()),
        stages: stages(json),
        zones: json.zones.iter().map(zone).collect(),
        outliers: outliers(&detail.clients),
        hook_errors: detail.hook_errors.iter().map(hook_error).collect(),
        traffic: traffic(report),
        deeds: deeds(report),
        counters: sections::counts(detail.counters.iter().map(|(name, n)| (name.as_str(), *n))),
        conditions: conditions(report),
    };
    page.render()
        .expect("the template calls nothing that can fail")
}

/// The last second of the server or of the bots.
fn end_s(report: &Report) -> f64 {
    let Report { json, detail } = report;
    let server = detail.seconds.last().map_or(1.0, |r| r.t_s + 1.0);
    let bots = detail.client_seconds.last().map_or(1.0, |r| r.t_s + 1.0);
    json.run.duration_s.max(server).max(bots)
}

/// How many cards stand in a row, so that the last row isn't much shorter than the others.
fn columns(cards: usize) -> usize {
    let rows = cards.div_ceil(CARDS_IN_A_ROW_MAX).max(1);
    cards.div_ceil(rows).max(1)
}

fn card(verdict: &Verdict) -> Card {
    // A trace of the meter stays visible at zero, and a limit far exceeded is just full.
    let width = (verdict.share * 100.0).clamp(1.5, 100.0).round() as u32;
    let verdict = verdict.clone();
    Card { verdict, width }
}

/// A histogram of times in µs.
fn histogram(
    label: &str,
    buckets: &[(f64, u64)],
    p: &Percentiles,
    limit: Option<Mark<'_>>,
) -> String {
    histogram_of(label, buckets, p, limit, micros)
}

fn histogram_of(
    label: &str,
    buckets: &[(f64, u64)],
    p: &Percentiles,
    limit: Option<Mark<'_>>,
    show: fn(f64) -> String,
) -> String {
    let named = [("p50", p.p50), ("p99", p.p99), ("p99.9", p.p999)];
    let marks = named.map(|(name, value)| Mark {
        value,
        name,
        limit: false,
    });
    let marks: Vec<_> = marks.into_iter().chain(limit).collect();
    charts::histogram(label, buckets, &marks, show)
}

/// Share of the mean tick that goes into moving state rather than into gameplay: the price of having zones at all.
fn overhead(json: &ReportJson) -> String {
    let slowest = |part: fn(&ZoneReport) -> f64| json.zones.iter().map(part).fold(0.0, f64::max);
    let moving = slowest(|z| z.gather_us.mean)
        + slowest(|z| z.exchange_us.mean)
        + json.tick.stages_us.snapshot.mean;
    match json.tick.duration_us.mean {
        tick if tick > 0.0 => format!("{} %", format::significant(moving / tick * 100.0)),
        _ => format::NONE.into(),
    }
}

fn stages(json: &ReportJson) -> Vec<Row> {
    let whole = ("whole tick", json.tick.duration_us);
    std::iter::once(whole)
        .chain(json.tick.stages_us.named())
        .map(|(name, p)| Row {
            name: name.into(),
            cells: times(&p, [p.p50, p.p90, p.p99, p.p999, p.max, p.mean]).into(),
        })
        .collect()
}

/// Cells of times in µs.
fn times<const N: usize>(of: &Percentiles, numbers: [f64; N]) -> [String; N] {
    format::numbers(of, numbers, format::micros_aligned)
}

fn zone(zone: &ZoneReport) -> Row {
    let mut cells = vec![format::count(zone.entities_max)];
    for part in [&zone.script_us, &zone.gather_us, &zone.exchange_us] {
        cells.extend(times(part, [part.p50, part.p99]));
    }
    cells.extend(times(&zone.gc_us, [zone.gc_us.p99]));
    let refused = zone.channels.iter().map(|c| c.refused).sum();
    cells.extend([zone.handoffs_in, zone.handoffs_out, refused].map(format::count));
    Row {
        name: zone.zone.to_string(),
        cells,
    }
}

/// The slowest clients by the age of their states, those that were dropped first.
fn outliers(clients: &[ClientRow]) -> Vec<Row> {
    let mut clients: Vec<_> = clients.iter().collect();
    clients.sort_by(|a, b| {
        let dropped = b.dropped.is_some().cmp(&a.dropped.is_some());
        dropped.then(b.snapshot_age_us.p99.total_cmp(&a.snapshot_age_us.p99))
    });
    clients.truncate(OUTLIERS);
    clients
        .into_iter()
        .map(|c| {
            let (age, ack) = (&c.snapshot_age_us, &c.input_ack_us);
            let mut cells: Vec<String> = times(age, [age.p50, age.p99, age.max]).into();
            cells.extend(times(ack, [ack.p50, ack.p99, ack.max]));
            cells.extend(
                [c.bytes_down_per_s, c.bytes_up_per_s].map(|b| format!("{}/s", format::bytes(b))),
            );
            cells.push(format::count(c.states));
            cells.push(c.dropped.clone().unwrap_or_else(|| "stayed".into()));
            Row {
                name: c.name.clone(),
                cells,
            }
        })
        .collect()
}

fn hook_error(error: &HookErrors) -> Row {
    Row {
        name: format!("{} at {}", error.hook, error.line),
        cells: vec![format::count(error.count)],
    }
}

/// What went over the wire between all bots and the server.
fn traffic(report: &Report) -> Vec<(&'static str, String)> {
    let (json, detail) = (&report.json, &report.detail);
    let seconds = json.run.duration_s.max(1e-3);
    let down: u64 = detail.client_seconds.iter().map(|s| s.bytes_down).sum();
    let up: u64 = detail.client_seconds.iter().map(|s| s.bytes_up).sum();
    let sum = |part: fn(&ClientRow) -> u64| detail.clients.iter().map(part).sum::<u64>();
    let rate = |bytes: u64| format!("{}/s", format::bytes(bytes as f64 / seconds));
    let per_client = |total: u64| {
        let rate = total as f64 / seconds / detail.clients.len().max(1) as f64;
        format!("{} a second", format::significant(rate))
    };
    let clients = &json.clients;
    let applied = match clients.applied_share() {
        Some(share) => format!(
            "{} of {} whose fate is known",
            format::share(share),
            format::count(clients.commands_settled)
        ),
        None => format::NONE.into(),
    };
    vec![
        ("received, all bots", rate(down)),
        ("sent, all bots", rate(up)),
        ("states per bot", per_client(sum(|c| c.states))),
        ("commands per bot", per_client(clients.commands_sent)),
        (
            "commands never acknowledged",
            format::count(sum(|c| c.unacknowledged)),
        ),
        ("commands applied", applied),
    ]
}

/// What the bots did and saw, to judge whether it was a match.
fn deeds(report: &Report) -> Vec<(&'static str, String)> {
    let Report { json, detail } = report;
    let deeds = &detail.deeds;
    let per_bot = |total: f64| format::significant(total / detail.clients.len().max(1) as f64);
    let firing = match json.clients.commands_sent {
        0 => format::NONE.into(),
        sent => {
            let percent = deeds.firing as f64 / sent as f64 * 100.0;
            format!("{} % of commands", format::significant(percent))
        }
    };
    vec![
        ("moved, each bot", format!("{} m", per_bot(deeds.metres))),
        ("trigger held", firing),
        ("events heard, each bot", per_bot(deeds.events as f64)),
        ("alive at the end", deeds.alive.to_string()),
        (
            "longest wait for a moving entity",
            match json.clients.staleness_ticks_max {
                0 => format::NONE.into(),
                1 => "1 tick".into(),
                ticks => format!("{ticks} ticks"),
            },
        ),
    ]
}

fn conditions(report: &Report) -> Vec<(&'static str, String)> {
    let (run, c) = (&report.json.run, &report.detail.conditions);
    let or_unknown = |text: &str| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text.to_owned()
        }
    };
    let share = |cpu_s: f64| {
        let of_all = cpu_s / run.duration_s.max(1e-3) / run.cores.max(1) as f64 * 100.0;
        format!("{cpu_s:.1} CPU s ({of_all:.0} % of {} cores)", run.cores)
    };
    let network = match &report.json.network {
        Some(network) => sections::network_in_words(network),
        None => "as it is".into(),
    };
    let work = &c.work_us;
    let pace = format!(
        "{} / {} / {} (p50 / p99 / p99.9, processor time)",
        micros(work.p50),
        micros(work.p99),
        micros(work.p999)
    );
    vec![
        (
            "processor",
            format!("{}, {} cores", or_unknown(&run.cpu), run.cores),
        ),
        ("memory", format!("{:.0} GiB", c.memory_gib)),
        ("system", or_unknown(&c.system)),
        ("Python", or_unknown(&run.python)),
        ("commit", or_unknown(&run.commit)),
        (
            "mode and map",
            format!("{} on {}", or_unknown(&run.mode), or_unknown(&run.map)),
        ),
        ("network", network),
        ("seed", run.seed.to_string()),
        ("began", or_unknown(&c.started)),
        (
            "load of the machine before",
            format!("{:.2}", c.load_before),
        ),
        ("taken away by the host", share(c.stolen_cpu_s)),
        ("the same work took", pace),
        ("server took", share(report.json.server.cpu_s)),
        ("bots took", share(c.bots_cpu_s)),
        ("priority of the bots", format!("nice +{}", c.bots_nice)),
    ]
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn rows_of_cards_are_about_equally_long() {
        let rows = [0, 1, 7, 8, 9, 11, 14, 15].map(columns);
        assert_eq!(rows, [1, 1, 4, 4, 5, 6, 5, 5]);
    }
}
