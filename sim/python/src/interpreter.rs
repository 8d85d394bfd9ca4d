//! One isolated interpreter: its own GIL, its own objects, its own memory.

use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3_ffi::*;

use crate::context;
use crate::error::ScriptError;
use crate::interrupt::Watch;
use crate::memory::{Account, Arenas};
use crate::py::Owned;
use crate::runtime;

/// CPython's lists of interpreters are locked, but their making and ending touch more than those: one
/// at a time.
static LIFECYCLE: Mutex<()> = Mutex::new(());

/// An interpreter and its only thread state.
///
/// # Invariants
/// Stays on the thread that created it (`!Send` by its raw pointers). All references to its objects are
/// released before it is dropped.
pub(crate) struct Interpreter {
    state: *mut PyThreadState,
    /// Whether it is the main one of the process, which never ends.
    is_main: bool,
    watch: Arc<Watch>,
    account: Arc<Account>,
    /// Dropped after the interpreter has ended, by order of declaration after `drop`.
    arenas: Box<Arenas>,
}

impl Interpreter {
    /// Creates an interpreter on this thread and attaches the thread to it. If the thread was attached
    /// to another one, that is detached. `watch` is told of it, and `account` charged.
    ///
    /// # Errors
    /// Where CPython can't.
    pub(crate) fn create(watch: Arc<Watch>, account: Arc<Account>) -> Result<Self, ScriptError> {
        runtime::ensure()?;
        let config = PyInterpreterConfig {
            use_main_obmalloc: 0,
            allow_fork: 0,
            allow_exec: 0,
            allow_threads: 0,
            allow_daemon_threads: 0,
            check_multi_interp_extensions: 1,
            gil: PyInterpreterConfig_OWN_GIL,
        };
        let arenas = Box::new(Arenas::new(account.clone()));
        let _one = LIFECYCLE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the runtime is started; the thread is detached from any interpreter first; `state`
        // receives the new thread state, to which the thread is then attached. `drop` unbinds the watch,
        // and lets go of it after the interpreter's end.
        unsafe {
            detach();
            arenas.enter();
            let mut state = null_mut();
            let created = runtime::check(Py_NewInterpreterFromConfig(&mut state, &config));
            created.map_err(|reason| {
                ScriptError::host(format!("CPython can't create an interpreter: {reason}"))
            })?;
            arenas.created();
            watch.bind(PyThreadState_GetInterpreter(state));
            Ok(Self {
                state,
                is_main: false,
                watch,
                account,
                arenas,
            })
        }
    }

    /// Starts CPython with this thread in its main interpreter, which may import what no other can, such
    /// as numpy, also from the folders `packages`. Otherwise as [`create`](Self::create).
    ///
    /// # Errors
    /// Where CPython has been started in this process already, or can't.
    pub(crate) fn main(
        packages: &[PathBuf],
        watch: Arc<Watch>,
        account: Arc<Account>,
    ) -> Result<Self, ScriptError> {
        let arenas = Box::new(Arenas::new(account.clone()));
        arenas.enter();
        let state = runtime::start_main(packages).inspect_err(|_| arenas.abandon())?;
        arenas.created();
        // SAFETY: the state is this thread's. `drop` unbinds the watch, and the interpreter makes no
        // calls after that, since it runs nothing any more.
        unsafe { watch.bind(PyThreadState_GetInterpreter(state)) };
        Ok(Self {
            state,
            is_main: true,
            watch,
            account,
            arenas,
        })
    }

    /// Attaches this thread, from whichever interpreter it was attached to.
    pub(crate) fn attach(&self) {
        self.arenas.enter();
        // SAFETY: the state belongs to this thread; nobody else ever attaches it.
        unsafe {
            if PyThreadState_GetUnchecked() != self.state {
                PyThreadState_Swap(self.state);
            }
        }
    }

    /// Bytes of arenas that it has mapped.
    pub(crate) fn arena_bytes(&self) -> usize {
        self.arenas.bytes()
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.attach();
        let run = self.watch.run();
        // SAFETY: attached, no frame is running.
        self.account.reserved(|| unsafe { run_last_scripts() });
        drop(run);
        self.watch.unbind();
        if self.is_main {
            self.arenas.abandon();
            return;
        }
        let _one = LIFECYCLE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: attached with the interpreter's only thread state, no frame of it is running.
        unsafe { Py_EndInterpreter(self.state) };
    }
}

/// Runs what scripts have left for the end, as far as that is known: one that doesn't return can be
/// preempted, or holds up its own zone, where in `Py_EndInterpreter` it would hold up the making and
/// ending of all.
unsafe fn run_last_scripts() {
    for (module, function) in [
        (c"atexit", c"_run_exitfuncs"),
        (c"atexit", c"_clear"),
        (c"_tessera_bootstrap", c"unload_mode"),
        (c"gc", c"collect"),
    ] {
        // SAFETY: attached, by the caller; what fails is left to the interpreter's own end.
        unsafe {
            let called = Owned::from_new(PyImport_ImportModule(module.as_ptr()))
                .and_then(|module| {
                    Owned::from_new(PyObject_GetAttrString(module.as_ptr(), function.as_ptr()))
                })
                .and_then(|function| Owned::from_new(PyObject_CallNoArgs(function.as_ptr())));
            if called.is_err() {
                PyErr_Clear();
            }
        }
    }
}

/// Detaches this thread from its interpreter, if it has one.
unsafe fn detach() {
    context::forget();
    // SAFETY: detaching is always allowed for the thread's own attached state.
    unsafe {
        if !PyThreadState_GetUnchecked().is_null() {
            PyEval_SaveThread();
        }
    }
}
