//! Counts what ticks cost. Belongs to the tick thread alone: who wants to read asks that thread,
//! which answers in the slack after a tick, so that measuring takes no lock.

use tessera_protocol::Tick;
use tessera_sim::{ChannelReport, SimReport, TickTimings, ZoneReport, ZoneTimings};

use crate::clock;
use crate::report::{Channel, Clock, Stages, Ticks, Zone};
use crate::series::{Recent, Sample};
use crate::stats::{Durations, Percentiles};

/// When one tick was due, started and ended, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickTimes {
    pub(crate) due_ns: u64,
    pub(crate) start_ns: u64,
    /// When its commands had been collected and the simulation began.
    pub(crate) collected_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) next_due_ns: u64,
    /// Slots of the schedule that were skipped before it.
    pub(crate) skipped: u64,
    /// The boundary that it made.
    pub(crate) tick: Tick,
}

impl TickTimes {
    /// Whether it ended after the next was due.
    pub(crate) fn is_late(&self) -> bool {
        self.end_ns > self.next_due_ns
    }

    /// From when it was due to its end.
    pub(crate) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.due_ns)
    }

    /// From when it was due to its start.
    pub(crate) fn start_jitter_ns(&self) -> u64 {
        self.start_ns.saturating_sub(self.due_ns)
    }

    /// Collecting and routing commands.
    pub(crate) fn commands_ns(&self, timings: &TickTimings) -> u64 {
        self.collected_ns - self.start_ns + timings.commands_ns
    }
}

/// Everything about ticks since the last reset.
#[derive(Clone)]
pub(crate) struct Recorder {
    began_ns: u64,
    began_cpu_ns: u64,
    run: u64,
    late: u64,
    skipped: u64,
    duration: Durations,
    start_jitter: Durations,
    commands: Durations,
    zones_stage: Durations,
    barrier: Durations,
    snapshot: Durations,
    zones: Vec<ZoneDurations>,
    samples: Recent<Sample>,
    clock: Clock,
    /// The simulation's totals at the reset.
    baseline: SimReport,
}

#[derive(Clone, Default)]
struct ZoneDurations {
    script: Durations,
    gather: Durations,
    exchange: Durations,
    gc: Durations,
}

/// A copy of what a [`Recorder`] had, ready to be told.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) duration_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) skipped: u64,
    pub(crate) ticks: Ticks,
    pub(crate) zones: Vec<Zone>,
}

impl Recorder {
    pub(crate) fn new(zones: usize, baseline: SimReport) -> Recorder {
        Recorder {
            began_ns: clock::now_ns(),
            began_cpu_ns: clock::process_cpu_ns(),
            run: 0,
            late: 0,
            skipped: 0,
            duration: Durations::new(),
            start_jitter: Durations::new(),
            commands: Durations::new(),
            zones_stage: Durations::new(),
            barrier: Durations::new(),
            snapshot: Durations::new(),
            zones: (0..zones).map(|_| ZoneDurations::default()).collect(),
            samples: Recent::new(),
            clock: Clock::default(),
            baseline,
        }
    }

    pub(crate) fn record(&mut self, times: &TickTimes, timings: &TickTimings) {
        self.run += 1;
        self.skipped += times.skipped;
        let missed = times.is_late();
        let duration_ns = times.duration_ns();
        let start_jitter_ns = times.start_jitter_ns();
        let commands_ns = times.commands_ns(timings);
        self.late += u64::from(missed);
        self.duration.record_ns(duration_ns);
        self.start_jitter.record_ns(start_jitter_ns);
        self.commands.record_ns(commands_ns);
        self.zones_stage.record_ns(timings.zones_ns);
        self.barrier.record_ns(timings.barrier_ns);
        self.snapshot.record_ns(timings.snapshot_ns);
        for (durations, zone) in self.zones.iter_mut().zip(&timings.zones) {
            durations.record(zone);
        }
        let sample = Sample {
            duration_us: whole_us(duration_ns),
            start_jitter_us: whole_us(start_jitter_ns),
            skipped: u32::try_from(times.skipped).unwrap_or(u32::MAX),
            missed,
            commands_us: whole_us(commands_ns),
            zones_us: whole_us(timings.zones_ns),
            barrier_us: whole_us(timings.barrier_ns),
            snapshot_us: whole_us(timings.snapshot_ns),
        };
        self.samples.push(times.tick.0, sample);
        self.clock = Clock {
            tick: times.tick.0,
            due_ns: times.due_ns,
        };
    }

    /// Single ticks.
    pub(crate) fn samples(&self) -> &Recent<Sample> {
        &self.samples
    }

