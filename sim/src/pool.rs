//! The zones' places, the workers that run them, and their supervision.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tessera_process::ForkTally;
use tessera_protocol::columns::bits;
use tessera_protocol::fields::FieldTable;
use tessera_protocol::ids::{EntityId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::ScriptError;

use crate::barrier::Ran;
use crate::channel;
use crate::config::SimConfig;
use crate::directory::Directory;
use crate::error::SimError;
use crate::exchange::{Batches, Exchange};
use crate::host::{Host, Vacancy};
use crate::laps::Laps;
use crate::nursery::Nursery;
use crate::reload::{ReloadError, Reloaded};
use crate::report::{ZoneReport, ZoneTimings};
use crate::seat::{Ends, Refill, Seat};
use crate::starting::Started;
use crate::supervision::{Budget, Incident, IncidentKind, RestartReason, Restarts, Supervision};
use crate::watch::Watch;
use crate::worker::{Cage, Order, Pace, Reply, Run, Worker, WorkerSetup};

mod reloading;

use reloading::Reload;

/// How often a zone that is late is looked at, as a part of the hard budget.
const LOOKS: u64 = 8;

/// Ticks in a row at whose end a zone may use all its memory: what is left after so many was not
/// garbage.
const FULL_TICKS: u32 = 8;

/// How long `start` may take to end once it is broken off, and how often that is tried.
const START_PATIENCE: Duration = Duration::from_millis(500);
const START_TRIES: u32 = 10;

/// All zones. Dropping it ends their threads, interpreters and all.
pub(crate) struct ZonePool {
    places: Vec<Place>,
    /// Ready, and without a zone.
    spares: Vec<Worker>,
    nursery: Nursery,
    setup: WorkerSetup,
    supervision: Supervision,
    clock: fn() -> u64,
    incidents: Vec<Incident>,
    /// A spare did not load: no more are tried.
    spares_failed: bool,
    /// New code that is being loaded.
    reload: Option<Reload>,
    /// How it went.
    reloaded: Option<Result<Reloaded, ReloadError>>,
}

/// One zone.
struct Place {
    seat: Arc<Mutex<Seat>>,
    held: Held,
    restarts: Restarts,
    /// Where nobody runs it: the first tick that it misses.
    vacant_since: Tick,
    /// Ticks in a row at whose end its scripts used all the memory that they may.
    full_ticks: u32,
}

/// Who runs a zone.
enum Held {
    By(Worker),
    /// Nobody: its entities coast.
    Nobody(Box<Vacancy>),
}

/// What the zones are to be filled from: `S_t` and who runs whom in it.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) tick: Tick,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) directory: Arc<Directory>,
}

impl State {
    fn refill(&self) -> Refill {
        Refill {
            snapshot: self.snapshot.clone(),
            directory: self.directory.clone(),
        }
    }
}

impl ZonePool {
    /// Starts a worker for each zone and waits until all have loaded the mode.
    ///
    /// # Errors
    /// A mode that does not load, a system without threads to give.
    pub(crate) fn start(config: &SimConfig) -> Result<ZonePool, SimError> {
        let zones = config.grid.zones();
        let setup = WorkerSetup::new(config)?;
        let mut nursery = Nursery::new(config.supervision.load_timeout)?;
        for _ in 0..zones {
            nursery.request(setup.clone(), Pace::Calm);
        }
        let mut started: Vec<_> = (0..zones).map(|_| nursery.wait()).collect();
        started.sort_by_key(|(id, _)| *id);
        let workers = started.into_iter().map(|(_, worker)| worker);
        let workers = agreed(workers.collect())?;
        let places = all_channels(zones).into_iter().zip(workers).enumerate();
        let places = places.map(|(at, (ends, worker))| {
            let (grid, halo_m) = (config.grid.clone(), config.halo_m);
            let rule = config.supervision.quarantine;
            let mut seat = Seat::new(ZoneId(at as u8), grid, halo_m, ends, rule);
            seat.holder = Some(worker.id);
            Place {
                seat: Arc::new(Mutex::new(seat)),
                held: Held::By(worker),
                restarts: Restarts::default(),
                vacant_since: Tick(0),
                full_ticks: 0,
            }
        });
        let mut pool = ZonePool {
            places: places.collect(),
            spares: Vec::new(),
            nursery,
            setup,
            supervision: config.supervision.clone(),
            clock: config.clock,
            incidents: Vec::new(),
            spares_failed: false,
            reload: None,
            reloaded: None,
        };
        let orders = (0..zones).map(|at| Some(pool.take(at, None)));
        pool.give(orders.collect())?;
        pool.keep_spares();
        Ok(pool)
    }

