//! What a zone's scripts are started with.

use std::collections::{BTreeMap, HashSet};
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

/// Most lines that are remembered; what comes after is counted only.
const LOGGED_MAX: usize = 256;

/// What was logged already of what is said once: in a match, of which each interpreter has only its own
/// failures in sight.
#[derive(Default, Debug)]
pub struct Logged(Mutex<HashSet<String>>);

impl Logged {
    /// Whether nobody has logged that yet.
    pub(crate) fn is_first(&self, what: String) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < LOGGED_MAX && known.insert(what)
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
    /// What was logged already: shared by the zones of a match that run in one process.
    pub logged: Arc<Logged>,
}