    /// When the newest tick was due.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// What was counted; `totals` are the simulation's since the start.
    pub(crate) fn recorded(&self, totals: &SimReport) -> Recorded {
        let zones = totals.zones.iter().enumerate();
        let zones = zones.map(|(at, now)| self.zone(at, now)).collect();
        Recorded {
            duration_s: (clock::now_ns() - self.began_ns) as f64 / 1e9,
            cpu_s: (clock::process_cpu_ns() - self.began_cpu_ns) as f64 / 1e9,
            skipped: self.skipped,
            ticks: Ticks {
                run: self.run,
                missed: self.late + self.skipped,
                duration_us: self.duration.percentiles_us(),
                start_jitter_us: self.start_jitter.percentiles_us(),
                stages_us: Stages {
                    commands: self.commands.percentiles_us(),
                    zones: self.zones_stage.percentiles_us(),
                    barrier: self.barrier.percentiles_us(),
                    snapshot: self.snapshot.percentiles_us(),
                    // The network's thread counts its own; see `Publisher`.
                    network: Percentiles::default(),
                },
            },
            zones,
        }
    }

    fn zone(&self, at: usize, now: &ZoneReport) -> Zone {
        let durations = &self.zones[at];
        let before = self.baseline.zones.get(at);
        let since = |count: fn(&ZoneReport) -> u64| count(now) - before.map_or(0, count);
        let channels = now.channels.iter().enumerate();
        let channels = channels.map(|(at, now)| {
            let before = before.and_then(|zone| zone.channels.get(at));
            let since = |count: fn(&ChannelReport) -> u64| count(now) - before.map_or(0, count);
            Channel {
                to: now.to.0,
                messages: since(|channel| channel.messages),
                bytes: since(|channel| channel.bytes),
                depth_max: now.depth_max,
                refused: since(|channel| channel.refused),
            }
        });
        Zone {
            zone: now.zone.0,
            entities_max: now.entities_max,
            script_us: durations.script.percentiles_us(),
            gather_us: durations.gather.percentiles_us(),
            exchange_us: durations.exchange.percentiles_us(),
            gc_us: durations.gc.percentiles_us(),
            handoffs_in: since(|zone| zone.handoffs_in),
            handoffs_out: since(|zone| zone.handoffs_out),
            memory_bytes: now.memory.used,
            memory_peak_bytes: now.memory.peak,
            restarts: since(|zone| zone.restarts.iter().sum()),
            channels: channels.collect(),
        }
    }
}

fn whole_us(ns: u64) -> u32 {
    u32::try_from(ns / 1000).unwrap_or(u32::MAX)
}

impl ZoneDurations {
    fn record(&mut self, zone: &ZoneTimings) {
        self.script.record_ns(zone.script_ns);
        self.gather.record_ns(zone.gather_ns);
        self.exchange.record_ns(zone.exchange_ns);
        self.gc.record_ns(zone.gc_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::ZoneId;

    fn zone_report(handoffs_out: u64, bytes: u64) -> SimReport {
        let channel = ChannelReport {
            to: ZoneId(1),
            messages: 0,
            bytes,
            depth_max: 7,
            refused: 0,
        };
        let zone = ZoneReport {
            zone: ZoneId(0),
            entities_max: 9,
            entities: 5,
            handoffs_in: 0,
            handoffs_out,
            messages_sent: 0,
            channels: vec![channel],
            ..ZoneReport::default()
        };
        SimReport {
            zones: vec![zone],
            ..SimReport::default()
        }
    }

    #[test]
    fn latency_is_counted_from_when_the_tick_was_due() {
        let mut recorder = Recorder::new(1, zone_report(10, 100));
        let on_time = TickTimes {
            due_ns: 1_000_000,
            start_ns: 1_500_000,
            collected_ns: 1_600_000,
            end_ns: 4_000_000,
            next_due_ns: 16_000_000,
            skipped: 0,
            tick: Tick(5),
        };
        let late = TickTimes {
            end_ns: 17_000_000,
            skipped: 3,
            ..on_time
        };
        recorder.record(&on_time, &TickTimings::default());
        recorder.record(&late, &TickTimings::default());
        let recorded = recorder.recorded(&zone_report(14, 160));
        assert_eq!((recorded.ticks.run, recorded.ticks.missed), (2, 4));
        let near = |value: f64, us: f64| (value - us).abs() < us / 500.0;
        assert!(near(recorded.ticks.duration_us.p50, 3_000.0));
        assert!(near(recorded.ticks.duration_us.max, 16_000.0));
        assert!(near(recorded.ticks.start_jitter_us.p50, 500.0));
        assert!(near(recorded.ticks.stages_us.commands.p50, 100.0));
        let zone = &recorded.zones[0];
        assert_eq!((zone.handoffs_out, zone.entities_max), (4, 9));
        assert_eq!(
            (zone.channels[0].bytes, zone.channels[0].depth_max),
            (60, 7)
        );
    }
}
