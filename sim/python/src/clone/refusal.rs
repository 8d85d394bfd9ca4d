//! Why a value can't be cloned, and the way to it.

use pyo3_ffi::*;

use super::{CLONE_BYTES_MAX, DEPTH_MAX, INT_BYTES_MAX, Types};
use crate::describe::{self, type_name};
use crate::py::{Raised, raise};

/// What a value is cloned for; words the error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// An argument of a message.
    Send,
    /// The value of an `object` field.
    Keep,
}

impl Purpose {
    fn verb(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Keep => "keep",
        }
    }

    fn refused(self) -> &'static str {
        match self {
            Self::Send => "can't be sent",
            Self::Keep => "can't be kept in a field",
        }
    }
}

/// A value that can't be cloned. Steps are added on the way out, innermost first: a value that can be
/// cloned pays nothing for them.
pub(super) struct Refusal {
    reason: String,
    steps: Vec<String>,
}

impl Refusal {
    #[cold]
    pub(super) fn new(reason: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            reason: reason.into(),
            steps: Vec::new(),
        })
    }

    /// Says that the value is item `at` of a list or tuple.
    #[cold]
    pub(super) fn at(mut self: Box<Self>, at: usize) -> Box<Self> {
        self.steps.push(format!("[{at}]"));
        self
    }

    /// Says that the value is under `key` in a dict.
    ///
    /// # Safety
    /// The key can be cloned, so that its `repr` runs no script.
    #[cold]
    pub(super) unsafe fn under(mut self: Box<Self>, key: *mut PyObject) -> Box<Self> {
        // SAFETY: by the caller's promise. A str is quoted as scripts quote it most.
        let key = unsafe { describe::value(key) };
        let quotes = key
            .strip_prefix('\'')
            .and_then(|key| key.strip_suffix('\''));
        self.steps.push(match quotes {
            Some(text) if !text.contains(['"', '\\']) => format!("[\"{text}\"]"),
            _ => format!("[{key}]"),
        });
        self
    }

    /// Says that the value is in a key of a dict or an element of a set.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, place: &str) -> Box<Self> {
        self.steps.push(format!(" ({place})"));
        self
    }

    /// Raises it as a `TypeError`, `root` being what the way begins with.
    #[cold]
    pub(super) fn raise(self, root: &str) -> Raised {
        let way: String = self.steps.into_iter().rev().collect();
        // SAFETY: refusals come from encoding, on an attached thread.
        unsafe { raise(PyExc_TypeError, &format!("{root}{way}: {}", self.reason)) }
    }
}

/// Why an object of a type that isn't cloned is refused.
///
/// # Safety
/// `object` is an object of the interpreter that the types belong to and this thread is attached to.
#[cold]
pub(super) unsafe fn of_type(
    object: *mut PyObject,
    types: &Types,
    purpose: Purpose,
) -> Box<Refusal> {
    let (verb, refused) = (purpose.verb(), purpose.refused());
    // SAFETY: by the caller's promise; only types are looked at.
    unsafe {
        let name = type_name(object);
        let is = |ty: *mut PyTypeObject| PyObject_TypeCheck(object, ty) != 0;
        if !types.entity.is_null() && is(types.entity) {
            return Refusal::new(format!("{name} {refused}: {verb} its .id"));
        }
        if is(&raw mut PyByteArray_Type) {
            return Refusal::new(format!("{name} {refused}: {verb} bytes(...) of it"));
        }
        if is(&raw mut PyType_Type) || PyCallable_Check(object) != 0 {
            return Refusal::new(format!("{name} {refused}: {verb} a name and look it up"));
        }
        for (base, plain) in [
            (&raw mut PyLong_Type, "int"),
            (&raw mut PyFloat_Type, "float"),
            (&raw mut PyUnicode_Type, "str"),
            (&raw mut PyBytes_Type, "bytes"),
            (&raw mut PyTuple_Type, "tuple"),
            (&raw mut PyList_Type, "list"),
            (&raw mut PyDict_Type, "dict"),
            (&raw mut PySet_Type, "set"),
            (&raw mut PyFrozenSet_Type, "frozenset"),
        ] {
            if is(base) {
                let reason =
                    format!("{name}, a subclass of {plain}, {refused}: {verb} {plain}(...)");
                return Refusal::new(reason);
            }
        }
        Refusal::new(format!(
            "{name} {refused}: only None, bool, int, float, str, bytes, tuple, list, dict, set, \
             frozenset and Vec3 can"
        ))
    }
}

/// The `int` is too large.
#[cold]
pub(super) fn int() -> Box<Refusal> {
    Refusal::new(format!("an int of more than {INT_BYTES_MAX} bytes"))
}

/// The `str` has no UTF-8.
#[cold]
pub(super) fn surrogates() -> Box<Refusal> {
    Refusal::new("a str with lone surrogates, which is no text")
}

/// Containers are nested too deeply.
#[cold]
pub(super) fn depth() -> Box<Refusal> {
    Refusal::new(format!("nested more than {DEPTH_MAX} deep"))
}

/// The clone is too large.
#[cold]
pub(super) fn size(purpose: Purpose) -> Box<Refusal> {
    let hint = match purpose {
        Purpose::Send => ": send large data as bytes, which cross without a copy",
        Purpose::Keep => "",
    };
    Refusal::new(format!("more than {CLONE_BYTES_MAX} bytes of values{hint}"))
}

/// NaN where it would be hashed.
#[cold]
pub(super) fn nan_hashed() -> Box<Refusal> {
    Refusal::new("NaN can't be a key or in a set: Python hashes it by its address")
}

/// NaN in a field.
#[cold]
pub(super) fn nan_kept() -> Box<Refusal> {
    Refusal::new("NaN can't be kept in a field: keep None, or another number that says it")
}

/// A list in a field that contains itself.
#[cold]
pub(super) fn cycle() -> Box<Refusal> {
    Refusal::new(
        "a list that contains itself can't be kept in a field, since others see it as a tuple: \
         use a dict",
    )
}
