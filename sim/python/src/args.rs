//! Arguments of native functions, by position or by name.

use std::ffi::CString;

use pyo3_ffi::*;
use tessera_protocol::ids::EntityId;

use crate::context;
use crate::native::TypeId;
use crate::py::{PyResult, Raised, raise};
use crate::value::{self, bad_argument, str_lossy};

/// What a native function was called with.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    positional: &'a [*mut PyObject],
    /// Values of `names`, which is null or a tuple of `str`.
    keywords: &'a [*mut PyObject],
    names: *mut PyObject,
}

/// What CPython passes to a `METH_FASTCALL` function. With no arguments the pointer may be null.
///
/// # Safety
/// They are just that, and live for `'a`.
pub(crate) unsafe fn positional<'a>(
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
) -> &'a [*mut PyObject] {
    match count {
        0 => &[],
        // SAFETY: by the caller's promise.
        _ => unsafe { std::slice::from_raw_parts(arguments, count as usize) },
    }
}

impl<'a> Arguments<'a> {
    /// From what CPython passes to a `METH_FASTCALL | METH_KEYWORDS` function.
    ///
    /// # Safety
    /// They are just that, and live for `'a`.
    pub(crate) unsafe fn new(
        arguments: *const *mut PyObject,
        count: Py_ssize_t,
        names: *mut PyObject,
    ) -> Self {
        // SAFETY: by the caller's promise.
        unsafe {
            let count = count as usize;
            let named = if names.is_null() {
                0
            } else {
                PyTuple_GET_SIZE(names) as usize
            };
            let all = positional(arguments, (count + named) as Py_ssize_t);
            let (positional, keywords) = all.split_at(count);
            Self {
                positional,
                keywords,
                names,
            }
        }
    }

    /// The positional arguments.
    pub(crate) fn positional(&self) -> &'a [*mut PyObject] {
        self.positional
    }

    /// The keyword arguments: name and value.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = (*mut PyObject, *mut PyObject)> {
        let names = self.names;
        self.keywords.iter().enumerate().map(move |(at, value)| {
            // SAFETY: there is a name for each value.
            (unsafe { PyTuple_GET_ITEM(names, at as Py_ssize_t) }, *value)
        })
    }

    /// The arguments called `names`, of which the first `required` must be there; others are null
    /// where they are not.
    ///
    /// # Errors
    /// Raises a `TypeError` where one is missing, given twice, or not known.
    ///
    /// # Safety
    /// Attached.
    pub(crate) unsafe fn bind<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> PyResult<[*mut PyObject; N]> {
        let mut bound = [std::ptr::null_mut(); N];
        if self.positional.len() > N {
            let message = format!(
                "{function} takes at most {N} arguments: {}",
                names.join(", ")
            );
            // SAFETY: attached.
            return Err(unsafe { raise(PyExc_TypeError, &message) });
        }
        bound[..self.positional.len()].copy_from_slice(self.positional);
        for (name, value) in self.keywords() {
            // SAFETY: attached, `name` is a str.
            let at = names.iter().position(|known| unsafe { is(name, known) });
            match at {
                Some(at) if bound[at].is_null() => bound[at] = value,
                // SAFETY: as above.
                _ => return Err(unsafe { unexpected(function, name, at.is_some(), &names) }),
            }
        }
        if let Some(missing) = bound[..required].iter().position(|value| value.is_null()) {
            let message = format!("{function} needs an argument for {}", names[missing]);
            // SAFETY: attached.
            return Err(unsafe { raise(PyExc_TypeError, &message) });
        }
        Ok(bound)
    }
}

unsafe fn is(name: *mut PyObject, known: &str) -> bool {
    // SAFETY: attached, `name` is a str, by the caller; pointer and length are those of a slice.
    unsafe {
        PyUnicode_EqualToUTF8AndSize(name, known.as_ptr().cast(), known.len() as Py_ssize_t) == 1
    }
}

#[cold]
unsafe fn unexpected(function: &str, name: *mut PyObject, twice: bool, names: &[&str]) -> Raised {
    // SAFETY: attached, `name` is a str, by the caller.
    unsafe {
        let name = str_lossy(name);
        let message = match twice {
            true => format!("{function} got {name} twice"),
            false => format!(
                "{function} has no argument {name}; it takes {}",
                names.join(", ")
            ),
        };
        raise(PyExc_TypeError, &message)
    }
}

