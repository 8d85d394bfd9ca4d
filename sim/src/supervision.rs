//! How zones are watched over, and what happened to them.
//!
//! Terms follow Erlang/OTP's supervisors: at most `intensity` restarts in any `period`.

use std::time::Duration;

use tessera_protocol::ids::{Tick, ZoneId};

use crate::quarantine::QuarantineRule;

/// How the zones of a match are watched over. The default waits for every zone for as long as it
/// takes, which suits tests and measurements; a server gives budgets.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// How long a zone's hooks may take in a tick; `None` for as long as they like.
    pub budget: Option<Budget>,
    /// Interpreters that are kept ready to replace one that is lost.
    pub spares: usize,
    /// How often a zone may be replaced.
    pub restarts: RestartLimit,
    /// When entities whose hooks keep failing rest.
    pub quarantine: QuarantineRule,
    /// Bytes that the scripts of one zone may use.
    pub memory_cap: Option<u64>,
    /// How long a mode may load, and its `start` run; `None` for as long as they like.
    pub load_timeout: Option<Duration>,
    /// Tells whether a thread of this process runs, or would if it had a core, by its number in the
    /// system. Without it, a zone that waits for a core is taken for one that is stuck.
    pub is_runnable: fn(thread: i32) -> Option<bool>,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            budget: None,
            spares: 0,
            restarts: RestartLimit::default(),
            quarantine: QuarantineRule::default(),
            memory_cap: None,
            load_timeout: None,
            is_runnable: |_| None,
        }
    }
}

/// Time that a zone's hooks may take in a tick, in nanoseconds since its order. Where
/// [`Supervision::is_runnable`] tells that a zone would run and has no core, the processor time that it
/// had counts instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Beyond it the hook that runs is noted, with its line.
    pub soft_ns: u64,
    /// Beyond it the other zones go on: two thirds into it the hook that runs is preempted, at its end
    /// a zone that still doesn't answer is replaced.
    pub hard_ns: u64,
}

impl Budget {
    /// When the hook is preempted.
    pub(crate) fn preempt_ns(&self) -> u64 {
        self.hard_ns / 3 * 2
    }

    /// How long a preempted zone has to answer.
    pub(crate) fn grace_ns(&self) -> u64 {
        self.hard_ns - self.preempt_ns()
    }

    /// A zone that got no core is waited for, but not for longer than this.
    pub(crate) fn starved_ns(&self) -> u64 {
        self.hard_ns * 8
    }
}

/// At most `intensity` restarts of a zone in any `period_ticks`. A zone that needs more coasts for
/// one such period before it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimit {
    /// Restarts in a period.
    pub intensity: u32,
    /// The period, in ticks.
    pub period_ticks: u32,
}

impl Default for RestartLimit {
    fn default() -> Self {
        Self {
            intensity: 5,
            period_ticks: 640,
        }
    }
}

/// Why a zone was given to another interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RestartReason {
    /// It did not answer within the hard budget, not even preempted: stuck in C code.
    Stuck,
    /// Its process ended, or its thread by a fault of the engine.
    Gone,
    /// Its scripts use as much memory as they may, garbage collected.
    Memory,
    /// Somebody asked for it.
    Asked,
    /// New code was loaded.
    Reload,
}

impl RestartReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Stuck,
        Self::Gone,
        Self::Memory,
        Self::Asked,
        Self::Reload,
    ];

    /// Its name in reports and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Gone => "gone",
            Self::Memory => "memory",
            Self::Asked => "asked",
            Self::Reload => "reload",
        }
    }

    /// Whether it counts against the limit.
    pub(crate) const fn is_fault(self) -> bool {
        matches!(self, Self::Stuck | Self::Gone | Self::Memory)
    }
}

/// Something that happened to a zone in a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Which zone.
    pub zone: ZoneId,
    /// The tick, whose hooks read the state at the boundary of this number.
    pub tick: Tick,
    /// What happened.
    pub what: IncidentKind,
}

/// What can happen to a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// Its interpreter was given up; `why` in words.
    Lost {
        /// Why, as a name.
        reason: RestartReason,
        /// Why, in words.
        why: String,
    },
    /// It has an interpreter again, after so many ticks without (0: it lost none).
    Restarted {
        /// Ticks in which its entities coasted.
        ticks: u32,
    },
    /// It was lost more often than the limit allows, and coasts until this tick.
    Exhausted {
        /// The first tick in which it is tried again.
        until: Tick,
    },
}

/// The restarts of one zone.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    /// Of faults within the last period, oldest first.
    recent: Vec<Tick>,
    /// By [`RestartReason::ALL`].
    pub(crate) totals: [u64; RestartReason::ALL.len()],
    /// No restart before this tick.
    barred_until: Option<Tick>,
}

impl Restarts {
    /// Counts a loss before `tick`. One too many for the limit gives the tick until which the zone has
    /// to do without an interpreter.
    pub(crate) fn note(
        &mut self,
        reason: RestartReason,
        tick: Tick,
        limit: RestartLimit,
    ) -> Option<Tick> {
        self.totals[reason as usize] += 1;
        if !reason.is_fault() {
            return None;
        }
        let period = limit.period_ticks as i32;
        self.recent.retain(|&then| tick.wrapping_sub(then) < period);
        self.recent.push(tick);
        if self.recent.len() > limit.intensity as usize {
            self.barred_until = Some(tick.offset(period));
            self.recent.clear();
        }
        self.barred_until
    }

    /// Whether the zone may have an interpreter at `tick`.
    pub(crate) fn may_restart(&mut self, tick: Tick) -> bool {
        let barred = self
            .barred_until
            .is_some_and(|until| until.is_newer_than(tick));
        if !barred {
            self.barred_until = None;
        }
        !barred
    }

    /// Forgets what was: the code is another.
    pub(crate) fn pardon(&mut self) {
        self.barred_until = None;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_restarts_than_the_limit_allows_bar_the_zone_for_a_period() {
        let limit = RestartLimit {
            intensity: 2,
            period_ticks: 10,
        };
        let mut restarts = Restarts::default();
        assert_eq!(restarts.note(RestartReason::Stuck, Tick(0), limit), None);
        assert_eq!(restarts.note(RestartReason::Gone, Tick(5), limit), None);
        // The first one is a period ago.
        assert_eq!(restarts.note(RestartReason::Stuck, Tick(10), limit), None);
        assert!(restarts.may_restart(Tick(10)));
        // What was asked for is no fault.
        assert_eq!(restarts.note(RestartReason::Asked, Tick(11), limit), None);
        let barred = restarts.note(RestartReason::Memory, Tick(12), limit);
        assert_eq!(barred, Some(Tick(22)));
        assert!(!restarts.may_restart(Tick(21)));
        assert!(restarts.may_restart(Tick(22)));
        assert_eq!(restarts.note(RestartReason::Stuck, Tick(23), limit), None);
    }
}
