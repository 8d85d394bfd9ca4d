//! A zone's scripts, as the simulation drives them.

use std::marker::PhantomData;
use std::sync::Arc;

use tessera_protocol::FieldTable;
use tessera_protocol::columns::{KindTable, RowError};
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId, Tick};
use tessera_protocol::snapshot::Snapshot;

use crate::{HitboxIndex, HookStats, Inbox, Outbox, ScriptConfig, ScriptError};

/// The scripts of one zone in an interpreter of their own. Stays on the thread that started it.
///
/// A tick is: `begin_tick`, then arrivals and ghosts (`insert`, `demote`, `remove`, `ghost_*`), then
/// `run_hooks`, `gather`, and reading `tables`, `changed` and `outbox`; `collect_garbage` in the slack.
pub struct ScriptZone {
    field_table: Arc<FieldTable>,
    tables: Vec<KindTable>,
    changed: Vec<(EntityId, KindId, u64)>,
    outbox: Outbox,
    stats: HookStats,
    not_send: PhantomData<*mut ()>,
}

impl ScriptZone {
    /// Starts an interpreter on this thread and loads the mode into it.
    ///
    /// # Errors
    /// Where Python can't start, or the mode doesn't load: the file and line at fault.
    pub fn start(_config: &ScriptConfig) -> Result<Self, ScriptError> {
        Err(ScriptError::host("the interpreter host is being written"))
    }

    /// What the mode declared.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.field_table
    }

    /// Rows of the zone's own entities, one table a kind: `S_t` until [`gather`](Self::gather), then `S_t+1`.
    pub fn tables(&self) -> &[KindTable] {
        &self.tables
    }

    /// Begins tick `tick`, whose hooks see `snapshot` as `S_t`.
    pub fn begin_tick(
        &mut self,
        _tick: Tick,
        _snapshot: Arc<Snapshot>,
        _hitboxes: Arc<HitboxIndex>,
    ) {
    }

    /// An entity becomes this zone's own: an arrival or a newborn, with its row of `S_t`.
    ///
    /// # Errors
    /// Where the row isn't one of `kind`, or the entity is here already.
    pub fn insert(&mut self, _kind: KindId, _id: EntityId, _row: &[u8]) -> Result<(), RowError> {
        Ok(())
    }

    /// An own entity was handed off and stays in sight as a ghost.
    pub fn demote(&mut self, _id: EntityId) {}

    /// An own entity ended, or was handed off beyond the halo.
    pub fn remove(&mut self, _id: EntityId) {}

    /// An entity of another zone came within the halo, with its row of `S_t`.
    ///
    /// # Errors
    /// Where the row isn't one of `kind`.
    pub fn ghost_row(&mut self, _kind: KindId, _id: EntityId, _row: &[u8]) -> Result<(), RowError> {
        Ok(())
    }

    /// Fields of a ghost changed.
    ///
    /// # Errors
    /// Where the delta doesn't fit the ghost's kind.
    pub fn ghost_delta(&mut self, _id: EntityId, _delta: &[u8]) -> Result<(), RowError> {
        Ok(())
    }

    /// A ghost ended or left the halo.
    pub fn ghost_remove(&mut self, _id: EntityId) {}

    /// Runs the mode's `start(world)`, whose spawns have [`EntityId::NONE`] as their parent. For one
    /// zone, before the first tick.
    ///
    /// # Errors
    /// Where the mode has no `start` or it raised.
    pub fn run_start(&mut self) -> Result<(), ScriptError> {
        Ok(())
    }

    /// Runs the hooks of all own entities by ascending id: of each its messages, its command, its
    /// `tick(dt)`; then the native systems. Both lists ascend by entity.
    pub fn run_hooks(&mut self, _inbox: &Inbox, _commands: &[(EntityId, Command)]) {}

    /// Reads the slots into the columns. A value that doesn't fit its field costs its entity this tick.
    pub fn gather(&mut self) {}

    /// What the gather changed: ascending id, bit f set where field f changed.
    pub fn changed(&self) -> &[(EntityId, KindId, u64)] {
        &self.changed
    }

    /// What this tick's hooks asked for. The caller drains and clears it.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Collects garbage in the tick's slack.
    pub fn collect_garbage(&mut self, _tick: Tick) {}

    /// Times of the last tick and counters since the start.
    pub fn stats(&self) -> &HookStats {
        &self.stats
    }
}
