//! Who keeps the rows of a zone's entities and runs them: an interpreter, or nobody.

use std::sync::Arc;

use tessera_process::{Cost, ProcessZone};
use tessera_protocol::columns::{KindTable, RowError};
use tessera_protocol::command::Command;
use tessera_protocol::fields::FieldTable;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{
    FailureKind, HitboxHistory, HookStats, Inbox, MemoryUse, Message, Outbox, ScriptError,
    ScriptZone,
};

use crate::report::ZoneSpan;

/// A host that can't go on; its zone is to be given to another. The text says why.
#[derive(Debug)]
pub(crate) struct Gone(pub(crate) String);

/// Keeps a zone's rows and runs its hooks. All rows can be lost with it: what a host holds is a copy
/// of `S_t`, and [`Seat::refill`](crate::seat::Seat::refill) makes it anew in another.
///
/// A tick is: `begin_tick`, arrivals and ghosts, `run_hooks`, `gather`, then reading `tables`,
/// `changed`, `failed` and `outbox`. Only `run_start`, `run_hooks` and `collect_garbage` run scripts.
pub(crate) trait Host {
    /// Tells which zone it works for: for logs only.
    fn assign(&mut self, zone: ZoneId);
    fn field_table(&self) -> &Arc<FieldTable>;
    /// The row of an entity that says nothing about itself.
    fn default_row(&self, kind: KindId) -> &[u8];
    /// Whether entities of a kind hear of a message, by its name.
    fn hears(&self, kind: KindId, message: &str) -> bool;
    fn tables(&self) -> &[KindTable];
    fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError>;
    fn demote(&mut self, id: EntityId);
    fn remove(&mut self, id: EntityId);
    fn ghost_row(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError>;
    fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) -> Result<(), RowError>;
    fn ghost_remove(&mut self, id: EntityId);
    fn run_start(&mut self) -> Result<(), ScriptError>;
    fn begin_tick(&mut self, tick: Tick, snapshot: Arc<Snapshot>, hitboxes: Arc<HitboxHistory>);
    /// Runs the hooks of all entities but the `resting` (ascending).
    fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        resting: &[EntityId],
    ) -> Result<(), Gone>;
    fn gather(&mut self) -> Result<(), Gone>;
    fn changed(&self) -> &[(EntityId, KindId, u64)];
    /// Who lost this tick, ascending.
    fn failed(&self) -> &[(EntityId, FailureKind)];
    fn outbox(&mut self) -> &mut Outbox;
    fn collect_garbage(&mut self, tick: Tick);
    fn stats(&self) -> &HookStats;
    fn memory(&self) -> MemoryUse;
    /// What the last tick cost the process that runs the scripts, where that is not this one.
    fn cost(&self) -> Option<Cost> {
        None
    }
    /// Whether to note when each hook runs, by this clock.
    fn trace(&mut self, clock: Option<fn() -> u64>);
    /// Moves what was noted to `spans`.
    fn take_spans(&mut self, spans: &mut Vec<ZoneSpan>);
}

/// What the scripts of a zone do under the same name, in this process and in another.
macro_rules! forwarded {
    ($zone:ty) => {
        fn assign(&mut self, zone: ZoneId) {
            <$zone>::assign(self, zone);
        }
        fn field_table(&self) -> &Arc<FieldTable> {
            <$zone>::field_table(self)
        }
        fn default_row(&self, kind: KindId) -> &[u8] {
            <$zone>::default_row(self, kind)
        }
        fn hears(&self, kind: KindId, message: &str) -> bool {
            <$zone>::hears(self, kind, message)
        }
        fn tables(&self) -> &[KindTable] {
            <$zone>::tables(self)
        }
        fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
            <$zone>::insert(self, kind, id, row)
        }
        fn demote(&mut self, id: EntityId) {
            <$zone>::demote(self, id);
        }
        fn remove(&mut self, id: EntityId) {
            <$zone>::remove(self, id);
        }
        fn ghost_row(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
            <$zone>::ghost_row(self, kind, id, row)
        }
        fn ghost_remove(&mut self, id: EntityId) {
            <$zone>::ghost_remove(self, id);
        }
        fn run_start(&mut self) -> Result<(), ScriptError> {
            <$zone>::run_start(self)
        }
        fn changed(&self) -> &[(EntityId, KindId, u64)] {
            <$zone>::changed(self)
        }
        fn failed(&self) -> &[(EntityId, FailureKind)] {
            <$zone>::failed(self)
        }
        fn outbox(&mut self) -> &mut Outbox {
            <$zone>::outbox(self)
        }
        fn collect_garbage(&mut self, tick: Tick) {
            <$zone>::collect_garbage(self, tick);
        }
        fn stats(&self) -> &HookStats {
            <$zone>::stats(self)
        }
        fn memory(&self) -> MemoryUse {
            <$zone>::memory(self)
        }
        fn trace(&mut self, clock: Option<fn() -> u64>) {
            <$zone>::trace(self, clock);
        }
    };
}

