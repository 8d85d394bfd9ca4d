//! Loading: the embedded package `tessera`, the guard, the mode.

use std::path::Path;
use std::sync::LazyLock;

use pyo3_ffi::*;

use crate::context::Context;
use crate::error::{ScriptError, attribute};
use crate::interrupt::Run;
use crate::kinds::Kinds;
use crate::py::{Owned, PyResult, Raised, text};
use crate::register;
use crate::signature::Signature;
use crate::source::{Modules, Source};
use crate::value::str_lossy;
use crate::view::Members;

/// The module that makes the others importable.
const BOOTSTRAP: &std::ffi::CStr = c"_tessera_bootstrap";

/// What its frames in a traceback have as their file.
pub(crate) const LOADER: &str = "<engine>/bootstrap.py";

/// A module of the embedded package.
struct Module {
    name: &'static str,
    is_package: bool,
    path: &'static str,
    source: &'static str,
}

/// The embedded package, written by the build script.
const PACKAGE: &[Module] = &include!(concat!(env!("OUT_DIR"), "/package.rs"));

/// The embedded package, and what loads it.
static ENGINE: LazyLock<Modules> = LazyLock::new(|| {
    let source = |is_package, path: &str, text: &str| {
        Source::new(is_package, format!("<engine>/{path}").into(), text.into())
    };
    let package = PACKAGE.iter().map(|module| {
        let source = source(module.is_package, module.path, module.source);
        (module.name.to_owned(), source)
    });
    let text = include_str!("bootstrap.py");
    let bootstrap = Source::new(false, LOADER.into(), text.into());
    let name = BOOTSTRAP.to_string_lossy().into_owned();
    package.chain([(name, bootstrap)]).collect()
});

/// What a loaded mode offers.
pub(crate) struct Loaded {
    pub(crate) kinds: Kinds,
    /// The mode's `start(world)`.
    pub(crate) start: Owned,
}

/// An interpreter's way to the mode: all is there but that.
pub(crate) struct Threshold {
    bootstrap: Owned,
}

impl Threshold {
    /// Compiles the mode's modules, without running anything of them, and keeps all that is there from
    /// then on out of collections.
    ///
    /// # Errors
    /// As [`prepare`]; what doesn't compile is none, but told when it is loaded.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`.
    pub(crate) unsafe fn compile_ahead(&self, context: &Context) -> Result<(), ScriptError> {
        // SAFETY: by the caller's promise; `take` is called where something raised.
        unsafe {
            for module in context.source.modules.values() {
                if module.code().is_err() {
                    PyErr_Clear();
                }
            }
            collector(&[c"collect", c"freeze"]).map_err(|Raised| ScriptError::take(&context.mode))
        }
    }
}

/// Loads the package into the attached interpreter, so that only the mode is missing. No script runs.
///
/// # Errors
/// The exception, with file and line.
///
/// # Safety
/// Attached to the new interpreter of `context`.
pub(crate) unsafe fn prepare(context: &Context, run: &Run) -> Result<Threshold, ScriptError> {
    // SAFETY: by the caller's promise.
    unsafe { load_package(context).map_err(|Raised| told(context, run)) }
}

/// Loads the mode, freezes what was made, and leaves garbage collection to
/// [`crate::ScriptZone::collect_garbage`].
///
/// # Errors
/// The exception, with file and line.
///
/// # Safety
/// Attached to the interpreter of `context`, which was prepared; `members` outlives it.
pub(crate) unsafe fn load(
    context: &Context,
    threshold: Threshold,
    members: &mut Members,
    run: &Run,
) -> Result<Loaded, ScriptError> {
    // SAFETY: by the caller's promise.
    unsafe { load_mode(context, threshold, members).map_err(|Raised| told(context, run)) }
}

/// The exception that is set.
///
/// # Safety
/// Attached, with one set.
unsafe fn told(context: &Context, run: &Run) -> ScriptError {
    run.renew(); // what was preempted can be asked where it was
    // SAFETY: by the caller's promise.
    unsafe { ScriptError::take(&context.mode) }
}

unsafe fn load_package(context: &Context) -> PyResult<Threshold> {
    // SAFETY: attached, by the caller; each call returns a new reference or null.
    unsafe {
        let bootstrap = bootstrap()?;
        call(&get(&bootstrap, c"install")?, &[&listed(&ENGINE)?])?;
        Owned::from_new(PyImport_ImportModule(c"tessera".as_ptr()))?;
        let guard = Owned::from_new(PyImport_ImportModule(c"tessera._guard".as_ptr()))?;
        // A main interpreter is that of a process zone.
        let own_process = PyInterpreterState_Get() == PyInterpreterState_Main();
        let own_process = Owned::from_new(PyBool_FromLong(own_process.into()))?;
        call(&get(&guard, c"install")?, &[&own_process])?;
        // What the package itself declares is no kind of the mode.
        let own = context.registrations.take();
        debug_assert!(own.is_empty(), "the package registers no kinds");
        Ok(Threshold { bootstrap })
    }
}

