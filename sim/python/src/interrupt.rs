//! Breaking into scripts from another thread: [`Interrupter`].
//!
//! Scripts run in *runs*: from where the host lets them (the hooks of a tick, a garbage collection, the
//! loading of a mode) until it is back in control. Each run has an *epoch*, an odd number; between runs
//! the epoch is even. A request names the epoch that it found and is void in any other one, so that it
//! can't hit what begins later.
//!
//! CPython looks for pending calls of an interpreter at each loop's jump back and each function's start.
//! Ours raises, and queues itself again first: who catches the exception and goes on meets the next.
//! What it can't reach is a loop inside C code, such as a huge regular expression, or a blocking call.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3_ffi::*;

use crate::context::{self, Context};
use crate::py::raise;

unsafe extern "C" {
    /// Queues a call that a thread of the interpreter makes soon; 0 where it was queued. Exported by
    /// 3.13 and 3.14, though no part of the stable API. Any thread may call it.
    pub(crate) fn _PyEval_AddPendingCall(
        interpreter: *mut PyInterpreterState,
        function: unsafe extern "C" fn(*mut c_void) -> c_int,
        argument: *mut c_void,
        flags: c_int,
    ) -> c_int;
}

/// What a script hears that is preempted, and the log where it didn't listen.
pub(crate) const PREEMPTED: &str = "it ran for too long and is broken off";

/// Breaks into the scripts of one zone, from any thread and at any time, also before the zone has
/// started and after it has ended: then nothing happens.
///
/// ```
/// fn goes_anywhere<T: Clone + Send + Sync>() {}
/// goes_anywhere::<tessera_python::Interrupter>();
/// ```
#[derive(Clone, Default, Debug)]
pub struct Interrupter(pub(crate) Arc<Watch>);

impl Interrupter {
    /// Makes whatever script the zone now runs (hooks, finalizers, the code of a module) raise
    /// `tessera.Preempted` within a millisecond or so, again and again until the host is back in
    /// control. Hooks of this tick that haven't begun by then don't begin. What the zone does later is
    /// not concerned, and if no script runs, nothing is.
    ///
    /// A script that is inside C code that loops, or waits, meets it on its return from there.
    pub fn preempt(&self) {
        self.0.request(&self.0.preempt, strike);
    }

    /// Notes where the zone's script is, at the next point where it can be asked: its place is counted
    /// in [`HookStats::overruns`](crate::HookStats::overruns), and logged if it is new, when the run is
    /// over. The script isn't disturbed. Once a run is enough: later requests change nothing.
    pub fn look(&self) {
        self.0.request(&self.0.look, glance);
    }
}

/// What both sides of an [`Interrupter`] share.
#[derive(Default, Debug)]
pub(crate) struct Watch {
    /// There from the interpreter's start until right before its end.
    interpreter: Mutex<Option<Interpreter>>,
    /// Odd during a run. Written by the zone's thread only.
    epoch: AtomicU64,
    /// The run that is to be broken off.
    preempt: AtomicU64,
    /// The run whose place is to be noted.
    look: AtomicU64,
    /// The run whose scripts have met `Preempted`. Used by the zone's thread only.
    struck: AtomicU64,
}

/// An interpreter that has not ended.
#[derive(Debug)]
struct Interpreter(*mut PyInterpreterState);

// SAFETY: other threads only pass it to `_PyEval_AddPendingCall`, which any thread may call, and under
// the lock that its end waits for.
unsafe impl Send for Interpreter {}

impl Watch {
    fn interpreter(&self) -> MutexGuard<'_, Option<Interpreter>> {
        self.interpreter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests are for this interpreter from now on.
    ///
    /// # Safety
    /// The caller keeps `self` until the interpreter has ended, and calls [`Self::unbind`] before.
    pub(crate) unsafe fn bind(&self, interpreter: *mut PyInterpreterState) {
        *self.interpreter() = Some(Interpreter(interpreter));
    }

    /// The interpreter is about to end: requests are ignored from now on.
    pub(crate) fn unbind(&self) {
        *self.interpreter() = None;
    }

