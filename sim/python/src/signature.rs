//! Whether a function can be called as the engine calls it, and what is told of one that can't.

use std::ffi::CStr;
use std::fmt;

use pyo3_ffi::*;

use crate::error::{attribute, number};
use crate::py::{Owned, PyResult, Raised};
use crate::register;
use crate::value::str_lossy;

/// How the engine calls a function of the mode.
pub(crate) struct Signature {
    /// What it gives, as the guide names it.
    arguments: &'static [&'static str],
    /// Whether what a script sends comes after that.
    more: bool,
}

impl Signature {
    pub(crate) const START: Self = Self::exactly(&["world"]);
    pub(crate) const TICK: Self = Self::exactly(&["self", "dt"]);
    pub(crate) const COMMAND: Self = Self::exactly(&["self", "cmd"]);
    pub(crate) const LIFECYCLE: Self = Self::exactly(&["self"]);
    pub(crate) const JOIN: Self = Self::exactly(&["self", "sender", "client", "name"]);
    pub(crate) const LEAVE: Self = Self::exactly(&["self", "sender", "client"]);
    pub(crate) const MESSAGE: Self = Self {
        arguments: &["self", "sender"],
        more: true,
    };

    const fn exactly(arguments: &'static [&'static str]) -> Self {
        Self {
            arguments,
            more: false,
        }
    }

    /// Raises where a function can't be called so, or would do nothing. It is `called` such as `A.tick`.
    ///
    /// # Safety
    /// Attached; `function` is a Python function.
    pub(crate) unsafe fn check(&self, called: &str, function: &Owned) -> PyResult<()> {
        // SAFETY: by the caller's promise; a function has code.
        unsafe {
            let code = Owned::from_borrowed(PyFunction_GetCode(function.as_ptr()));
            // A generator or coroutine would never run: nobody awaits a hook.
            if flags(&code) & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR) != 0 {
                let message = format!(
                    "{called} is a generator or async, which the engine would never run: make it a \
                     plain function"
                );
                return Err(refuse(&code, &message));
            }
            if !self.fits(function, &code) {
                let name = called.rsplit('.').next().unwrap_or(called);
                let message = format!(
                    "{called} can't be called as the engine calls it: write def {name}({self})"
                );
                return Err(refuse(&code, &message));
            }
        }
        Ok(())
    }

    /// Whether a call finds a parameter for each argument, and an argument for each parameter.
    unsafe fn fits(&self, function: &Owned, code: &Owned) -> bool {
        // SAFETY: attached, by the caller; defaults are borrowed, or null where there are none.
        unsafe {
            let positional = count(code, c"co_argcount");
            let keywords = count(code, c"co_kwonlyargcount");
            let defaults = size(PyFunction_GetDefaults(function.as_ptr()));
            let keyword_defaults = size(PyFunction_GetKwDefaults(function.as_ptr()));
            let given = self.arguments.len();
            let takes_all = positional >= given || flags(code) & CO_VARARGS != 0;
            let needs_no_more = self.more || positional <= given + defaults;
            takes_all && needs_no_more && keywords <= keyword_defaults
        }
    }
}

/// The parameters, as a script declares them.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.more { ", ..." } else { "" };
        write!(f, "{}{more}", self.arguments.join(", "))
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
    // SAFETY: attached, by the callers.
    unsafe {
        let file = attribute(code, c"co_filename").map(|file| str_lossy(file.as_ptr()));
        let line = count(code, c"co_firstlineno");
        register::refuse_at(&file.unwrap_or_default(), line, message)
    }
}
