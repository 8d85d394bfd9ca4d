//! A worker: an interpreter on its thread, with or without a zone to run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel as mpsc;
use tessera_process::{ForkServer, ProcessError, ProcessHandle, SnapshotSlots};
use tessera_protocol::command::Command;
use tessera_protocol::fields::FieldTable;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{
    FailureKind, HitboxHistory, Interrupter, Message, ModeSource, ScriptConfig, ScriptError,
    ScriptZone, ThreadCpu,
};

use crate::barrier::Ran;
use crate::config::{Isolation, SimConfig};
use crate::directory::Directory;
use crate::exchange::{Batches, Exchange};
use crate::host::{Gone, Host};
use crate::laps::Laps;
use crate::rendezvous::Rendezvous;
use crate::report::{ZoneSpan, ZoneTimings};
use crate::seat::{Refill, Seat};
use crate::starting::{Started, Starting};

/// Stack of a worker's thread, in bytes of address space: deep recursion in a script reaches Python's
/// own limit, and its error, long before the end of it.
const STACK_BYTES: usize = 64 << 20;

/// How long the end of an interpreter is waited for before what still runs in it is preempted, and how
/// often that is tried before the thread is left to itself.
const END_PATIENCE: Duration = Duration::from_millis(100);
const END_TRIES: u32 = 20;

/// A worker's name; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct WorkerId(pub(crate) u64);

/// What a worker is told.
pub(crate) enum Order {
    /// Run this zone from now on.
    Take {
        seat: Arc<Mutex<Seat>>,
        /// Where its entities are found; nowhere at the start of a match.
        refill: Option<Refill>,
    },
    /// Run the mode's `start` hook: the tick that makes `S_0`.
    Start,
    /// Phase one: drain, run the hooks, gather.
    Run(Run),
    /// Phase two: exchange, and write the batch of the snapshot.
    Exchange {
        directory: Arc<Directory>,
        newborn: Vec<EntityId>,
        batches: Box<Batches>,
    },
}

/// What a zone needs for phase one.
pub(crate) struct Run {
    /// The tick that the hooks belong to: they read `S_tick` and make `S_tick+1`.
    pub(crate) tick: Tick,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) hitboxes: Arc<HitboxHistory>,
    /// Commands for entities of this zone, by ascending id.
    pub(crate) commands: Vec<(EntityId, Command)>,
    /// Messages of the engine itself (joins and leaves).
    pub(crate) messages: Vec<Message>,
    /// Whether to note when each part runs.
    pub(crate) trace: bool,
}

/// What a worker answers.
pub(crate) enum Reply {
    Taken,
    Ran(Ran),
    StartFailed(ScriptError),
    Exchanged(Exchange),
    /// It can't go on, and says why. It never answers again.
    Gone(String),
}

/// The handle of a worker that has loaded the mode. Dropping it ends the interpreter and its thread.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) field_table: Arc<FieldTable>,
    /// By kind, the row of an entity that says nothing about itself.
    pub(crate) default_rows: Vec<Box<[u8]>>,
    /// [`ModeSource::hash`](tessera_python::ModeSource) of the code that it has loaded.
    pub(crate) mode_hash: u64,
    pub(crate) leash: Leash,
    /// The one that runs the scripts, as the system numbers it.
    pub(crate) thread: i32,
    /// Its own thread here, which is the same unless the scripts run in a process.
    pub(crate) driver: i32,
    pub(crate) cpu: ThreadCpu,
    /// What it read when the worker got its last order, nanoseconds.
    cpu_began_ns: Arc<AtomicU64>,
    /// An `Option`, since the thread ends when it is dropped.
    orders: Option<mpsc::Sender<Order>>,
    /// Disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
    /// Its end is not waited for.
    abandoned: bool,
}

/// Power over the scripts of a worker, from other threads.
#[derive(Clone)]
pub(crate) enum Leash {
    Thread(Interrupter),
    Process(ProcessHandle),
}

