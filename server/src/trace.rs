//! A trace: when each part of each tick began and ended, for some hundred ticks that somebody asked for.
//!
//! The tick thread fills a [`Tracing`] while there is one, and does nothing for it otherwise.
//! `trace/perfetto.rs` writes what was recorded as a file that <https://ui.perfetto.dev> opens;
//! `trace/fetch.rs` is `tessera trace`, which asks a running server for one.
//!
//! All times are nanoseconds of the monotonic clock.

use std::borrow::Cow;
use std::cmp::Reverse;

use tessera_protocol::Tick;
use tessera_sim::{TickTimings, ZoneSpan};
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

impl Trace {
    /// Forgets the sends of other ticks: that of the tick before may have come after the beginning.
    pub(crate) fn keep_its_sends(&mut self) {
        let [Some(first), Some(last)] = [self.ticks.first(), self.ticks.last()] else {
            return;
        };
        let other = |tick: Tick| first.tick.is_newer_than(tick) || tick.is_newer_than(last.tick);
        self.sends.retain(|send| !other(send.tick));
    }
}

/// A trace that is being recorded.
pub(crate) struct Tracing {
    wanted: usize,
    trace: Trace,
    spans: usize,
    asked: oneshot::Sender<Trace>,
}

impl Tracing {
    /// Records the next `ticks`, at most [`TICKS_MAX`], and then tells who `asked`.
    pub(crate) fn new(ticks: u32, asked: oneshot::Sender<Trace>) -> Tracing {
        Tracing {
            wanted: ticks.clamp(1, TICKS_MAX) as usize,
            trace: Trace::default(),
            spans: 0,
            asked,
        }
    }

    /// Adds a tick; gives itself back while there is more to record. Who asked may go at any time.
    pub(crate) fn record(
        mut self,
        times: &TickTimes,
        timings: &TickTimings,
        zones: Vec<Vec<ZoneSpan>>,
    ) -> Option<Tracing> {
        if self.asked.is_closed() {
            return None;
        }
        let tick = TraceTick {
            tick: times.tick,
            due_ns: times.due_ns,
            start_ns: times.start_ns,
            end_ns: times.end_ns,
            late: times.is_late(),
            stages: stages(times, timings).into(),
            zones: zones.into_iter().map(drawn).collect(),
        };
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

/// A zone's spans as they are drawn: by start, and of two that begin at once the outer one first.
fn drawn(spans: Vec<ZoneSpan>) -> ZoneTrace {
    let mut spans: Vec<Span> = spans.into_iter().map(Span::from).collect();
    spans.sort_by_key(|span| (span.start_ns, Reverse(span.end_ns)));
    ZoneTrace { spans }
}

impl From<ZoneSpan> for Span {
    fn from(span: ZoneSpan) -> Span {
        Span {
            name: span.name,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            entity: span.entity.map(|id| id.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use tessera_protocol::EntityId;

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
        TickTimings {
            commands_ns: 50,
            zones_ns: 200,
            barrier_ns: 100,
            snapshot_ns: 100,
            zones: Vec::new(),
        }
    }

    /// What two zones tell of a tick, and of what came last in the one before.
    fn zones(later_ns: u64) -> Vec<Vec<ZoneSpan>> {
        let span = |name: &'static str, start_ns, end_ns, entity| ZoneSpan {
            name: name.into(),
            start_ns: start_ns + later_ns,
            end_ns: end_ns + later_ns,
            entity,
        };
        let zone = vec![
            span("gc", 500, 540, None),
            span("drain", 1_250, 1_260, None),
            span("hooks", 1_260, 1_400, None),
            span("Bot.tick", 1_260, 1_300, Some(EntityId(9))),
            span("gather", 1_400, 1_420, None),
        ];
        vec![zone; 2]
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
            tracing = tracing.take()?.record(&times, &timings(), zones(later));
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
    fn a_zones_hooks_lie_within_its_part_for_them() {
        let trace = record(1, 1).expect("the tick");
        let zone = &trace.ticks[0].zones[1].spans;
        let expected = [
            ("gc", 500, 540),
            ("drain", 1_250, 1_260),
            ("hooks", 1_260, 1_400),
            ("Bot.tick", 1_260, 1_300),
            ("gather", 1_400, 1_420),
        ];
        assert_eq!(told(zone), expected);
        assert_eq!(zone[3].entity, Some(9));
    }

    #[test]
    fn only_the_sends_of_its_ticks_are_kept() {
        let tick = |tick| TraceTick {
            tick: Tick(tick),
            ..TraceTick::default()
        };
        let send = |tick| SendTrace {
            tick: Tick(tick),
            start_ns: 0,
            end_ns: 0,
            interest_ns: 0,
            encode_ns: 0,
            clients: 0,
        };
        let mut trace = Trace {
            ticks: [u32::MAX, 0, 1].map(tick).into(),
            sends: [u32::MAX - 1, u32::MAX, 1, 2].map(send).into(),
            cut_short: false,
        };
        trace.keep_its_sends();
        let kept: Vec<_> = trace.sends.iter().map(|send| send.tick.0).collect();
        assert_eq!(kept, [u32::MAX, 1]);
    }

    #[test]
    fn a_trace_ends_with_its_last_tick_with_too_many_spans_or_when_nobody_waits() {
        assert!(record(2, 3).is_none(), "one is missing");
        let spans = TICKS_MAX as usize * (6 + 2 * 5);
        assert!(spans < SPANS_MAX, "so few hooks always fit");
        let trace = record(TICKS_MAX.into(), u32::MAX).expect("no more than the most");
        assert!(!trace.cut_short);

        let (asked, answer) = oneshot::channel();
        drop(answer);
        assert!(
            Tracing::new(5, asked)
                .record(&TIMES, &timings(), zones(0))
                .is_none()
        );
        let (asked, mut answer) = oneshot::channel();
        let mut tracing = Tracing::new(5, asked);
        tracing.spans = SPANS_MAX;
        assert!(tracing.record(&TIMES, &timings(), zones(0)).is_none());
        assert!(answer.try_recv().expect("what there is").cut_short);
    }
}
