//! Why a mode can't be started.

use std::fmt;

/// A fault of the scripts, or of the Python installation, found while starting a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    /// The file at fault, as Python names it.
    pub file: Option<String>,
    /// The line at fault, from 1.
    pub line: Option<u32>,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// Python's traceback, ending in the message; empty where Python wasn't involved.
    pub traceback: String,
}

impl ScriptError {
    /// An error that comes from no line of a script.
    pub(crate) fn host(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            message: message.into(),
            traceback: String::new(),
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message),
            (Some(file), None) => write!(f, "{file}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScriptError {}
