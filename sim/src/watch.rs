//! How long zones are waited for, without the time in which the whole machine stood still.

use std::time::Duration;

use crate::rendezvous::Rendezvous;

/// Who waits wakes up this much later than it wanted to: then nothing ran meanwhile, as where a host takes
/// its cores away from a virtual machine. (The server's tick thread is a real-time one.)
const STOOD_STILL_NS: u64 = 4_000_000;

/// Measures one wait. Every time that it asks for is waited in earnest: what never answers is found out all
/// the same.
pub(crate) struct Watch<'a> {
    clock: fn() -> u64,
    rendezvous: &'a Rendezvous,
    began_ns: u64,
    /// How long the machine has stood still since then, nanoseconds.
    pub(crate) stood_ns: u64,
}

impl<'a> Watch<'a> {
    /// Begins now. `clock` tells nanoseconds.
    pub(crate) fn new(clock: fn() -> u64, rendezvous: &'a Rendezvous) -> Watch<'a> {
        Watch {
            clock,
            rendezvous,
            began_ns: clock(),
            stood_ns: 0,
        }
    }

    /// Nanoseconds since it began.
    pub(crate) fn waited_ns(&self) -> u64 {
        ((self.clock)() - self.began_ns).saturating_sub(self.stood_ns)
    }

    /// Waits until it has waited for so long, or all have answered. Returns the places that haven't, as a mask.
    pub(crate) fn wait_until(&mut self, waited_ns: u64) -> u64 {
        let before_ns = self.waited_ns();
        let left_ns = waited_ns.saturating_sub(before_ns);
        let missing = self.rendezvous.wait(Duration::from_nanos(left_ns));
        let late_ns = self.waited_ns().saturating_sub(before_ns + left_ns);
        if missing != 0 && late_ns > STOOD_STILL_NS {
            self.stood_ns += late_ns;
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::WorkerId;
    use std::cell::Cell;

    thread_local! {
        static TIMES_MS: Cell<&'static [u64]> = const { Cell::new(&[]) };
    }

    /// Tells these times, one after the other.
    fn clock() -> u64 {
        let (now_ms, later) = TIMES_MS.get().split_first().expect("so often it is asked");
        TIMES_MS.set(later);
        now_ms * 1_000_000
    }

    #[test]
    fn what_the_machine_stands_still_does_not_count() {
        let rendezvous = Rendezvous::default();
        rendezvous.expect(std::iter::once((0, WorkerId(1))));
        TIMES_MS.set(&[7]);
        let mut watch = Watch::new(clock, &rendezvous);
        TIMES_MS.set(&[7, 9]);
        assert_eq!(watch.wait_until(1_000_000), 1);
        assert_eq!(watch.stood_ns, 0, "a millisecond is nothing");
        // From 9 on it wants to wait for one at most, and it takes 80.
        TIMES_MS.set(&[9, 89, 90]);
        assert_eq!(watch.wait_until(3_000_000), 1);
        assert_eq!(watch.stood_ns, 79_000_000);
        assert_eq!(watch.waited_ns(), 4_000_000);
    }

    #[test]
    fn who_has_answered_is_not_waited_for() {
        let rendezvous = Rendezvous::default();
        TIMES_MS.set(&[0, 0, 50]);
        let mut watch = Watch::new(clock, &rendezvous);
        assert_eq!(watch.wait_until(1_000_000), 0);
        assert_eq!(watch.stood_ns, 0, "what came in between was something else");
    }
}
