//! From a configuration to what the simulation starts from.

use std::sync::Arc;

use rustix::thread::ClockId;
use rustix::time::clock_gettime;
use tessera_sim::SimConfig;
use tessera_world::World;

use crate::assets::Assets;
use crate::clock;
use crate::config::Config;
use crate::error::Error;

/// Loads the map and finds the mode.
///
/// # Errors
/// A mode or map that is not there, a map that is wrong, a grid that is none.
pub fn simulation(config: &Config, assets: &Assets) -> Result<SimConfig, Error> {
    let mode = assets.mode(&config.mode)?;
    let world = World::load(assets.map(&config.map)?)?;
    let grid = config.layout.grid(world.size())?;
    Ok(SimConfig {
        world: Arc::new(world),
        mode,
        options: config.options.clone(),
        seed: config.seed,
        tick_hz: config.tick_hz,
        grid,
        halo_m: config.halo_m,
        clock: clock::now_ns,
        cpu_clock: thread_cpu_ns,
    })
}

/// Nanoseconds of processor time that the calling thread has used.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
