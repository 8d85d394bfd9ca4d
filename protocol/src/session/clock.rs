//! When a client makes its commands.

use std::time::Duration;

use crate::ids::Tick;
use crate::state::CommandAck;

/// Slack that is aimed at on a perfect path: the command is there a tick before it is needed.
const SLACK_TARGET: i32 = 1;
/// Most ticks of slack beyond that: what a path that loses and jitters has shown to need.
const RESERVE_TICKS_MAX: i32 = 8;
/// State ticks without a shortage after which a tick of the reserve is given up.
const RESERVE_CALM_TICKS: i32 = 2048;
/// Lead over the tick of the welcome to begin with, ticks: too much is corrected without loss.
const LEAD_TICKS_START: f64 = 4.0;
/// State ticks without a shortage after which the lead may shrink.
const CALM_TICKS: i32 = 64;
/// Share of an excess of slack that is given up at a time.
const SHRINK: f64 = 0.5;
/// Excess of slack, ticks, at which the server's clock must have jumped back (it gave up on a
/// stall): then so does this one, and makes the commands of the ticks in between again.
const EXCESS_TICKS_MAX: f64 = 16.0;
/// Most ticks that the clock jumps forward by making all their commands at once; more are skipped.
const BURST_TICKS_MAX: i64 = 8;

/// A client's command clock. It runs at the server's rate, ahead of the server's ticks, so that
/// each command arrives just before it is needed; what the server says about the slack of the
/// commands that arrived moves it.
#[derive(Clone, Debug)]
pub(super) struct CommandClock {
    tick_hz: f64,
    /// Ticks are counted from here, as `f64` don't wrap.
    origin: Tick,
    /// `now × tick_hz + phase` is the tick to make a command for, from `origin`.
    phase: f64,
    /// The tick made last, from `origin`.
    made: i64,
    /// Slack says nothing about the present lead before the state of this tick.
    trusted: Tick,
    /// The least slack since `calm_since`.
    slack_min: i32,
    calm_since: Tick,
    /// Ticks of slack aimed at beyond [`SLACK_TARGET`]: what was missing at each shortage.
    reserve: i32,
    /// When the reserve last changed.
    reserve_since: Tick,
}

impl CommandClock {
    /// A clock for a server that was at `tick` about now.
    pub(super) fn new(now: Duration, tick: Tick, tick_hz: u32) -> Self {
        let tick_hz = f64::from(tick_hz);
        let mut clock = Self {
            tick_hz,
            origin: tick,
            phase: LEAD_TICKS_START - now.as_secs_f64() * tick_hz,
            made: LEAD_TICKS_START as i64 - 1,
            trusted: tick,
            slack_min: i32::MAX,
            calm_since: tick,
            reserve: 0,
            reserve_since: tick,
        };
        clock.distrust(now);
        clock
    }

    /// The next tick that a command is due for: each once, ascending, unless the server's clock
    /// jumped.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Tick> {
        let due = self.ticks(now).floor() as i64;
        if due <= self.made {
            return None;
        }
        self.made = (self.made + 1).max(due - BURST_TICKS_MAX + 1);
        Some(self.at(self.made))
    }

    /// When the next command is due.
    pub(super) fn next_due(&self) -> Duration {
        let seconds = ((self.made + 1) as f64 - self.phase) / self.tick_hz;
        // A little later, so that rounding doesn't make it due just before.
        Duration::try_from_secs_f64(seconds).unwrap_or_default() + Duration::from_micros(1)
    }

    /// Learns from what the server said in the state of `tick`.
    pub(super) fn handle_ack(&mut self, now: Duration, tick: Tick, ack: CommandAck) {
        let Some(slack) = ack.slack.map(i32::from) else {
            return;
        };
        if self.trusted.is_newer_than(tick) {
            return;
        }
        self.slack_min = self.slack_min.min(slack);
        if self.slack_min < SLACK_TARGET {
            // By as much as was missing: one that came too late had no effect.
            let missing = SLACK_TARGET - self.slack_min;
            self.reserve = (self.reserve + missing).min(RESERVE_TICKS_MAX);
            self.reserve_since = tick;
            self.shift(now, f64::from(SLACK_TARGET + self.reserve - self.slack_min));
        } else if tick.wrapping_sub(self.calm_since) >= CALM_TICKS {
            if self.reserve > 0 && tick.wrapping_sub(self.reserve_since) >= RESERVE_CALM_TICKS {
                self.reserve -= 1;
                self.reserve_since = tick;
            }
            let excess = f64::from((self.slack_min - SLACK_TARGET - self.reserve).max(0));
            if excess > EXCESS_TICKS_MAX {
                self.made -= excess as i64;
                self.shift(now, -excess);
            } else {
                self.shift(now, -excess * SHRINK);
            }
        }
    }

    fn shift(&mut self, now: Duration, ticks: f64) {
        self.phase += ticks;
        self.distrust(now);
    }

    /// Waits with the next verdict for the commands that are made from now on.
    fn distrust(&mut self, now: Duration) {
        let next = (self.ticks(now).floor() as i64).max(self.made + 1);
        self.trusted = self.at(next);
        self.calm_since = self.trusted;
        self.slack_min = i32::MAX;
    }

    /// Ticks from `origin`, with a fraction.
    fn ticks(&self, now: Duration) -> f64 {
        now.as_secs_f64() * self.tick_hz + self.phase
    }

    fn at(&self, ticks: i64) -> Tick {
        Tick(self.origin.0.wrapping_add(ticks as u32))
    }
}
