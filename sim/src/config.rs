//! What a match is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tessera_process::ProcessConfig;
use tessera_python::OptionValue;
use tessera_world::World;

use crate::partition::Grid;
use crate::supervision::Supervision;

/// Everything that a [`Simulation`](crate::Simulation) starts from.
///
/// `seed`, `mode`, `options`, `world` and `tick_hz` decide the match; `grid`, `halo_m` and the
/// clocks must not, and do not, except that scripts may not look farther than the halo.
#[derive(Clone)]
pub struct SimConfig {
    /// The map.
    pub world: Arc<World>,
    /// The mode's Python package: a folder with an `__init__.py`.
    pub mode: PathBuf,
    /// What scripts read as `tessera.options`.
    pub options: BTreeMap<String, OptionValue>,
    /// Seed of everything random in the match.
    pub seed: u64,
    /// Ticks a second of game time; a tick's `dt` is `1 / tick_hz` seconds.
    pub tick_hz: u32,
    /// How the world is cut into zones.
    pub grid: Grid,
    /// How far a script may look around an entity, in metres.
    pub halo_m: f64,
    /// Nanoseconds of a monotonic clock, for measuring stages. The state never sees it.
    pub clock: fn() -> u64,
    /// Nanoseconds of CPU time of the calling thread, for measuring inside zones: on a machine with
    /// fewer cores than zones, wall time would count the neighbours' work too.
    pub cpu_clock: fn() -> u64,
    /// How zones are watched over.
    pub supervision: Supervision,
    /// What separates the zones from each other and from the server. It does not change the match.
    pub isolation: Isolation,
}

/// What separates zones from each other and from the server.
#[derive(Clone, Debug, Default)]
pub enum Isolation {
    /// Each has an interpreter on a thread of the server's process.
    #[default]
    Thread,
    /// Each has a process of its own.
    Process(ProcessConfig),
}
