//! The server's side of a process zone.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command as Program, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tessera_protocol::FieldTable;
use tessera_protocol::columns::{KindTable, RowError};
use tessera_protocol::command::{Command, rewind_ticks_max};
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{FailureKind, HookStats, Inbox, MemoryUse, Outbox, ScriptConfig, ScriptError};

use crate::bell::Bell;
use crate::child::DESCRIPTORS;
use crate::config::ProcessConfig;
use crate::error::ProcessError;
use crate::frame::{self, Cost, Malformed, Order, Reader, Span, Start, Started};
use crate::handle::ProcessHandle;
use crate::log::Log;
use crate::mirror::{Mirror, check_defaults};
use crate::ring::{self, RingError};
use crate::shared::Mapping;
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
    zone: ZoneId,
    process: Process,
    writer: ring::Writer,
    reader: ring::Reader,
    bell: Bell,
    slots: SnapshotSlots,
    /// Ticks that shots go back.
    rewind_ticks: usize,
    mirror: Mirror,
    /// Messages that entities hear, by kind.
    handlers: Vec<Vec<String>>,
    /// The bytes of each field's default, by kind.
    defaults: Vec<Vec<Vec<u8>>>,
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
}

impl ProcessZone {
    /// Starts a process and loads the mode in it.
    ///
    /// # Errors
    /// A system that lacks what process zones need, a program that can't be started, a mode that doesn't
    /// load: the file and line at fault.
    pub fn start(
        scripts: &ScriptConfig,
        config: &ProcessConfig,
        slots: &SnapshotSlots,
    ) -> Result<Self, ProcessError> {
        let unsupported = ProcessError::unsupported::<rustix::io::Errno>;
        let memory = ring::create().map_err(unsupported("shared memory (memfd)"))?;
        let mapping = Mapping::new(&memory, ring::BYTES, true);
        let mapping = mapping.map_err(unsupported("shared memory (mmap)"))?;
        let (writer, reader) = ring::ends(mapping, true);
        let (mut process, bell) = Process::spawn(config, slots, memory, scripts.zone)?;
        let start = Start {
            parent: std::process::id(),
            zone: scripts.zone,
            seed: scripts.seed,
            tick_hz: scripts.tick_hz,
            halo_m: scripts.halo_m,
            mode: scripts.mode.clone(),
            options: scripts.options.clone(),
            map: config.map.clone(),
            map_hash: scripts.world.hash(),
            prepared: config.prepared.clone(),
            packages: config.packages.clone(),
            memory_cap: scripts.memory_cap,
        };
        let mut orders = Vec::new();
        start.write(&mut orders);
        let mut link = (writer, reader);
        let mut answer = Vec::new();
        let started = link
            .0
            .send(&orders, &bell)
            .and_then(|()| link.1.receive(&mut answer, &bell));
        orders = Vec::new();
        started.map_err(|error| ProcessError::Ended(process.end(error).0))?;
        process.log.drain(scripts.zone);
        let started = Started::read(&mut Reader::new(&answer));
        let malformed = |process: &mut Process, Malformed(why)| {
            ProcessError::Ended(process.end(RingError::Garbage(why)).0)
        };
        let (table, handlers, defaults, thread) = match started {
            Ok(Started::Loaded {
                table,
                handlers,
                defaults,
                thread,
            }) => (table, handlers, defaults, thread),
            Ok(Started::Failed(error)) => return Err(error.into()),
            Ok(Started::Unconfined(reason)) => {
                return Err(ProcessError::Unsupported {
                    feature: "seccomp filters and limits of resources",
                    reason,
                });
            }
            Err(error) => return Err(malformed(&mut process, error)),
        };
        let table = FieldTable::from_bytes(&table)
            .ok_or(Malformed("its field table makes no sense"))
            .and_then(|table| check_defaults(&table, &defaults).map(|()| table));
        let table = match table {
            Ok(table) => table,
            Err(error) => return Err(malformed(&mut process, error)),
        };
        Ok(Self {
            zone: scripts.zone,
            process,
            writer: link.0,
            reader: link.1,
            bell,
            slots: slots.clone(),
            rewind_ticks: rewind_ticks_max(scripts.tick_hz).ceil() as usize,
            mirror: Mirror::new(table),
            handlers,
            defaults,
            thread,
            orders,
            answer,
            begun: None,
            unbegun: None,
            is_traced: false,
        })
    }

