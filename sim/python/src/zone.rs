//! A zone's scripts, as the simulation drives them.

use std::ptr::null_mut;
use std::sync::Arc;

use pyo3_ffi::*;
use tessera_protocol::FieldTable;
use tessera_protocol::columns::{KindTable, RowError};
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;

use crate::config::Said;
use crate::context::Context;
use crate::error::ScriptError;
use crate::far;
use crate::gather::{BadField, Gather};
use crate::hooks::{self, Runner, Trace};
use crate::interpreter::Interpreter;
use crate::interrupt::{Interrupter, Watch};
use crate::kinds::{HookId, Kinds};
use crate::load;
use crate::native::start;
use crate::population::{self, Population};
use crate::py::{Owned, PyResult, Raised};
use crate::view::Members;
use crate::{
    FailureKind, HitboxHistory, HookSpan, HookStats, Inbox, MemoryMeter, MemoryUse, Outbox,
    ScriptConfig, projectile, value,
};

mod prepared;

pub use prepared::{Forked, Prepared};

/// Ticks from one collection of the middle generation to the next.
const MIDDLE_GENERATION_TICKS: u32 = 64;
/// Ticks from one collection of everything to the next: rarely, since it looks at all objects that were
/// made since the start, but what has grown old is found by nothing else.
const OLD_GENERATION_TICKS: u32 = 4096;
const _: () = assert!(OLD_GENERATION_TICKS.is_multiple_of(MIDDLE_GENERATION_TICKS));

/// The scripts of one zone in an interpreter of their own. Stays on the thread that started it; a
/// thread may hold several.
///
/// A tick is: [`begin_tick`](Self::begin_tick), then arrivals and ghosts (`insert`, `demote`, `remove`,
/// `ghost_*`), then [`run_hooks`](Self::run_hooks), [`gather`](Self::gather), and reading `tables`,
/// `changed`, `failed` and `outbox`; [`collect_garbage`](Self::collect_garbage) in the slack.
///
/// Whatever runs scripts can be broken off by the zone's [`Interrupter`], and takes no more memory than
/// [`ScriptConfig::memory_cap`] permits; the rest runs none, not even finalizers. What can't be broken
/// off is C code that loops or waits: then the thread is lost, and the zone with it until that returns.
///
/// ```compile_fail
/// fn leaves_its_thread<T: Send>() {}
/// leaves_its_thread::<tessera_python::ScriptZone>();
/// ```
pub struct ScriptZone {
    /// Entities; released by `drop` while the interpreter is there.
    population: Population,
    /// Objects of the interpreter; likewise.
    objects: Option<Objects>,
    gather: Gather,
    changed: Vec<(EntityId, KindId, u64)>,
    /// Entities that lost this tick, ascending.
    failed: Vec<(EntityId, FailureKind)>,
    /// Entities of this tick that the gather looks at; the others have run no hook.
    touched: Vec<(EntityId, KindId, usize)>,
    /// Entities whose live object a script has kept: kind and row.
    kept: Vec<(KindId, usize)>,
    stats: HookStats,
    /// Times hooks, if anybody wants to know.
    clock: Option<fn() -> u64>,
    spans: Vec<HookSpan>,
    /// Lets other threads break into scripts.
    watch: Arc<Watch>,
    table: Arc<FieldTable>,
    dt: f64,
    // The order of these three matters: fields are dropped from first to last.
    interpreter: Interpreter,
    /// What view types of the interpreter point to.
    _members: Members,
    /// Boxed, since native calls find it by its address.
    context: Box<Context>,
}

/// Python objects that the host itself uses.
struct Objects {
    dt: Owned,
    collect: Owned,
    /// Generations, as `gc.collect` numbers them.
    generations: [Owned; 3],
    start: Owned,
    arguments: Vec<Owned>,
}

impl Objects {
    unsafe fn new(dt: f64, start: Owned) -> PyResult<Self> {
        // SAFETY: attached, by the caller; each call returns a new reference or null.
        unsafe {
            let gc = Owned::from_new(PyImport_ImportModule(c"gc".as_ptr()))?;
            let collect = PyObject_GetAttrString(gc.as_ptr(), c"collect".as_ptr());
            Ok(Self {
                dt: Owned::from_new(PyFloat_FromDouble(dt))?,
                collect: Owned::from_new(collect)?,
                generations: [
                    Owned::from_new(PyLong_FromLong(0))?,
                    Owned::from_new(PyLong_FromLong(1))?,
                    Owned::from_new(PyLong_FromLong(2))?,
                ],
                start,
                arguments: Vec::new(),
            })
        }
    }
}

