//! Which moment of the past is shown: a clock that runs smoothly behind the arrivals.

use std::time::Duration;

/// Behind the newest state by at least this, ticks: one to have a state on both sides of the moment
/// shown, one since arrivals are never quite even.
const DELAY_TICKS_MIN: f64 = 2.0;
/// Longest delay: what is later than that is shown by extrapolation.
const DELAY_MAX: Duration = Duration::from_millis(150);
/// How much faster or slower than time the past is played to get to another delay: too little to be
/// seen.
const SLEW: f64 = 0.08;
/// Beyond this error, ticks, it jumps ahead or stands still: the connection was stalled.
const ERROR_TICKS_MAX: f64 = 16.0;
/// How much one word of an entity counts in the mean of the gaps between words.
const GAIN: f64 = 1.0 / 32.0;
/// Ticks for which the gaps between words are believed: after that there is nobody near any more.
const GAP_TICKS_MAX: f64 = 64.0;

/// The moment shown.
///
/// # Invariants
/// It never goes back.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    tick_hz: f64,
    /// The moment shown at `at`, ticks.
    view: Option<f64>,
    at: Duration,
    /// What the view is to be behind the newest state, ticks.
    delay: f64,
    /// Mean of ticks between two words of who is near and on the move, and its mean deviation.
    gap: f64,
    gap_deviation: f64,
    /// The tick of the last of these words.
    gap_at: f64,
}

impl Playback {
    pub(crate) fn new(tick_hz: f64) -> Self {
        Self {
            tick_hz,
            view: None,
            at: Duration::ZERO,
            delay: DELAY_TICKS_MIN,
            gap: 1.0,
            gap_deviation: 0.0,
            gap_at: 0.0,
        }
    }

    /// Notes that the words of `tick` and of `gap` ticks before were the last two of somebody near who
    /// moves.
    pub(crate) fn handle_gap(&mut self, tick: f64, gap: f64) {
        self.gap_deviation += GAIN * ((gap - self.gap).abs() - self.gap_deviation);
        self.gap += GAIN * (gap - self.gap);
        self.gap_at = tick;
    }

    /// Moves on to `now`, when the newest state that can have arrived is `heard` and states are up
    /// to `jitter` late, in ticks. Returns the moment shown.
    pub(crate) fn advance(&mut self, now: Duration, heard: f64, jitter: f64) -> f64 {
        if heard - self.gap_at > GAP_TICKS_MAX {
            (self.gap, self.gap_deviation) = (1.0, 0.0);
        }
        let gap = (self.gap + 2.0 * self.gap_deviation).max(1.0);
        let wish = DELAY_TICKS_MIN + (gap - 1.0) + jitter;
        let delay_max = (DELAY_MAX.as_secs_f64() * self.tick_hz).max(DELAY_TICKS_MIN);
        self.delay = wish.clamp(DELAY_TICKS_MIN, delay_max);
        let target = heard - self.delay;
        let view = match self.view {
            None => target,
            Some(view) => {
                let passed = now.saturating_sub(self.at).as_secs_f64() * self.tick_hz;
                let error = target - (view + passed);
                if error > ERROR_TICKS_MAX {
                    target
                } else if error < -ERROR_TICKS_MAX {
                    view
                } else {
                    view + passed + error.clamp(-SLEW * passed, SLEW * passed)
                }
            }
        };
        (self.view, self.at) = (Some(view), self.at.max(now));
        view
    }

    /// The moment shown, ticks; `None` before the first state.
    pub(crate) fn view(&self) -> Option<f64> {
        self.view
    }

    /// The delay aimed at, ticks.
    pub(crate) fn delay(&self) -> f64 {
        self.delay
    }
}
