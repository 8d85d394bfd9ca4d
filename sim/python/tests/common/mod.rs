//! What the tests share: modes in temporary folders, zones, snapshots of one zone.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::{Snapshot, SnapshotHeader, ZoneBatch};
use tessera_python::{
    HitboxHistory, Message, ModeSource, Outbox, ScriptConfig, ScriptError, ScriptZone,
};
use tessera_world::World;

pub const HALO_M: f64 = 100.0;

/// A `start` that does nothing.
pub const START: &str = "\ndef start(world): pass\n";

/// A mode in a folder of its own, which goes when this is dropped.
pub struct Mode {
    root: PathBuf,
    pub folder: PathBuf,
}

impl Mode {
    /// A mode whose `__init__.py` is `source`, after the imports that most need; its `start` does nothing
    /// unless the source has another one.
    pub fn new(source: &str) -> Self {
        Self::exact(&format!(
            "from __future__ import annotations\nfrom tessera import *\n{}{}",
            dedent(source),
            if source.contains("def start(") {
                ""
            } else {
                START
            },
        ))
    }

    /// A mode whose `__init__.py` is exactly `source`.
    pub fn exact(source: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tessera-python-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let mode = Self {
            folder: root.join("probe"),
            root,
        };
        mode.write("__init__.py", source);
        mode
    }

    /// Adds a file.
    pub fn write(&self, name: &str, source: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder"))
            .expect("a temporary folder");
        std::fs::write(path, source).expect("a temporary file");
    }

    pub fn config(&self) -> ScriptConfig {
        config(&self.folder)
    }

    pub fn start(&self) -> Result<ScriptZone, ScriptError> {
        ScriptZone::start(&self.config())
    }