impl Leash {
    /// Notes where the script is that now runs.
    pub(crate) fn look(&self) {
        match self {
            Self::Thread(interrupter) => interrupter.look(),
            Self::Process(process) => process.look(),
        }
    }

    /// Breaks the script off that now runs.
    pub(crate) fn preempt(&self) {
        match self {
            Self::Thread(interrupter) => interrupter.preempt(),
            Self::Process(process) => process.preempt(),
        }
    }
}

/// What the scripts run in.
#[derive(Clone)]
pub(crate) enum Cage {
    Thread,
    Process(ForkServer),
}

impl Cage {
    /// Starts scripts, and tells `starting` what has power over them; returns the host and who runs the
    /// scripts: its thread, and the processor time of that.
    fn start(
        &self,
        scripts: &ScriptConfig,
        starting: &Starting,
    ) -> Result<(Box<dyn Host>, i32, ThreadCpu), ScriptError> {
        match self {
            Self::Thread => {
                let interrupter = Interrupter::default();
                starting.hold(Leash::Thread(interrupter.clone()));
                let zone = ScriptZone::start_with(scripts, &interrupter)?;
                let thread = rustix::thread::gettid().as_raw_nonzero().get();
                let cpu = ThreadCpu::of_this_thread();
                Ok((Box::new(zone), thread, cpu))
            }
            Self::Process(forks) => {
                let zone = forks
                    .start_with(scripts, |handle| starting.hold(Leash::Process(handle)))
                    .map_err(ProcessError::into_script_error)?;
                let thread = zone.thread();
                let cpu = ThreadCpu::of_process(thread);
                Ok((Box::new(zone), thread, cpu))
            }
        }
    }
}

/// What a worker is made from; crosses to its thread.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    pub(crate) scripts: ScriptConfig,
    pub(crate) cage: Cage,
    /// As [`SimConfig::cpu_clock`](crate::SimConfig).
    pub(crate) cpu_clock: fn() -> u64,
    /// As [`SimConfig::clock`](crate::SimConfig).
    pub(crate) clock: fn() -> u64,
    pub(crate) rendezvous: Arc<Rendezvous>,
}

impl WorkerSetup {
    /// Reads the mode's code.
    ///
    /// # Errors
    /// A mode that can't be read, a system that lacks what process zones need.
    pub(crate) fn new(config: &SimConfig) -> Result<WorkerSetup, ScriptError> {
        Ok(WorkerSetup {
            scripts: ScriptConfig {
                zone: ZoneId(0),
                seed: config.seed,
                tick_hz: config.tick_hz,
                halo_m: config.halo_m,
                mode: Arc::new(ModeSource::read(&config.mode)?),
                options: config.options.clone(),
                world: config.world.clone(),
                memory_cap: config.supervision.memory_cap,
                check: false,
                logged: Arc::default(),
            },
            cage: match &config.isolation {
                Isolation::Thread => Cage::Thread,
                Isolation::Process(process) => {
                    let slots = SnapshotSlots::new().map_err(ProcessError::into_script_error)?;
                    Cage::Process(ForkServer::new(process.clone(), slots))
                }
            },
            cpu_clock: config.cpu_clock,
            clock: config.clock,
            rendezvous: Arc::default(),
        })
    }
}

/// How a worker is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Behind whoever runs a zone.
    Calm,
    /// Beside them: nobody is there for the zone that needs it, or none would be for the next.
    Hurry,
}

