//! What a zone's scripts are started with.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tessera_protocol::ids::ZoneId;
use tessera_world::World;

use crate::ModeSource;

/// A value of the mode's options, as scripts read it from `tessera.options`.
#[derive(Clone, PartialEq, Debug)]
pub enum OptionValue {
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float`.
    Float(f64),
    /// `str`.
    Str(String),
}

/// Most lines of a sort that are remembered; what comes after is counted only.
const LOGGED_MAX: usize = 256;

/// What is said once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Said {
    /// A hook raised at a place, or left a value that doesn't fit its field.
    Error,
    /// A hook was over its budget at a place.
    Overrun,
    /// A kind has no method for a message.
    Unhandled,
}

/// What was logged already of what is said once: in a match, of which each interpreter has only its own
/// failures in sight.
#[derive(Default, Debug)]
pub struct Logged(Mutex<HashMap<Said, HashSet<String>>>);

impl Logged {
    /// Whether nobody has logged that yet.
    pub(crate) fn is_first(&self, said: Said, what: String) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(said).or_default();
        let is_first = known.len() < LOGGED_MAX && known.insert(what);
        if is_first && known.len() == LOGGED_MAX {
            tracing::warn!(target: "tessera::script", ?said, "more of this sort are counted only");
        }
        is_first
    }
}

/// Everything that [`ScriptZone::start`](crate::ScriptZone::start) needs.
#[derive(Clone)]
pub struct ScriptConfig {
    /// The zone; only for logs, since no rule of the game may depend on it.
    pub zone: ZoneId,
    /// Seed of the match, the root of all randomness in scripts.
    pub seed: u64,
    /// Ticks per second.
    pub tick_hz: u32,
    /// How far a query may reach from an entity's position at the tick's start, metres.
    pub halo_m: f64,
    /// The mode's code.
    pub mode: Arc<ModeSource>,
    /// Options of the mode.
    pub options: BTreeMap<String, OptionValue>,
    /// The map.
    pub world: Arc<World>,
    /// The most memory that scripts may make their interpreter use, bytes: beyond it they get a
    /// `MemoryError`. An interpreter with a mode has 8 MiB and more to begin with. `None` is no limit.
    pub memory_cap: Option<u64>,
    /// The mode is loaded to be looked at, not to be played: what may be wrong in it is told too.
    pub check: bool,
    /// What was logged already: shared by the zones of a match that run in one process.
    pub logged: Arc<Logged>,
}