    /// A zone of this mode, ready to tick.
    pub fn zone(&self) -> Zone {
        Zone::start(&self.config())
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Removes the indentation that a source has for standing inside Rust code.
pub fn dedent(source: &str) -> String {
    let indent = source
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    source
        .lines()
        .map(|line| format!("{}\n", line.get(indent..).unwrap_or("")))
        .collect()
}

/// A mode of so many probes that count their ticks; probe `id` does what `body` says in its tick `count`.
pub fn probes(number: u32, id: u32, count: u32, body: &str) -> Mode {
    let body = dedent(body).replace('\n', "\n            ");
    Mode::new(&format!(
        r#"
import itertools
class Probe(Entity):
    count: u32 = field(0)
    health: f32 = field(100.0)
    brain: object = field([1])
    def tick(self, dt):
        self.count += 1
        self.health -= 1.5
        if self.count == {count} and self.id == {id}:
            {body}
    def on_hello(self, sender):
        raise AssertionError("the message of a hook that failed was sent")
def start(world):
    for n in range({number}): world.spawn(Probe)
"#
    ))
}

pub fn config(mode: &Path) -> ScriptConfig {
    ScriptConfig {
        zone: ZoneId(0),
        seed: 7,
        tick_hz: 64,
        halo_m: HALO_M,
        mode: Arc::new(ModeSource::read(mode).expect("a mode's folder")),
        options: Default::default(),
        world: Arc::new(World::flat(1000.0)),
        memory_cap: None,
        check: false,
        logged: Arc::default(),
    }
}

/// A zone that is the whole world: what it asks for at the end of a tick it gets in the next.
pub struct Zone {
    pub scripts: ScriptZone,
    pub tick: Tick,
    pub next: u32,
    pub hitboxes: Arc<HitboxHistory>,
    inbox: Vec<Message>,
}

impl Zone {
    pub fn start(config: &ScriptConfig) -> Self {
        let scripts = ScriptZone::start(config)
            .unwrap_or_else(|error| panic!("the mode should load: {error}\n{}", error.traceback));
        Self {
            scripts,
            tick: Tick(0),
            next: 1,
            hitboxes: Arc::new(HitboxHistory::new(config.tick_hz)),
            inbox: Vec::new(),
        }
    }

    pub fn kind(&self, name: &str) -> KindId {
        self.scripts
            .field_table()
            .kind(name)
            .expect("a kind of the mode")
    }

    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let batch = ZoneBatch::of(ZoneId(0), self.scripts.tables());
        let header = SnapshotHeader {
            tick: self.tick,
            ..SnapshotHeader::default()
        };
        Arc::new(Snapshot::seal(header, &[&batch], None))
    }

    /// Runs the mode's `start` and brings its entities to life.
    pub fn run_start(&mut self) {
        self.scripts
            .run_start()
            .unwrap_or_else(|error| panic!("start should not raise: {error}\n{}", error.traceback));
        self.settle();
    }

    /// Begins a tick on a snapshot of the present state.
    pub fn begin(&mut self) {
        let snapshot = self.snapshot();
        let hitboxes = Arc::get_mut(&mut self.hitboxes).expect("zones let go of it");
        hitboxes.push(self.scripts.field_table(), &snapshot);
        self.scripts
            .begin_tick(self.tick, snapshot, self.hitboxes.clone());
    }

    /// A whole tick; returns what the hooks asked for, which has taken effect.
    pub fn step(&mut self) -> Outbox {
        self.step_with(&[])
    }

    pub fn step_with(&mut self, commands: &[(EntityId, Command)]) -> Outbox {
        self.whole_tick(commands, &[])
    }

    /// A whole tick in which some entities rest.
    pub fn step_resting(&mut self, resting: &[EntityId]) -> Outbox {
        self.whole_tick(&[], resting)
    }

    fn whole_tick(&mut self, commands: &[(EntityId, Command)], resting: &[EntityId]) -> Outbox {
        self.begin();
        let inbox = std::mem::take(&mut self.inbox);
        self.scripts.run_hooks(&inbox, commands, resting);
        self.scripts.gather();
        let outbox = self.settle();
        self.scripts.collect_garbage(self.tick);
        self.tick = self.tick.next();
        outbox
    }

    /// Sends a message of the engine, which arrives in the next tick.
    pub fn post(&mut self, message: Message) {
        self.inbox.push(message);
        self.sort();
    }

    fn settle(&mut self) -> Outbox {
        let mut outbox = std::mem::take(self.scripts.outbox());
        for id in &outbox.despawns {
            self.scripts.remove(*id);
        }
        outbox.spawns.sort_by_key(|spawn| (spawn.parent, spawn.seq));
        for spawn in &outbox.spawns {
            let id = EntityId(self.next);
            self.scripts
                .insert(spawn.kind, id, &spawn.row)
                .expect("a row of spawn fits");
            self.next += 1;
        }
        self.inbox.extend(outbox.messages.iter().cloned());
        self.sort();
        outbox
    }

    fn sort(&mut self) {
        self.inbox
            .sort_by_key(|message| (message.target, message.sender, message.seq));
    }

    /// A field of an entity, as the columns have it.
    pub fn field(&self, id: u32, name: &str) -> String {
        let table = self.scripts.field_table();
        for (kind, rows) in table.kinds.iter().zip(self.scripts.tables()) {
            if let Some(row) = rows.row_of(EntityId(id)) {
                let field = kind.field(name).expect("a field of the kind");
                return format!("{:?}", rows.columns[field].get(row));
            }
        }
        panic!("no entity {id}");
    }

    /// The canonical row of an entity.
    pub fn row(&self, id: u32) -> Vec<u8> {
        let mut row = Vec::new();
        for rows in self.scripts.tables() {
            if let Some(at) = rows.row_of(EntityId(id)) {
                rows.write_row(at, &mut row);
            }
        }
        row
    }

    /// Fails with what the scripts raised, if they raised.
    pub fn assert_clean(&self) {
        let errors = &self.scripts.stats().errors;
        assert!(errors.is_empty(), "{errors:#?}");
    }

    /// The messages of the failures so far.
    pub fn errors(&self) -> Vec<&str> {
        self.scripts
            .stats()
            .errors
            .iter()
            .map(|error| error.message.as_str())
            .collect()
    }
}

/// Runs `body`, and shows `hear` each line that it logs as soon as it does.
pub fn with_log<R>(hear: impl Fn(&str) + Send + Sync + 'static, body: impl FnOnce() -> R) -> R {
    struct Ear(Arc<dyn Fn(&str) + Send + Sync>);
    impl Write for Ear {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            (self.0)(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let hear: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(hear);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || Ear(hear.clone()))
        .finish();
    tracing::subscriber::with_default(subscriber, body)
}
