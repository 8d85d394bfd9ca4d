//! Measures the parts of a zone's tick one after the other.

/// A clock that is read once a part, at its end, which is where the next part begins: reading a
/// thread's processor time is a system call.
pub(crate) struct Laps {
    clock: fn() -> u64,
    last_ns: u64,
}

impl Laps {
    pub(crate) fn new(clock: fn() -> u64) -> Laps {
        Laps { clock, last_ns: 0 }
    }

    /// Begins the first part.
    pub(crate) fn restart(&mut self) {
        self.last_ns = (self.clock)();
    }

    /// Ends a part and begins the next; nanoseconds of the one that ended.
    pub(crate) fn lap(&mut self) -> u64 {
        let now_ns = (self.clock)();
        now_ns - std::mem::replace(&mut self.last_ns, now_ns)
    }
}
