//! What the scripts of a zone cost and where they failed.

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

/// Most places that are told apart; failures elsewhere still count in [`HookStats::failures`].
const ERRORS_MAX: usize = 256;

/// Counters since the start.
#[derive(Clone, Default, Debug)]
pub struct HookStats {
    /// Hooks called since the start.
    pub calls: u64,
    /// Entity ticks lost to an exception or a bad value since the start.
    pub failures: u64,
    /// Messages whose target had no method for them, since the start.
    pub unhandled: u64,
    /// The places that failed, in order of their first failure; at most 256.
    pub errors: Vec<HookError>,
    /// Kinds and messages that had no method and have been logged.
    unhandled_names: Vec<(String, String)>,
}

impl HookStats {
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
