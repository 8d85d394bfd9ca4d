//! Why a simulation cannot start or go on.

use tessera_protocol::ids::ZoneId;
use tessera_python::ScriptError;
use thiserror::Error;

/// A simulation that cannot start or go on.
#[derive(Debug, Error)]
pub enum SimError {
    /// The mode does not load.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// Two zones loaded different declarations.
    #[error(
        "the zones loaded different declarations of the mode: its files changed meanwhile, or its \
         fields depend on something other than the options; start again"
    )]
    Disagree,
    /// A zone's thread ended by a panic: a bug in the engine, never a script's doing.
    #[error("zone {} stopped: {message}", zone.0)]
    Zone {
        /// Which zone.
        zone: ZoneId,
        /// The panic's message.
        message: String,
    },
    /// A zone was lost more often than it may be restarted, and the match is to end then.
    #[error(
        "zone {} had to be restarted more often than supervision.restart_intensity allows, and \
         supervision.on_exhausted is \"drain\"",
        zone.0
    )]
    Exhausted {
        /// Which zone.
        zone: ZoneId,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// A number in the configuration is out of its range.
    #[error("{field} is {value}; it must be {permitted}")]
    Config {
        /// The field of [`SimConfig`](crate::SimConfig).
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        permitted: &'static str,
    },
}
