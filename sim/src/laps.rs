//! Measures the parts of a phase of a zone's tick, one after the other.

/// Two clocks: a thread's processor time, whose every reading is a system call of a microsecond, is read at
/// both ends of a phase, and shared among its parts by the wall time that each took.
pub(crate) struct Laps {
    cpu: fn() -> u64,
    clock: fn() -> u64,
    /// Processor time at the last beginning or end of a phase.
    cpu_ns: u64,
    /// When the last part ended.
    last_ns: u64,
}

impl Laps {
    /// With clocks that tell nanoseconds of processor time, and of any time.
    pub(crate) fn new(cpu: fn() -> u64, clock: fn() -> u64) -> Laps {
        Laps {
            cpu,
            clock,
            cpu_ns: 0,
            last_ns: 0,
        }
    }

    /// Begins a phase, and its first part.
    pub(crate) fn restart(&mut self) {
        self.cpu_ns = (self.cpu)();
        self.last_ns = (self.clock)();
    }

    /// Ends a part and begins the next; nanoseconds of wall time of the one that ended.
    pub(crate) fn lap(&mut self) -> u64 {
        let now_ns = (self.clock)();
        now_ns.saturating_sub(std::mem::replace(&mut self.last_ns, now_ns))
    }

    /// Ends the phase, all of whose parts are given; nanoseconds of processor time of each.
    pub(crate) fn settle<const N: usize>(&mut self, parts: [u64; N]) -> [u64; N] {
        let spent = self.spent();
        let all: u64 = parts.iter().sum();
        parts.map(|part| match all {
            0 => 0,
            _ => (u128::from(spent) * u128::from(part) / u128::from(all)) as u64,
        })
    }

    /// Nanoseconds of processor time since a phase began or ended last.
    pub(crate) fn spent(&mut self) -> u64 {
        let now_ns = (self.cpu)();
        now_ns - std::mem::replace(&mut self.cpu_ns, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static CPU: Cell<u64> = const { Cell::new(0) };
        static WALL: Cell<u64> = const { Cell::new(0) };
    }

    fn pass(cpu: u64, wall: u64) {
        CPU.set(CPU.get() + cpu);
        WALL.set(WALL.get() + wall);
    }

    #[test]
    fn parts_share_the_processor_time_of_their_phase() {
        let mut laps = Laps::new(|| CPU.get(), || WALL.get());
        pass(7, 7);
        laps.restart();
        pass(50, 100);
        let first = laps.lap();
        pass(150, 300);
        let second = laps.lap();
        assert_eq!((first, second), (100, 300));
        assert_eq!(laps.settle([first, second]), [50, 150]);
        pass(30, 500);
        assert_eq!(laps.spent(), 30);
    }

    #[test]
    fn clocks_that_stand_still_measure_nothing() {
        let mut laps = Laps::new(|| 0, || 0);
        laps.restart();
        let part = laps.lap();
        assert_eq!(laps.settle([part, 0]), [0, 0]);
    }
}
