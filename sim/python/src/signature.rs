//! Whether a function can be called as the engine calls a hook, and what is told of one that can't.

use std::ffi::{CStr, CString};
use std::fmt;

use pyo3_ffi::*;

use crate::error::{attribute, number};
use crate::py::{Owned, PyResult, Raised};
use crate::register;
use crate::value::str_lossy;

/// How the engine calls a hook.
pub(crate) struct Signature {
    /// What it gives after the entity, as the guide names it.
    arguments: &'static [&'static str],
    /// Whether what a script sends comes after that.
    more: bool,
}

impl Signature {
    pub(crate) const TICK: Self = Self::exactly(&["dt"]);
    pub(crate) const COMMAND: Self = Self::exactly(&["cmd"]);
    pub(crate) const LIFECYCLE: Self = Self::exactly(&[]);
    pub(crate) const JOIN: Self = Self::exactly(&["sender", "client", "name"]);
    pub(crate) const LEAVE: Self = Self::exactly(&["sender", "client"]);
    pub(crate) const MESSAGE: Self = Self {
        arguments: &["sender"],
        more: true,
    };

    const fn exactly(arguments: &'static [&'static str]) -> Self {
        Self {
            arguments,
            more: false,
        }
    }

    /// Raises where the method `kind.method` can't be called so, or would do nothing.
    ///
    /// # Safety
    /// Attached; `function` is a Python function.
    pub(crate) unsafe fn check(&self, kind: &str, method: &str, function: &Owned) -> PyResult<()> {
        // SAFETY: by the caller's promise; a function has code.
        unsafe {
            let code = Owned::from_borrowed(PyFunction_GetCode(function.as_ptr()));
            // A generator or coroutine would never run: nobody awaits a hook.
            if flags(&code) & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR) != 0 {
                let message = format!(
                    "{kind}.{method} is a generator or async, which the engine would never run: make it \
                     a plain method"
                );
                return Err(refuse(&code, &message));
            }
            if !self.fits(function, &code) {
                let message = format!(
                    "{kind}.{method} can't be called as the engine calls it: write def {method}{self}"
                );
                return Err(refuse(&code, &message));
            }
        }
        Ok(())
    }

    /// Whether a call with the entity and the arguments finds a parameter for each, and an argument for
    /// each parameter.
    unsafe fn fits(&self, function: &Owned, code: &Owned) -> bool {
        // SAFETY: attached, by the caller; defaults are borrowed, or null where there are none.
        unsafe {
            let positional = count(code, c"co_argcount");
            let keywords = count(code, c"co_kwonlyargcount");
            let defaults = size(PyFunction_GetDefaults(function.as_ptr()));
            let keyword_defaults = size(PyFunction_GetKwDefaults(function.as_ptr()));
            let given = 1 + self.arguments.len();
            let takes_all = positional >= given || flags(code) & CO_VARARGS != 0;
            let needs_no_more = self.more || positional <= given + defaults;
            takes_all && needs_no_more && keywords <= keyword_defaults
        }
    }
}

/// The parameters, as a script declares them.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(self")?;
        for argument in self.arguments {
            write!(f, ", {argument}")?;
        }
        write!(f, "{})", if self.more { ", ..." } else { "" })
    }
}

unsafe fn flags(code: &Owned) -> i32 {
    // SAFETY: attached, by the callers.
    unsafe { count(code, c"co_flags") as i32 }
}

/// A number that a code object has.
unsafe fn count(code: &Owned, name: &CStr) -> usize {
    // SAFETY: attached, by the callers.
    unsafe { attribute(code, name).map_or(0, |value| number(&value) as usize) }
}

/// How many defaults there are: in a tuple or a dict, or none where that is null.
unsafe fn size(defaults: *mut PyObject) -> usize {
    if defaults.is_null() {
        return 0;
    }
    // SAFETY: attached, by the caller; a live object.
    usize::try_from(unsafe { PyObject_Size(defaults) }).unwrap_or(0)
}

/// Raises with the place of a function, no frame of which runs.
#[cold]
unsafe fn refuse(code: &Owned, message: &str) -> Raised {
    // SAFETY: attached, by the callers; the exception is set before it is given its place.
    unsafe {
        let file = attribute(code, c"co_filename").map(|file| str_lossy(file.as_ptr()));
        let file = CString::new(file.unwrap_or_default()).unwrap_or_default();
        let line = count(code, c"co_firstlineno");
        let raised = register::refuse(message);
        PyErr_SyntaxLocationEx(file.as_ptr(), line as i32, 0);
        raised
    }
}
