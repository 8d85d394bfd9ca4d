//! From a configuration to what the simulation starts from.

use std::sync::Arc;
use std::time::Duration;

use rustix::thread::ClockId;
use rustix::time::clock_gettime;
use tessera_process::{Map, ProcessConfig};
use tessera_sim::{
    Budget, Isolation, QuarantineRule, RestartLimit, SimConfig, SimError, Supervision,
};
use tessera_world::World;

use crate::assets::Assets;
use crate::clock;
use crate::config::{self, Config, Watch};
use crate::error::Error;
use crate::layout::LayoutError;

/// Loads the map and finds the mode.
///
/// # Errors
/// A mode or map that is not there, a map that is wrong, a grid that is none.
pub fn simulation(config: &Config, assets: &Assets) -> Result<SimConfig, Error> {
    let mode = assets.mode(&config.mode);
    let mode = mode.map_err(|error| config.blame(config::MODE, error))?;
    let map = assets.map(&config.map);
    let map = map.map_err(|error| config.blame(config::MAP, error))?;
    let world = World::load(&map)?;
    let grid = config.layout.grid(world.size()).map_err(|error| {
        let setting = match error {
            LayoutError::Outside { axis: 'z', .. } => config::CUTS_Z,
            _ => config::CUTS_X,
        };
        config.blame(setting, error)
    })?;
    let isolation = match config.isolation {
        config::Isolation::Thread => Isolation::Thread,
        config::Isolation::Process => {
            let process = ProcessConfig::this_program(Map::File(map), &world)
                .map_err(|error| SimError::from(error.into_script_error()))?;
            Isolation::Process(ProcessConfig {
                packages: config.packages.clone(),
                ..process
            })
        }
    };
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
        supervision: config
            .watch
            .as_ref()
            .map_or_else(Supervision::default, |watch| {
                supervision(watch, config.tick_hz)
            }),
        isolation,
    })
}

fn supervision(watch: &Watch, tick_hz: u32) -> Supervision {
    let tick_ns = 1_000_000_000 / u64::from(tick_hz);
    let percent = |percent: u32| tick_ns * u64::from(percent) / 100;
    let ticks = |milliseconds: u64| (milliseconds * u64::from(tick_hz)).div_ceil(1000) as u32;
    Supervision {
        budget: Some(Budget {
            soft_ns: percent(watch.soft_budget_percent),
            hard_ns: percent(watch.hard_budget_percent),
        }),
        spares: watch.spares,
        restarts: RestartLimit {
            intensity: watch.restart_intensity,
            period_ticks: ticks(1000 * u64::from(watch.restart_period_s)),
        },
        quarantine: QuarantineRule {
            failures: watch.quarantine_failures,
            rest_ticks: ticks(watch.quarantine_rest_ms.into()),
        },
        memory_cap: Some(u64::from(watch.memory_mib) << 20),
        load_timeout: Some(Duration::from_secs(watch.load_timeout_s.into())),
        is_runnable,
    }
}

/// Whether a thread of this process or of a zone's runs or would, if it had a core, as `/proc` tells it;
/// `None` on systems without.
fn is_runnable(thread: i32) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    // The name before the state may hold anything, parentheses too.
    let (_, state) = stat.rsplit_once(") ")?;
    Some(state.starts_with('R'))
}

/// Nanoseconds of processor time that the calling thread has used.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
