//! What one bot measures during the window, and all of them together.

use std::collections::VecDeque;
use std::time::Duration;

use tessera_protocol::Tick;

use super::ages::Arrival;
use crate::measure::{Distribution, percentiles_of};
use crate::report::detail::{ClientRow, ClientSecond};
use crate::report::schema::Percentiles;

/// Commands that may wait for their acknowledgement: at 128 Hz, eight seconds of them.
const WAITING_MAX: usize = 1_024;

/// The measuring end of one bot.
#[derive(Debug)]
pub struct Meter {
    arrivals: Vec<Arrival>,
    ack: Distribution,
    states: u64,
    commands: u64,
    unacknowledged: u64,
    /// Commands whose fate a state has told.
    settled: u64,
    /// Of these, those without effect: a state says that their tick passed without them.
    missed: u64,
    newest: Option<Tick>,
    /// Commands sent and not acknowledged: their tick and when they were due, in ns of the monotonic clock.
    waiting: VecDeque<(Tick, i64)>,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            arrivals: Vec::new(),
            ack: Distribution::new(2),
            states: 0,
            commands: 0,
            unacknowledged: 0,
            settled: 0,
            missed: 0,
            newest: None,
            waiting: VecDeque::with_capacity(64),
        }
    }
}

impl Meter {
    /// Forgets all results; what is under way stays, so that the window's first acknowledgements count.
    pub fn begin_window(&mut self) {
        self.arrivals.clear();
        self.ack.clear();
        (self.states, self.commands, self.unacknowledged) = (0, 0, 0);
        (self.settled, self.missed) = (0, 0);
    }

    /// A command for `tick` went out that was due at `due_ns`.
    pub fn sent(&mut self, tick: Tick, due_ns: i64) {
        self.commands += 1;
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.unacknowledged += 1;
        }
        self.waiting.push_back((tick, due_ns));
    }

    /// A datagram of the state of `tick` arrived, in which the command of tick `consumed` is the newest consumed.
    pub fn arrived(&mut self, tick: Tick, consumed: Option<Tick>, now_ns: i64, all: &mut Totals) {
        if self.newest.is_none_or(|newest| tick.is_newer_than(newest)) {
            self.newest = Some(tick);
            self.states += 1;
            if let Some(at_us) = all.since_began_us(now_ns) {
                self.arrivals.push(Arrival { tick, at_us });
            }
        }
        self.miss(tick, consumed);
        let Some(consumed) = consumed else { return };
        while let Some(&(sent, due_ns)) = self
            .waiting
            .front()
            .filter(|(sent, _)| !sent.is_newer_than(consumed))
        {
            self.waiting.pop_front();
            // An older one was overtaken: the state that would have told its fate was lost.
            match sent == consumed {
                true => {
                    self.settled += 1;
                    let us = microseconds(now_ns - due_ns);
                    self.ack.record(us);
                    all.ack.record(us);
                    all.second_ack.record(us);
                }
                false => self.unacknowledged += 1,
            }
        }
    }

    /// Settles the commands that can have no effect any more: the state of `tick` is there, and the newest that was
    /// consumed until then is older than they are.
    fn miss(&mut self, tick: Tick, consumed: Option<Tick>) {
        let missed = |sent: Tick| {
            tick.is_newer_than(sent) && consumed.is_none_or(|consumed| sent.is_newer_than(consumed))
        };
        let before = self.waiting.len();
        self.waiting.retain(|&(sent, _)| !missed(sent));
        let count = (before - self.waiting.len()) as u64;
        self.settled += count;
        self.missed += count;
        self.unacknowledged += count;
    }

    /// When states arrived in the window.
    pub fn take_arrivals(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }

    /// The bot's row of the report, but for the ages of states.
    pub fn row(
        &self,
        name: String,
        bytes: (u64, u64),
        seconds: f64,
        dropped: Option<String>,
    ) -> ClientRow {
        ClientRow {
            name,
            snapshot_age_us: Percentiles::default(),
            input_ack_us: self.ack.percentiles(),
            bytes_down_per_s: bytes.0 as f64 / seconds,
            bytes_up_per_s: bytes.1 as f64 / seconds,
            states: self.states,
            commands: self.commands,
            unacknowledged: self.unacknowledged,
            settled: self.settled,
            missed: self.missed,
            dropped,
        }
    }
}