/// An entity's id.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
pub(crate) unsafe fn entity(
    function: &str,
    argument: &str,
    value: *mut PyObject,
) -> PyResult<EntityId> {
    // SAFETY: by the caller's promise.
    unsafe {
        value::int(value, 0, u32::MAX.into())
            .map(|id| EntityId(id as u32))
            .map_err(|_| {
                let takes = match crate::entity::id_of(value) {
                    Some(_) => "an entity's id (pass its .id)",
                    None => "an entity's id",
                };
                bad_argument(function, argument, takes, value)
            })
    }
}

/// A finite number.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// As for [`entity`].
pub(crate) unsafe fn number(function: &str, argument: &str, value: *mut PyObject) -> PyResult<f64> {
    // SAFETY: by the caller's promise.
    unsafe {
        value::float(value).map_err(|_| bad_argument(function, argument, "a finite number", value))
    }
}

/// A finite number of at least 0.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// As for [`entity`].
pub(crate) unsafe fn length(function: &str, argument: &str, value: *mut PyObject) -> PyResult<f64> {
    // SAFETY: by the caller's promise.
    unsafe {
        match value::float(value) {
            Ok(number) if number >= 0.0 => Ok(number),
            _ => Err(bad_argument(
                function,
                argument,
                "a finite number of at least 0",
                value,
            )),
        }
    }
}

/// A finite `Vec3`.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// As for [`entity`].
pub(crate) unsafe fn vector(
    function: &str,
    argument: &str,
    value: *mut PyObject,
) -> PyResult<glam::DVec3> {
    // SAFETY: by the caller's promise.
    unsafe {
        match value::vector(value) {
            Ok(vector) => Ok(vector.into()),
            Err(_) => Err(bad_argument(
                function,
                argument,
                "a Vec3 of finite floats",
                value,
            )),
        }
    }
}

/// A name: a `str` of 1 to `max` bytes.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// As for [`entity`]; the text is kept alive by `value`.
pub(crate) unsafe fn name<'a>(
    function: &str,
    value: *mut PyObject,
    max: usize,
) -> PyResult<&'a str> {
    // SAFETY: by the caller's promise; `text` returns UTF-8.
    unsafe {
        match value::text(value, max) {
            Ok(name) if !name.is_empty() => Ok(std::str::from_utf8_unchecked(name)),
            _ => {
                let takes = format!("a str of 1 to {max} bytes");
                Err(bad_argument(function, "name", &takes, value))
            }
        }
    }
}

/// A kind, or a tuple of kinds: bit k set where kind k is one of them or derived from one.
///
/// # Errors
/// Raises a `TypeError`.
///
/// # Safety
/// As for [`entity`].
pub(crate) unsafe fn family(
    function: &str,
    argument: &str,
    kinds: &crate::kinds::Kinds,
    value: *mut PyObject,
) -> PyResult<u64> {
    // SAFETY: by the caller's promise; items of a tuple are alive while it is.
    unsafe {
        let refuse = |value| {
            bad_argument(
                function,
                argument,
                "a kind (a class of entities) or a tuple of them",
                value,
            )
        };
        let of_class = |value| match kinds.family(value) {
            // No entity can be an int; but a kind that nothing derives from may be asked for.
            Some(0) if !is_entity_class(value) => Err(refuse(value)),
            family => family.ok_or_else(|| refuse(value)),
        };
        if PyTuple_Check(value) == 0 {
            return of_class(value);
        }
        let count = PyTuple_GET_SIZE(value);
        if count == 0 {
            return Err(refuse(value));
        }
        let mut family = 0;
        for at in 0..count {
            family |= of_class(PyTuple_GET_ITEM(value, at))?;
        }
        Ok(family)
    }
}

/// Whether a class is `Entity` or derived from it.
unsafe fn is_entity_class(class: *mut PyObject) -> bool {
    let entity = context::with(|context| context.types.get()[TypeId::Entity as usize]);
    // SAFETY: attached, and a type, by the caller.
    unsafe { PyType_IsSubtype(class.cast(), entity) != 0 }
}

/// `text` as a C string, for names that are known to hold no NUL.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
