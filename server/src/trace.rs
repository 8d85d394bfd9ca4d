//! A trace: when each part of each tick began and ended, for some hundred ticks that somebody asked for.
//!
//! The tick thread fills a [`Tracing`] while there is one, and does nothing for it otherwise.
//! `trace/perfetto.rs` writes what was recorded as a file that <https://ui.perfetto.dev> opens;
//! `trace/fetch.rs` is `tessera trace`, which asks a running server for one.
//!
//! All times are nanoseconds of the monotonic clock.

use std::borrow::Cow;

use tessera_protocol::Tick;
use tessera_sim::{TickTimings, ZoneTimings};
use tokio::sync::oneshot;

use crate::recorder::TickTimes;

mod fetch;
mod perfetto;

pub(crate) use fetch::fetch;

/// The most ticks of one trace: a hundred seconds at 64 a second.
pub(crate) const TICKS_MAX: u32 = 6400;

/// The most spans of one trace; one that has so many ends before its last tick.
const SPANS_MAX: usize = 1 << 20;

/// From when to when something ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: Cow<'static, str>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Whose hook it was.
    pub(crate) entity: Option<u32>,
}

impl Span {
    fn new(name: &'static str, start_ns: u64, end_ns: u64) -> Span {
        Span {
            name: Cow::Borrowed(name),
            start_ns,
            end_ns,
            entity: None,
        }
    }
}

/// One tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceTick {
    /// The boundary that it made.
    pub(crate) tick: Tick,
    pub(crate) due_ns: u64,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// It ended after the next was due.
    pub(crate) late: bool,
    /// The tick thread's stages, one after the other within the tick.
    pub(crate) stages: Vec<Span>,
    /// In zone order.
    pub(crate) zones: Vec<ZoneTrace>,
}

/// What one zone's thread did for one tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZoneTrace {
    /// By start. A span is within another, or apart from it.
    pub(crate) spans: Vec<Span>,
}

/// What the network's thread did for one tick.
#[derive(Clone, Debug)]
pub(crate) struct SendTrace {
    pub(crate) tick: Tick,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Of it, finding out what all clients have in sight.
    pub(crate) interest_ns: u64,
    /// Of it, rounding the state and putting together all clients' datagrams.
    pub(crate) encode_ns: u64,
    pub(crate) clients: usize,
}

/// Ticks one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) ticks: Vec<TraceTick>,
    pub(crate) sends: Vec<SendTrace>,
    /// It has fewer ticks than were asked for, since it had [`SPANS_MAX`] spans before.
    pub(crate) cut_short: bool,
}

/// A trace that is being recorded.
pub(crate) struct Tracing {
    wanted: usize,
    trace: Trace,
    spans: usize,
    /// By zone, when its last span ended.
    ended_ns: Vec<u64>,
    asked: oneshot::Sender<Trace>,
}

impl Tracing {
    /// Records the next `ticks`, at most [`TICKS_MAX`], and then tells who `asked`.
    pub(crate) fn new(ticks: u32, asked: oneshot::Sender<Trace>) -> Tracing {
        Tracing {
            wanted: ticks.clamp(1, TICKS_MAX) as usize,
            trace: Trace::default(),
            spans: 0,
            ended_ns: Vec::new(),
            asked,
        }
    }

    /// Adds a tick; gives itself back while there is more to record. Who asked may go at any time.
    pub(crate) fn record(mut self, times: &TickTimes, timings: &TickTimings) -> Option<Tracing> {
        if self.asked.is_closed() {
            return None;
        }
        let tick = self.tick(times, timings);
        let zones = tick.zones.iter().map(|zone| zone.spans.len());
        self.spans += 1 + tick.stages.len() + zones.sum::<usize>();
        self.trace.ticks.push(tick);
        let complete = self.trace.ticks.len() == self.wanted;
        self.trace.cut_short = !complete && self.spans >= SPANS_MAX;
        if complete || self.trace.cut_short {
            // Whether it has gone was looked at just now.
            let _ = self.asked.send(self.trace);
            return None;
        }
        Some(self)
    }

    fn tick(&mut self, times: &TickTimes, timings: &TickTimings) -> TraceTick {
        let stages = stages(times, timings);
        let [_, zones_stage, barrier, ..] = &stages;
        self.ended_ns.resize(timings.zones.len(), 0);
        let zones = timings.zones.iter().zip(&mut self.ended_ns);
        let zones = zones.map(|(zone, ended_ns)| {
            let began = [zones_stage.start_ns, barrier.start_ns];
            let trace = lay_out(zone, began, *ended_ns);
            *ended_ns = trace.spans.last().map_or(*ended_ns, |span| span.end_ns);
            trace
        });
        TraceTick {
            tick: times.tick,
            due_ns: times.due_ns,
            start_ns: times.start_ns,
            end_ns: times.end_ns,
            late: times.is_late(),
            zones: zones.collect(),
            stages: stages.into(),
        }
    }
}

