//! What the tests share: modes in temporary folders, process zones of them, and a world of one zone.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tessera_process::{
    ForkServer, Gone, Map, ProcessConfig, ProcessError, ProcessZone, SnapshotSlots,
};
use tessera_protocol::columns::KindTable;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::{Snapshot, SnapshotHeader, ZoneBatch};
use tessera_python::{HitboxHistory, Message, ModeSource, Outbox, ScriptConfig, ScriptZone};
use tessera_world::World;

const SIZE_M: f64 = 1000.0;

/// A mode in a folder of its own, which goes when this is dropped.
pub struct Mode {
    root: tempfile::TempDir,
}

impl Mode {
    /// A mode whose `__init__.py` is `source` after the imports that all need.
    pub fn new(source: &str) -> Self {
        let mode = Self {
            root: tempfile::tempdir().expect("a temporary folder"),
        };
        std::fs::create_dir(mode.folder()).expect("a folder");
        let source = format!("from __future__ import annotations\nfrom tessera import *\n{source}");
        std::fs::write(mode.folder().join("__init__.py"), source).expect("a file");
        mode
    }

    pub fn folder(&self) -> PathBuf {
        self.root.path().join("probe")
    }
}

pub fn scripts(mode: &Path) -> ScriptConfig {
    ScriptConfig {
        zone: ZoneId(0),
        seed: 7,
        tick_hz: 64,
        halo_m: 100.0,
        mode: Arc::new(ModeSource::read(mode).unwrap_or_else(|error| panic!("{error}"))),
        options: Default::default(),
        world: Arc::new(World::flat(SIZE_M)),
        memory_cap: None,
        check: false,
        logged: Arc::default(),
    }
}

pub fn process() -> ProcessConfig {
    ProcessConfig {
        program: env!("CARGO_BIN_EXE_tessera-zone-host").into(),
        arguments: Vec::new(),
        map: Map::Flat(SIZE_M),
        prepared: Arc::default(),
        packages: Vec::new(),
    }
}

/// How a zone's process comes to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// As a fork of the fork server.
    Fork,
    /// As a program of its own.
    Program,
}

pub fn start(scripts: &ScriptConfig, slots: &SnapshotSlots) -> Result<ProcessZone, ProcessError> {
    start_by(By::Fork, scripts, slots)
}

pub fn start_by(
    by: By,
    scripts: &ScriptConfig,
    slots: &SnapshotSlots,
) -> Result<ProcessZone, ProcessError> {
    match by {
        By::Program => ProcessZone::start(scripts, &process(), slots),
        By::Fork => {
            let forks = ForkServer::new(process(), slots.clone());
            let zone = forks.start(scripts)?;
            assert_eq!((forks.tally().forks, forks.tally().programs), (1, 0));
            Ok(zone)
        }
    }
}

/// What both kinds of zone do.
pub trait Scripts {
    fn tables(&self) -> &[KindTable];
    fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]);
    fn remove(&mut self, id: EntityId);
    fn outbox(&mut self) -> &mut Outbox;
}

impl Scripts for ScriptZone {
    fn tables(&self) -> &[KindTable] {
        ScriptZone::tables(self)
    }
    fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) {
        ScriptZone::insert(self, kind, id, row).expect("a row that fits");
    }
    fn remove(&mut self, id: EntityId) {
        ScriptZone::remove(self, id);
    }
    fn outbox(&mut self) -> &mut Outbox {
        ScriptZone::outbox(self)
    }
}

impl Scripts for ProcessZone {
    fn tables(&self) -> &[KindTable] {
        ProcessZone::tables(self)
    }
    fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) {
        ProcessZone::insert(self, kind, id, row).expect("a row that fits");
    }
    fn remove(&mut self, id: EntityId) {
        ProcessZone::remove(self, id);
    }
    fn outbox(&mut self) -> &mut Outbox {
        ProcessZone::outbox(self)
    }
}

