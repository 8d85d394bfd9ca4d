//! The number protocol: `+ -` between vectors, `* /` with a number, unary `+ -`.

use std::ptr::null_mut;

use pyo3_ffi::*;

use super::{get, new, scalar};

/// `NotImplemented`, from which Python makes a `TypeError` that names both operands.
unsafe fn not_implemented() -> *mut PyObject {
    // SAFETY: a constant of CPython; the thread is attached, as for all slots.
    unsafe { Py_NewRef(Py_NotImplemented()) }
}

/// Null if a number was too large for a double, else `NotImplemented`.
unsafe fn no_scalar() -> *mut PyObject {
    // SAFETY: the thread is attached.
    unsafe {
        if PyErr_Occurred().is_null() {
            not_implemented()
        } else {
            null_mut()
        }
    }
}

macro_rules! between_vectors {
    ($name:ident, $op:tt) => {
        pub(super) unsafe extern "C" fn $name(a: *mut PyObject, b: *mut PyObject) -> *mut PyObject {
            // SAFETY: called by CPython with two live objects, at least one of them a `Vec3`.
            unsafe {
                match (get(a), get(b)) {
                    (Some(u), Some(v)) => new(Py_TYPE(a), std::array::from_fn(|i| u[i] $op v[i])),
                    _ => not_implemented(),
                }
            }
        }
    };
}

between_vectors!(add, +);
between_vectors!(subtract, -);

/// `vector * number` and `number * vector`.
pub(super) unsafe extern "C" fn multiply(a: *mut PyObject, b: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with two live objects, at least one of them a `Vec3`.
    unsafe {
        let (vector, factor) = if get(a).is_some() { (a, b) } else { (b, a) };
        let Some(v) = get(vector) else {
            return not_implemented();
        };
        let Some(s) = scalar(factor) else {
            return no_scalar();
        };
        new(Py_TYPE(vector), v.map(|c| c * s))
    }
}

/// `vector / number`.
pub(super) unsafe extern "C" fn true_divide(a: *mut PyObject, b: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with two live objects, at least one of them a `Vec3`.
    unsafe {
        let Some(v) = get(a) else {
            return not_implemented();
        };
        let Some(s) = scalar(b) else {
            return no_scalar();
        };
        if s == 0.0 {
            PyErr_SetString(PyExc_ZeroDivisionError, c"Vec3 divided by zero".as_ptr());
            return null_mut();
        }
        new(Py_TYPE(a), v.map(|c| c / s))
    }
}

/// `-vector`.
pub(super) unsafe extern "C" fn negative(a: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with a `Vec3`.
    unsafe {
        let Some(v) = get(a) else {
            return not_implemented();
        };
        new(Py_TYPE(a), v.map(|c| -c))
    }
}

/// `+vector`.
pub(super) unsafe extern "C" fn positive(a: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with a live object.
    unsafe { Py_NewRef(a) }
}
