//! What native functions see of the zone whose script called them: its settings, the tick, the entity
//! whose hook runs, and the lists of what hooks ask for.
//!
//! A [`Context`] is reached through a thread-local pointer, set while Python code of its zone may run.
//! Natives get shared references only; what changes under them sits in `Cell`s and `RefCell`s, and no
//! borrow spans a call into Python.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ptr::{null, null_mut};
use std::sync::Arc;

use pyo3_ffi::*;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_world::World;

use crate::buffer::Exports;
use crate::clone::Codec;
use crate::error::Place;
use crate::far::FarViews;
use crate::kinds::{HookId, Kinds};
use crate::memory::Account;
use crate::native::Types;
use crate::near::Grid;
use crate::population::Population;
use crate::py::{PyResult, raise};
use crate::register::Registration;
use crate::rng::Draws;
use crate::{HitboxHistory, Logged, ModeSource, OptionValue, Outbox, ScriptConfig};

thread_local! {
    static CURRENT: Cell<*const Context> = const { Cell::new(null()) };
}

/// A zone, as native functions see it.
pub(crate) struct Context {
    /// Which zone: for logs only.
    pub(crate) zone: Cell<ZoneId>,
    /// Seed of the match.
    pub(crate) seed: u64,
    /// How far queries reach, metres.
    pub(crate) halo: f64,
    /// The map.
    pub(crate) world: Arc<World>,
    /// The mode's folder, to tell its frames from the engine's in a traceback.
    pub(crate) mode: String,
    /// The mode's code.
    pub(crate) source: Arc<ModeSource>,
    /// As [`ScriptConfig::check`].
    pub(crate) is_check: bool,
    /// What was logged already in the match.
    pub(crate) logged: Arc<Logged>,
    /// The native types.
    pub(crate) types: Cell<Types>,
    /// `_tessera.DeclarationError`, borrowed from the module.
    pub(crate) declaration_error: Cell<*mut PyObject>,
    /// `_tessera.Preempted`, likewise.
    pub(crate) preempted: Cell<*mut PyObject>,
    /// Memory of the interpreter.
    pub(crate) memory: Arc<Account>,
    /// The hook that runs, or the last one.
    pub(crate) hook: Cell<HookId>,
    /// Where the run was that was broken off last.
    pub(crate) struck_at: RefCell<Option<Place>>,
    /// What somebody wanted to know who looked: which hook was where.
    pub(crate) seen: RefCell<Vec<(HookId, Option<Place>)>>,
    /// Ticks per second.
    pub(crate) tick_hz: u32,
    /// The mode's options.
    pub(crate) options: BTreeMap<String, OptionValue>,
    /// Encodes and decodes values; there once the native module is.
    pub(crate) codec: OnceCell<RefCell<Codec>>,
    /// Buffers lent to other interpreters.
    pub(crate) exports: RefCell<Exports>,
    /// Whether the mode is loading: only then are kinds declared.
    pub(crate) loading: Cell<bool>,
    /// Classes registered by the mode while it loads, in order.
    pub(crate) registrations: RefCell<Vec<Registration>>,
    /// The kinds; there once the mode has loaded.
    pub(crate) kinds: OnceCell<Kinds>,
    /// The tick that runs, or the last one.
    pub(crate) tick: Cell<Tick>,
    /// `S_t`.
    pub(crate) snapshot: RefCell<Option<Arc<Snapshot>>>,
    /// Hitboxes of `S_t` and of the ticks before it, while hooks run.
    pub(crate) hitboxes: RefCell<Option<Arc<HitboxHistory>>>,
    /// Views of entities that are neither own nor ghosts, for this tick.
    pub(crate) far: RefCell<FarViews>,
    /// Where own entities and ghosts are, for this tick.
    pub(crate) grid: RefCell<Grid>,
    /// What hooks ask for.
    pub(crate) outbox: RefCell<Outbox>,
    /// The entity whose hook runs.
    pub(crate) actor: Actor,
    /// The zone's entities while hooks run, else null: see [`Context::population`].
    population: Cell<*const Population>,
}

/// The entity whose hook runs, and how much it has asked for.
pub(crate) struct Actor {
    /// Its live object, borrowed; the `World` object during the mode's `start`; null outside hooks.
    pub(crate) object: Cell<*mut PyObject>,
    /// Its id; none during `start`.
    pub(crate) id: Cell<EntityId>,
    /// Its kind.
    pub(crate) kind: Cell<KindId>,
    /// Its row.
    pub(crate) row: Cell<usize>,
    /// Requests so far this tick: the next one's sequence number.
    pub(crate) seq: Cell<u32>,
    /// Messages so far this tick.
    pub(crate) sent: Cell<u32>,
    /// Spawns so far this tick.
    pub(crate) spawned: Cell<u32>,
    /// Whether it has asked to end.
    pub(crate) despawned: Cell<bool>,
    /// Its random numbers.
    pub(crate) draws: RefCell<Draws>,
}

impl Actor {
    /// The number of the actor's next request.
    pub(crate) fn next_seq(&self) -> u32 {
        let seq = self.seq.get();
        self.seq.set(seq + 1);
        seq
    }
}