    /// Shows a snapshot to the zones that run in processes, also to those that start later.
    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        if let Cage::Process(forks) = &self.setup.cage {
            forks.slots().publish(snapshot);
        }
    }

    /// Shows these snapshots instead of all before.
    pub(crate) fn publish_anew<'a>(&self, snapshots: impl Iterator<Item = &'a Arc<Snapshot>>) {
        if let Cage::Process(forks) = &self.setup.cage {
            forks.slots().clear();
        }
        snapshots.for_each(|snapshot| self.publish(snapshot));
    }

    /// How many zones there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Workers that are ready and have no zone.
    pub(crate) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// What the mode declared.
    pub(crate) fn field_table(&self) -> Arc<FieldTable> {
        match &self.places[0].held {
            Held::By(worker) => worker.field_table.clone(),
            Held::Nobody(vacancy) => vacancy.field_table().clone(),
        }
    }

    /// What has happened since the last call.
    pub(crate) fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.incidents)
    }

    /// The first zone alone runs the mode's `start`; the others begin with nothing.
    ///
    /// # Errors
    /// What the script raises, also where it is broken off since it takes too long; a zone that a fault of the
    /// engine has broken.
    pub(crate) fn run_start(&mut self) -> Result<Vec<Ran>, SimError> {
        self.ask(vec![Some(Order::Start)]);
        match self.supervision.load_timeout {
            Some(timeout) => self.limit_start(timeout)?,
            None => self.setup.rendezvous.wait_for_all(),
        }
        let mut ran = match self.reply(0)? {
            Reply::Ran(ran) => vec![ran],
            Reply::StartFailed(error) => return Err(error.into()),
            _ => unreachable!("{ANSWERS}"),
        };
        ran.resize_with(self.len(), Ran::default);
        Ok(ran)
    }

    /// Waits for `start`, and breaks it off when it takes longer than `timeout`.
    fn limit_start(&self, timeout: Duration) -> Result<(), SimError> {
        let mut patience = timeout;
        for _ in 0..START_TRIES {
            if self.setup.rendezvous.wait(patience) == 0 {
                return Ok(());
            }
            if let Some(worker) = self.places[0].worker() {
                worker.leash.preempt();
            }
            patience = START_PATIENCE;
        }
        let why = format!(
            "start(world) has not returned within supervision.load_timeout_s = {}, and can't be broken off: it \
             is stuck in C code",
            timeout.as_secs()
        );
        Err(ScriptError::host(why).into())
    }

    /// Phase one of a tick, whose state before it is `state`.
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken.
    pub(crate) fn run(&mut self, runs: Vec<Run>, state: &State) -> Result<Vec<Ran>, SimError> {
        let mut coasting = Vec::new();
        let mut orders = Vec::with_capacity(runs.len());
        for (at, run) in runs.into_iter().enumerate() {
            match &self.places[at].held {
                Held::By(_) => orders.push(Some(Order::Run(run))),
                Held::Nobody(_) => {
                    orders.push(None);
                    coasting.push((at, run));
                }
            }
        }
        self.ask(orders);
        let mut ran: Vec<Ran> = (0..self.len()).map(|_| Ran::default()).collect();
        for (at, run) in coasting {
            ran[at] = self.coast(at, run);
        }
        let stuck = match self.supervision.budget {
            Some(budget) => self.watch(budget),
            None => {
                self.setup.rendezvous.wait_for_all();
                0
            }
        };
        self.setup.rendezvous.forget(stuck);
        for (at, ran) in ran.iter_mut().enumerate() {
            if stuck & 1 << at != 0 {
                self.lose(
                    at,
                    Cause::mid_tick(RestartReason::Stuck, STUCK, state),
                    state,
                )?;
                continue;
            }
            match self.setup.rendezvous.take(at) {
                Some(Reply::Ran(done)) => *ran = done,
                Some(Reply::Gone(why)) => {
                    self.lose(at, Cause::mid_tick(RestartReason::Gone, why, state), state)?;
                }
                Some(_) => unreachable!("{ANSWERS}"),
                // Nobody runs it.
                None => {}
            }
        }
        Ok(ran)
    }

    /// Phase two. Does `beside` on this thread meanwhile.
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken.
    #[expect(clippy::vec_box, reason = "each goes to its zone and back every tick")]
    pub(crate) fn exchange(
        &mut self,
        directory: &Arc<Directory>,
        newborn: Vec<Vec<EntityId>>,
        batches: Vec<Box<Batches>>,
        beside: impl FnOnce(),
    ) -> Result<Vec<Exchange>, SimError> {
        let mut orders = Vec::with_capacity(self.len());
        let mut coasting = Vec::new();
        for (place, (newborn, batches)) in self.places.iter().zip(newborn.into_iter().zip(batches))
        {
            match &place.held {
                Held::By(_) => orders.push(Some(Order::Exchange {
                    directory: directory.clone(),
                    newborn,
                    batches,
                })),
                Held::Nobody(_) => {
                    coasting.push((orders.len(), batches));
                    orders.push(None);
                }
            }
        }
        self.ask(orders);
        let mut done: Vec<Option<Exchange>> = (0..self.len()).map(|_| None).collect();
        for (at, batches) in coasting {
            let place = &mut self.places[at];
            if let Held::Nobody(vacancy) = &mut place.held {
                // It is no thread's time of its own.
                let mut laps = Laps::new(|| 0, || 0);
                let mut seat = lock(&place.seat);
                let directory = directory.clone();
                done[at] = Some(seat.exchange(&mut **vacancy, &mut laps, directory, &[], batches));
            }
        }
        beside();
        self.setup.rendezvous.wait_for_all();
        let mut exchanges = Vec::with_capacity(self.len());
        for (at, done) in done.into_iter().enumerate() {
            exchanges.push(match done {
                Some(done) => done,
                None => match self.reply(at)? {
                    Reply::Exchanged(exchange) => exchange,
                    _ => unreachable!("{ANSWERS}"),
                },
            });
        }
        Ok(exchanges)
    }

    /// At a tick boundary: gives interpreters to the zones that have none, if there are any ready, and
    /// takes one from those that use too much memory.
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken.
    pub(crate) fn heal(&mut self, state: &State) -> Result<(), SimError> {
        for at in 0..self.len() {
            let place = &mut self.places[at];
            if matches!(place.held, Held::Nobody(_)) {
                self.fill(at, state, state.tick)?;
                continue;
            }
            let full = lock(&place.seat).is_out_of_memory();
            place.full_ticks = if full { place.full_ticks + 1 } else { 0 };
            if place.full_ticks == FULL_TICKS {
                place.full_ticks = 0;
                let why = "its scripts keep as much memory as they may use";
                self.lose(
                    at,
                    Cause::at_boundary(RestartReason::Memory, why, state),
                    state,
                )?;
            }
        }
        self.keep_spares();
        Ok(())
    }

    /// Replaces the interpreter of a zone at a tick boundary, waiting for one to be ready.
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken; an interpreter that doesn't start.
    pub(crate) fn replace(&mut self, zone: ZoneId, state: &State) -> Result<(), SimError> {
        while self.spares.is_empty() {
            if self.nursery.expected() == 0 {
                self.nursery.request(self.setup.clone(), Pace::Hurry);
            }
            let started = self.nursery.wait();
            self.admit(started)?;
        }
        let cause = Cause::at_boundary(RestartReason::Asked, "somebody asked for it", state);
        self.lose(zone.index(), cause, state)?;
        self.keep_spares();
        Ok(())
    }

    /// How zones were started that run in processes.
    pub(crate) fn forks(&self) -> Option<ForkTally> {
        match &self.setup.cage {
            Cage::Thread => None,
            Cage::Process(forks) => Some(forks.tally()),
        }
    }

    /// Totals since the match began.
    pub(crate) fn report(&self) -> Vec<ZoneReport> {
        let report = |place: &Place| {
            let mut report = lock(&place.seat).report();
            report.restarts = place.restarts.totals;
            report
        };
        self.places.iter().map(report).collect()
    }

    /// Phase one of a zone that nobody runs.
    fn coast(&mut self, at: usize, run: Run) -> Ran {
        let place = &mut self.places[at];
        let mut seat = lock(&place.seat);
        let Held::Nobody(vacancy) = &mut place.held else {
            return Ran::default();
        };
        let host: &mut dyn Host = &mut **vacancy;
        let inbox = seat.drain(host, run.messages);
        // Nobody can be gone who isn't there.
        let _ = host.run_hooks(&inbox, &run.commands, &[]);
        seat.ran(host, run.tick, inbox, ZoneTimings::default())
    }

    /// The order to take a zone.
    fn take(&self, at: usize, refill: Option<Refill>) -> Order {
        let seat = self.places[at].seat.clone();
        Order::Take { seat, refill }
    }

    /// Gives zones to their workers by orders of [`Self::take`], and waits until they have taken them.
    fn give(&self, orders: Vec<Option<Order>>) -> Result<(), SimError> {
        let given: Vec<bool> = orders.iter().map(Option::is_some).collect();
        self.ask(orders);
        self.setup.rendezvous.wait_for_all();
        for (at, _) in given.iter().enumerate().filter(|(_, given)| **given) {
            self.reply(at)?;
        }
        Ok(())
    }

    /// Gives orders, by zone.
    fn ask(&self, orders: Vec<Option<Order>>) {
        let asked = self.places.iter().zip(&orders).enumerate();
        self.setup
            .rendezvous
            .expect(asked.filter_map(|(at, (place, order))| {
                order.as_ref().and(place.worker()).map(|w| (at, w.id))
            }));
        for (place, order) in self.places.iter().zip(orders) {
            if let (Some(worker), Some(order)) = (place.worker(), order) {
                worker.order(order);
            }
        }
    }

    /// The answer of a zone that must have one.
    fn reply(&self, at: usize) -> Result<Reply, SimError> {
        match self.setup.rendezvous.take(at).expect("all have answered") {
            Reply::Gone(message) => Err(broken(at, message)),
            reply => Ok(reply),
        }
    }

    /// Waits for phase one, and steps in where a zone takes too long. Returns the zones that don't
    /// answer, as a mask.
    fn watch(&self, budget: Budget) -> u64 {
        let mut watch = Watch::new(self.clock, &self.setup.rendezvous);
        for at in bits(watch.wait_until(budget.soft_ns)) {
            self.place_worker(at).leash.look();
        }
        let mut late = watch.wait_until(budget.preempt_ns());
        let step_ns = (budget.hard_ns / LOOKS).max(100_000);
        // By zone, since when it is waited for: its order, then its preemption.
        let mut since: Vec<_> = (0..self.len()).map(|_| (0, None)).collect();
        let mut stuck = 0;
        while late & !stuck != 0 {
            let waited_ns = watch.waited_ns();
            for at in bits(late & !stuck) {
                let worker = self.place_worker(at);
                let cpu_ns = worker.cpu.read_ns().unwrap_or(0);
                let (since_ns, cpu_since) = since[at];
                // It may run and has no core: that is not its fault.
                let may_run = [worker.thread, worker.driver]
                    .iter()
                    .any(|thread| (self.supervision.is_runnable)(*thread) == Some(true));
                let (cpu_since_ns, stood_since_ns) =
                    cpu_since.unwrap_or((worker.cpu_began_ns(), 0));
                // While the machine stands still, the clocks of those who had a core go on.
                let stood_ns = watch.stood_ns - stood_since_ns;
                let spent_ns = match may_run {
                    true => cpu_ns.saturating_sub(cpu_since_ns + stood_ns),
                    false => waited_ns.saturating_sub(since_ns),
                };
                let is_over = match cpu_since {
                    None => spent_ns >= budget.preempt_ns() || waited_ns >= budget.starved_ns(),
                    Some(_) => {
                        spent_ns >= budget.grace_ns() || waited_ns >= 2 * budget.starved_ns()
                    }
                };
                if is_over && cpu_since.is_none() {
                    worker.leash.preempt();
                    since[at] = (waited_ns, Some((cpu_ns, watch.stood_ns)));
                } else if is_over && self.take_seat(at) {
                    stuck |= 1 << at;
                }
            }
            if late & !stuck != 0 {
                late = watch.wait_until(waited_ns + step_ns);
            }
        }
        stuck
    }

    /// Takes a zone's seat from a worker that is in its scripts. One that has the seat locked is through
    /// with them, and about to answer.
    fn take_seat(&self, at: usize) -> bool {
        match self.places[at].seat.try_lock() {
            Ok(mut seat) => {
                seat.holder = None;
                true
            }
            Err(TryLockError::Poisoned(_)) => true,
            Err(TryLockError::WouldBlock) => false,
        }
    }

    fn place_worker(&self, at: usize) -> &Worker {
        let worker = self.places[at].worker();
        worker.expect("only who was asked is waited for")
    }

    /// Takes a zone from its interpreter, and gives it to another if one is ready. In the middle of a
    /// tick the zone's entities lose that tick, and the mail for it.
    fn lose(&mut self, at: usize, cause: Cause, state: &State) -> Result<(), SimError> {
        let Cause { reason, why, next } = cause;
        let place = &mut self.places[at];
        let Held::By(worker) = &place.held else {
            return Ok(());
        };
        if place.seat.is_poisoned() {
            return Err(broken(at, why));
        }
        {
            // Nothing that a script can do happens while the seat is locked: at most, its holder sees
            // that it is no more.
            let mut seat = lock(&place.seat);
            seat.vacate();
            if next != state.tick {
                seat.lose_mail();
            }
        }
        let vacancy = Held::Nobody(Box::new(Vacancy::new(worker.field_table.clone())));
        if let Held::By(worker) = std::mem::replace(&mut place.held, vacancy) {
            match reason {
                RestartReason::Stuck => self.nursery.abandon(worker),
                _ => self.nursery.retire(worker),
            }
        }
        place.vacant_since = state.tick;
        let limit = self.supervision.restarts;
        let exhausted = place.restarts.note(reason, next, limit);
        self.tell(at, state.tick, IncidentKind::Lost { reason, why });
        if let Some(until) = exhausted {
            self.tell(at, state.tick, IncidentKind::Exhausted { until });
        }
        self.fill(at, state, next)?;
        let place = &mut self.places[at];
        if let Held::Nobody(vacancy) = &mut place.held {
            lock(&place.seat).refill(&mut **vacancy, &state.refill());
        }
        Ok(())
    }

    /// Gives a vacant zone a spare, if there is one and the limit allows it; it runs from the tick
    /// `next` on.
    fn fill(&mut self, at: usize, state: &State, next: Tick) -> Result<(), SimError> {
        let place = &mut self.places[at];
        if !place.restarts.may_restart(next) {
            return Ok(());
        }
        let Some(worker) = self.spares.pop() else {
            return Ok(());
        };
        place.seat_worker(worker);
        let ticks = next.wrapping_sub(place.vacant_since).unsigned_abs();
        let mut orders: Vec<_> = (0..self.len()).map(|_| None).collect();
        orders[at] = Some(self.take(at, Some(state.refill())));
        self.give(orders)?;
        self.tell(at, state.tick, IncidentKind::Restarted { ticks });
        Ok(())
    }

    /// Takes in the workers that have become ready.
    pub(crate) fn welcome(&mut self) {
        while let Some(started) = self.nursery.poll() {
            if let Err(error) = self.admit(started) {
                self.spares_failed = true;
                tracing::error!("no spare interpreter: {error}");
            }
        }
    }

    /// Takes in a worker whose start has ended: for the reload that waits for it, or as a spare.
    fn admit(&mut self, (id, started): Started) -> Result<(), ScriptError> {
        if let Some(reload) = self.reload.take_if(|reload| reload.starting == id) {
            self.go_on_with(reload, started);
            return Ok(());
        }
        let worker = started?;
        match worker.mode_hash == self.setup.scripts.mode.hash() {
            true => self.spares.push(worker),
            // It was started before the code was replaced.
            false => self.nursery.retire(worker),
        }
        Ok(())
    }

    /// Begins to start as many spares as are to be ready, and as many as there are vacant zones: in a
    /// hurry where none is ready for the next fault. One that did not load is not tried again until
    /// somebody asks for it.
    fn keep_spares(&mut self) {
        let vacant = |place: &&Place| matches!(place.held, Held::Nobody(_));
        let vacant = self.places.iter().filter(vacant).count();
        let wanted = self.supervision.spares + vacant;
        let have = self.spares.len() + self.nursery.expected();
        let pace = match self.spares.is_empty() {
            true => Pace::Hurry,
            false => Pace::Calm,
        };
        if !self.spares_failed {
            for _ in have..wanted {
                self.nursery.request(self.setup.clone(), pace);
            }
        }
    }

    fn tell(&mut self, at: usize, tick: Tick, what: IncidentKind) {
        let zone = ZoneId(at as u8);
        self.incidents.push(Incident { zone, tick, what });
    }
}

