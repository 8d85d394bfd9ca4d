//! The server's side of a process zone.

use std::sync::Arc;

use tessera_protocol::FieldTable;
use tessera_protocol::columns::{KindTable, RowError};
use tessera_protocol::command::{Command, rewind_ticks_max};
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{FailureKind, HookStats, Inbox, MemoryUse, Outbox, ScriptConfig, ScriptError};

use crate::config::ProcessConfig;
use crate::error::ProcessError;
use crate::frame::{self, Cost, Malformed, Order, Reader, Span, Start, Started};
use crate::handle::ProcessHandle;
use crate::keeper::Lease;
use crate::line::Line;
use crate::mirror::{Mirror, check_default_rows};
use crate::program;
use crate::ring::RingError;
use crate::snapshots::{SnapshotSlots, Stored, TooLarge};

/// A process that can't go on; the text says why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone(pub String);

/// A zone's scripts in a process of their own, driven as a
/// [`ScriptZone`](tessera_python::ScriptZone) is. Stays with one thread: when that ends, the process is
/// ended.
///
/// What is told to the zone takes effect in the process with the next tick; what can't be wrong by the
/// caller's doing is not checked before that.
pub struct ProcessZone {
    line: Line,
    slots: SnapshotSlots,
    /// Ticks that shots go back.
    rewind_ticks: usize,
    mirror: Mirror,
    /// Messages that entities hear, by kind.
    handlers: Vec<Vec<String>>,
    /// By kind, the row of an entity that says nothing about itself.
    default_rows: Vec<Vec<u8>>,
    /// The process's thread that runs the scripts.
    thread: i32,
    /// What the process has not been told yet.
    orders: Vec<u8>,
    /// The process's last answer.
    answer: Vec<u8>,
    begun: Option<Tick>,
    /// Why a tick could not begin.
    unbegun: Option<Gone>,
    is_traced: bool,
    /// Of a fork; dropped after the process, which would end with it.
    pub(crate) lease: Option<Lease>,
}

impl ProcessZone {
    /// Starts a program of its own for the zone, and loads the mode in it: a tenth of a second and more of
    /// processor time. A [`ForkServer`](crate::ForkServer) does so in a tenth of that.
    ///
    /// # Errors
    /// A system that lacks what process zones need, a program that can't be started, a mode that doesn't
    /// load: the file and line at fault.
    pub fn start(
        scripts: &ScriptConfig,
        config: &ProcessConfig,
        slots: &SnapshotSlots,
    ) -> Result<Self, ProcessError> {
        Self::start_with(scripts, config, slots, |_| ())
    }

    /// Starts as [`start`](Self::start) does, and tells who has power over the process before it loads the
    /// mode.
    ///
    /// # Errors
    /// As [`start`](Self::start), and where the loading was preempted or ended.
    pub fn start_with(
        scripts: &ScriptConfig,
        config: &ProcessConfig,
        slots: &SnapshotSlots,
        tell: impl FnOnce(ProcessHandle),
    ) -> Result<Self, ProcessError> {
        let mut line = program::start(config, slots, Some(scripts.zone))?;
        tell(line.process.handle.clone());
        line.start(&Start::new(scripts, config))?;
        Self::load(line, scripts, slots)
    }

    /// Waits until a process has loaded the mode.
    pub(crate) fn load(
        mut line: Line,
        scripts: &ScriptConfig,
        slots: &SnapshotSlots,
    ) -> Result<Self, ProcessError> {
        let Started::Loaded {
            table,
            handlers,
            default_rows,
            thread,
        } = line.started()?
        else {
            return Err(line.malformed(Malformed("it is no zone's process")));
        };
        let table = FieldTable::from_bytes(&table)
            .ok_or(Malformed("its field table makes no sense"))
            .and_then(|table| check_default_rows(&table, &default_rows).map(|()| table))
            .map_err(|error| line.malformed(error))?;
        Ok(Self {
            line,
            slots: slots.clone(),
            rewind_ticks: rewind_ticks_max(scripts.tick_hz).ceil() as usize,
            mirror: Mirror::new(table),
            handlers,
            default_rows,
            thread,
            orders: Vec::new(),
            answer: Vec::new(),
            begun: None,
            unbegun: None,
            is_traced: false,
            lease: None,
        })
    }

