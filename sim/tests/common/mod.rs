//! Starting simulations of the modes in `tests/modes`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tessera_protocol::snapshot::{RowRef, Snapshot};
use tessera_sim::{Grid, Isolation, SimConfig, Simulation, Supervision};
use tessera_world::World;

/// A match on a flat kilometre, cut into `columns` × `rows` zones, that measures nothing.
pub(crate) fn simulation(mode: &str, seed: u64, columns: usize, rows: usize) -> Simulation {
    let config = configuration(mode, seed, columns, rows);
    Simulation::start(config).unwrap_or_else(|error| panic!("{mode}: {error}"))
}

/// What such a match starts from.
pub(crate) fn configuration(mode: &str, seed: u64, columns: usize, rows: usize) -> SimConfig {
    let modes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modes");
    SimConfig {
        world: Arc::new(World::flat(1000.0)),
        mode: modes.join(mode),
        options: BTreeMap::new(),
        seed,
        tick_hz: 64,
        grid: Grid::even(columns, rows, 1000.0).expect("a small grid"),
        halo_m: 80.0,
        clock: || 0,
        cpu_clock: || 0,
        supervision: Supervision::default(),
        isolation: Isolation::Thread,
    }
}

/// All rows of a kind, by ascending id.
pub(crate) fn rows<'a>(
    simulation: &Simulation,
    snapshot: &'a Snapshot,
    kind: &str,
) -> Vec<RowRef<'a>> {
    let kind = simulation
        .field_table()
        .kind(kind)
        .expect("the mode declares it");
    let mut rows: Vec<_> = snapshot.rows_of(kind).collect();
    rows.sort_by_key(RowRef::id);
    rows
}

/// The index of a declared field.
pub(crate) fn field(simulation: &Simulation, kind: &str, name: &str) -> usize {
    let table = simulation.field_table();
    let kind = table.kind(kind).expect("the mode declares it");
    table.kinds[kind.index()]
        .field(name)
        .expect("the kind declares it")
}