/// Why a zone is taken from its interpreter.
struct Cause {
    reason: RestartReason,
    why: String,
    /// The next tick that another can run: the state's own at a boundary, the one after it in the
    /// middle of a tick.
    next: Tick,
}

impl Place {
    fn worker(&self) -> Option<&Worker> {
        match &self.held {
            Held::By(worker) => Some(worker),
            Held::Nobody(_) => None,
        }
    }

    /// Makes a worker the zone's; who had it counts no more, but what it has counted stays. Returns who
    /// that was.
    fn seat_worker(&mut self, worker: Worker) -> Held {
        let mut seat = lock(&self.seat);
        if let Held::Nobody(vacancy) = &self.held {
            seat.note_stats(&**vacancy);
        }
        seat.vacate();
        seat.holder = Some(worker.id);
        std::mem::replace(&mut self.held, Held::By(worker))
    }
}

impl Cause {
    fn mid_tick(reason: RestartReason, why: impl Into<String>, state: &State) -> Cause {
        let next = state.tick.next();
        let why = why.into();
        Cause { reason, why, next }
    }

    fn at_boundary(reason: RestartReason, why: impl Into<String>, state: &State) -> Cause {
        let (next, why) = (state.tick, why.into());
        Cause { reason, why, next }
    }
}

const STUCK: &str = "it did not answer within the hard budget, not even preempted: it is stuck in C \
                     code";
const ANSWERS: &str = "a zone answers what it was asked";

/// A fault of the engine, which no restart mends.
fn broken(at: usize, message: String) -> SimError {
    SimError::Zone {
        zone: ZoneId(at as u8),
        message,
    }
}

/// Between orders nobody has a seat locked for long.
fn lock(seat: &Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workers, if all have loaded the same declarations.
fn agreed(started: Vec<Result<Worker, ScriptError>>) -> Result<Vec<Worker>, SimError> {
    let workers = started.into_iter().collect::<Result<Vec<_>, _>>()?;
    let hash = |worker: &Worker| worker.field_table.hash();
    if workers
        .iter()
        .any(|worker| hash(worker) != hash(&workers[0]))
    {
        return Err(SimError::Disagree);
    }
    Ok(workers)
}

/// A channel for each ordered pair of zones.
fn all_channels(zones: usize) -> Vec<Ends> {
    let mut ends: Vec<Ends> = (0..zones).map(|_| Ends::default()).collect();
    for from in 0..zones {
        for to in 0..zones {
            let (sender, receiver) = (from != to).then(channel::channel).unzip();
            ends[from].0.push(sender);
            ends[to].1.push(receiver);
        }
    }
    ends
}