impl ScriptZone {
    /// Starts an interpreter on this thread and loads the mode into it, in some 20 ms. The thread
    /// should have a stack of 64 MiB (of addresses, not of memory): what scripts make CPython do in C,
    /// such as the `repr` of deeply nested lists, is limited by count and not by the room there is.
    ///
    /// # Errors
    /// Where Python can't start, or the mode doesn't load: the file and line at fault.
    pub fn start(config: &ScriptConfig) -> Result<Self, ScriptError> {
        Self::start_with(config, &Interrupter::default())
    }

    /// Starts as [`start`](Self::start) does, with an interrupter that the caller made, so that others
    /// have power over the mode's loading too. An interrupter is of one zone only.
    ///
    /// # Errors
    /// As [`start`](Self::start), and where the loading was preempted or needed too much memory.
    pub fn start_with(
        config: &ScriptConfig,
        interrupter: &Interrupter,
    ) -> Result<Self, ScriptError> {
        Prepared::start(config, interrupter, Interpreter::create)?.load()
    }

    /// Attaches this thread, if another zone of it was at work.
    fn enter(&self) {
        if !self.context.enter() {
            self.interpreter.attach();
        }
    }

    /// Tells which zone it works for from now on; only logs ask.
    pub fn assign(&mut self, zone: ZoneId) {
        self.context.zone.set(zone);
    }

