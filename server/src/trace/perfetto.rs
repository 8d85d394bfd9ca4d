//! A trace as a file: the JSON of the trace event format, which Perfetto and `chrome://tracing` open.
//!
//! One process with a track for the tick thread, one for the network's thread and one for each zone.
//! Every span is a complete event (`"ph": "X"`), its times in microseconds since the first tick was due.

use serde::Serialize;

use super::{Span, Trace};

/// The one process.
const PID: u32 = 1;
const TICK_TRACK: u32 = 1;
const NETWORK_TRACK: u32 = 2;
/// The track of the first zone; the others follow.
const ZONE_TRACKS: u32 = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    display_time_unit: &'static str,
    other_data: OtherData,
    trace_events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct OtherData {
    ticks: usize,
    cut_short: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    Complete {
        name: &'a str,
        ph: &'static str,
        ts: f64,
        dur: f64,
        pid: u32,
        tid: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<Args>,
    },
    Metadata {
        name: &'static str,
        ph: &'static str,
        pid: u32,
        tid: u32,
        args: Meta,
    },
}

/// What one reads about a span that was clicked at.
#[derive(Serialize)]
#[serde(untagged)]
enum Args {
    Tick {
        tick: u32,
        /// From when it was due to its start.
        start_jitter_us: f64,
        late: bool,
    },
    Send {
        tick: u32,
        clients: usize,
        interest_us: f64,
        encode_us: f64,
    },
    Hook {
        entity: u32,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Meta {
    Name { name: String },
    Order { sort_index: u32 },
}

impl Trace {
    /// The file's bytes. `title` names the process.
    ///
    /// # Errors
    /// None that a trace could cause: the writer's own.
    pub(crate) fn to_json(&self, title: &str) -> serde_json::Result<Vec<u8>> {
        let file = File {
            display_time_unit: "ms",
            other_data: OtherData {
                ticks: self.ticks.len(),
                cut_short: self.cut_short,
            },
            trace_events: self.events(title),
        };
        serde_json::to_vec(&file)
    }

    fn events(&self, title: &str) -> Vec<Event<'_>> {
        let zones = self.ticks.first().map_or(0, |tick| tick.zones.len());
        let zones = (ZONE_TRACKS..).zip(0..zones);
        let mut events = vec![Event::Metadata {
            name: "process_name",
            ph: "M",
            pid: PID,
            tid: 0,
            args: Meta::Name {
                name: title.to_owned(),
            },
        }];
        events.extend(track(TICK_TRACK, "tick".to_owned()));
        events.extend(zones.flat_map(|(tid, zone)| track(tid, format!("zone {zone}"))));
        events.extend(track(NETWORK_TRACK, "network".to_owned()));

        let axis = Axis {
            origin_ns: self.ticks.first().map_or(0, |tick| tick.due_ns),
        };
        for tick in &self.ticks {
            let args = Args::Tick {
                tick: tick.tick.0,
                start_jitter_us: us(tick.start_ns.saturating_sub(tick.due_ns)),
                late: tick.late,
            };
            let times = (tick.start_ns, tick.end_ns);
            events.push(axis.event(TICK_TRACK, "tick", times, Some(args)));
            events.extend(tick.stages.iter().map(|span| axis.span(TICK_TRACK, span)));
            for (tid, zone) in (ZONE_TRACKS..).zip(&tick.zones) {
                events.extend(zone.spans.iter().map(|span| axis.span(tid, span)));
            }
        }
        for send in &self.sends {
            let args = Args::Send {
                tick: send.tick.0,
                clients: send.clients,
                interest_us: us(send.interest_ns),
                encode_us: us(send.encode_ns),
            };
            let times = (send.start_ns, send.end_ns);
            events.push(axis.event(NETWORK_TRACK, "send", times, Some(args)));
        }
        events
    }
}

/// Tracks are shown in the order of their numbers, the network's last.
fn track<'a>(tid: u32, name: String) -> [Event<'a>; 2] {
    let sort_index = if tid == NETWORK_TRACK { u32::MAX } else { tid };
    let meta = |name, args| Event::Metadata {
        name,
        ph: "M",
        pid: PID,
        tid,
        args,
    };
    [
        meta("thread_name", Meta::Name { name }),
        meta("thread_sort_index", Meta::Order { sort_index }),
    ]
}

/// Where the times of a file begin.
#[derive(Clone, Copy)]
struct Axis {
    origin_ns: u64,
}

impl Axis {
    fn span(self, tid: u32, span: &Span) -> Event<'_> {
        let args = span.entity.map(|entity| Args::Hook { entity });
        self.event(tid, &span.name, (span.start_ns, span.end_ns), args)
    }

    fn event(
        self,
        tid: u32,
        name: &str,
        (start_ns, end_ns): (u64, u64),
        args: Option<Args>,
    ) -> Event<'_> {
        Event::Complete {
            name,
            ph: "X",
            ts: us(start_ns.saturating_sub(self.origin_ns)),
            dur: us(end_ns.saturating_sub(start_ns)),
            pid: PID,
            tid,
            args,
        }
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::{SendTrace, TraceTick, ZoneTrace};
    use super::*;
    use tessera_protocol::Tick;

    #[test]
    fn spans_become_events_on_named_tracks() {
        let hook = Span {
            entity: Some(17),
            name: "Player.tick".to_owned().into(),
            ..Span::new("", 5_002_000, 5_003_500)
        };
        let trace = Trace {
            ticks: vec![TraceTick {
                tick: Tick(9),
                due_ns: 5_000_000,
                start_ns: 5_000_250,
                end_ns: 5_009_000,
                late: false,
                stages: vec![Span::new("zones", 5_001_000, 5_004_000)],
                zones: vec![ZoneTrace {
                    spans: vec![Span::new("script", 5_001_500, 5_003_500), hook],
                }],
            }],
            sends: vec![SendTrace {
                tick: Tick(9),
                start_ns: 5_009_000,
                end_ns: 5_011_000,
                interest_ns: 300,
                encode_ns: 900,
                clients: 3,
            }],
            cut_short: false,
        };
        let json = trace.to_json("a match").expect("JSON");
        let file: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let events = file["traceEvents"].as_array().expect("events");
        let told = |name: &str| {
            let event = events.iter().find(|event| event["name"] == name);
            event.unwrap_or_else(|| panic!("no {name}")).to_string()
        };
        assert_eq!(
            told("tick"),
            r#"{"args":{"late":false,"start_jitter_us":0.25,"tick":9},"dur":8.75,"name":"tick","ph":"X","pid":1,"tid":1,"ts":0.25}"#
        );
        assert_eq!(
            told("Player.tick"),
            r#"{"args":{"entity":17},"dur":1.5,"name":"Player.tick","ph":"X","pid":1,"tid":10,"ts":2.0}"#
        );
        assert_eq!(
            told("process_name"),
            r#"{"args":{"name":"a match"},"name":"process_name","ph":"M","pid":1,"tid":0}"#
        );
        assert!(told("send").contains(r#""clients":3"#));
        let tracks: Vec<_> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(tracks, ["tick", "zone 0", "network"]);
        assert_eq!(file["otherData"]["ticks"], 1);
    }
}
