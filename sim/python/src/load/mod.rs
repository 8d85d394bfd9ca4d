//! Loading: the embedded package `tessera`, the guard, the mode.

use pyo3_ffi::*;

use crate::ModeSource;
use crate::args::c_string;
use crate::context::Context;
use crate::error::{ScriptError, attribute};
use crate::interrupt::Run;
use crate::kinds::Kinds;
use crate::py::{Owned, PyResult, Raised};
use crate::view::Members;

const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// A module of the embedded package.
struct Module {
    name: &'static str,
    is_package: bool,
    path: &'static str,
    source: &'static str,
}

/// The embedded package, written by the build script.
static PACKAGE: &[Module] = &include!(concat!(env!("OUT_DIR"), "/package.rs"));

/// What a loaded mode offers.
pub(crate) struct Loaded {
    pub(crate) kinds: Kinds,
    /// The mode's `start`, if it has one.
    pub(crate) start: Option<Owned>,
}

/// An interpreter's way to the mode: all is there but that.
pub(crate) struct Threshold {
    load_mode: Owned,
    /// Finds the mode's modules.
    finder: Owned,
}

impl Threshold {
    /// Compiles the mode's modules, without running anything of them, and keeps all that is there from
    /// then on out of collections.
    ///
    /// # Errors
    /// As [`prepare`]; what doesn't compile is none.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`.
    pub(crate) unsafe fn compile_ahead(&self, context: &Context) -> Result<(), ScriptError> {
        // SAFETY: by the caller's promise; `take` is called where something raised.
        unsafe {
            let compiled = get(&self.finder, c"compile_ahead")
                .and_then(|compile_ahead| call(&compile_ahead, &[]))
                .and_then(|_| collector(&[c"collect", c"freeze"]));
            compiled.map_err(|Raised| ScriptError::take(&context.mode))
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
pub(crate) unsafe fn prepare(
    context: &Context,
    mode: &ModeSource,
    run: &Run,
) -> Result<Threshold, ScriptError> {
    // SAFETY: by the caller's promise.
    unsafe {
        let prepared = load_package(context, mode);
        prepared.map_err(|Raised| told(context, run))
    }
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
    mode: &ModeSource,
    threshold: Threshold,
    members: &mut Members,
    run: &Run,
) -> Result<Loaded, ScriptError> {
    // SAFETY: by the caller's promise.
    unsafe {
        let loaded = load_mode(context, mode, threshold, members);
        loaded.map_err(|Raised| told(context, run))
    }
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

unsafe fn load_package(context: &Context, mode: &ModeSource) -> PyResult<Threshold> {
    // SAFETY: attached, by the caller; each call returns a new reference or null.
    unsafe {
        let bootstrap = bootstrap()?;
        let engine = PACKAGE.iter().map(|module| {
            let file = format!("<engine>/{}", module.path);
            (module.name, module.is_package, file, module.source)
        });
        call(&get(&bootstrap, c"install")?, &[&sources(engine)?])?;
        Owned::from_new(PyImport_ImportModule(c"tessera".as_ptr()))?;
        let guard = Owned::from_new(PyImport_ImportModule(c"tessera._guard".as_ptr()))?;
        call(&get(&guard, c"install")?, &[])?;
        call(&get(&bootstrap, c"warm_up")?, &[])?;
        // What the package itself declares is no kind of the mode.
        let own = context.registrations.take();
        debug_assert!(own.is_empty(), "the package registers no kinds");
        let modules = mode.modules.iter().map(|(name, module)| {
            let file = module.path.to_string_lossy().into_owned();
            (&name[..], module.is_package, file, &module.text[..])
        });
        Ok(Threshold {
            load_mode: get(&bootstrap, c"load_mode")?,
            finder: call(&get(&bootstrap, c"Sources")?, &[&sources(modules)?])?,
        })
    }
}

unsafe fn load_mode(
    context: &Context,
    mode: &ModeSource,
    threshold: Threshold,
    members: &mut Members,
) -> PyResult<Loaded> {
    // SAFETY: attached, by the caller; each call returns a new reference or null.
    unsafe {
        let Threshold { load_mode, finder } = threshold;
        context.loading.set(true);
        let module = call(&load_mode, &[&text(mode.name())?, &finder]);
        context.loading.set(false);
        let module = module?;
        let registrations = context.registrations.take();
        let kinds = Kinds::build(registrations, members)?;
        freeze()?;
        let start = attribute(&module, c"start");
        Ok(Loaded { kinds, start })
    }
}

unsafe fn bootstrap() -> PyResult<Owned> {
    // SAFETY: attached, by the caller; the source is a C string.
    unsafe {
        let name = c"_tessera_bootstrap";
        let source = c_string(BOOTSTRAP);
        let file = c"<engine>/bootstrap.py".as_ptr();
        let code = Py_CompileString(source.as_ptr(), file, Py_file_input);
        let code = Owned::from_new(code)?;
        Owned::from_new(PyImport_ExecCodeModule(name.as_ptr(), code.as_ptr()))
    }
}

/// A `dict` of sources, of name to (is_package, file, source).
unsafe fn sources<'a>(
    modules: impl Iterator<Item = (&'a str, bool, String, &'a str)>,
) -> PyResult<Owned> {
    // SAFETY: attached, by the caller.
    unsafe {
        let sources = Owned::from_new(PyDict_New())?;
        for (name, is_package, file, source) in modules {
            let is_package = Owned::from_new(PyBool_FromLong(is_package.into()))?;
            let (file, source) = (text(&file)?, text(source)?);
            let entry = PyTuple_Pack(3, is_package.as_ptr(), file.as_ptr(), source.as_ptr());
            let (name, entry) = (text(name)?, Owned::from_new(entry)?);
            if PyDict_SetItem(sources.as_ptr(), name.as_ptr(), entry.as_ptr()) != 0 {
                return Err(Raised);
            }
        }
        Ok(sources)
    }
}

/// A Python `str`.
unsafe fn text(text: &str) -> PyResult<Owned> {
    // SAFETY: attached, by the caller; pointer and length are those of a slice.
    unsafe {
        let length = text.len() as Py_ssize_t;
        Owned::from_new(PyUnicode_FromStringAndSize(text.as_ptr().cast(), length))
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

/// Undoes the freeze of [`load`], so that what the modules hold is found when the interpreter ends.
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