unsafe fn load_mode(
    context: &Context,
    Threshold { bootstrap }: Threshold,
    members: &mut Members,
) -> PyResult<Loaded> {
    // SAFETY: attached, by the caller; each call returns a new reference or null.
    unsafe {
        let mode = &context.source;
        let name = text(mode.name())?;
        let refusal = call(&get(&bootstrap, c"refusal")?, &[&name])?;
        if refusal.as_ptr() != Py_None() {
            return Err(register::refuse_mode(&str_lossy(refusal.as_ptr())));
        }
        let (load, modules) = (get(&bootstrap, c"load_mode")?, listed(&mode.modules)?);
        context.loading.set(true);
        let module = call(&load, &[&name, &modules]);
        context.loading.set(false);
        let module = module?;
        if context.is_check {
            let identity = PyImport_ImportModule(c"tessera._identity".as_ptr());
            call(&get(&Owned::from_new(identity)?, c"warn")?, &[&modules])?;
        }
        let registrations = context.registrations.take();
        let kinds = Kinds::build(registrations, members)?;
        let start = start(&module)?;
        freeze()?;
        Ok(Loaded { kinds, start })
    }
}

/// The mode's `start(world)`.
unsafe fn start(module: &Owned) -> PyResult<Owned> {
    // SAFETY: attached, by the caller.
    unsafe {
        let found = attribute(module, c"start");
        let Some(start) = found.filter(|start| PyCallable_Check(start.as_ptr()) != 0) else {
            let message = "the mode has no function start(world), which puts its first entities into \
                           the match";
            return Err(register::refuse_mode(message));
        };
        if PyFunction_Check(start.as_ptr()) != 0 {
            Signature::START.check("start", &start)?;
        }
        Ok(start)
    }
}

unsafe fn bootstrap() -> PyResult<Owned> {
    // SAFETY: attached, by the caller; the name is a C string.
    unsafe {
        let code = ENGINE[&*BOOTSTRAP.to_string_lossy()].code()?;
        Owned::from_new(PyImport_ExecCodeModule(BOOTSTRAP.as_ptr(), code.as_ptr()))
    }
}

/// The module of that name, if it is the engine's or the mode's.
pub(crate) fn find<'a>(context: &'a Context, name: &str) -> Option<&'a Source> {
    ENGINE
        .get(name)
        .or_else(|| context.source.modules.get(name))
}

/// A line of a file, from 1, if that is the engine's or the mode's.
pub(crate) fn line<'a>(context: &'a Context, file: &str, number: u32) -> Option<&'a str> {
    let mut modules = ENGINE.values().chain(context.source.modules.values());
    let module = modules.find(|module| module.path == Path::new(file))?;
    module.text.lines().nth((number as usize).checked_sub(1)?)
}

/// A `dict` of name to (is_package, file).
unsafe fn listed(modules: &Modules) -> PyResult<Owned> {
    // SAFETY: attached, by the caller.
    unsafe {
        let listed = Owned::from_new(PyDict_New())?;
        for (name, source) in modules {
            let is_package = Owned::from_new(PyBool_FromLong(source.is_package.into()))?;
            let (name, file) = (text(name)?, text(&source.file())?);
            let entry = PyTuple_Pack(2, is_package.as_ptr(), file.as_ptr());
            let entry = Owned::from_new(entry)?;
            if PyDict_SetItem(listed.as_ptr(), name.as_ptr(), entry.as_ptr()) != 0 {
                return Err(Raised);
            }
        }
        Ok(listed)
    }
}

unsafe fn get(object: &Owned, name: &std::ffi::CStr) -> PyResult<Owned> {
    // SAFETY: attached, by the caller.
    unsafe { Owned::from_new(PyObject_GetAttrString(object.as_ptr(), name.as_ptr())) }
}

unsafe fn call(function: &Owned, arguments: &[&Owned]) -> PyResult<Owned> {
    let pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    // SAFETY: attached, by the caller; the arguments are alive during the call.
    unsafe {
        Owned::from_new(PyObject_Vectorcall(
            function.as_ptr(),
            pointers.as_ptr(),
            pointers.len(),
            std::ptr::null_mut(),
        ))
    }
}

/// Collects once, keeps what is left out of later collections, and turns automatic ones off.
unsafe fn freeze() -> PyResult<()> {
    // SAFETY: attached, by the caller.
    unsafe { collector(&[c"collect", c"freeze", c"disable"]) }
}

/// Undoes [`load`]'s freeze, so that what the modules hold is found when the interpreter ends.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn thaw() {
    // SAFETY: attached, by the caller; without it the interpreter ends all the same.
    unsafe {
        if collector(&[c"unfreeze"]).is_err() {
            PyErr_Clear();
        }
    }
}

/// Calls functions of the module `gc`.
unsafe fn collector(steps: &[&std::ffi::CStr]) -> PyResult<()> {
    // SAFETY: attached, by the caller.
    unsafe {
        let gc = Owned::from_new(PyImport_ImportModule(c"gc".as_ptr()))?;
        for step in steps {
            call(&get(&gc, step)?, &[])?;
        }
        Ok(())
    }
}