impl Context {
    pub(crate) fn new(config: &ScriptConfig) -> Self {
        Self {
            zone: Cell::new(config.zone),
            seed: config.seed,
            halo: config.halo_m,
            world: config.world.clone(),
            mode: config.mode.folder().to_string_lossy().into_owned(),
            source: config.mode.clone(),
            is_check: config.check,
            logged: config.logged.clone(),
            types: Cell::new([null_mut(); _]),
            declaration_error: Cell::new(null_mut()),
            preempted: Cell::new(null_mut()),
            memory: Arc::new(Account::new(config.memory_cap)),
            hook: Cell::default(),
            struck_at: RefCell::default(),
            seen: RefCell::default(),
            tick_hz: config.tick_hz,
            options: config.options.clone(),
            codec: OnceCell::new(),
            exports: RefCell::new(Exports::new()),
            loading: Cell::default(),
            registrations: RefCell::default(),
            kinds: OnceCell::new(),
            tick: Cell::default(),
            snapshot: RefCell::default(),
            hitboxes: RefCell::default(),
            far: RefCell::default(),
            grid: RefCell::default(),
            outbox: RefCell::default(),
            actor: Actor {
                object: Cell::new(null_mut()),
                id: Cell::default(),
                kind: Cell::default(),
                row: Cell::default(),
                seq: Cell::default(),
                sent: Cell::default(),
                spawned: Cell::default(),
                despawned: Cell::default(),
                draws: RefCell::new(Draws::new(config.seed, 0, 0)),
            },
            population: Cell::new(null()),
        }
    }

    /// Makes `object` the actor of the hooks to come.
    pub(crate) fn act(&self, object: *mut PyObject, id: EntityId, kind: KindId, row: usize) {
        let actor = &self.actor;
        actor.object.set(object);
        actor.id.set(id);
        actor.kind.set(kind);
        actor.row.set(row);
        actor.seq.set(0);
        actor.sent.set(0);
        actor.spawned.set(0);
        actor.despawned.set(false);
        *actor.draws.borrow_mut() = Draws::new(self.seed, id.0, self.tick.get().0);
    }

    /// Opens the zone's entities to natives while `body` runs hooks, then takes the stage from the actor.
    pub(crate) fn stage<R>(&self, population: &Population, body: impl FnOnce() -> R) -> R {
        struct Close<'a>(&'a Context);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.population.set(null());
                self.0.exit();
            }
        }
        self.population.set(population);
        let _close = Close(self);
        body()
    }

    /// The hook is over: nobody acts.
    pub(crate) fn exit(&self) {
        self.actor.object.set(null_mut());
        self.actor.id.set(EntityId::NONE);
    }

    /// Where the script is that runs now: the innermost of its frames in the mode's files, else the
    /// innermost one; `None` where none runs.
    ///
    /// # Safety
    /// Attached to the interpreter of this context, with no exception set.
    pub(crate) unsafe fn place(&self) -> Option<Place> {
        // SAFETY: by the caller's promise.
        unsafe { Place::of_frames(&self.mode) }
    }

    /// The zone's entities, while hooks run.
    ///
    /// # Errors
    /// Raises outside hooks.
    pub(crate) fn population(&self) -> PyResult<&Population> {
        // SAFETY: not null only inside `stage`, which borrows the population for that long; `self` can't
        // outlive a call from there, since natives only get it through `with`.
        unsafe { self.population.get().as_ref() }.ok_or_else(outside)
    }

    /// Checks that `object` is the entity whose hook runs.
    ///
    /// # Errors
    /// Raises for a view, for somebody else's live object, and outside hooks.
    pub(crate) fn acting(&self, object: *mut PyObject) -> PyResult<&Actor> {
        let actor = self.actor.object.get();
        if actor == object {
            return Ok(&self.actor);
        }
        if actor.is_null() {
            return Err(outside());
        }
        // SAFETY: natives run attached; the exception type is static.
        Err(unsafe {
            raise(
                PyExc_RuntimeError,
                "only the entity whose hook runs can do this, on itself; this is a view of another \
                 entity, or one kept from an earlier hook: send it a message instead",
            )
        })
    }

    /// The kinds.
    ///
    /// # Errors
    /// Raises while the mode is loading.
    pub(crate) fn kinds(&self) -> PyResult<&Kinds> {
        self.kinds.get().ok_or_else(outside)
    }

    /// Encodes and decodes values of this zone's interpreter.
    pub(crate) fn codec(&self) -> &RefCell<Codec> {
        self.codec
            .get()
            .expect("the native module is there before any script")
    }

    /// Makes this the context of native calls on this thread until somebody else does; returns whether
    /// it was already.
    pub(crate) fn enter(&self) -> bool {
        CURRENT.replace(self) == self
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a zone drops its context after its interpreter, which has ended.
        unsafe { self.exports.get_mut().orphan() };
        if CURRENT.get() == std::ptr::from_ref(self) {
            forget();
        }
    }
}

/// From now on this thread is in no zone, and attached to no interpreter.
pub(crate) fn forget() {
    CURRENT.set(null());
}

#[cold]
fn outside() -> crate::py::Raised {
    // SAFETY: natives run attached; the exception type is static.
    unsafe {
        raise(
            PyExc_RuntimeError,
            "this works in hooks only (tick, command, on_…), not while the mode loads or between ticks",
        )
    }
}

/// Runs `body` with the zone whose script called, if it is one's: CPython calls some of what is ours
/// outside of zones too.
pub(crate) fn with_any<R>(body: impl FnOnce(&Context) -> R) -> Option<R> {
    let current = CURRENT.get();
    // SAFETY: as for `with`.
    unsafe { current.as_ref() }.map(body)
}

/// Runs `body` with the zone whose script called.
pub(crate) fn with<R>(body: impl FnOnce(&Context) -> R) -> R {
    let current = CURRENT.get();
    assert!(!current.is_null(), "native code runs inside a zone");
    // SAFETY: `enter` set it to a context that takes itself back when it goes; contexts stay on their
    // thread.
    body(unsafe { &*current })
}
