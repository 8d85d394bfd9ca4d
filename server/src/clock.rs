//! The tick's clock: absolute, so that one late tick delays no later one.
//!
//! Slot k is due at `start + k / hz`, whatever happened before. An async runtime's timer wakes one to
//! two milliseconds late; `clock_nanosleep` with an absolute time does not, so the tick has a thread
//! of its own that sleeps in it.

use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

/// How many whole ticks the match may be behind and still catch up by running them back to back.
///
/// Further behind (a stopped process, a machine that slept), the overdue slots are skipped and
/// counted: catching up would be a burst of ticks that helps no player, and moving the schedule
/// silently would hide the stall from the report.
pub(crate) const BEHIND_TICKS_MAX: u64 = 4;

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of processor time that this process has used, over all its threads.
pub(crate) fn process_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64
}

/// Sleeps until the monotonic clock shows `due_ns`; returns at once when that has passed.
pub(crate) fn sleep_until(due_ns: u64) {
    let due = Timespec {
        tv_sec: (due_ns / NS_PER_S) as i64,
        tv_nsec: (due_ns % NS_PER_S) as i64,
    };
    // A signal may end the sleep early: the time is absolute, so sleeping again is the same sleep.
    while clock_nanosleep_absolute(ClockId::Monotonic, &due).is_err() && now_ns() < due_ns {}
}

/// When each tick is due. Pure arithmetic: the caller brings the time.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    hz: u64,
    /// The next slot to hand out.
    slot: u64,
}

/// One tick's place in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// When the tick should start, in nanoseconds of the monotonic clock.
    pub(crate) due_ns: u64,
    /// When the tick after it should start: a tick that ends later than this is missed.
    pub(crate) next_due_ns: u64,
    /// Slots that were dropped just before this one because the match was too far behind.
    pub(crate) skipped: u64,
}

impl Schedule {
    /// A schedule of `hz` slots a second whose first is due at `start_ns`.
    ///
    /// # Panics
    /// If `hz` is zero.
    pub(crate) fn new(start_ns: u64, hz: u32) -> Schedule {
        assert!(hz > 0, "a schedule needs a rate");
        Schedule {
            start_ns,
            hz: u64::from(hz),
            slot: 0,
        }
    }

    /// The next slot, given the time: the one after the last, unless that is more than
    /// [`BEHIND_TICKS_MAX`] ticks overdue; then the newest that is due.
    pub(crate) fn next_slot(&mut self, now_ns: u64) -> Slot {
        let newest_due = now_ns.saturating_sub(self.start_ns) * self.hz / NS_PER_S;
        let behind = newest_due.saturating_sub(self.slot);
        let skipped = if behind > BEHIND_TICKS_MAX { behind } else { 0 };
        self.slot += skipped;
        let slot = Slot {
            due_ns: self.due_ns(self.slot),
            next_due_ns: self.due_ns(self.slot + 1),
            skipped,
        };
        self.slot += 1;
        slot
    }

    /// Computed from the start each time: adding a rounded period would drift.
    fn due_ns(&self, slot: u64) -> u64 {
        self.start_ns + slot * NS_PER_S / self.hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_drift() {
        let mut schedule = Schedule::new(1_000, 60);
        let last = (0..=60 * 3600)
            .map(|_| schedule.next_slot(1_000))
            .last()
            .expect("slots");
        assert_eq!(last.due_ns, 1_000 + 3600 * NS_PER_S);
        assert_eq!(last.next_due_ns - last.due_ns, NS_PER_S / 60);
    }

    #[test]
    fn a_short_stall_is_caught_up_tick_by_tick() {
        let mut schedule = Schedule::new(0, 100);
        assert_eq!(schedule.next_slot(0).due_ns, 0);
        // Slot 1 was due at 10 ms; slots up to 5 are due at 50 ms.
        let late = schedule.next_slot(50_000_000);
        assert_eq!((late.due_ns, late.skipped), (10_000_000, 0));
        assert_eq!(schedule.next_slot(50_000_000).due_ns, 20_000_000);
    }

    #[test]
    fn a_long_stall_is_skipped_and_counted() {
        let mut schedule = Schedule::new(0, 100);
        schedule.next_slot(0);
        let late = schedule.next_slot(1_005_000_000);
        assert_eq!((late.due_ns, late.skipped), (1_000_000_000, 99));
        let after = schedule.next_slot(1_005_000_000);
        assert_eq!((after.due_ns, after.skipped), (1_010_000_000, 0));
    }

    #[test]
    fn sleeping_until_the_past_returns() {
        sleep_until(0);
        let due = now_ns() + 1_000_000;
        sleep_until(due);
        assert!(now_ns() >= due);
    }
}