    /// What the mode declared.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.table
    }

    /// The messages that entities of a kind have a method for: each `x` of its methods `on_x`.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn handlers(&self, kind: KindId) -> impl Iterator<Item = &str> {
        let kinds = self.context.kinds.get();
        let kinds = kinds.expect("a started zone has its kinds");
        kinds
            .info(kind)
            .handlers
            .iter()
            .map(|handler| &*handler.name)
    }

    /// Rows of the zone's own entities, one table a kind: `S_t` until [`gather`](Self::gather), then
    /// `S_t+1`.
    pub fn tables(&self) -> &[KindTable] {
        &self.population.own
    }

    /// Begins tick `tick`, whose hooks see `snapshot` as `S_t`; its capsules are the newest of
    /// `hitboxes`, which are let go of when the hooks have run.
    pub fn begin_tick(
        &mut self,
        tick: Tick,
        snapshot: Arc<Snapshot>,
        hitboxes: Arc<HitboxHistory>,
    ) {
        self.enter();
        self.context.tick.set(tick);
        self.context.snapshot.replace(Some(snapshot));
        self.context.hitboxes.replace(Some(hitboxes));
        self.context.grid.borrow_mut().clear();
        self.failed.clear();
        self.touched.clear();
        self.changed.clear();
    }

    /// An entity becomes this zone's own: an arrival or a newborn, with its row of `S_t`. A ghost of
    /// that id becomes it.
    ///
    /// # Errors
    /// Where the row isn't one of `kind` or damaged, or the entity is own already; then nothing has
    /// changed.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn insert(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
        self.enter();
        let context = &self.context;
        let info = context
            .kinds
            .get()
            .expect("a started zone has its kinds")
            .info(kind);
        // SAFETY: attached, outside hooks.
        unsafe { self.population.insert(context, info, kind, id, row) }
    }

    /// An own entity was handed off and stays in sight as a ghost, with its view. Unknown ids are
    /// ignored.
    pub fn demote(&mut self, id: EntityId) {
        self.enter();
        self.population.demote(id);
    }

    /// An own entity ended, or was handed off beyond the halo. Unknown ids are ignored.
    pub fn remove(&mut self, id: EntityId) {
        self.enter();
        self.population.remove(id);
    }

    /// An entity of another zone came within the halo, with its row of `S_t`.
    ///
    /// # Errors
    /// Where the row isn't one of `kind`, or the entity is own.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn ghost_row(&mut self, kind: KindId, id: EntityId, row: &[u8]) -> Result<(), RowError> {
        self.enter();
        self.population.ghost_row(kind, id, row)
    }

    /// Fields of a ghost changed. Unknown ids are ignored.
    ///
    /// # Errors
    /// Where the delta doesn't fit the ghost's kind.
    pub fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) -> Result<(), RowError> {
        self.population.ghost_delta(id, delta)
    }

    /// A ghost ended or left the halo. Unknown ids are ignored.
    pub fn ghost_remove(&mut self, id: EntityId) {
        self.enter();
        self.population.ghost_remove(id);
    }

    /// Runs the mode's `start(world)`, whose spawns have [`EntityId::NONE`] as their parent. For one
    /// zone, before the first tick.
    ///
    /// # Errors
    /// Where it raised: then the outbox is empty.
    pub fn run_start(&mut self) -> Result<(), ScriptError> {
        self.enter();
        let context = &self.context;
        let objects = self
            .objects
            .as_ref()
            .expect("a started zone has its objects");
        let start = &objects.start;
        let run = self.watch.run();
        let memory = &context.memory;
        // SAFETY: attached; the world lives through the call.
        unsafe {
            let called = start::new(context).and_then(|world| {
                context.act(world.as_ptr(), EntityId::NONE, KindId(0), 0);
                context.stage(&self.population, || {
                    let call = || PyObject_CallOneArg(start.as_ptr(), world.as_ptr());
                    memory.capped(|| Owned::from_new(call()).map(drop))
                })
            });
            memory.reserved(|| {
                far::forget(context);
                called.map_err(|Raised| {
                    context.outbox.borrow_mut().clear();
                    run.renew(); // what was preempted can be asked where it was
                    ScriptError::take(&context.mode)
                })
            })
        }
    }

    /// Runs the hooks of all own entities by ascending id: of each its messages, its command, its
    /// `tick(dt)`; then the native systems. The inbox is sorted by (target, sender, seq), commands
    /// ascend by entity. What raises costs its entity this tick: its slots return to `S_t` and what it
    /// asked for is dropped.
    ///
    /// Entities in `resting`, which ascends, *coast*: their hooks are not called, what was sent to them
    /// is dropped, and they stay as they are but for the native systems. So do all that come after a
    /// hook that was [preempted](Interrupter::preempt).
    ///
    /// An entity that asked to despawn has its `on_despawn()` called after its other hooks. Where that
    /// fails, what it asked for itself is dropped, and the entity ends all the same.
    pub fn run_hooks(
        &mut self,
        inbox: &Inbox,
        commands: &[(EntityId, Command)],
        resting: &[EntityId],
    ) {
        self.enter();
        let run = self.watch.run();
        let objects = self
            .objects
            .as_mut()
            .expect("a started zone has its objects");
        let context = &*self.context;
        let kinds = context.kinds.get().expect("a started zone has its kinds");
        let mut runner = Runner {
            context,
            population: &self.population,
            kinds,
            dt: &objects.dt,
            stats: &mut self.stats,
            failed: &mut self.failed,
            touched: &mut self.touched,
            kept: &mut self.kept,
            collect: (&objects.collect, &objects.generations[0]),
            arguments: &mut objects.arguments,
            run: &run,
            trace: self.clock.map(|clock| Trace {
                clock,
                spans: &mut self.spans,
            }),
        };
        let population = &self.population;
        let memory = &context.memory;
        // SAFETY: attached; hooks run on the context's stage, native systems after them.
        unsafe {
            memory.reserved(|| {
                population.graveyard.release();
                population.refresh_ghosts(context, kinds);
                context.stage(population, || runner.run(inbox, commands, resting));
            });
            projectile::step(context, population, kinds, &self.failed, self.dt);
        }
        // The simulation adds the next tick's to them.
        context.hitboxes.take();
        // What hooks looked up is garbage of theirs, and no view that a script keeps.
        // SAFETY: attached, outside hooks.
        memory.reserved(|| unsafe { far::forget(context) });
        hooks::note_overruns(context, kinds, &mut self.stats);
    }

    /// Lets the finalizers run of what the host has taken out of entities since the hooks: nothing but
    /// this, [`run_hooks`](Self::run_hooks), [`gather`](Self::gather) (for a value that it refuses),
    /// [`collect_garbage`](Self::collect_garbage) and [`run_start`](Self::run_start) runs scripts.
    pub fn release(&mut self) {
        self.enter();
        let _run = self.watch.run();
        self.context.hook.set(HookId::default());
        let graveyard = &self.population.graveyard;
        self.context.memory.reserved(|| graveyard.release());
    }

    /// Reads the slots into the columns: `tables` become `S_t+1`, and so do the views. A value that
    /// doesn't fit its field costs its entity this tick, like an exception.
    pub fn gather(&mut self) {
        self.enter();
        let _run = self.watch.run();
        let context = &*self.context;
        let kinds = context.kinds.get().expect("a started zone has its kinds");
        let population = &mut self.population;
        // SAFETY: attached, after the hooks.
        unsafe { population.leave_views(kinds) };
        for (kind, row) in self.kept.drain(..) {
            // SAFETY: attached, outside hooks.
            unsafe { population.renew(context, kinds.info(kind), kind, row) };
        }
        for &(id, kind, row) in &self.touched {
            let info = kinds.info(kind);
            let pair = &population.objects[kind.index()][row];
            let table = &mut population.own[kind.index()];
            // SAFETY: attached, outside hooks; objects and rows are parallel.
            match unsafe { self.gather.entity(context, info, pair, table, row) } {
                Ok(0) => {}
                Ok(mask) => self.changed.push((id, kind, mask)),
                // SAFETY: as above.
                Err(bad) => unsafe {
                    let stats = &mut self.stats;
                    let refuse = || refuse(context, kinds, kind, id, &bad, stats);
                    context.memory.reserved(refuse);
                    population::revert(context, info, pair, table, row, &population.graveyard);
                    bad.value
                        .into_iter()
                        .for_each(|value| population.graveyard.bury(value));
                    discard(&mut context.outbox.borrow_mut(), id);
                    note_failure(&mut self.failed, id);
                },
            }
        }
        population.graveyard.bury_all(&mut self.gather.released);
    }

    /// Entities that lost this tick and why, ascending: complete after the [`gather`](Self::gather).
    /// Whose `on_despawn` failed is not among them.
    pub fn failed(&self) -> &[(EntityId, FailureKind)] {
        &self.failed
    }

    /// What the gather changed: ascending id, bit f set where field f changed.
    pub fn changed(&self) -> &[(EntityId, KindId, u64)] {
        &self.changed
    }

    /// What this tick's hooks asked for. The caller drains and clears it.
    pub fn outbox(&mut self) -> &mut Outbox {
        self.context.outbox.get_mut()
    }

    /// Collects garbage, and takes back buffers that other zones have released, in the tick's slack:
    /// the young generation each tick, the middle one every 64 ticks, all every 4,096.
    pub fn collect_garbage(&mut self, tick: Tick) {
        self.enter();
        let _run = self.watch.run();
        self.context.hook.set(HookId::default());
        let objects = self
            .objects
            .as_ref()
            .expect("a started zone has its objects");
        let generation = match tick.0 {
            tick if tick.is_multiple_of(OLD_GENERATION_TICKS) => 2,
            tick if tick.is_multiple_of(MIDDLE_GENERATION_TICKS) => 1,
            _ => 0,
        };
        let generation = &objects.generations[generation];
        let population = &self.population;
        // SAFETY: attached, outside hooks.
        self.context.memory.reserved(|| unsafe {
            self.context.exports.borrow_mut().drain();
            population.graveyard.release();
            let collected = PyObject_CallOneArg(objects.collect.as_ptr(), generation.as_ptr());
            if Owned::from_new(collected).is_err() {
                let message = crate::error::take_message();
                tracing::error!(
                    zone = self.context.zone.get().0,
                    "garbage collection failed: {message}"
                );
            }
        });
        if let Some(kinds) = self.context.kinds.get() {
            hooks::note_overruns(&self.context, kinds, &mut self.stats);
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> &HookStats {
        &self.stats
    }

    /// Breaks into this zone's scripts, from any thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.watch.clone())
    }

    /// The row of an entity that says nothing about itself, canonical.
    ///
    /// # Panics
    /// Where there is no such kind.
    pub fn default_row(&self, kind: KindId) -> &[u8] {
        let kinds = self.context.kinds.get();
        let info = kinds.expect("a started zone has its kinds").info(kind);
        &info.default_row
    }

    /// Whether entities of a kind have a method `on_<message>`; false for a kind that isn't there.
    pub fn hears(&self, kind: KindId, message: &str) -> bool {
        let kinds = self.context.kinds.get();
        let info = kinds.and_then(|kinds| kinds.infos.get(kind.index()));
        info.is_some_and(|info| {
            info.handlers
                .iter()
                .any(|handler| *handler.name == *message)
        })
    }

    /// From now on each call of a hook leaves a span, timed by `clock` in ns; with `None`, the default,
    /// none does.
    pub fn trace(&mut self, clock: Option<fn() -> u64>) {
        self.clock = clock;
    }

    /// Swaps the spans since the last time, in the order of the calls, with `spans`, which is emptied.
    pub fn take_spans(&mut self, spans: &mut Vec<HookSpan>) {
        spans.clear();
        std::mem::swap(spans, &mut self.spans);
    }

    /// What a hook is called, such as `Bot.tick`.
    pub fn hook_name(&self, hook: HookId) -> &str {
        let kinds = self.context.kinds.get();
        kinds.map_or("", |kinds| kinds.hooks.get(hook))
    }

    /// How much memory the scripts use.
    pub fn memory(&self) -> MemoryUse {
        self.memory_meter().read()
    }

    /// Reads [`memory`](Self::memory) from any thread.
    pub fn memory_meter(&self) -> MemoryMeter {
        MemoryMeter(self.context.memory.clone())
    }

    /// Bytes that the interpreter has mapped for its objects. Large blocks are not among them.
    pub fn memory_bytes(&self) -> usize {
        self.interpreter.arena_bytes()
    }
}

