//! What the scripts of a zone cost and where they failed.

/// One place where hooks failed, however often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookError {
    /// `Kind.hook`, such as `Player.tick`.
    pub hook: String,
    /// The file, as Python names it.
    pub file: String,
    /// The line, from 1; 0 where there is none, as for a bad value found by the gather.
    pub line: u32,
    /// The message of the first failure.
    pub message: String,
    /// Failures so far.
    pub count: u64,
}

/// Counters since the start and times of the last tick.
#[derive(Clone, Default, Debug)]
pub struct HookStats {
    /// Time of the last tick's hooks and native systems, nanoseconds.
    pub script_ns: u64,
    /// Time of the last gather, nanoseconds.
    pub gather_ns: u64,
    /// Time of the last garbage collection, nanoseconds.
    pub gc_ns: u64,
    /// Hooks called since the start.
    pub calls: u64,
    /// Entity ticks lost to an exception or a bad value since the start.
    pub failures: u64,
    /// Messages whose target had no method for them, since the start.
    pub unhandled: u64,
    /// The places that failed, in order of their first failure.
    pub errors: Vec<HookError>,
}
