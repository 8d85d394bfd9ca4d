//! What arrivals say about the server's clock, the way to it, and how even that is.

use std::collections::VecDeque;
use std::time::Duration;

use tessera_protocol::{StateHeader, Tick};

/// States from one minimum of the offset to the next: old ones must be forgotten, since two clocks
/// drift apart.
const WINDOW_STATES: u32 = 128;
/// How much one arrival counts in the means of lateness: as in RFC 3550, so that noise averages out
/// within a quarter of a second.
const GAIN: f64 = 1.0 / 16.0;
/// Commands of which is remembered when they were sent.
const SENT_MAX: usize = 64;

/// The least of the last one to two windows.
#[derive(Clone, Copy, Debug)]
struct WindowMin {
    before: f64,
    present: f64,
    count: u32,
}

impl WindowMin {
    const EMPTY: WindowMin = WindowMin {
        before: f64::INFINITY,
        present: f64::INFINITY,
        count: 0,
    };

    fn add(&mut self, value: f64) {
        if self.count == WINDOW_STATES {
            (self.before, self.present, self.count) = (self.present, f64::INFINITY, 0);
        }
        self.present = self.present.min(value);
        self.count += 1;
    }

    fn get(&self) -> f64 {
        self.before.min(self.present)
    }
}

/// An estimate of the server's clock from the arrivals of its states.
///
/// Ticks are counted from the tick of the welcome as `f64`, which have room for a fraction.
#[derive(Clone, Debug)]
pub struct ServerClock {
    tick_hz: f64,
    origin: Tick,
    newest: Option<Tick>,
    /// Of `now × tick_hz - tick` at arrivals: that of the fastest one.
    offset: WindowMin,
    /// Mean of how much later than the fastest one states arrive, ticks, and its mean deviation.
    lateness: f64,
    deviation: f64,
    /// When commands were sent, oldest first.
    sent: VecDeque<(Tick, Duration)>,
    /// From sending a command to the state that knew of it, seconds.
    round_trip: WindowMin,
}

impl ServerClock {
    /// A clock that knows nothing yet; `origin` is the tick of the welcome.
    pub fn new(origin: Tick, tick_hz: u32) -> Self {
        Self {
            tick_hz: tick_hz.into(),
            origin,
            newest: None,
            offset: WindowMin::EMPTY,
            lateness: 0.0,
            deviation: 0.0,
            sent: VecDeque::with_capacity(SENT_MAX),
            round_trip: WindowMin::EMPTY,
        }
    }

    /// Ticks a second.
    pub fn tick_hz(&self) -> f64 {
        self.tick_hz
    }

    /// A tick as a number, from the tick of the welcome.
    pub fn ticks(&self, tick: Tick) -> f64 {
        tick.wrapping_sub(self.origin).into()
    }

    /// Notes that the command of a tick was sent.
    pub fn handle_sent(&mut self, now: Duration, tick: Tick) {
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((tick, now));
    }

    /// Notes that a state arrived. Only the first datagram of each newer tick says something.
    pub fn handle_state(&mut self, now: Duration, header: &StateHeader) {
        if self
            .newest
            .is_some_and(|newest| !header.tick.is_newer_than(newest))
        {
            return;
        }
        self.newest = Some(header.tick);
        let offset = now.as_secs_f64() * self.tick_hz - self.ticks(header.tick);
        self.offset.add(offset);
        let late = offset - self.offset.get();
        self.deviation += GAIN * ((late - self.lateness).abs() - self.deviation);
        self.lateness += GAIN * (late - self.lateness);
        self.learn_round_trip(now, header);
    }

    /// The newest command that the server had when it made this state was ahead of the one consumed
    /// by the slack: it had come within the tick before.
    fn learn_round_trip(&mut self, now: Duration, header: &StateHeader) {
        let (Some(consumed), Some(slack)) = (header.ack.consumed, header.ack.slack) else {
            return;
        };
        let heard = consumed.offset(slack.into());
        while self
            .sent
            .front()
            .is_some_and(|(tick, _)| heard.is_newer_than(*tick))
        {
            self.sent.pop_front();
        }
        if let Some(&(_, at)) = self.sent.front().filter(|(tick, _)| *tick == heard) {
            self.round_trip.add((now - at.min(now)).as_secs_f64());
        }
    }

    /// The newest state that can have arrived by now, ticks: what the fastest arrivals promise.
    /// `None` before the first state.
    pub fn heard_ticks(&self, now: Duration) -> Option<f64> {
        self.newest?;
        Some(now.as_secs_f64() * self.tick_hz - self.offset.get())
    }

    /// Where the server's clock is now, ticks: [`ServerClock::heard_ticks`] and half a round trip.
    pub fn server_ticks(&self, now: Duration) -> Option<f64> {
        let way = self.round_trip().unwrap_or_default().as_secs_f64() / 2.0;
        Some(self.heard_ticks(now)? + way * self.tick_hz)
    }

    /// The way to the server and back, with the time that the server takes for a tick: the least of
    /// the last seconds. `None` before the first acknowledgement.
    pub fn round_trip(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.round_trip.get()).ok()
    }

    /// How much later than the fastest states nearly all others arrive, ticks: mean and four mean
    /// deviations, as RFC 6298 has it for retransmissions.
    pub fn jitter_ticks(&self) -> f64 {
        self.lateness + 4.0 * self.deviation
    }
}