impl Drop for ScriptZone {
    fn drop(&mut self) {
        self.enter();
        let run = self.watch.run();
        let memory = self.context.memory.clone();
        // SAFETY: attached; afterwards nothing here refers to an object of the interpreter, which is
        // dropped next. The context stays current for natives that finalizers call.
        memory.reserved(|| unsafe {
            load::thaw();
            self.population.release();
            self.gather.released.clear();
            self.objects = None;
            self.context.far.take();
            self.context.registrations.take();
            self.context.exports.borrow_mut().drain();
        });
        let kinds = self.context.kinds.take();
        let codec = self.context.codec.take();
        drop((kinds, codec));
        drop(run);
        // `take` above went through `&mut`, which ends the address that natives know.
        self.context.enter();
    }
}

/// Adds an entity that the gather refused, which the hooks had let pass.
#[cold]
fn note_failure(failed: &mut Vec<(EntityId, FailureKind)>, id: EntityId) {
    if let Err(place) = failed.binary_search_by_key(&id, |(id, _)| *id) {
        failed.insert(place, (id, FailureKind::BadField));
    }
}

/// Logs and counts a value that doesn't fit its field.
#[cold]
unsafe fn refuse(
    context: &Context,
    kinds: &Kinds,
    kind: KindId,
    id: EntityId,
    bad: &BadField,
    stats: &mut HookStats,
) {
    let declaration = kinds.declaration(kind);
    let field = &declaration.fields[bad.field];
    let value = bad.value.as_ref().map_or(null_mut(), Owned::as_ptr);
    // SAFETY: attached, by the caller; `bad` holds the value.
    let text =
        unsafe { value::describe(&declaration.name, &field.name, field.ty, &bad.fault, value) };
    let place = format!("{}.{}", declaration.name, field.name);
    if stats.note_error(&place, "", 0, &text) && context.logged.is_first(Said::Error, place) {
        let (zone, tick, entity) = (context.zone.get().0, context.tick.get().0, id.0);
        tracing::error!(
            target: "tessera::script",
            zone, tick, entity,
            "{text}; the entity loses this tick, further ones like it are counted only"
        );
    }
}

/// Takes out what an entity asked for in this tick, and what the engine asked for on its behalf.
#[cold]
fn discard(outbox: &mut Outbox, id: EntityId) {
    let engine = EntityId::NONE;
    outbox
        .messages
        .retain(|m| m.sender != id && !(m.sender == engine && m.target == id));
    outbox.spawns.retain(|spawn| spawn.parent != id);
    outbox.despawns.retain(|despawned| *despawned != id);
    outbox.events.retain(|event| event.sender != id);
}