/// The tick thread's stages follow each other without a gap; what is left is the hand-over.
fn stages(times: &TickTimes, timings: &TickTimings) -> [Span; 5] {
    let mut start_ns = times.start_ns;
    let mut next = |name, took_ns: u64| {
        let end_ns = (start_ns + took_ns).min(times.end_ns);
        let span = Span::new(name, start_ns, end_ns);
        start_ns = end_ns;
        span
    };
    [
        next("commands", times.commands_ns(timings)),
        next("zones", timings.zones_ns),
        next("barrier", timings.barrier_ns),
        next("snapshot", timings.snapshot_ns),
        next("publish", u64::MAX - times.end_ns),
    ]
}

/// A zone tells how long its parts took, in processor time, but not when they began. So they are laid
/// one after the other from the `began` of the two stages that they belong to, and the garbage
/// collection after the tick before, which ended at `ended_ns` or is not in the trace (0).
///
/// This is the place for the spans that a zone records itself, once it does.
fn lay_out(zone: &ZoneTimings, began: [u64; 2], ended_ns: u64) -> ZoneTrace {
    let [hooks_ns, exchange_ns] = began;
    let parts = [
        ("gc", ended_ns, if ended_ns == 0 { 0 } else { zone.gc_ns }),
        ("script", hooks_ns, zone.script_ns),
        ("gather", hooks_ns, zone.gather_ns),
        ("exchange", exchange_ns, zone.exchange_ns),
        ("snapshot", exchange_ns, zone.snapshot_ns),
    ];
    let mut free_ns = ended_ns;
    let mut spans = Vec::new();
    for (name, from_ns, took_ns) in parts {
        if took_ns > 0 {
            let start_ns = from_ns.max(free_ns);
            free_ns = start_ns + took_ns;
            spans.push(Span::new(name, start_ns, free_ns));
        }
    }
    ZoneTrace { spans }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: TickTimes = TickTimes {
        due_ns: 1_000,
        start_ns: 1_100,
        collected_ns: 1_200,
        end_ns: 2_000,
        next_due_ns: 9_000,
        skipped: 0,
        tick: Tick(7),
    };

    fn timings() -> TickTimings {
        let zone = ZoneTimings {
            script_ns: 150,
            gather_ns: 20,
            exchange_ns: 60,
            snapshot_ns: 10,
            gc_ns: 40,
        };
        TickTimings {
            commands_ns: 50,
            zones_ns: 200,
            barrier_ns: 100,
            snapshot_ns: 100,
            zones: vec![zone; 2],
        }
    }

    /// The trace of `ticks` ticks, of which `wanted` were asked for.
    fn record(ticks: u64, wanted: u32) -> Option<Trace> {
        let (asked, mut answer) = oneshot::channel();
        let mut tracing = Some(Tracing::new(wanted, asked));
        for at in 0..ticks {
            let later = 8_000 * at;
            let times = TickTimes {
                due_ns: TIMES.due_ns + later,
                start_ns: TIMES.start_ns + later,
                collected_ns: TIMES.collected_ns + later,
                end_ns: TIMES.end_ns + later,
                next_due_ns: TIMES.next_due_ns + later,
                ..TIMES
            };
            tracing = tracing.take()?.record(&times, &timings());
        }
        answer.try_recv().ok()
    }

    fn told(spans: &[Span]) -> Vec<(&str, u64, u64)> {
        let told = spans.iter();
        told.map(|span| (&*span.name, span.start_ns, span.end_ns))
            .collect()
    }

    #[test]
    fn stages_follow_each_other_and_fill_the_tick() {
        let trace = record(1, 1).expect("one tick is all that was wanted");
        let expected = [
            ("commands", 1_100, 1_250),
            ("zones", 1_250, 1_450),
            ("barrier", 1_450, 1_550),
            ("snapshot", 1_550, 1_650),
            ("publish", 1_650, 2_000),
        ];
        assert_eq!(told(&trace.ticks[0].stages), expected);
    }

    #[test]
    fn a_zones_parts_follow_each_other_from_the_stage_that_they_belong_to() {
        let trace = record(2, 2).expect("both ticks");
        let zone = told(&trace.ticks[0].zones[1].spans);
        let expected = [
            ("script", 1_250, 1_400),
            ("gather", 1_400, 1_420),
            ("exchange", 1_450, 1_510),
            ("snapshot", 1_510, 1_520),
        ];
        assert_eq!(zone, expected);
        let next = told(&trace.ticks[1].zones[1].spans);
        assert_eq!(next[0], ("gc", 1_520, 1_560), "in the slack between");
    }

    #[test]
    fn a_trace_ends_with_its_last_tick_with_too_many_spans_or_when_nobody_waits() {
        assert!(record(2, 3).is_none(), "one is missing");
        let spans = 6 + 2 * 4 + (TICKS_MAX as usize - 1) * (6 + 2 * 5);
        assert!(spans < SPANS_MAX, "four zones without hooks always fit");
        let trace = record(TICKS_MAX.into(), u32::MAX).expect("no more than the most");
        assert!(!trace.cut_short);

        let (asked, answer) = oneshot::channel();
        drop(answer);
        assert!(Tracing::new(5, asked).record(&TIMES, &timings()).is_none());
        let (asked, mut answer) = oneshot::channel();
        let mut tracing = Tracing::new(5, asked);
        tracing.spans = SPANS_MAX;
        assert!(tracing.record(&TIMES, &timings()).is_none());
        assert!(answer.try_recv().expect("what there is").cut_short);
    }
}
