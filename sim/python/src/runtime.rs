//! CPython in this process: started once, by whoever needs it first, and never ended.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::OnceLock;

use pyo3_ffi::*;

use crate::error::ScriptError;
use crate::py::Owned;
use crate::{memory, native, view};

/// Where the Python that this was built with has its files.
const HOME: &str = env!("TESSERA_PYTHON_HOME");
/// Its standard library.
const STDLIB: &str = env!("TESSERA_PYTHON_STDLIB");

#[cfg(not(Py_3_13))]
compile_error!(
    "CPython 3.13 or later is needed: older ones refuse modules in isolated interpreters"
);
#[cfg(Py_GIL_DISABLED)]
compile_error!(
    "a CPython with a GIL is needed (not the free-threaded build): each zone has its own"
);

/// How the start of the runtime went, once somebody has tried.
static STARTED: OnceLock<Result<(), String>> = OnceLock::new();

/// Starts the runtime, isolated from the user's environment, if nobody has yet. On return this thread
/// is attached to no interpreter that it wasn't attached to before.
///
/// # Errors
/// Where the installation that this was built with can't start. Every later call says the same.
pub(crate) fn ensure() -> Result<(), ScriptError> {
    let started = STARTED.get_or_init(|| {
        // On a thread of its own: the starter becomes CPython's main thread, which should not be a
        // zone's. The runtime doesn't need it to stay.
        let starter = std::thread::Builder::new().name("python-start".into());
        // SAFETY: `OnceLock` lets one caller in.
        let starter = starter.spawn(|| unsafe { start().map(|_| PyEval_SaveThread()).map(drop) });
        starter
            .map_err(|error| error.to_string())?
            .join()
            .map_err(|_| "it panicked".to_owned())?
    });
    started.clone().map_err(|reason| no_start(&reason))
}

/// Starts the runtime on this thread, which is then attached to the main interpreter and should stay.
/// Modules are looked for in the folders `packages` too, after the standard library.
///
/// # Errors
/// Where somebody has started it before, and as [`ensure`].
pub(crate) fn start_main(packages: &[PathBuf]) -> Result<*mut PyThreadState, ScriptError> {
    let mut state = null_mut();
    let mut first = false;
    let started = STARTED.get_or_init(|| {
        first = true;
        // SAFETY: `OnceLock` lets one caller in; the interpreter has just been started.
        unsafe {
            start()?;
            state = PyThreadState_Get();
            look_in(packages)
        }
    });
    started.clone().map_err(|reason| no_start(&reason))?;
    match first {
        true => Ok(state),
        false => Err(ScriptError::host(
            "CPython runs in this process already: its main interpreter is taken",
        )),
    }
}

fn no_start(reason: &str) -> ScriptError {
    ScriptError::host(format!(
        "CPython {} can't start: {reason}. This program was built with the one in {HOME}; build it \
         again with the one to use (scripts/python3 finds it, or set PYO3_PYTHON)",
        version()
    ))
}

/// Adds folders to `sys.path`.
///
/// # Safety
/// Attached.
unsafe fn look_in(packages: &[PathBuf]) -> Result<(), String> {
    for folder in packages {
        let text = folder.to_string_lossy();
        // SAFETY: attached, by the caller; `sys.path` is a list that we borrow.
        unsafe {
            let length = text.len() as Py_ssize_t;
            let text = PyUnicode_FromStringAndSize(text.as_ptr().cast(), length);
            let text = Owned::from_new(text).map_err(|_| "out of memory".to_owned())?;
            let path = PySys_GetObject(c"path".as_ptr());
            if path.is_null() || PyList_Append(path, text.as_ptr()) != 0 {
                return Err("its sys.path can't be changed".into());
            }
        }
    }
    Ok(())
}

/// The version of the library that was loaded, such as `3.13.5`.
pub fn version() -> String {
    // SAFETY: returns a static string, at any time.
    let version = unsafe { CStr::from_ptr(Py_GetVersion()) }.to_string_lossy();
    version.split(' ').next().unwrap_or_default().to_owned()
}

/// Starts the runtime; this thread is attached to its main interpreter then.
///
/// # Safety
/// Once in a process.
unsafe fn start() -> Result<(), String> {
    // CPython's own words for this are about codecs.
    if !Path::new(STDLIB).join("encodings/__init__.py").exists() {
        return Err(format!("its standard library is not in {STDLIB}"));
    }
    // SAFETY: called once, before any other use of CPython; the structs are initialized by CPython.
    unsafe {
        let mut early = MaybeUninit::<PyPreConfig>::zeroed().assume_init();
        PyPreConfig_InitIsolatedConfig(&mut early);
        early.utf8_mode = 1;
        check(Py_PreInitialize(&early))?;
        memory::install();
        view::guard_slots();
        if PyImport_AppendInittab(c"_tessera".as_ptr(), Some(native::init)) != 0 {
            return Err("out of memory".into());
        }
        let mut config = MaybeUninit::<PyConfig>::zeroed().assume_init();
        PyConfig_InitIsolatedConfig(&mut config);
        let initialized = configure(&mut config);
        PyConfig_Clear(&mut config);
        initialized?;
        keep_static_types()?;
    }
    Ok(())
}

/// Imports into the main interpreter, which never ends, the modules whose types are static and so
/// shared by all interpreters. If a zone were the first to import one, the types' bases would be its
/// objects, and CPython would read them after the zone has ended (seen in 3.13.0).
unsafe fn keep_static_types() -> Result<(), String> {
    // SAFETY: the thread that initialized CPython is attached; the module is kept for good.
    let module = unsafe { PyImport_ImportModule(c"_datetime".as_ptr()) };
    match module.is_null() {
        true => Err("its standard library has no _datetime".into()),
        false => Ok(()),
    }
}

unsafe fn configure(config: &mut PyConfig) -> Result<(), String> {
    config.use_hash_seed = 1;
    config.hash_seed = 0;
    config.install_signal_handlers = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    let home = CString::new(HOME).map_err(|_| "its path has a NUL in it".to_owned())?;
    // SAFETY: the config is initialized, `home` is one of its own fields.
    unsafe {
        let field = &raw mut config.home;
        check(PyConfig_SetBytesString(config, field, home.as_ptr()))?;
        check(Py_InitializeFromConfig(config))
    }
}

/// Turns CPython's status into a result.
///
/// # Safety
/// The status is one that CPython returned.
pub(crate) unsafe fn check(status: PyStatus) -> Result<(), String> {
    // SAFETY: by the caller's promise; the message is null or a static string.
    unsafe {
        if PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        if status.err_msg.is_null() {
            return Err(format!("it exits with {}", status.exitcode));
        }
        Err(CStr::from_ptr(status.err_msg)
            .to_string_lossy()
            .into_owned())
    }
}