/// Starts a worker's thread, which loads the mode and then tells `started`.
pub(crate) fn spawn(
    id: WorkerId,
    setup: Box<WorkerSetup>,
    pace: Pace,
    started: mpsc::Sender<Started>,
) -> Starting {
    // One order is under way at a time; the next may wait while the zone uses its slack.
    let (orders, inbox) = mpsc::bounded(1);
    let (end, ended) = mpsc::bounded(0);
    let begun = Starting::new(id, started);
    let starting = begun.clone();
    let thread = std::thread::Builder::new()
        .name(format!("zone-{}", id.0))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _end = end;
            let rank = match pace {
                Pace::Calm => Rank::step_back(),
                Pace::Hurry => None,
            };
            let (host, thread, cpu) = match setup.cage.start(&setup.scripts, &starting) {
                Ok(started) => started,
                Err(error) => {
                    starting.tell(Err(error));
                    return;
                }
            };
            let cpu_began_ns = Arc::new(AtomicU64::new(0));
            let worker = Worker {
                id,
                field_table: host.field_table().clone(),
                default_rows: default_rows(&*host),
                mode_hash: setup.scripts.mode.hash(),
                leash: starting.leash(),
                thread,
                driver: rustix::thread::gettid().as_raw_nonzero().get(),
                cpu,
                cpu_began_ns: cpu_began_ns.clone(),
                orders: Some(orders),
                ended,
                abandoned: false,
            };
            if !starting.tell(Ok(worker)) {
                return;
            }
            drop(starting);
            let mut desk = Desk {
                id,
                host,
                laps: Laps::new(setup.cpu_clock, setup.clock),
                cpu,
                cpu_began_ns,
                rank,
                scripts_thread: thread,
                seat: None,
                resting: Vec::new(),
                gc_ns: 0,
                tick: Tick(0),
                trace: Trace::new(setup.clock),
            };
            let serve = AssertUnwindSafe(|| desk.serve(&inbox, &setup.rendezvous));
            if let Err(panic) = catch_unwind(serve) {
                let message = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_else(|| "panic without a message".to_owned());
                setup.rendezvous.reply(id, Reply::Gone(message));
            }
        });
    if let Err(error) = thread {
        let error = ScriptError::host(format!("no thread for an interpreter: {error}"));
        begun.tell(Err(error));
    }
    begun
}

fn default_rows(host: &dyn Host) -> Vec<Box<[u8]>> {
    let kinds = 0..host.field_table().kinds.len();
    kinds
        .map(|kind| host.default_row(KindId(kind as u8)).into())
        .collect()
}

impl Worker {
    /// Gives it an order. One that has ended has said so at the rendezvous.
    pub(crate) fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("open until the drop");
        let _ = orders.send(order);
    }

    /// Processor time of the thread when it got its last order, nanoseconds.
    pub(crate) fn cpu_began_ns(&self) -> u64 {
        self.cpu_began_ns.load(Relaxed)
    }

    /// Whether its thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }

    /// Leaves it to itself, since it is stuck: should it come back, it finds that it has no zone any
    /// more, and ends. Until then it gets what processor time nobody else wants. A process is ended.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
        // It gets no more orders, so that it ends when it comes back.
        self.orders = None;
        if let Leash::Process(process) = &self.leash {
            return process.kill();
        }
        if let Some(thread) = rustix::process::Pid::from_raw(self.thread) {
            // On Linux a priority is a thread's. Should it fail, the thread is only dearer.
            let _ = rustix::process::setpriority_process(Some(thread), 19);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        if self.abandoned {
            return;
        }
        for _ in 0..END_TRIES {
            match self.ended.recv_timeout(END_PATIENCE) {
                Err(mpsc::RecvTimeoutError::Timeout) => match &self.leash {
                    Leash::Thread(interrupter) => interrupter.preempt(),
                    Leash::Process(process) => process.kill(),
                },
                _ => return,
            }
        }
        tracing::warn!(
            thread = self.thread,
            "an interpreter's scripts don't end; its thread is left behind"
        );
    }
}

/// A worker's end of it: what stays on its thread.
struct Desk {
    id: WorkerId,
    host: Box<dyn Host>,
    laps: Laps,
    cpu: ThreadCpu,
    cpu_began_ns: Arc<AtomicU64>,
    rank: Option<Rank>,
    /// Who runs the scripts, as the system numbers it.
    scripts_thread: i32,
    seat: Option<Arc<Mutex<Seat>>>,
    /// Entities that rest in this tick.
    resting: Vec<EntityId>,
    /// Spent in the slack before this tick.
    gc_ns: u64,
    tick: Tick,
    trace: Trace,
}

/// The zone was given to somebody else.
struct Abandoned;