/// A world that one process zone runs: what it asks for at the end of a tick it gets in the next.
pub struct Solo {
    pub zone: ProcessZone,
    pub slots: SnapshotSlots,
    pub clock: Clock,
}

/// What a zone has to be told from outside.
#[derive(Default)]
pub struct Clock {
    pub tick: Tick,
    pub next: u32,
    pub inbox: Vec<Message>,
}

impl Clock {
    pub fn snapshot(&self, tables: &[KindTable]) -> Arc<Snapshot> {
        let header = SnapshotHeader {
            tick: self.tick,
            ..SnapshotHeader::default()
        };
        Arc::new(Snapshot::seal(
            header,
            &[&ZoneBatch::of(ZoneId(0), tables)],
            None,
        ))
    }

    /// Lets what the hooks asked for happen, and leaves the outbox empty.
    pub fn settle(&mut self, zone: &mut dyn Scripts) -> Outbox {
        let mut outbox = std::mem::take(zone.outbox());
        for id in &outbox.despawns {
            zone.remove(*id);
        }
        outbox.spawns.sort_by_key(|spawn| (spawn.parent, spawn.seq));
        for spawn in &outbox.spawns {
            self.next += 1;
            zone.insert(spawn.kind, EntityId(self.next), &spawn.row);
        }
        self.inbox = outbox.messages.clone();
        self.sort();
        outbox
    }

    pub fn sort(&mut self) {
        self.inbox
            .sort_by_key(|message| (message.target, message.sender, message.seq));
    }
}

impl Solo {
    pub fn start(mode: &Mode) -> Self {
        Self::with(&scripts(&mode.folder()))
    }

    /// With the entities that the mode's `start` spawns.
    pub fn with(scripts: &ScriptConfig) -> Self {
        Self::by(By::Fork, scripts)
    }

    pub fn by(by: By, scripts: &ScriptConfig) -> Self {
        let slots = SnapshotSlots::new().expect("shared memory");
        let zone = start_by(by, scripts, &slots).unwrap_or_else(|error| panic!("{error}"));
        Self::of(zone, slots)
    }

    /// Of a zone that has just loaded.
    pub fn of(mut zone: ProcessZone, slots: SnapshotSlots) -> Self {
        let mut clock = Clock::default();
        zone.run_start().unwrap_or_else(|error| panic!("{error}"));
        clock.settle(&mut zone);
        Self { zone, slots, clock }
    }

    pub fn step(&mut self) -> Result<Outbox, Gone> {
        self.step_with(&[])
    }

    pub fn step_with(&mut self, commands: &[(EntityId, Command)]) -> Result<Outbox, Gone> {
        let snapshot = self.clock.snapshot(self.zone.tables());
        self.zone.begin_tick(self.clock.tick, &snapshot);
        self.zone.run_hooks(&self.clock.inbox, commands, &[])?;
        self.zone.gather()?;
        let outbox = self.clock.settle(&mut self.zone);
        self.zone.collect_garbage(self.clock.tick);
        self.clock.tick = self.clock.tick.next();
        Ok(outbox)
    }

    /// The messages of the failures so far.
    pub fn errors(&self) -> Vec<&str> {
        let errors = self.zone.stats().errors.iter();
        errors.map(|error| error.message.as_str()).collect()
    }

    /// A field of an entity.
    pub fn field(&self, id: u32, name: &str) -> String {
        let kinds = &self.zone.field_table().kinds;
        for (kind, rows) in kinds.iter().zip(self.zone.tables()) {
            if let Some(row) = rows.row_of(EntityId(id)) {
                let field = kind.field(name).expect("a field of the kind");
                return format!("{:?}", rows.columns[field].get(row));
            }
        }
        panic!("no entity {id}");
    }
}

/// The capsules of the snapshots, as the server keeps them.
pub fn push(hitboxes: &mut Arc<HitboxHistory>, zone: &ScriptZone, snapshot: &Snapshot) {
    let hitboxes = Arc::get_mut(hitboxes).expect("zones let go of it");
    hitboxes.push(zone.field_table(), snapshot);
}
