//! Two views of a server become the lines of a frame: what it is, how its ticks go, and each zone.

use crate::ops::view::{NetworkView, View, ZoneView};
use crate::remote::{RemoteError, printable};
use crate::tally::Quantiles;

use super::style::{Paint, Style};
use super::table::{Column, Line, beside, table};
use Style::{Bad, Dim, Plain, Strong, Warning};

/// Columns of a bar.
const BAR: usize = 10;

/// What is shown.
pub(super) struct Frame<'a> {
    pub(super) server: &'a str,
    /// What there was to see one look before, for rates.
    pub(super) before: Option<&'a View>,
    pub(super) now: &'a View,
    /// Why there is nothing newer.
    pub(super) trouble: Option<&'a RemoteError>,
}

impl Frame<'_> {
    /// The frame's lines, none wider than `width`.
    pub(super) fn lines(&self, width: usize, paint: Paint) -> Vec<String> {
        let since = Since::between(self.before, self.now);
        let mut lines = vec![self.title(width), status(self.now, width), Line::new()];
        let now = self.now;
        lines.push(beside(ticks(now, since.as_ref()), width));
        lines.push(beside(process(now, since.as_ref()), width));
        lines.push(beside(carried(now, since.as_ref()), width));
        lines.push(beside(sent(now), width));
        lines.push(Line::new());
        lines.extend(table(zones(self.now, since.as_ref()), width));
        if let Some(error) = self.trouble {
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            lines.push(Line::new());
            lines.push(Line::of(Bad, format!("   {text}")));
            let still = format!("   Shown is what was seen last; asking again every time. {QUIT}");
            lines.push(Line::of(Dim, still));
        }
        lines.iter().map(|line| line.show(width, paint)).collect()
    }

    fn title(&self, width: usize) -> Line {
        let View { mode, map, .. } = self.now;
        let what = format!("{} on {}", printable(mode), printable(map));
        let title = labelled("tessera").and(Strong, what);
        let server = Line::of(Dim, format!("{}   {QUIT}", self.server));
        match (title.width() + server.width() + 3).checked_sub(width) {
            None | Some(0) => {
                let left = width - server.width();
                title.padded(left).then(server)
            }
            Some(_) => title,
        }
    }
}

const QUIT: &str = "q quits";

/// From one view to the next.
struct Since<'a> {
    before: &'a View,
    seconds: f64,
    ticks: f64,
}