fn microseconds(ns: i64) -> i64 {
    (ns + 500) / 1_000
}

/// All bots together, over the window and over its current second.
#[derive(Debug)]
pub struct Totals {
    /// When the window began, in ns of the monotonic clock; before that nothing is noted.
    began_ns: Option<i64>,
    /// Ages of states, once they are settled.
    pub age: Distribution,
    /// Round trips of commands.
    pub ack: Distribution,
    second_ack: Distribution,
    /// By how much states moved players from where their clients had predicted them, in µm.
    pub correction_um: Distribution,
    /// How far in the past clients show others, in µs.
    pub interpolation_us: Distribution,
    /// The most ticks that a bot waited for the next word of an entity that kept moving.
    pub staleness_ticks_max: u32,
    /// Closed seconds.
    pub seconds: Vec<ClientSecond>,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals {
            began_ns: None,
            age: Distribution::new(3),
            ack: Distribution::new(3),
            second_ack: Distribution::new(2),
            correction_um: Distribution::new(2),
            interpolation_us: Distribution::new(2),
            staleness_ticks_max: 0,
            seconds: Vec::new(),
        }
    }
}

impl Totals {
    /// Forgets all results.
    pub fn begin_window(&mut self, now_ns: i64) {
        *self = Totals {
            began_ns: Some(now_ns),
            ..Totals::default()
        };
    }

    /// When the window began, in ns of the monotonic clock; 0 when it hasn't.
    pub fn began_ns(&self) -> i64 {
        self.began_ns.unwrap_or_default()
    }

    /// A bot waited this many ticks for the next word of an entity that kept moving.
    pub fn stale(&mut self, ticks: u32) {
        self.staleness_ticks_max = self.staleness_ticks_max.max(ticks);
    }

    fn since_began_us(&self, now_ns: i64) -> Option<u32> {
        u32::try_from(microseconds(now_ns - self.began_ns?)).ok()
    }

    /// A bot predicted itself so many metres from where the server then said it was.
    pub fn corrected(&mut self, error_m: f64) {
        if self.began_ns.is_some() {
            self.correction_um.record((error_m * 1e6).round() as i64);
        }
    }

    /// A bot acted on what it was shown with this delay.
    pub fn interpolated(&mut self, delay: Duration) {
        if self.began_ns.is_some() {
            let us = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
            self.interpolation_us.record(us);
        }
    }

    /// Closes a second, all but the ages; `bytes` are those received and sent in it.
    pub fn end_second(&mut self, bytes: (u64, u64), connected: usize) -> ClientSecond {
        let ack = self.second_ack.percentiles();
        let second = ClientSecond {
            t_s: self.seconds.len() as f64,
            age_p50_us: 0.0,
            age_p99_us: 0.0,
            ack_p50_us: ack.p50,
            ack_p99_us: ack.p99,
            bytes_down: bytes.0,
            bytes_up: bytes.1,
            connected,
        };
        self.second_ack.clear();
        self.seconds.push(second);
        second
    }
}