    /// Interrupts or ends the process, from any thread.
    pub fn handle(&self) -> ProcessHandle {
        self.line.process.handle.clone()
    }

    /// The process, as the system numbers it.
    pub fn id(&self) -> u32 {
        self.line.process.id()
    }

    /// The thread of the process that runs the scripts, as the system numbers it.
    pub fn thread(&self) -> i32 {
        self.thread
    }

    /// What the last tick cost the process.
    pub fn cost(&self) -> Cost {
        self.mirror.cost
    }

    /// Tells which zone it works for: for logs only.
    pub fn assign(&mut self, zone: ZoneId) {
        self.line.process.zone = Some(zone);
        self.order(Order::Assign(zone));
    }

    /// What the mode declared.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.mirror.table
    }

    /// The row of an entity that says nothing about itself.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn default_row(&self, kind: KindId) -> &[u8] {
        &self.default_rows[kind.index()]
    }

    /// Whether entities of a kind have a method `on_<message>`; false for a kind that isn't there.
    pub fn hears(&self, kind: KindId, message: &str) -> bool {
        let handlers = self.handlers.get(kind.index());
        handlers.is_some_and(|names| names.iter().any(|name| name == message))
    }

    /// Rows of the zone's own entities, one table a kind: `S_t` until [`gather`](Self::gather), then
    /// `S_t+1`.
    pub fn tables(&self) -> &[KindTable] {
        &self.mirror.tables
    }

    /// Begins tick `tick`, whose hooks see `snapshot` as `S_t`.
    pub fn begin_tick(&mut self, tick: Tick, snapshot: &Snapshot) {
        debug_assert_eq!(tick, snapshot.tick(), "a tick begins with its state");
        let newest = match self.slots.store(snapshot) {
            Ok(stored) => stored,
            Err(TooLarge(bytes)) => {
                let why = format!("the state of {bytes} bytes is too large for process zones");
                self.unbegun = Some(Gone(why));
                return;
            }
        };
        let follows = self.begun.is_some_and(|begun| begun.next() == tick);
        let past: Vec<Stored> = match follows {
            true => Vec::new(),
            false => self.slots.before(tick, self.rewind_ticks),
        };
        self.begun = Some(tick);
        self.order(Order::Begin { newest, past });
        self.mirror.changed.clear();
        self.mirror.failed.clear();
    }

    /// An entity becomes this zone's own: an arrival or a newborn, with its row of `S_t`. A ghost of
    /// that id becomes it.
    ///
    /// # Errors
    /// Where the row isn't one of `kind`, or the entity is own already; then nothing has changed.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
        self.mirror.tables[kind.index()].insert_row(id, row)?;
        self.order(Order::Insert(kind, id, row));
        Ok(())
    }

    /// An own entity was handed off and stays in sight as a ghost. Unknown ids are ignored.
    pub fn demote(&mut self, id: EntityId) {
        self.mirror.take_out(id);
        self.order(Order::Demote(id));
    }

    /// An own entity ended, or was handed off beyond the halo. Unknown ids are ignored.
    pub fn remove(&mut self, id: EntityId) {
        self.mirror.take_out(id);
        self.order(Order::Remove(id));
    }

    /// An entity of another zone came within the halo, with its row of `S_t`.
    ///
    /// # Errors
    /// Where the row isn't one of `kind`, or the entity is own.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn ghost_row(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
        self.mirror.tables[kind.index()].check_row(row)?;
        if self.mirror.is_own(id) {
            return Err(RowError::Duplicate(id));
        }
        self.order(Order::GhostRow(kind, id, row));
        Ok(())
    }

    /// Fields of a ghost changed. Unknown ids are ignored.
    pub fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) {
        self.order(Order::GhostDelta(id, delta));
    }

    /// A ghost ended or left the halo. Unknown ids are ignored.
    pub fn ghost_remove(&mut self, id: EntityId) {
        self.order(Order::GhostRemove(id));
    }

    /// Runs the mode's `start(world)`, whose spawns have [`EntityId::NONE`] as their parent.
    ///
    /// # Errors
    /// Where it raised, or the process is gone: then the outbox is empty.
    pub fn run_start(&mut self) -> Result<(), ScriptError> {
        self.order(Order::RunStart);
        let read = self.exchange().and_then(|()| {
            let answer = std::mem::take(&mut self.answer);
            let mut reader = Reader::new(&answer);
            let read = match reader.bool() {
                Ok(false) => frame::read_error(&mut reader).map(Err),
                _ => self.mirror.read(&answer).map(Ok),
            };
            self.answer = answer;
            read.map_err(|error| self.malformed(error))
        });
        read.unwrap_or_else(|Gone(why)| Err(ProcessError::Ended(why).into_script_error()))
    }

    /// Runs the hooks of all own entities but the `resting` (ascending), as
    /// [`ScriptZone::run_hooks`](tessera_python::ScriptZone::run_hooks) does.
    ///
    /// # Errors
    /// A process that has ended, or doesn't answer as it should.
    pub fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        resting: &[EntityId],
    ) -> Result<(), Gone> {
        if let Some(why) = self.unbegun.take() {
            return Err(why);
        }
        self.order(Order::Run);
        frame::write_run(&mut self.orders, inbox, commands, resting);
        self.exchange()
    }

    /// Takes over what the hooks came to: `tables` become `S_t+1`.
    ///
    /// # Errors
    /// A process whose answer makes no sense.
    pub fn gather(&mut self) -> Result<(), Gone> {
        let answer = std::mem::take(&mut self.answer);
        let read = self.mirror.read(&answer);
        self.answer = answer;
        read.map_err(|error| self.malformed(error))
    }

    /// What the gather changed: ascending id, bit f set where field f changed.
    pub fn changed(&self) -> &[(EntityId, KindId, u64)] {
        &self.mirror.changed
    }

    /// Entities that lost this tick and why, ascending.
    pub fn failed(&self) -> &[(EntityId, FailureKind)] {
        &self.mirror.failed
    }

    /// What this tick's hooks asked for. The caller drains and clears it.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.mirror.outbox
    }

    /// Lets the process take in what it has not been told yet and collect garbage, in the tick's slack.
    /// Doesn't wait for it.
    pub fn collect_garbage(&mut self, tick: Tick) {
        self.order(Order::Collect(tick));
        // If the process has ended, the next tick says so.
        let _ = self.line.send(&self.orders);
        self.orders.clear();
    }

    /// Counters since the start, as of the last tick.
    pub fn stats(&self) -> &HookStats {
        &self.mirror.stats
    }

    /// How much memory the scripts used at the end of the last tick.
    pub fn memory(&self) -> MemoryUse {
        self.mirror.memory
    }

    /// From now on each call of a hook leaves a span, timed by `clock` in ns; with `None`, the default,
    /// none does.
    pub fn trace(&mut self, clock: Option<fn() -> u64>) {
        if clock.is_some() != std::mem::replace(&mut self.is_traced, clock.is_some()) {
            self.order(Order::Trace(clock.map(|clock| clock())));
        }
    }

    /// The spans of the last tick, in the order of the calls.
    pub fn spans(&self) -> &[Span] {
        &self.mirror.spans
    }

    fn order(&mut self, order: Order<'_>) {
        order.write(&mut self.orders);
    }

    /// Sends the orders and waits for the answer.
    fn exchange(&mut self) -> Result<(), Gone> {
        let sent = self.line.send(&self.orders);
        self.orders.clear();
        let answered = sent.and_then(|()| self.line.receive(&mut self.answer));
        answered.map_err(|error| self.line.process.end(error))
    }

    #[cold]
    fn malformed(&mut self, Malformed(why): Malformed) -> Gone {
        self.line.process.end(RingError::Garbage(why))
    }
}
