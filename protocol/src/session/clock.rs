//! When a client makes its commands.

use std::time::Duration;

use crate::ids::Tick;
use crate::state::CommandAck;

/// Slack that is aimed at on a perfect path: the command is there a tick before it is needed.
const SLACK_TARGET: i32 = 1;
/// Most ticks of slack beyond that, for a path that loses and jitters.
const RESERVE_TICKS_MAX: i32 = 8;
/// State ticks without a shortage after which a tick of what shortages added to the reserve is given up.
const RESERVE_CALM_TICKS: i32 = 2048;
/// Share of datagrams that a path is taken to lose before anything is known of it.
const LOSS_START: f64 = 0.05;
/// How much one state counts in the share that is lost: it is known after two seconds.
const LOSS_GAIN: f64 = 1.0 / 128.0;
/// Share of commands that may come too late, or never.
const VAIN_SHARE: f64 = 1e-5;
/// Lead over the tick of the welcome to begin with, ticks: too much is corrected without loss.
const LEAD_TICKS_START: f64 = 4.0;
/// State ticks whose least slack is compared with the aim, where there is no shortage.
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
///
/// A command is repeated in the datagrams after its own, so one whose first k datagrams are lost
/// arrives k ticks later: the slack has to last for that. In [`CALM_TICKS`] ticks the least slack shows
/// the jitter and the runs of losses that are as rare as one in so many ticks; how much longer those
/// are that are as rare as [`VAIN_SHARE`] follows from the share of datagrams that is lost. A client
/// only sees what is lost on the way down; where the way up is worse, shortages tell.
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
    /// Whether slack has set the lead yet; before that it says nothing about the path.
    is_set: bool,
    /// Ticks of reserve that shortages have shown to be needed: one for each.
    shortages: i32,
    /// When that last changed.
    shortages_since: Tick,
    /// The newest state so far.
    newest: Option<Tick>,
    /// Share of states that didn't arrive lately.
    loss: f64,
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
            is_set: false,
            shortages: 0,
            shortages_since: tick,
            newest: None,
            loss: LOSS_START,
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

    /// Ticks of slack aimed at beyond what a perfect path needs. So much later a copy of a command is
    /// still in time.
    pub(super) fn reserve(&self) -> f64 {
        // By each further tick that a run of losses lasts it is rarer by the share that is lost.
        let by_loss = if self.loss > VAIN_SHARE {
            (VAIN_SHARE * f64::from(CALM_TICKS)).ln() / self.loss.ln()
        } else {
            0.0
        };
        by_loss
            .max(self.shortages.into())
            .min(RESERVE_TICKS_MAX.into())
    }

    /// Learns from what the server said in the state of `tick`.
    pub(super) fn handle_ack(&mut self, now: Duration, tick: Tick, ack: CommandAck) {
        self.note_state(tick);
        let Some(slack) = ack.slack.map(i32::from) else {
            return;
        };
        if self.trusted.is_newer_than(tick) {
            return;
        }
        self.slack_min = self.slack_min.min(slack);
        if self.slack_min < SLACK_TARGET {
            if std::mem::replace(&mut self.is_set, true) {
                self.shortages = (self.shortages + 1).min(RESERVE_TICKS_MAX);
                self.shortages_since = tick;
            }
            self.shift(now, -self.excess());
        } else if tick.wrapping_sub(self.calm_since) >= CALM_TICKS {
            self.is_set = true;
            if self.shortages > 0 && tick.wrapping_sub(self.shortages_since) >= RESERVE_CALM_TICKS {
                self.shortages -= 1;
                self.shortages_since = tick;
            }
            let excess = self.excess();
            if excess > EXCESS_TICKS_MAX {
                self.made -= excess as i64;
                self.shift(now, -excess);
            } else if excess > 0.0 {
                self.shift(now, -excess * SHRINK);
            } else {
                self.shift(now, -excess);
            }
        }
    }

    /// Ticks by which the least slack is above the aim; negative where it is below.
    fn excess(&self) -> f64 {
        f64::from(self.slack_min - SLACK_TARGET) - self.reserve()
    }

    /// Counts the states that arrived, and those between them that didn't.
    fn note_state(&mut self, tick: Tick) {
        let ahead = self.newest.map_or(1, |newest| tick.wrapping_sub(newest));
        if ahead <= 0 {
            // It counts as lost already, and was only late.
            self.loss = (self.loss - LOSS_GAIN).max(0.0);
            return;
        }
        self.newest = Some(tick);
        for _ in 1..ahead.min(CALM_TICKS) {
            self.loss += LOSS_GAIN * (1.0 - self.loss);
        }
        self.loss -= LOSS_GAIN * self.loss;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The reserve after 2,048 states of which `arrives` says which do.
    fn reserve_after(mut arrives: impl FnMut(i32) -> bool) -> f64 {
        let start = Tick(u32::MAX - 1000);
        let mut clock = CommandClock::new(Duration::ZERO, start, 64);
        for ticks in (0..2048).filter(|ticks| arrives(*ticks)) {
            clock.handle_ack(Duration::ZERO, start.offset(ticks), CommandAck::default());
        }
        clock.reserve()
    }

    #[test]
    fn the_reserve_follows_the_losses() {
        assert_eq!(reserve_after(|_| true), 0.0);
        let one_in_20 = reserve_after(|ticks| ticks % 20 != 0);
        assert!((2.3..2.6).contains(&one_in_20), "{one_in_20} ticks");
        let most = reserve_after(|ticks| ticks % 3 == 0);
        assert_eq!(most, f64::from(RESERVE_TICKS_MAX));
    }

    #[test]
    fn what_is_late_is_not_lost() {
        let mut clock = CommandClock::new(Duration::ZERO, Tick(0), 64);
        for pair in 0..1024 {
            for tick in [2 * pair + 1, 2 * pair] {
                clock.handle_ack(Duration::ZERO, Tick(tick), CommandAck::default());
            }
        }
        assert!(clock.loss < LOSS_GAIN, "{}", clock.loss);
    }

    proptest! {
        #[test]
        fn each_tick_is_made_once_whatever_the_server_says(
            acks in prop::collection::vec((-40..40_i8, -3..6_i32, 0..40_u64), 1..300),
        ) {
            let start = Tick(u32::MAX - 50);
            let mut clock = CommandClock::new(Duration::ZERO, start, 64);
            let (mut now, mut state, mut made) = (Duration::ZERO, start, None::<Tick>);
            for (slack, ahead, ms) in acks {
                now += Duration::from_millis(ms);
                state = state.offset(ahead);
                let ack = CommandAck { consumed: None, slack: Some(slack) };
                if f64::from(slack) > EXCESS_TICKS_MAX {
                    made = None; // a server whose clock jumped back gets ticks again
                }
                clock.handle_ack(now, state, ack);
                prop_assert!((0.0..=f64::from(RESERVE_TICKS_MAX)).contains(&clock.reserve()));
                prop_assert!((0.0..=1.0).contains(&clock.loss));
                while let Some(tick) = clock.poll(now) {
                    prop_assert!(made.is_none_or(|made| tick.is_newer_than(made)));
                    made = Some(tick);
                }
            }
        }
    }
}
