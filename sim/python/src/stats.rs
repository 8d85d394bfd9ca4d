//! What the scripts of a zone cost and where they failed.

use tessera_protocol::ids::{EntityId, KindId};

use crate::kinds::HookId;

/// One place where hooks failed, however often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookError {
    /// `Kind.hook`, such as `Player.tick`; `Kind.field` for a bad value found by the gather.
    pub hook: String,
    /// The file, as Python names it; empty for a bad value.
    pub file: String,
    /// The line, from 1; 0 where unknown, as for a bad value.
    pub line: u32,
    /// The message of the first failure.
    pub message: String,
    /// Failures so far.
    pub count: u64,
}

/// One place where hooks were that were over their soft budget, however often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookOverrun {
    /// `Kind.hook`, such as `Player.tick`.
    pub hook: String,
    /// The file, as Python names it; empty where unknown.
    pub file: String,
    /// The line, from 1; 0 where unknown.
    pub line: u32,
    /// How often so far.
    pub count: u64,
}

/// Why an entity lost a tick: its fields are as they were when the tick began, what it asked for is
/// dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// A hook raised, or let `self` live on.
    Raised,
    /// A hook was preempted.
    Preempted,
    /// A field held a value that doesn't fit.
    BadField,
}

/// One call of a hook. Times are what the zone's clock said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HookSpan {
    /// The entity's kind.
    pub kind: KindId,
    /// The hook.
    pub hook: HookId,
    /// The entity.
    pub entity: EntityId,
    /// When it was called, ns.
    pub start_ns: u64,
    /// When it returned, ns.
    pub end_ns: u64,
}

/// Most places that are told apart; failures elsewhere still count in [`HookStats::failures`].
const ERRORS_MAX: usize = 256;

/// Counters since the start.
#[derive(Clone, Default, Debug)]
pub struct HookStats {
    /// Hooks called since the start.
    pub calls: u64,
    /// Entity ticks lost to an exception or a bad value since the start.
    pub failures: u64,
    /// Hooks preempted since the start; they count as failures too.
    pub preemptions: u64,
    /// Entity ticks that hooks were left out of since the start, because the entity rested or a hook
    /// before it was preempted.
    pub coasted: u64,
    /// Hooks found over their soft budget since the start.
    pub overruns: u64,
    /// Where they were, in order of the first time; at most 256 places.
    pub overrun_places: Vec<HookOverrun>,
    /// Messages whose target had no method for them, since the start.
    pub unhandled: u64,
    /// The places that failed, in order of their first failure; at most 256.
    pub errors: Vec<HookError>,
    /// Kinds and messages that had no method and have been logged.
    unhandled_names: Vec<(String, String)>,
}

impl HookStats {
    /// Adds what another interpreter of the same zone has counted.
    pub fn absorb(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.preemptions += other.preemptions;
        self.coasted += other.coasted;
        self.overruns += other.overruns;
        self.unhandled += other.unhandled;
        merge(
            &mut self.errors,
            &other.errors,
            |a, b| (a.line, &a.hook, &a.file) == (b.line, &b.hook, &b.file),
            |known, error| known.count += error.count,
        );
        merge(
            &mut self.overrun_places,
            &other.overrun_places,
            |a, b| (a.line, &a.hook, &a.file) == (b.line, &b.hook, &b.file),
            |known, overrun| known.count += overrun.count,
        );
    }

    /// Becomes a copy of what these counters are now; cheap where only calls were added.
    pub fn follow(&mut self, now: &Self) {
        if self.failures != now.failures || self.overruns != now.overruns {
            self.errors.clone_from(&now.errors);
            self.overrun_places.clone_from(&now.overrun_places);
        }
        self.calls = now.calls;
        self.failures = now.failures;
        self.preemptions = now.preemptions;
        self.coasted = now.coasted;
        self.overruns = now.overruns;
        self.unhandled = now.unhandled;
    }

    /// Counts a failure; true where its place is new and should be logged.
    pub(crate) fn note_error(&mut self, hook: &str, file: &str, line: u32, message: &str) -> bool {
        self.failures += 1;
        let known = |e: &&mut HookError| e.line == line && e.hook == hook && e.file == file;
        if let Some(error) = self.errors.iter_mut().find(known) {
            error.count += 1;
            return false;
        }
        if self.errors.len() == ERRORS_MAX {
            return false;
        }
        self.errors.push(HookError {
            hook: hook.to_owned(),
            file: file.to_owned(),
            line,
            message: message.to_owned(),
            count: 1,
        });
        true
    }

    /// Counts a hook that is over its soft budget; true where its place is new and should be logged.
    pub(crate) fn note_overrun(&mut self, hook: &str, file: &str, line: u32) -> bool {
        self.overruns += 1;
        let places = &mut self.overrun_places;
        let known = |o: &&mut HookOverrun| o.line == line && o.hook == hook && o.file == file;
        if let Some(overrun) = places.iter_mut().find(known) {
            overrun.count += 1;
            return false;
        }
        if places.len() == ERRORS_MAX {
            return false;
        }
        places.push(HookOverrun {
            hook: hook.to_owned(),
            file: file.to_owned(),
            line,
            count: 1,
        });
        true
    }

    /// Counts a message without a method; true where it should be logged.
    pub(crate) fn note_unhandled(&mut self, kind: &str, name: &str) -> bool {
        self.unhandled += 1;
        let names = &mut self.unhandled_names;
        if names.len() == ERRORS_MAX || names.iter().any(|(k, n)| k == kind && n == name) {
            return false;
        }
        names.push((kind.to_owned(), name.to_owned()));
        true
    }
}

/// Adds the places in `from` to those in `into`, of which there are at most 256.
fn merge<T: Clone>(
    into: &mut Vec<T>,
    from: &[T],
    same: impl Fn(&T, &T) -> bool,
    add: impl Fn(&mut T, &T),
) {
    for place in from {
        match into.iter().position(|known| same(known, place)) {
            Some(at) => add(&mut into[at], place),
            None if into.len() < ERRORS_MAX => into.push(place.clone()),
            None => {}
        }
    }
}
