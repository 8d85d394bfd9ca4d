//! What a process zone is started with, beside what its scripts are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use tessera_world::World;

use crate::error::ProcessError;

/// Where a child finds the map, which it loads itself.
#[derive(Clone, PartialEq, Debug)]
pub enum Map {
    /// A map's file, as for [`World::load`].
    File(PathBuf),
    /// The flat, empty map so many metres wide: [`World::flat`].
    Flat(f64),
}

impl Map {
    /// Loads it, with what the parent has worked out from it.
    pub(crate) fn load(&self, hash: u64, prepared: &[u8]) -> Result<Arc<World>, String> {
        let world = match self {
            Self::File(path) => {
                World::load_prepared(path, prepared).map_err(|error| error.to_string())?
            }
            Self::Flat(size) => World::flat(*size),
        };
        if world.hash() != hash {
            return Err(format!(
                "{self:?} is not the map of this match any more: its file changed meanwhile"
            ));
        }
        Ok(Arc::new(world))
    }
}

/// How the processes of a match are started.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The child's program, which calls [`run_zone_host`](crate::run_zone_host): as a rule the server
    /// itself.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The map of the match.
    pub map: Map,
    /// [`World::prepared`] of that map; without, each child takes some 100 ms more to start.
    pub prepared: Arc<[u8]>,
    /// Folders of packages that scripts may import after the standard library, such as the
    /// `site-packages` of a virtual environment.
    pub packages: Vec<PathBuf>,
}

impl ProcessConfig {
    /// Children that run this very program with the argument `zone-host`.
    ///
    /// # Errors
    /// Where the system does not tell the path of this program.
    pub fn this_program(map: Map, world: &World) -> Result<Self, ProcessError> {
        let program = std::env::current_exe().map_err(ProcessError::unsupported(
            "the path of the running program (/proc)",
        ))?;
        Ok(Self {
            program,
            arguments: vec!["zone-host".into()],
            map,
            prepared: world.prepared().into(),
            packages: Vec::new(),
        })
    }
}