impl Desk {
    /// Answers orders until there are no more, or the zone has been given to somebody else.
    fn serve(&mut self, orders: &mpsc::Receiver<Order>, rendezvous: &Rendezvous) {
        for order in orders {
            let exchange = matches!(order, Order::Exchange { .. });
            match self.carry_out(order) {
                Ok(reply) => rendezvous.reply(self.id, reply),
                Err(Abandoned) => return Rank::leave_the_last(),
            }
            if exchange {
                self.host.collect_garbage(self.tick);
                self.gc_ns = self.laps.spent();
                self.trace.part("gc");
            }
        }
    }

    fn carry_out(&mut self, order: Order) -> Result<Reply, Abandoned> {
        match order {
            Order::Take { seat, refill } => {
                if let Some(rank) = self.rank.take() {
                    rank.step_forward(self.scripts_thread);
                }
                self.seat = Some(seat.clone());
                let mut seat = hold(&seat, self.id)?;
                self.host.assign(seat.id);
                if let Some(refill) = refill {
                    seat.refill(&mut *self.host, &refill);
                }
                Ok(Reply::Taken)
            }
            Order::Start => match self.host.run_start() {
                Ok(()) => self.ran(Vec::new(), ZoneTimings::default()).map(Reply::Ran),
                Err(error) => Ok(Reply::StartFailed(error)),
            },
            Order::Run(run) => self.run(run),
            Order::Exchange {
                directory,
                newborn,
                batches,
            } => {
                let seat = self.seat();
                let mut seat = hold(&seat, self.id)?;
                let host = &mut *self.host;
                self.trace.begin();
                let exchanged = seat.exchange(host, &mut self.laps, directory, &newborn, batches);
                self.trace.part("exchange");
                Ok(Reply::Exchanged(exchanged))
            }
        }
    }

    fn run(&mut self, run: Run) -> Result<Reply, Abandoned> {
        let began_ns = self.cpu.read_ns().unwrap_or(0);
        self.cpu_began_ns.store(began_ns, Relaxed);
        self.laps.restart();
        self.tick = run.tick;
        let clock = self.trace.turn(run.trace);
        self.host.trace(clock);
        self.trace.begin();
        self.host.begin_tick(run.tick, run.snapshot, run.hitboxes);
        let greeted = run.messages.first().map(|message| message.target);
        let seat = self.seat();
        let inbox = {
            let mut seat = hold(&seat, self.id)?;
            self.resting.clear();
            let inbox = seat.drain(&mut *self.host, run.messages);
            // After the arrivals, whose records come with them.
            self.resting.extend(seat.quarantine.resting(run.tick));
            inbox
        };
        let exchange_ns = self.laps.lap();
        self.trace.part("drain");
        let ran = self.host.run_hooks(&inbox, &run.commands, &self.resting);
        let script_ns = self.laps.lap();
        self.trace.part("hooks");
        if run.trace {
            self.host.take_spans(&mut self.trace.spans);
        }
        if let Err(Gone(why)) = ran.and_then(|()| self.host.gather()) {
            return Ok(Reply::Gone(why));
        }
        let gather_ns = self.laps.lap();
        let parts = [exchange_ns, script_ns, gather_ns];
        let [exchange_ns, script_ns, gather_ns] = self.laps.settle(parts);
        self.trace.part("gather");
        let mut timings = ZoneTimings {
            script_ns,
            gather_ns,
            exchange_ns,
            snapshot_ns: 0,
            gc_ns: self.gc_ns,
        };
        if let Some(cost) = self.host.cost() {
            // Each stage with what it takes to cross the border: this thread's part, which sends the orders
            // and waits, then reads the answer, and the process's.
            timings.exchange_ns += cost.take_in_ns;
            timings.script_ns += cost.prepare_ns + cost.script_ns;
            timings.gather_ns += cost.gather_ns + cost.answer_ns;
            timings.gc_ns += cost.gc_ns;
        }
        let mut ran = self.ran(inbox, timings)?;
        ran.heard = greeted.is_none_or(|id| self.has_heard(id));
        Ok(Reply::Ran(ran))
    }

