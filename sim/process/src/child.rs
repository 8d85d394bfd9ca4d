//! The child: an ordinary [`ScriptZone`] behind a ring, with nothing else to do.

#![allow(unsafe_code)] // descriptors and slots; each block says why it is sound

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::ClockId;
use rustix::time::{Timespec, clock_gettime};
use tessera_protocol::FieldTable;
use tessera_protocol::command::{Command, rewind_ticks_max};
use tessera_protocol::ids::{EntityId, KindId, Tick};
use tessera_python::{
    HitboxHistory, HookSpan, Inbox, Interrupter, Prepared, ScriptConfig, ScriptError, ScriptZone,
};

use crate::bell::Bell;
use crate::descriptors::{self, Received};
use crate::forks;
use crate::frame::{self, Cost, Malformed, Order, Put, Reader, Start, Started, Told};
use crate::limits::DataBytes;
use crate::ring::{self, RingError};
use crate::shared::Mapping;
use crate::snapshots::{SlotReader, Stored};
use crate::{handle, limits, log};

/// How far the stack may grow, as in the server: [`ScriptZone::start`] says why.
const STACK_BYTES: u64 = 64 << 20;
/// Why the parent's rows always fit.
const SAME_TABLES: &str = "every zone has loaded the same declarations";

/// What the program of a process zone does, from beginning to end: it is told by the server through its
/// standard input what to be. Call it before anything else, in a program without threads.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let line = format!("ERROR a zone's process can't go on: {reason}\n");
            let _ = rustix::io::write(io::stderr(), line.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    close_inherited();
    end_with_parent()?;
    let_stack_grow()?;
    rustix::io::ioctl_fionbio(io::stderr(), true).map_err(said)?;
    log::begin();
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| error.to_string())?;
    let Received::Descriptors(descriptors) = descriptors::receive(&socket) else {
        return Err(STRANGER.into());
    };
    // In the order of program.rs.
    let [ring, control, snapshots] = descriptors.try_into().map_err(|_| STRANGER)?;
    // Scripts that read their standard input find nothing.
    let nothing = File::open("/dev/null").map_err(|error| error.to_string())?;
    rustix::stdio::dup2_stdin(nothing).map_err(said)?;
    let mut line = Line::new(socket, &ring)?;
    drop(ring);
    let snapshots = SlotReader::new(snapshots).map_err(said)?;
    line.receive()?;
    let start = Start::read(&mut Reader::new(&line.orders));
    let start = start.map_err(|Malformed(why)| why)?;
    // That frame was far longer than any that follows.
    line.orders = Vec::new();
    check_parent(&start)?;

    let interrupter = Interrupter::default();
    let (mut prepared, before) = match prepare(&start, &interrupter) {
        Ok(prepared) => prepared,
        Err(failed) => return line.tell(&failed),
    };
    let mut control = control;
    if start.forks {
        line.tell(&Started::Forks)?;
        // What follows is done in each fork; the fork server ends with the server.
        match forks::serve(&mut prepared, control)? {
            Some(fork) => (line, control) = fork.settle(&start)?,
            None => return Ok(()),
        }
    }
    let obeyed = interrupter.clone();
    // The control thread ends with the process, and so does its descriptor.
    let control = std::mem::ManuallyDrop::new(control);
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || handle::obey(&control, &obeyed))
        .map_err(|error| error.to_string())?;
    match load(prepared, before, start.memory_cap) {
        Ok(zone) => run_zone(zone, &start, line, snapshots),
        Err(failed) => line.tell(&failed),
    }
}

pub(crate) const STRANGER: &str =
    "this program is started by the server, for a zone that runs in a process";

pub(crate) fn said(error: rustix::io::Errno) -> String {
    error.to_string()
}

/// Closes what this process should not have: all that is open has been opened by the parent.
fn close_inherited() {
    // SAFETY: this program has opened nothing yet but its standard streams, which stay.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// This process is killed when the thread ends that it is a child of.
pub(crate) fn end_with_parent() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(said)
}

/// Whether the server had ended before [`end_with_parent`].
pub(crate) fn check_parent(start: &Start) -> Result<(), String> {
    match getppid() {
        Some(parent) if parent.as_raw_nonzero().get() as u32 == start.parent => Ok(()),
        _ => Err(SERVER_ENDED.into()),
    }
}

const SERVER_ENDED: &str = "the server has ended";

/// Scripts run on the main thread, the only one at a fork. Above its stack the kernel leaves 128 MiB of
/// addresses at least, so its limit can be raised at any time.
fn let_stack_grow() -> Result<(), String> {
    let limit = getrlimit(Resource::Stack);
    if limit.current.is_none_or(|bytes| bytes >= STACK_BYTES) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(STACK_BYTES),
        ..limit
    };
    setrlimit(Resource::Stack, raised)
        .map_err(|error| format!("its stack needs 64 MiB (ulimit -Hs): {error}"))
}