impl Host for ScriptZone {
    forwarded!(ScriptZone);
    fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) -> Result<(), RowError> {
        ScriptZone::ghost_delta(self, id, delta)
    }
    fn begin_tick(&mut self, tick: Tick, snapshot: Arc<Snapshot>, hitboxes: Arc<HitboxHistory>) {
        ScriptZone::begin_tick(self, tick, snapshot, hitboxes);
    }
    fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        resting: &[EntityId],
    ) -> Result<(), Gone> {
        ScriptZone::run_hooks(self, inbox, commands, resting);
        Ok(())
    }
    fn gather(&mut self) -> Result<(), Gone> {
        ScriptZone::gather(self);
        Ok(())
    }
    fn take_spans(&mut self, spans: &mut Vec<ZoneSpan>) {
        let mut hooks = Vec::new();
        ScriptZone::take_spans(self, &mut hooks);
        spans.extend(hooks.into_iter().map(|span| ZoneSpan {
            name: self.hook_name(span.hook).to_owned().into(),
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            entity: Some(span.entity),
        }));
    }
}

impl Host for ProcessZone {
    forwarded!(ProcessZone);
    fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) -> Result<(), RowError> {
        ProcessZone::ghost_delta(self, id, delta);
        Ok(())
    }
    fn begin_tick(&mut self, tick: Tick, snapshot: Arc<Snapshot>, _: Arc<HitboxHistory>) {
        // The process has capsules of its own, from the same snapshots.
        ProcessZone::begin_tick(self, tick, &snapshot);
    }
    fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        resting: &[EntityId],
    ) -> Result<(), Gone> {
        let ran = ProcessZone::run_hooks(self, inbox, commands, resting);
        ran.map_err(|gone| Gone(gone.0))
    }
    fn gather(&mut self) -> Result<(), Gone> {
        ProcessZone::gather(self).map_err(|gone| Gone(gone.0))
    }
    fn cost(&self) -> Option<Cost> {
        Some(ProcessZone::cost(self))
    }
    fn take_spans(&mut self, spans: &mut Vec<ZoneSpan>) {
        spans.extend(self.spans().iter().map(|span| ZoneSpan {
            name: span.hook.clone().into(),
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            entity: Some(span.entity),
        }));
    }
}

/// Keeps a zone's rows as they are while there is no interpreter for it: its entities coast at `S_t`.
#[derive(Default)]
pub(crate) struct Vacancy {
    table: Arc<FieldTable>,
    tables: Vec<KindTable>,
    outbox: Outbox,
    /// Counts the messages and commands that found nobody to run them.
    stats: HookStats,
}

impl Vacancy {
    pub(crate) fn new(table: Arc<FieldTable>) -> Vacancy {
        Vacancy {
            tables: table.kinds.iter().map(KindTable::new).collect(),
            table,
            ..Vacancy::default()
        }
    }
}

impl Host for Vacancy {
    fn assign(&mut self, _zone: ZoneId) {}
    fn field_table(&self) -> &Arc<FieldTable> {
        &self.table
    }
    fn default_row(&self, _kind: KindId) -> &[u8] {
        unreachable!("new code is loaded into interpreters");
    }
    fn hears(&self, _kind: KindId, _message: &str) -> bool {
        false
    }
    fn tables(&self) -> &[KindTable] {
        &self.tables
    }
    fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
        self.tables[kind.index()].insert_row(id, row).map(drop)
    }
    fn demote(&mut self, id: EntityId) {
        self.remove(id);
    }
    fn remove(&mut self, id: EntityId) {
        for table in &mut self.tables {
            if let Some(row) = table.row_of(id) {
                table.remove(row);
            }
        }
    }
    fn ghost_row(&mut self, _kind: KindId, _id: EntityId, _row: &[u8]) -> Result<(), RowError> {
        Ok(())
    }
    fn ghost_delta(&mut self, _id: EntityId, _delta: &[u8]) -> Result<(), RowError> {
        Ok(())
    }
    fn ghost_remove(&mut self, _id: EntityId) {}
    fn run_start(&mut self) -> Result<(), ScriptError> {
        unreachable!("a match starts with interpreters")
    }
    fn begin_tick(&mut self, _tick: Tick, _snapshot: Arc<Snapshot>, _: Arc<HitboxHistory>) {}
    fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        _resting: &[EntityId],
    ) -> Result<(), Gone> {
        self.stats.coasted += (inbox.len() + commands.len()) as u64;
        Ok(())
    }
    fn gather(&mut self) -> Result<(), Gone> {
        Ok(())
    }
    fn changed(&self) -> &[(EntityId, KindId, u64)] {
        &[]
    }
    fn failed(&self) -> &[(EntityId, FailureKind)] {
        &[]
    }
    fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
    fn collect_garbage(&mut self, _tick: Tick) {}
    fn stats(&self) -> &HookStats {
        &self.stats
    }
    fn memory(&self) -> MemoryUse {
        MemoryUse::default()
    }
    fn trace(&mut self, _clock: Option<fn() -> u64>) {}
    fn take_spans(&mut self, _spans: &mut Vec<ZoneSpan>) {}
}

/// A message of the engine itself, without arguments.
pub(crate) fn engine_message(target: EntityId, name: &str) -> Message {
    Message {
        target,
        sender: EntityId::NONE,
        seq: 0,
        payload: tessera_python::Payload::new(name, &[]),
    }
}
