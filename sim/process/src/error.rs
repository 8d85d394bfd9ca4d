//! Why there is no process zone.

use tessera_python::ScriptError;
use thiserror::Error;

/// A process zone that does not start.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The system lacks something that process zones are made of.
    #[error(
        "zones.isolation = \"process\" needs {feature}, which this system refuses: {reason}. Process zones \
         run on Linux 5.3 or later; set zones.isolation = \"thread\" to do without"
    )]
    Unsupported {
        /// What is needed.
        feature: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The child's program could not be started.
    #[error("zones.isolation = \"process\": cannot start {program}: {source}")]
    Spawn {
        /// Its path.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The mode does not load.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The child ended before it had loaded the mode.
    #[error(
        "zones.isolation = \"process\": a zone's process ended before it had loaded the mode: {0}; what it \
         said is in the log"
    )]
    Ended(String),
}

impl ProcessError {
    /// A refusal by the system.
    pub(crate) fn unsupported<E: std::fmt::Display>(feature: &'static str) -> impl Fn(E) -> Self {
        move |reason| Self::Unsupported {
            feature,
            reason: reason.to_string(),
        }
    }

    /// As an error of the scripts' start, for those who know of no other.
    pub fn into_script_error(self) -> ScriptError {
        match self {
            Self::Script(error) => error,
            other => ScriptError {
                file: None,
                line: None,
                message: other.to_string(),
                traceback: String::new(),
            },
        }
    }
}