    /// Whether an entity's hooks were called with what was sent to it: it didn't rest, and neither it nor
    /// one before it was preempted.
    fn has_heard(&self, id: EntityId) -> bool {
        let broke_off = |(other, kind): &(EntityId, FailureKind)| {
            *kind == FailureKind::Preempted && *other <= id
        };
        !self.resting.contains(&id) && !self.host.failed().iter().any(broke_off)
    }

    fn ran(&mut self, inbox: Vec<Message>, timings: ZoneTimings) -> Result<Ran, Abandoned> {
        let seat = self.seat();
        let mut seat = hold(&seat, self.id)?;
        seat.note_stats(&*self.host);
        let mut ran = seat.ran(&mut *self.host, self.tick, inbox, timings);
        ran.spans = std::mem::take(&mut self.trace.spans);
        Ok(ran)
    }

    fn seat(&self) -> Arc<Mutex<Seat>> {
        let seat = self.seat.as_ref();
        seat.expect("a zone is taken before it is run").clone()
    }
}

/// Locks a seat for its holder.
fn hold(seat: &Mutex<Seat>, worker: WorkerId) -> Result<MutexGuard<'_, Seat>, Abandoned> {
    // Who panicked with it has said so at the rendezvous, and the seat is used no more.
    let seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
    match seat.holder == Some(worker) {
        true => Ok(seat),
        false => Err(Abandoned),
    }
}

/// When the parts of a zone's tick run, while somebody records that.
struct Trace {
    clock: fn() -> u64,
    on: bool,
    /// When the part that runs began.
    began_ns: u64,
    spans: Vec<ZoneSpan>,
}

impl Trace {
    fn new(clock: fn() -> u64) -> Trace {
        Trace {
            clock,
            on: false,
            began_ns: 0,
            spans: Vec::new(),
        }
    }

    /// Turns it on or off; gives the clock for the hooks.
    fn turn(&mut self, on: bool) -> Option<fn() -> u64> {
        self.on = on;
        on.then_some(self.clock)
    }

    /// A part begins, not where the one before ended.
    fn begin(&mut self) {
        if self.on {
            self.began_ns = (self.clock)();
        }
    }

    /// A part ends, and the next begins.
    fn part(&mut self, name: &'static str) {
        if self.on {
            let now_ns = (self.clock)();
            self.spans.push(ZoneSpan {
                name: name.into(),
                start_ns: std::mem::replace(&mut self.began_ns, now_ns),
                end_ns: now_ns,
                entity: None,
            });
        }
    }
}

/// The niceness while there is no zone to run: whoever runs one comes first.
const SPARE_NICENESS: i32 = 5;

/// The priority that a worker steps back from while it loads the mode and waits.
struct Rank {
    niceness: i32,
}

impl Rank {
    /// Lowers the calling thread's priority, and that of a process that it starts, where it could be
    /// raised again: only who may raise it has one below 0.
    fn step_back() -> Option<Rank> {
        let thread = rustix::thread::gettid();
        let niceness = rustix::process::getpriority_process(Some(thread)).ok()?;
        let raised = niceness < 0;
        (raised && rustix::process::setpriority_process(Some(thread), SPARE_NICENESS).is_ok())
            .then_some(Rank { niceness })
    }

    /// Takes the calling thread from the lowest priority to that of spares: it is about to end, with locks
    /// for which those who start would wait.
    fn leave_the_last() {
        let thread = rustix::thread::gettid();
        // Who must not raise itself takes longer to end.
        let _ = rustix::process::setpriority_process(Some(thread), SPARE_NICENESS);
    }

    /// Takes it back, for the calling thread and for the one that runs the scripts.
    fn step_forward(self, scripts: i32) {
        let threads = [
            Some(rustix::thread::gettid()),
            rustix::process::Pid::from_raw(scripts),
        ];
        for thread in threads.into_iter().flatten() {
            // Should it fail, the zone is only slower.
            let _ = rustix::process::setpriority_process(Some(thread), self.niceness);
        }
    }
}