    /// Whether no interpreter is bound.
    pub(crate) fn is_free(&self) -> bool {
        self.interpreter().is_none()
    }

    /// Lets a run begin. Runs don't nest.
    pub(crate) fn run(self: &Arc<Self>) -> Run {
        self.step();
        debug_assert!(self.now() % 2 == 1, "runs don't nest");
        Run(self.clone())
    }

    fn now(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.epoch.store(self.now() + 1, Ordering::Release);
    }

    /// Asks something of the run that is under way.
    fn request(&self, wanted: &AtomicU64, function: unsafe extern "C" fn(*mut c_void) -> c_int) {
        let interpreter = self.interpreter();
        let Some(Interpreter(interpreter)) = *interpreter else {
            return;
        };
        let epoch = self.epoch.load(Ordering::Acquire);
        let between_runs = epoch.is_multiple_of(2);
        if between_runs || wanted.swap(epoch, Ordering::AcqRel) == epoch {
            return;
        }
        let watch = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the interpreter hasn't ended, since we hold the lock; `bind`'s caller keeps the watch
        // for as long as the interpreter makes calls.
        if unsafe { _PyEval_AddPendingCall(interpreter, function, watch, 0) } != 0 {
            wanted.store(0, Ordering::Release); // the queue is full: the caller asks again
        }
    }

    /// Whether a request is for the run that is under way. On the zone's thread.
    fn concerns(&self, wanted: &AtomicU64) -> bool {
        wanted.load(Ordering::Acquire) == self.now()
    }
}

/// Scripts are running on this thread, until this is dropped.
#[derive(Debug)]
pub(crate) struct Run(Arc<Watch>);

impl Run {
    /// Whether what is left of the run is to be left out.
    pub(crate) fn is_preempted(&self) -> bool {
        self.0.concerns(&self.0.preempt)
    }

    /// Whether a script of this run has met `Preempted`.
    pub(crate) fn was_struck(&self) -> bool {
        self.0.struck.load(Ordering::Relaxed) == self.0.now()
    }

    /// Ends this run and begins another.
    pub(crate) fn renew(&self) {
        self.0.step();
        self.0.step();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.step();
    }
}

/// Raises if its run is still under way.
unsafe extern "C" fn strike(watch: *mut c_void) -> c_int {
    // SAFETY: `request` passes a watch that outlives the interpreter's calls.
    let watch = unsafe { &*watch.cast::<Watch>() };
    if !watch.concerns(&watch.preempt) {
        return 0;
    }
    let first = watch.struck.swap(watch.now(), Ordering::Relaxed) != watch.now();
    let strike = |context: Option<&Context>| {
        if let Some(context) = context.filter(|_| first) {
            // SAFETY: called by CPython, attached, with no exception set.
            context.struck_at.replace(unsafe { context.place() });
        }
        // Before there is the native module there is no exception of its own.
        let own = context.map(|context| context.preempted.get());
        // SAFETY: attached, by CPython, to the interpreter that makes this call; the exception is a
        // static one, or kept alive by the native module.
        unsafe {
            let interpreter = PyThreadState_GetInterpreter(PyThreadState_Get());
            let itself = std::ptr::from_ref(watch).cast_mut().cast();
            _PyEval_AddPendingCall(interpreter, strike, itself, 0);
            let exception = own.filter(|exception| !exception.is_null());
            raise(exception.unwrap_or(PyExc_KeyboardInterrupt), PREEMPTED);
        }
    };
    if context::with_any(|context| context.memory.lifted(|| strike(Some(context)))).is_none() {
        strike(None);
    }
    -1
}

/// Notes where its run is.
unsafe extern "C" fn glance(watch: *mut c_void) -> c_int {
    // SAFETY: as for `strike`.
    let watch = unsafe { &*watch.cast::<Watch>() };
    if watch.concerns(&watch.look) {
        context::with_any(|context| {
            // SAFETY: called by CPython, attached.
            let place = context.memory.lifted(|| unsafe { context.place() });
            let hook = context.hook.get();
            context.seen.borrow_mut().push((hook, place));
        });
    }
    0
}