/// The child's end of the line to the parent.
pub(crate) struct Line {
    bell: Bell,
    writer: ring::Writer,
    reader: ring::Reader,
    /// The frame that was received last.
    orders: Vec<u8>,
    /// The one that is being written.
    answer: Vec<u8>,
}

impl Line {
    pub(crate) fn new(socket: OwnedFd, ring: &OwnedFd) -> Result<Self, String> {
        let mapping = Mapping::new(ring, ring::BYTES, true).map_err(said)?;
        let (writer, reader) = ring::ends(mapping, false);
        Ok(Self {
            bell: Bell::new(socket),
            writer,
            reader,
            orders: Vec::new(),
            answer: Vec::new(),
        })
    }

    fn tell(&mut self, started: &Started) -> Result<(), String> {
        started.write(&mut self.answer);
        self.answer()
    }

    fn receive(&mut self) -> Result<(), String> {
        self.reader
            .receive(&mut self.orders, &self.bell)
            .map_err(why)
    }

    fn answer(&mut self) -> Result<(), String> {
        let sent = self.writer.send(&self.answer, &self.bell);
        self.answer.clear();
        sent.map_err(why)
    }
}

fn why(error: RingError) -> String {
    match error {
        RingError::Ended => SERVER_ENDED.into(),
        RingError::Garbage(why) => why.into(),
    }
}

/// Obeys orders until the parent ends.
fn run_zone(
    zone: ScriptZone,
    start: &Start,
    mut line: Line,
    snapshots: SlotReader,
) -> Result<(), String> {
    let table = zone.field_table().clone();
    let kinds = (0..table.kinds.len()).map(|kind| KindId(kind as u8));
    let handlers = |kind| zone.handlers(kind).map(str::to_owned).collect();
    let started = Started::Loaded {
        table: table.to_bytes(),
        thread: rustix::thread::gettid().as_raw_nonzero().get(),
        default_rows: kinds
            .clone()
            .map(|kind| zone.default_row(kind).to_vec())
            .collect(),
        handlers: kinds.map(handlers).collect(),
    };
    line.tell(&started)?;
    let mut child = Child {
        zone,
        snapshots,
        hitboxes: Arc::new(HitboxHistory::new(start.tick_hz)),
        hitboxes_until: None,
        depth: rewind_ticks_max(start.tick_hz).ceil() as usize,
        table,
        tick_hz: start.tick_hz,
        inbox: Vec::new(),
        commands: Vec::new(),
        resting: Vec::new(),
        spans: Vec::new(),
        told: Told::default(),
        lap: 0,
        cost: Cost::default(),
    };
    child.lap();
    loop {
        // The parent's end is this one's, and no fault.
        match line.reader.receive(&mut line.orders, &line.bell) {
            Err(RingError::Ended) => return Ok(()),
            received => received.map_err(why)?,
        }
        child.cost.prepare_ns += child.lap();
        child.obey(&line.orders, &mut line.answer)?;
        if !line.answer.is_empty() {
            line.answer()?;
        }
    }
}

/// Makes all ready that is needed before the mode can be loaded, in a process without rights that this
/// doesn't need. No script runs.
fn prepare(start: &Start, interrupter: &Interrupter) -> Result<(Prepared, DataBytes), Started> {
    let failed = |message| {
        Started::Failed(ScriptError {
            file: None,
            line: None,
            message,
            traceback: String::new(),
        })
    };
    let world = start.map.load(start.map_hash, &start.prepared);
    let config = ScriptConfig {
        zone: start.zone,
        seed: start.seed,
        tick_hz: start.tick_hz,
        halo_m: start.halo_m,
        mode: start.mode.clone(),
        options: start.options.clone(),
        world: world.map_err(failed)?,
        memory_cap: start.memory_cap,
        check: false,
        logged: Arc::default(),
    };
    let before = limits::confine_host().map_err(Started::Unconfined)?;
    let prepared = Prepared::main(&config, interrupter, &start.packages);
    let mut prepared = prepared.map_err(Started::Failed)?;
    if start.forks {
        prepared.compile_ahead().map_err(Started::Failed)?;
    }
    Ok((prepared, before))
}

/// Gives up what scripts may not do, and loads the mode.
fn load(
    prepared: Prepared,
    before: DataBytes,
    memory_cap: Option<u64>,
) -> Result<ScriptZone, Started> {
    limits::confine_scripts(before, memory_cap).map_err(Started::Unconfined)?;
    prepared.load().map_err(Started::Failed)
}

struct Child {
    zone: ScriptZone,
    snapshots: SlotReader,
    hitboxes: Arc<HitboxHistory>,
    /// The newest tick in `hitboxes`.
    hitboxes_until: Option<Tick>,
    /// Ticks that `hitboxes` reaches back.
    depth: usize,
    table: Arc<FieldTable>,
    tick_hz: u32,
    // Kept for their memory.
    inbox: Inbox,
    commands: Vec<(EntityId, Command)>,
    resting: Vec<EntityId>,
    spans: Vec<HookSpan>,
    told: Told,
    /// Processor time of this thread at the last lap, ns.
    lap: u64,
    cost: Cost,
}

