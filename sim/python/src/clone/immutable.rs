//! Which values never change.

use pyo3_ffi::*;

use super::DEPTH_MAX;
use crate::vec3;

/// Whether a value and all that it holds never change and look the same after a clone, so that the
/// object itself may stay where its clone would do.
///
/// A frozenset with elements isn't such a value: the order in which it iterates depends on how
/// it was made.
///
/// # Safety
/// `value` is an object of the interpreter that this thread is attached to.
pub(crate) unsafe fn is_immutable(value: *mut PyObject) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { check(value, DEPTH_MAX) }
}

unsafe fn check(value: *mut PyObject, depth: u32) -> bool {
    // SAFETY: each type is checked before its objects are taken apart.
    unsafe {
        let ty = Py_TYPE(value);
        let plain = [
            &raw mut PyFloat_Type,
            &raw mut PyLong_Type,
            &raw mut PyUnicode_Type,
            &raw mut PyBool_Type,
            &raw mut PyBytes_Type,
        ];
        if value == Py_None() || plain.contains(&ty) || vec3::get(value).is_some() {
            return true;
        }
        if depth == 0 {
            return false;
        }
        if ty == &raw mut PyTuple_Type {
            return (0..PyTuple_GET_SIZE(value))
                .all(|at| check(PyTuple_GET_ITEM(value, at), depth - 1));
        }
        if ty == &raw mut PyFrozenSet_Type {
            return PySet_GET_SIZE(value) == 0;
        }
        false
    }
}