impl<'a> Since<'a> {
    /// Nothing where there is no view before, or where it is of another run.
    fn between(before: Option<&'a View>, now: &View) -> Option<Since<'a>> {
        let before = before?;
        let seconds = now.uptime_s - before.uptime_s;
        let same = seconds > 0.0 && before.zones.len() == now.zones.len();
        same.then(|| Since {
            before,
            seconds,
            ticks: now.ticks.saturating_sub(before.ticks) as f64,
        })
    }
}

fn labelled(label: &str) -> Line {
    Line::of(Dim, format!("   {label:<9}"))
}

fn status(view: &View, width: usize) -> Line {
    let style = match view.status.as_str() {
        "ready" | "full" => Style::Good,
        "draining" | "starting" => Warning,
        _ => Bad,
    };
    let network = &view.network;
    let away = network.clients.saturating_sub(network.connected);
    let first = Line::of(Plain, "   ")
        .and(style, format!("{:<9}", printable(&view.status)))
        .and(Plain, format!("tick {}", view.tick))
        .and(Dim, format!(", {} a second, ", view.tick_hz))
        .and(Dim, format!("{} each", ms(budget_us(view))));
    let up = Line::of(Plain, format!("up {}", duration(view.uptime_s)));
    let clients = format!("{} of {} clients", network.clients, network.clients_max);
    let mut groups = vec![first, Line::of(Plain, clients), up];
    if away > 0 {
        groups.push(Line::of(Warning, format!("{away} away")));
    }
    if network.spectators > 0 {
        groups.push(Line::of(Plain, format!("{} watch", network.spectators)));
    }
    beside(groups, width)
}

fn ticks(view: &View, since: Option<&Since<'_>>) -> [Line; 4] {
    let lately = view.tick_lately_us;
    let share = f64::from(lately.p99) / budget_us(view);
    let missed = since.map_or(0, |since| {
        view.ticks_missed.saturating_sub(since.before.ticks_missed)
    });
    [
        labelled("tick").then(spread(lately)),
        bar(share).and(Plain, format!(" {:>3.0} %", share * 100.0)),
        Line::of(Style::of_faults(missed, Bad), format!("{missed} missed")),
        Line::of(Dim, format!("{} since the start", view.ticks_missed)),
    ]
}

fn process(view: &View, since: Option<&Since<'_>>) -> [Line; 2] {
    let cores = since.map(|since| (view.cpu_s - since.before.cpu_s) / since.seconds);
    let share = cores.map_or(0.0, |cores| cores / view.cores.max(1) as f64);
    let style = match Style::of_share(share) {
        Style::Good => Plain,
        style => style,
    };
    let used = format!("{} of {} cores", number(cores), view.cores);
    [
        labelled("process").and(style, used),
        Line::of(Plain, bytes(view.rss_bytes as f64)).and(Dim, " resident"),
    ]
}

/// What the network carries.
fn carried(view: &View, since: Option<&Since<'_>>) -> [Line; 2] {
    let network = &view.network;
    let receivers = (network.connected + network.spectators).max(1) as f64;
    let each = |of: fn(&NetworkView) -> u64| match since {
        Some(since) => {
            let carried = of(network).saturating_sub(of(&since.before.network));
            format!("{}/s", bytes(carried as f64 / since.seconds / receivers))
        }
        None => NONE.to_owned(),
    };
    let (down, up) = (each(|it| it.bytes_down), each(|it| it.bytes_up));
    [
        labelled("network")
            .and(Dim, "each client ")
            .and(Plain, format!("{down} down, {up} up")),
        Line::of(Dim, "round trip ").then(match network.connected + network.spectators {
            0 => Line::of(Dim, NONE),
            _ => spread(network.rtt_us),
        }),
    ]
}

/// What sending takes.
fn sent(view: &View) -> [Line; 2] {
    let network = &view.network;
    [
        labelled("")
            .and(Dim, "a state leaves at the age of ")
            .then(spread(network.state_age_lately_us)),
        Line::of(Dim, "sent in ").then(spread(network.send_lately_us)),
    ]
}

fn zones(view: &View, since: Option<&Since<'_>>) -> Vec<Column> {
    let budget_us = budget_us(view);
    let share = |zone: &ZoneView| f64::from(zone.script_lately_us.p99) / budget_us;
    let column = |rank, head, cell: &dyn Fn(usize, &ZoneView) -> Line| Column {
        head,
        rank,
        cells: (0..)
            .zip(&view.zones)
            .map(|(at, zone)| cell(at, zone))
            .collect(),
    };
    let plain = |text: String| Line::of(Plain, text);
    // How much more there is of something than at the look before, by what has passed.
    let more = |at: usize, of: fn(&ZoneView) -> u64, passed: fn(&Since<'_>) -> f64| {
        let since = since?;
        let grown = of(&view.zones[at]).saturating_sub(of(&since.before.zones[at]));
        Some(grown as f64 / passed(since).max(1e-3))
    };
    let seconds: fn(&Since<'_>) -> f64 = |since| since.seconds;
    let ticks: fn(&Since<'_>) -> f64 = |since| since.ticks;
    vec![
        column(0, "ZONE", &|_, zone| {
            Line::of(Strong, zone.zone.to_string())
        }),
        column(0, "ENTITIES", &|_, zone| plain(zone.entities.to_string())),
        column(0, "HOOKS p99", &|_, zone| {
            plain(us(zone.script_lately_us.p99))
        }),
        column(6, "p50", &|_, zone| plain(us(zone.script_lately_us.p50))),
        column(1, "OF THE TICK", &|_, zone| {
            bar(share(zone)).and(Plain, format!(" {:>3.0} %", share(zone) * 100.0))
        }),
        column(5, "EXCHANGE", &|_, zone| {
            plain(us(zone.exchange_lately_us.p99))
        }),
        column(9, "GC", &|_, zone| plain(us(zone.gc_lately_us.p99))),
        column(7, "MAIL/TICK", &|at, _| {
            plain(number(more(at, |zone| zone.mail, ticks)))
        }),
        column(2, "DEEPEST", &|_, zone| match zone.mail_refused {
            0 => plain(zone.mail_depth_max.to_string()),
            refused => Line::of(Bad, format!("{}, {refused} refused", zone.mail_depth_max)),
        }),
        column(8, "IN/s", &|at, _| {
            plain(number(more(at, |zone| zone.handoffs_in, seconds)))
        }),
        column(8, "OUT/s", &|at, _| {
            plain(number(more(at, |zone| zone.handoffs_out, seconds)))
        }),
        column(1, "FAILED", &|_, zone| {
            let style = Style::of_faults(zone.hook_errors, Warning);
            Line::of(style, zone.hook_errors.to_string())
        }),
        column(2, "OVERRUNS", &|_, zone| {
            count(zone.supervision.budget_overruns)
        }),
        column(2, "RESTARTS", &|_, zone| {
            count(zone.supervision.restarts_total())
        }),
        column(4, "MEMORY", &|_, zone| memory(zone)),
    ]
}

/// A number that should be zero.
fn count(count: Option<u64>) -> Line {
    match count {
        Some(count) => Line::of(Style::of_faults(count, Warning), count.to_string()),
        None => Line::of(Dim, NONE),
    }
}

fn memory(zone: &ZoneView) -> Line {
    let seen = &zone.supervision;
    let Some(used) = seen.memory_bytes else {
        return Line::of(Dim, NONE);
    };
    let used_text = bytes(used as f64);
    match seen.memory_limit_bytes {
        Some(limit) if limit > 0 => {
            let style = match Style::of_share(used as f64 / limit as f64) {
                Style::Good => Plain,
                style => style,
            };
            Line::of(style, used_text).and(Dim, format!(" of {}", bytes(limit as f64)))
        }
        _ => Line::of(Plain, used_text),
    }
}

/// What is not known.
const NONE: &str = "–";

fn budget_us(view: &View) -> f64 {
    1e6 / f64::from(view.tick_hz.max(1))
}

fn spread(times: Quantiles) -> Line {
    Line::of(Strong, us(times.p50))
        .and(Dim, " median, ")
        .and(Strong, us(times.p99))
        .and(Dim, " at 99 %")
}

/// How much of something is used, in eighths of a column, coloured by how much that is.
fn bar(share: f64) -> Line {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let filled = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    let empty = "·".repeat(BAR - filled.chars().count());
    Line::of(Style::of_share(share), filled).and(Dim, empty)
}

fn us(us: u32) -> String {
    ms(f64::from(us))
}

/// Three digits of milliseconds, given microseconds.
fn ms(us: f64) -> String {
    let ms = us / 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

fn number(number: Option<f64>) -> String {
    match number {
        Some(number) if number < 10.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.0}"),
        None => NONE.to_owned(),
    }
}

fn bytes(bytes: f64) -> String {
    let mut amount = bytes;
    for unit in ["B", "KiB", "MiB"] {
        if amount < 1000.0 {
            return match amount {
                amount if unit == "B" || amount >= 100.0 => format!("{amount:.0} {unit}"),
                amount => format!("{amount:.1} {unit}"),
            };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} GiB")
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        (1..24, _) => format!("{hours} h {minutes} min"),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(uptime_s: f64, ticks: u64) -> View {
        let times = Quantiles {
            p50: 1_250,
            p99: 8_000,
            max: 9_000,
        };
        let zone = ZoneView {
            zone: 0,
            entities: 42,
            script_lately_us: times,
            exchange_lately_us: times,
            gc_lately_us: times,
            mail: ticks * 12,
            mail_depth_max: 30,
            mail_refused: 0,
            handoffs_in: ticks,
            handoffs_out: 0,
            hook_errors: 0,
            supervision: Default::default(),
        };
        View {
            status: "ready".into(),
            mode: "royale\x1b[2J".into(),
            map: "island".into(),
            tick_hz: 64,
            tick: 12_345,
            uptime_s,
            ticks,
            ticks_missed: 3,
            tick_lately_us: times,
            cpu_s: uptime_s / 2.0,
            cores: 2,
            rss_bytes: 200 << 20,
            zones: vec![zone.clone(), ZoneView { zone: 1, ..zone }],
            network: NetworkView {
                clients: 4,
                clients_max: 100,
                connected: 3,
                spectators: 0,
                bytes_down: ticks * 3 * 1024,
                bytes_up: 0,
                send_lately_us: times,
                state_age_lately_us: times,
                rtt_us: times,
            },
        }
    }

    fn frame(before: Option<&View>, now: &View, width: usize) -> Vec<String> {
        let frame = Frame {
            server: "http://127.0.0.1:7778",
            before,
            now,
            trouble: None,
        };
        frame.lines(width, Paint::Nothing)
    }

    #[test]
    fn a_frame_tells_rates_between_two_views() {
        let (before, now) = (view(10.0, 640), view(12.0, 768));
        let lines = frame(Some(&before), &now, 160);
        let text = lines.join("\n");
        for part in [
            "royale�[2J on island",
            "http://127.0.0.1:7778",
            "4 of 100 clients   up 12 s   1 away",
            "64 a second, 15.6 ms each",
            "51 %   0 missed",
            "3 since the start",
            "0.5 of 2 cores   200 MiB",
            "each client 64.0 KiB/s down, 0 B/s up",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        let zone: Vec<_> = lines[lines.len() - 1].split_whitespace().collect();
        let expected = "1 42 8.00 ms 1.25 ms █████▏···· 51 % 8.00 ms 8.00 ms 12 30 64 0.0 0 – – –";
        assert_eq!(zone.join(" "), expected);
    }

    #[test]
    fn without_a_view_before_or_with_one_of_another_run_rates_are_unknown() {
        let now = view(12.0, 768);
        for before in [None, Some(&view(100.0, 6400))] {
            let text = frame(before, &now, 160).join("\n");
            assert!(text.contains("– of 2 cores"), "{text}");
            assert!(text.contains("each client – down"), "{text}");
        }
    }

    #[test]
    fn a_round_trip_that_nobody_has_is_unknown() {
        let mut now = view(12.0, 768);
        let shown = |now: &View| frame(None, now, 160).join("\n");
        assert!(shown(&now).contains("round trip 1.25 ms median"));
        now.network.connected = 0;
        let text = shown(&now);
        assert!(text.contains("round trip –"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_window() {
        let now = view(12.0, 768);
        for width in [0, 1, 20, 60, 80, 100, 300] {
            for line in frame(None, &now, width) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        let narrow = frame(None, &now, 80).join("\n");
        assert!(
            narrow.contains("ENTITIES") && !narrow.contains("GC"),
            "{narrow}"
        );
    }

    #[test]
    fn a_frame_without_a_terminal_shows_what_goes_wrong_in_zones() {
        let mut now = view(12.0, 768);
        for zone in &mut now.zones {
            zone.mail_refused = 5;
            zone.supervision.memory_bytes = Some(45 << 20);
            zone.supervision.memory_limit_bytes = Some(256 << 20);
        }
        let text = frame(None, &now, 120).join("\n");
        for part in [
            "HOOKS p99",
            "DEEPEST",
            "30, 5 refused",
            "FAILED",
            "OVERRUNS",
            "RESTARTS",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(text.contains("45.0 MiB of 256 MiB"), "{text}");
    }

    #[test]
    fn colours_say_how_much_of_the_tick_is_used() {
        let mut now = view(12.0, 768);
        let colour =
            |now: &View| Style::of_share(f64::from(now.tick_lately_us.p99) / budget_us(now));
        assert_eq!(colour(&now), Style::Good);
        now.tick_lately_us.p99 = 12_000;
        assert_eq!(colour(&now), Warning);
        now.tick_lately_us.p99 = 15_000;
        assert_eq!(colour(&now), Bad);
    }

    #[test]
    fn trouble_is_said_below_what_was_seen_last() {
        let now = view(12.0, 768);
        let error = RemoteError::Unreachable {
            url: "http://127.0.0.1:7778/top.json".into(),
            error: "refused".into(),
        };
        let frame = Frame {
            server: "http://127.0.0.1:7778",
            before: None,
            now: &now,
            trouble: Some(&error),
        };
        let text = frame.lines(120, Paint::Nothing).join("\n");
        assert!(text.contains("no answer from http://127.0.0.1:7778/top.json: refused"));
    }

    #[test]
    fn amounts_have_three_digits_and_a_unit() {
        assert_eq!(
            [ms(850.0), ms(15_625.0), ms(250_000.0)],
            ["0.85 ms", "15.6 ms", "250 ms"]
        );
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(24.0 * 1024.0), "24.0 KiB");
        assert_eq!(bytes(1023.0 * 1024.0), "1.0 MiB");
        assert_eq!(bytes(3.0 * 1024f64.powi(3)), "3.0 GiB");
        assert_eq!(duration(59.9), "59 s");
        assert_eq!(duration(3_725.0), "1 h 2 min");
        assert_eq!(duration(90_000.0), "1 d 1 h");
    }
}