impl Child {
    /// Processor time since the last lap, ns.
    fn lap(&mut self) -> u64 {
        let now = nanoseconds(clock_gettime(ClockId::ThreadCPUTime));
        now - std::mem::replace(&mut self.lap, now)
    }

    /// Carries out a frame of orders; an answer, if one is due, is left in `answer`.
    fn obey(&mut self, orders: &[u8], answer: &mut Vec<u8>) -> Result<(), String> {
        let mut reader = Reader::new(orders);
        while !reader.is_empty() {
            let order = Order::read(&mut reader).map_err(|Malformed(why)| why)?;
            let zone = &mut self.zone;
            match order {
                Order::Assign(id) => zone.assign(id),
                Order::Trace(now_ns) => {
                    if let Some(now_ns) = now_ns {
                        AHEAD_NS.store(now_ns.wrapping_sub(monotonic_ns()), Relaxed);
                    }
                    zone.trace(now_ns.map(|_| parents_clock as fn() -> u64));
                }
                Order::Insert(kind, id, row) => zone.insert(kind, id, row).expect(SAME_TABLES),
                Order::Demote(id) => zone.demote(id),
                Order::Remove(id) => zone.remove(id),
                Order::GhostRow(kind, id, row) => {
                    zone.ghost_row(kind, id, row).expect(SAME_TABLES);
                }
                Order::GhostDelta(id, delta) => zone.ghost_delta(id, delta).expect(SAME_TABLES),
                Order::GhostRemove(id) => zone.ghost_remove(id),
                Order::Begin { newest, past } => {
                    self.cost.take_in_ns += self.lap();
                    self.begin(newest, &past)?;
                    self.cost.prepare_ns += self.lap();
                }
                Order::RunStart => match zone.run_start() {
                    Ok(()) => {
                        answer.u8(1);
                        self.tell(answer);
                    }
                    Err(error) => {
                        answer.u8(0);
                        frame::write_error(answer, &error);
                    }
                },
                Order::Run => {
                    self.cost.take_in_ns += self.lap();
                    let (inbox, commands) = (&mut self.inbox, &mut self.commands);
                    frame::read_run(&mut reader, inbox, commands, &mut self.resting)
                        .map_err(|Malformed(why)| why)?;
                    self.cost.prepare_ns += self.lap();
                    self.zone
                        .run_hooks(&self.inbox, &self.commands, &self.resting);
                    self.cost.script_ns = self.lap();
                    self.zone.gather();
                    self.cost.gather_ns = self.lap();
                    answer.u8(1);
                    self.tell(answer);
                }
                Order::Collect(tick) => {
                    self.cost.take_in_ns += self.lap();
                    self.zone.collect_garbage(tick);
                    self.cost.gc_ns = self.lap();
                }
            }
        }
        Ok(())
    }

    /// Begins a tick.
    fn begin(&mut self, newest: Stored, past: &[Stored]) -> Result<(), String> {
        let slots = &self.snapshots;
        let get = |stored: Stored| {
            // SAFETY: the parent waits for this tick's answer before it goes on, and the zone gives the
            // snapshot up when the next one begins.
            let snapshot = unsafe { slots.get(stored) };
            snapshot.ok_or_else(|| format!("no snapshot of {:?} in its slot", stored.tick))
        };
        let follows = self
            .hitboxes_until
            .is_some_and(|until| until.next() == newest.tick);
        if !follows {
            self.hitboxes = Arc::new(HitboxHistory::new(self.tick_hz));
        }
        let hitboxes = Arc::make_mut(&mut self.hitboxes);
        if !follows {
            let skipped = past.len().saturating_sub(self.depth);
            for stored in &past[skipped..] {
                hitboxes.push(&self.table, &*get(*stored)?);
            }
        }
        let snapshot = get(newest)?;
        hitboxes.push(&self.table, &snapshot);
        self.hitboxes_until = Some(newest.tick);
        let hitboxes = self.hitboxes.clone();
        self.zone.begin_tick(newest.tick, snapshot, hitboxes);
        Ok(())
    }

    /// Writes what a tick has come to: [`crate::parent`] reads it.
    fn tell(&mut self, answer: &mut Vec<u8>) {
        frame::write_changed(answer, self.zone.tables(), self.zone.changed());
        frame::write_failed(answer, self.zone.failed());
        let outbox = self.zone.outbox();
        frame::write_outbox(answer, outbox);
        outbox.clear();
        frame::write_stats(answer, self.zone.stats(), &mut self.told);
        frame::write_memory(answer, self.zone.memory());
        self.zone.take_spans(&mut self.spans);
        frame::write_spans(answer, &self.zone, &self.spans);
        self.cost.answer_ns = self.lap();
        self.cost.write(answer);
        self.cost.take_in_ns = 0;
        self.cost.prepare_ns = 0;
    }
}

/// How far the parent's clock is ahead of this process's, nanoseconds.
static AHEAD_NS: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds of the parent's clock.
fn parents_clock() -> u64 {
    monotonic_ns().wrapping_add(AHEAD_NS.load(Relaxed))
}

fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
