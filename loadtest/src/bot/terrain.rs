//! The map, as a game that is installed has it: a file, checked against the hash that the server told.

use std::sync::Arc;

use tessera_server::assets::Assets;
use tessera_world::World;

/// The map of the match, once its name is known.
#[derive(Debug, Default)]
pub struct Terrain {
    world: Option<Arc<World>>,
    tried: bool,
}

impl Terrain {
    /// Loads the map of this name, the first time. Without it, or with another of the same name, bots walk straight ahead
    /// and see through walls; that is told once on standard error.
    pub fn learn(&mut self, name: &str, hash: u64) {
        if std::mem::replace(&mut self.tried, true) {
            return;
        }
        match load(name, hash) {
            Ok(world) => self.world = Some(Arc::new(world)),
            Err(why) => eprintln!("the bots have no map: {why}; they walk straight ahead"),
        }
    }

    /// The map, if there is one.
    pub fn world(&self) -> Option<&Arc<World>> {
        self.world.as_ref()
    }
}

fn load(name: &str, hash: u64) -> Result<World, String> {
    let path = Assets::find()
        .and_then(|assets| assets.map(name))
        .map_err(|e| e.to_string())?;
    let world = World::load(&path).map_err(|e| e.to_string())?;
    match world.hash() == hash {
        true => Ok(world),
        false => Err(format!("{} isn't the server's map {name}", path.display())),
    }
}