/// Over clients: what each received and sent per second.
pub fn bandwidth(rows: &[ClientRow]) -> (Percentiles, Percentiles) {
    let over = |part: fn(&ClientRow) -> f64| percentiles_of(rows.iter().map(part).collect());
    (
        over(|row| row.bytes_down_per_s),
        over(|row| row.bytes_up_per_s),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn only_a_newest_state_is_noted() {
        let (mut meter, mut all) = (Meter::default(), Totals::default());
        meter.arrived(Tick(4), None, 0, &mut all);
        meter.begin_window();
        all.begin_window(MS);
        meter.arrived(Tick(5), None, 3 * MS, &mut all);
        meter.arrived(Tick(5), None, 9 * MS, &mut all); // a second datagram of it
        meter.arrived(Tick(4), None, 50 * MS, &mut all); // overtaken on the way
        meter.arrived(Tick(7), None, 5 * MS, &mut all);
        let noted: Vec<_> = meter
            .take_arrivals()
            .iter()
            .map(|a| (a.tick.0, a.at_us))
            .collect();
        assert_eq!(noted, [(5, 2_000), (7, 4_000)]);
        let row = meter.row("b".into(), (100, 50), 2.0, None);
        assert_eq!(
            (row.states, row.bytes_down_per_s, row.bytes_up_per_s),
            (2, 50.0, 25.0)
        );
    }

    #[test]
    fn a_round_trip_runs_from_the_due_time_and_ends_once() {
        let (mut meter, mut all) = (Meter::default(), Totals::default());
        for tick in 10..14 {
            meter.sent(Tick(tick), i64::from(tick) * 10 * MS);
        }
        meter.arrived(Tick(1), Some(Tick(11)), 130 * MS, &mut all);
        meter.arrived(Tick(2), Some(Tick(11)), 200 * MS, &mut all);
        meter.arrived(Tick(3), Some(Tick(12)), 200 * MS, &mut all);
        let row = meter.row("b".into(), (0, 0), 1.0, None);
        assert_eq!(all.ack.count(), 2, "commands 11 and 12");
        assert!((row.input_ack_us.p50 - 20_000.0).abs() < 200.0);
        assert_eq!(row.input_ack_us.max, 80_000.0);
        assert_eq!(row.unacknowledged, 1, "command 10 was overtaken");
        assert_eq!(row.commands, 4);
    }

    #[test]
    fn a_command_is_missed_only_if_a_state_says_so() {
        let (mut meter, mut all) = (Meter::default(), Totals::default());
        for tick in 10..16 {
            meter.sent(Tick(tick), 0);
        }
        let settled = |meter: &Meter| {
            let row = meter.row("b".into(), (0, 0), 1.0, None);
            (row.settled, row.missed)
        };
        // The state that tick 10 made is lost: nobody knows whether 10 was applied.
        meter.arrived(Tick(12), Some(Tick(11)), MS, &mut all);
        assert_eq!(settled(&meter), (1, 0));
        // Tick 12 passed without its command.
        meter.arrived(Tick(13), Some(Tick(11)), MS, &mut all);
        assert_eq!(settled(&meter), (2, 1));
        // What the server says of later commands while it sends an older state is no miss.
        meter.arrived(Tick(14), Some(Tick(14)), MS, &mut all);
        assert_eq!(settled(&meter), (3, 1), "15 is on its way");
    }

    #[test]
    fn corrections_and_delays_count_within_the_window() {
        let mut all = Totals::default();
        all.corrected(1.0);
        all.begin_window(0);
        all.corrected(0.025);
        all.interpolated(Duration::from_micros(31_250));
        let correction_cm = all.correction_um.percentiles().scaled(1e-4);
        let interpolation_ms = all.interpolation_us.percentiles().scaled(1e-3);
        assert_eq!(all.correction_um.count(), 1);
        assert!((correction_cm.max - 2.5).abs() < 0.03);
        assert!((interpolation_ms.max - 31.25).abs() < 0.4);
    }

    #[test]
    fn a_window_begins_with_what_is_under_way() {
        let (mut meter, mut all) = (Meter::default(), Totals::default());
        meter.sent(Tick(1), 0);
        meter.begin_window();
        all.begin_window(0);
        meter.arrived(Tick(9), Some(Tick(1)), MS, &mut all);
        assert_eq!(all.ack.count(), 1);
        let second = all.end_second((10, 20), 1);
        assert_eq!(
            (second.t_s, second.ack_p50_us, second.bytes_up),
            (0.0, 1_000.0, 20)
        );
        assert_eq!(all.end_second((0, 0), 1).ack_p50_us, 0.0);
    }
}
