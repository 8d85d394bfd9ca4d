//! Random numbers of the acting entity: see [`crate::rng`].

use pyo3_ffi::*;

use crate::args;
use crate::context;
use crate::py::{Owned, PyResult, raise, returned};
use crate::rng::Draws;
use crate::value;

/// Draws for `object`, if it may.
unsafe fn draw<T>(object: *mut PyObject, body: impl FnOnce(&mut Draws) -> T) -> PyResult<T> {
    context::with(|context| {
        let actor = context.acting(object)?;
        Ok(body(&mut actor.draws.borrow_mut()))
    })
}

/// `entity.random()`.
pub(super) unsafe extern "C" fn random(
    object: *mut PyObject,
    _none: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached.
    returned(unsafe {
        draw(object, Draws::random).and_then(|number| Owned::from_new(PyFloat_FromDouble(number)))
    })
}

/// `entity.uniform(a, b)`.
pub(super) unsafe extern "C" fn uniform(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached, with `count` arguments.
    returned(unsafe {
        (|| {
            let arguments = args::Arguments::new(arguments, count, std::ptr::null_mut());
            let [a, b] = arguments.bind("uniform", ["a", "b"], 2)?;
            let (a, b) = (
                args::number("uniform", "a", a)?,
                args::number("uniform", "b", b)?,
            );
            if !(b - a).is_finite() {
                let message = "uniform: a and b are too far apart: b - a must be a finite float";
                return Err(raise(PyExc_ValueError, message));
            }
            let number = draw(object, |draws| draws.uniform(a, b))?;
            Owned::from_new(PyFloat_FromDouble(number))
        })()
    })
}

/// `entity.randrange(n)`.
pub(super) unsafe extern "C" fn randrange(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached, with `count` arguments.
    returned(unsafe {
        (|| {
            let arguments = args::Arguments::new(arguments, count, std::ptr::null_mut());
            let [n] = arguments.bind("randrange", ["n"], 1)?;
            let n = value::int(n, 1, i64::MAX).map_err(|_| {
                raise(
                    PyExc_ValueError,
                    "randrange: n must be an int from 1 to 9223372036854775807 (2**63 - 1)",
                )
            })?;
            let number = draw(object, |draws| draws.below(n as u64))?;
            Owned::from_new(PyLong_FromUnsignedLongLong(number))
        })()
    })
}
