//! Python exceptions as Rust values: what is wrong and where.

use std::fmt;

use pyo3_ffi::*;

use crate::context::Context;
use crate::py::Owned;
use crate::traceback;
use crate::value::str_lossy;

/// A fault of the scripts, or of the Python installation, found while starting a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    /// The file at fault, as Python names it.
    pub file: Option<String>,
    /// The line at fault, from 1.
    pub line: Option<u32>,
    /// What is wrong and what to do.
    pub message: String,
    /// Python's traceback, ending in the message; empty where no code of Python's ran.
    pub traceback: String,
}

impl ScriptError {
    /// An error that comes from no line of a script.
    pub fn host(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            message: message.into(),
            traceback: String::new(),
        }
    }

    /// Takes the exception that is set; `mode` is the folder whose files are preferred as its place.
    ///
    /// # Safety
    /// Attached, with an exception set, and not in a hook.
    pub(crate) unsafe fn take(mode: &str) -> Self {
        // SAFETY: by the caller's promise.
        let Some(failure) = (unsafe { Failure::take(mode) }) else {
            return Self::host("a call into Python failed without an exception");
        };
        // SAFETY: as above.
        let traceback = unsafe { failure.in_full() };
        Self {
            file: failure.file,
            line: (failure.line > 0).then_some(failure.line),
            message: failure.message,
            traceback,
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message),
            (Some(file), None) => write!(f, "{file}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScriptError {}

/// A line of a script.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Place {
    /// The file, as Python names it.
    pub(crate) file: String,
    /// From 1; 0 where unknown.
    pub(crate) line: u32,
}

impl Place {
    /// The innermost frame that runs in the folder `mode`, else the innermost one.
    ///
    /// # Safety
    /// Attached, with no exception set.
    pub(crate) unsafe fn of_frames(mode: &str) -> Option<Self> {
        // SAFETY: attached, by the caller; frames and their code are new references, but the first.
        unsafe {
            let mut next = PyEval_GetFrame();
            let mut innermost = None;
            let mut held; // keeps `next` alive
            while !next.is_null() {
                let code = Owned::from_new(PyFrame_GetCode(next).cast()).ok()?;
                let file = attribute(&code, c"co_filename")?;
                let place = Self {
                    file: str_lossy(file.as_ptr()),
                    line: u32::try_from(PyFrame_GetLineNumber(next)).unwrap_or(0),
                };
                if place.file.starts_with(mode) {
                    return Some(place);
                }
                innermost.get_or_insert(place);
                next = PyFrame_GetBack(next);
                held = Owned::from_new(next.cast());
                let _ = &held;
            }
            PyErr_Clear(); // of a frame that there was no memory for
            innermost
        }
    }
}

/// An exception that was taken from the interpreter.
pub(crate) struct Failure {
    exception: Owned,
    /// Where it was raised: the innermost frame in the mode, else the innermost one.
    pub(crate) file: Option<String>,
    /// Line in the file, from 1; 0 where unknown.
    pub(crate) line: u32,
    /// `TypeError: …`.
    pub(crate) message: String,
}

impl Failure {
    /// Takes the exception that is set, if any.
    ///
    /// # Safety
    /// Attached.
    pub(crate) unsafe fn take(mode: &str) -> Option<Self> {
        // SAFETY: attached; a raised exception is a new reference.
        unsafe {
            let exception = Owned::from_new(PyErr_GetRaisedException()).ok()?;
            let message = message(&exception);
            let place = own_place(&exception).or_else(|| traceback_place(&exception, mode));
            let (file, line) = place.map_or((None, 0), |(file, line)| (Some(file), line));
            Some(Self {
                exception,
                file,
                line,
                message,
            })
        }
    }

    /// Where it was raised.
    pub(crate) fn place(&self) -> Place {
        Place {
            file: self.file.clone().unwrap_or_default(),
            line: self.line,
        }
    }

    /// The exception and the frames that it passed, in short: see [`traceback`].
    ///
    /// # Safety
    /// Attached to the interpreter it was taken from, which is that of `context`.
    pub(crate) unsafe fn in_short(&self, context: &Context) -> String {
        // SAFETY: by the caller's promise.
        unsafe { traceback::render(context, &self.exception) }
    }

    /// Python's own rendering, with its guesses at what was meant. Its first time takes 10 ms: longer
    /// than a tick has.
    unsafe fn in_full(&self) -> String {
        // SAFETY: attached, by the caller.
        let has_frames = unsafe {
            let frames = attribute(&self.exception, c"__traceback__");
            frames.is_some_and(|frames| frames.as_ptr() != Py_None())
        };
        if !has_frames {
            return String::new();
        }
        // SAFETY: attached, by the caller; failures on the way leave the plain message.
        unsafe { format_exception(&self.exception) }.unwrap_or_else(|| {
            // SAFETY: attached.
            unsafe { PyErr_Clear() };
            self.message.clone()
        })
    }
}

/// Takes the exception that is set and renders it in one line.
///
/// Attached, like everything that gets to see an exception.
pub(crate) fn take_message() -> String {
    // SAFETY: only called where an exception has just been raised, hence attached.
    unsafe {
        match Owned::from_new(PyErr_GetRaisedException()) {
            Ok(exception) => message(&exception),
            Err(_) => "unknown error".into(),
        }
    }
}

/// How CPython's message ends where a script sets an attribute that its class doesn't declare.
const NO_SUCH_SLOT: &str = "and no __dict__ for setting new attributes";
/// And where it sets one that is a constant of the class.
const CONSTANT: &str = "' is read-only";

pub(crate) unsafe fn message(exception: &Owned) -> String {
    // SAFETY: attached by the callers; a type's name is a C string; a failing `__str__` is dropped.
    unsafe {
        let name = std::ffi::CStr::from_ptr((*Py_TYPE(exception.as_ptr())).tp_name);
        let name = name.to_string_lossy();
        let name = name.rsplit('.').next().unwrap_or_default().to_owned();
        let Ok(text) = Owned::from_new(PyObject_Str(exception.as_ptr())) else {
            PyErr_Clear();
            return name;
        };
        match str_lossy(text.as_ptr()) {
            text if text.is_empty() => name,
            text => {
                let hint = undeclared(exception, &text).unwrap_or_default();
                format!("{name}: {text}{hint}")
            }
        }
    }
}

/// What to do where a script set an attribute of an entity that is no field.
unsafe fn undeclared(exception: &Owned, text: &str) -> Option<String> {
    let name = text.rsplit('\'').nth(1).unwrap_or_default(); // both texts name it last
    if text.ends_with(CONSTANT) {
        // Of which object isn't told.
        return Some(format!(
            "; what an entity's class gives without field() is a constant; for a field declare \
             `{name}: <type> = field(<default>)`"
        ));
    }
    if !text.ends_with(NO_SUCH_SLOT) {
        return None;
    }
    // SAFETY: attached by the callers.
    unsafe {
        let class = Py_TYPE(attribute(exception, c"obj")?.as_ptr());
        attribute(&Owned::from_borrowed(class.cast()), c"_declared")?; // by the package's metaclass
    }
    Some(format!(
        "; declare it in the class: `{name}: <type> = field(<default>)`"
    ))
}

/// An attribute, or `None` where there is none or it raises.
pub(crate) unsafe fn attribute(object: &Owned, name: &std::ffi::CStr) -> Option<Owned> {
    // SAFETY: attached by the callers.
    unsafe {
        let found = Owned::from_new(PyObject_GetAttrString(object.as_ptr(), name.as_ptr()));
        found.map_err(|_| PyErr_Clear()).ok()
    }
}

pub(crate) unsafe fn number(object: &Owned) -> u32 {
    // SAFETY: attached by the callers.
    unsafe {
        let number = PyLong_AsLong(object.as_ptr());
        if number == -1 {
            PyErr_Clear();
        }
        u32::try_from(number).unwrap_or(0)
    }
}

/// A `SyntaxError` names the place itself, and what `PyErr_SyntaxLocation` has made like one: no frame of
/// the file has run.
unsafe fn own_place(exception: &Owned) -> Option<(String, u32)> {
    // SAFETY: attached by the callers.
    unsafe {
        attribute(exception, c"print_file_and_line")?;
        let file = attribute(exception, c"filename")?;
        let line = attribute(exception, c"lineno")?;
        if PyUnicode_Check(file.as_ptr()) == 0 {
            return None;
        }
        Some((str_lossy(file.as_ptr()), number(&line)))
    }
}

unsafe fn traceback_place(exception: &Owned, mode: &str) -> Option<(String, u32)> {
    // SAFETY: attached by the callers; a traceback's chain ends in None.
    unsafe {
        let mut next = attribute(exception, c"__traceback__")?;
        let (mut innermost, mut in_mode) = (None, None);
        while next.as_ptr() != Py_None() {
            let code = attribute(&attribute(&next, c"tb_frame")?, c"f_code")?;
            let file = attribute(&code, c"co_filename")?;
            let file = str_lossy(file.as_ptr());
            let line = number(&attribute(&next, c"tb_lineno")?);
            if file.starts_with(mode) {
                in_mode = Some((file.clone(), line));
            }
            innermost = Some((file, line));
            next = attribute(&next, c"tb_next")?;
        }
        in_mode.or(innermost)
    }
}

unsafe fn format_exception(exception: &Owned) -> Option<String> {
    // SAFETY: attached by the callers; every result is owned.
    unsafe {
        let module = Owned::from_new(PyImport_ImportModule(c"traceback".as_ptr())).ok()?;
        let format = attribute(&module, c"format_exception")?;
        let lines = PyObject_CallOneArg(format.as_ptr(), exception.as_ptr());
        let lines = Owned::from_new(lines).ok()?;
        let empty = Owned::from_new(PyUnicode_FromStringAndSize(std::ptr::null(), 0)).ok()?;
        let text = Owned::from_new(PyUnicode_Join(empty.as_ptr(), lines.as_ptr())).ok()?;
        Some(traceback::without_importers(
            str_lossy(text.as_ptr()).trim_end(),
        ))
    }
}