    /// Interrupts or ends the process, from any thread.
    pub fn handle(&self) -> ProcessHandle {
        self.process.handle.clone()
    }

    /// The process, as the system numbers it.
    pub fn id(&self) -> u32 {
        self.process.child.id()
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
        self.zone = zone;
        self.order(Order::Assign(zone));
    }

    /// What the mode declared.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.mirror.table
    }

    /// The bytes of a field's default, as in a row.
    ///
    /// # Panics
    /// Where there is no such kind or field.
    pub fn default_of(&self, kind: KindId, field: usize) -> &[u8] {
        &self.defaults[kind.index()][field]
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
    /// Where the mode has no `start`, or it raised, or the process is gone: then the outbox is empty.
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
        let _ = self.writer.send(&self.orders, &self.bell);
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
        let sent = self.writer.send(&self.orders, &self.bell);
        self.orders.clear();
        let answered = sent.and_then(|()| self.reader.receive(&mut self.answer, &self.bell));
        self.process.log.drain(self.zone);
        answered.map_err(|error| self.process.end(error))
    }

    #[cold]
    fn malformed(&mut self, Malformed(why): Malformed) -> Gone {
        self.process.end(RingError::Garbage(why))
    }
}

/// A child, which ends with this at the latest.
struct Process {
    child: Child,
    handle: ProcessHandle,
    log: Log,
    zone: ZoneId,
    /// Why it has ended, once that is known.
    gone: Option<Gone>,
}

impl Process {
    fn spawn(
        config: &ProcessConfig,
        slots: &SnapshotSlots,
        ring: OwnedFd,
        zone: ZoneId,
    ) -> Result<(Self, Bell), ProcessError> {
        let spawn_error = |source| ProcessError::Spawn {
            program: config.program.display().to_string(),
            source,
        };
        let (bell, socket) = Bell::pair().map_err(spawn_error)?;
        let (control, obeying) = UnixStream::pair().map_err(spawn_error)?;
        let (pipe, output) = io::pipe().map_err(spawn_error)?;
        let log = Log::new(pipe).map_err(|error| spawn_error(error.into()))?;
        let mut child = Program::new(&config.program)
            .args(&config.arguments)
            .env_clear()
            // Libraries for linear algebra start threads for each core, which a zone may not.
            .env("OPENBLAS_NUM_THREADS", "1")
            .env("OMP_NUM_THREADS", "1")
            // Ctrl-C in a terminal is for the server alone.
            .process_group(0)
            .stdin(Stdio::from(socket))
            .stdout(output.try_clone().map_err(spawn_error)?)
            .stderr(output)
            .spawn()
            .map_err(spawn_error)?;
        let handle = ProcessHandle::new(child.id(), control.into()).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        // From here on the child ends with its owner.
        let process = Self {
            handle,
            child,
            log,
            zone,
            gone: None,
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [ring.as_fd(), slots.as_fd(), obeying.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let byte = [IoSlice::new(&[0])];
        // If the child has ended already, whoever waits for its answer hears of that.
        let _ = sendmsg(&bell, &byte, &mut ancillary, SendFlags::NOSIGNAL);
        Ok((process, bell))
    }

    /// Ends the child, if it hasn't ended by itself, and says why it is gone.
    #[cold]
    fn end(&mut self, error: RingError) -> Gone {
        if let Some(gone) = &self.gone {
            return gone.clone();
        }
        let why = match error {
            RingError::Garbage(why) => {
                self.handle.kill();
                let _ = self.child.wait();
                format!("its process does not keep to the protocol: {why}")
            }
            RingError::Ended if self.handle.has_ended_soon() => match self.child.wait() {
                Ok(status) => describe(status),
                Err(error) => format!("its process ended: {error}"),
            },
            RingError::Ended => {
                self.handle.kill();
                let _ = self.child.wait();
                "its process closed the connection".into()
            }
        };
        self.log.finish(self.zone);
        self.gone.insert(Gone(why)).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.handle.kill();
        // Reaps it; it fails where that has been done.
        let _ = self.child.wait();
        self.log.finish(self.zone);
    }
}

/// How a process ended.
fn describe(status: ExitStatus) -> String {
    let name = |signal| match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV, a segmentation fault)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGXFSZ => " (SIGXFSZ, it wrote to a file)",
        libc::SIGSYS => " (SIGSYS)",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("its process was ended by signal {signal}{}", name(signal)),
        (_, Some(code)) => format!("its process exited with code {code}"),
        _ => "its process ended".into(),
    }
}
