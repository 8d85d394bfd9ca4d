//! The object protocol: text, hash, equality, and unpacking as a sequence of three.

use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

use pyo3_ffi::*;

use super::get;

/// `Vec3(1.0, 2.5, -0.0)`: what would make an equal one.
pub(super) unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with a `Vec3`; the texts of doubles are freed as they are read.
    unsafe {
        let mut text = String::from("Vec3(");
        for (at, c) in get(object).unwrap_or_default().into_iter().enumerate() {
            let digits = PyOS_double_to_string(c, b'r' as _, 0, Py_DTSF_ADD_DOT_0, null_mut());
            if digits.is_null() {
                return null_mut();
            }
            text.push_str(if at == 0 { "" } else { ", " });
            text.push_str(&CStr::from_ptr(digits).to_string_lossy());
            PyMem_Free(digits.cast());
        }
        text.push(')');
        PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as Py_ssize_t)
    }
}

/// By value, since the order of a set follows from its hashes: no address may come in.
pub(super) unsafe extern "C" fn hash(object: *mut PyObject) -> Py_hash_t {
    // SAFETY: called by CPython with a `Vec3`.
    let v = unsafe { get(object) }.unwrap_or_default();
    // 0.0 and -0.0 are equal: adding zero makes them one.
    hash_bits(v.into_iter().map(|c| (c + 0.0).to_bits()))
}

/// A hash for CPython of some words.
pub(crate) fn hash_bits(words: impl IntoIterator<Item = u64>) -> Py_hash_t {
    let mixed = words.into_iter().fold(0, |mixed, word| mix(mixed ^ word));
    match mixed as Py_hash_t {
        -1 => -2, // -1 means an exception
        hash => hash,
    }
}

/// The finaliser of MurmurHash3 (Appleby, 2011): each bit in moves half of the bits out.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

pub(super) unsafe extern "C" fn richcompare(
    a: *mut PyObject,
    b: *mut PyObject,
    op: c_int,
) -> *mut PyObject {
    // SAFETY: called by CPython with two live objects.
    unsafe {
        match (get(a), get(b)) {
            (Some(u), Some(v)) if op == Py_EQ => PyBool_FromLong((u == v).into()),
            (Some(u), Some(v)) if op == Py_NE => PyBool_FromLong((u != v).into()),
            _ => Py_NewRef(Py_NotImplemented()),
        }
    }
}

/// `x, y, z = vector`.
pub(super) unsafe extern "C" fn iter(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with a `Vec3`; a tuple that can't be filled is released.
    unsafe {
        let tuple = PyTuple_New(3);
        if tuple.is_null() {
            return null_mut();
        }
        for (at, c) in get(object).unwrap_or_default().into_iter().enumerate() {
            let c = PyFloat_FromDouble(c);
            if c.is_null() {
                Py_DECREF(tuple);
                return null_mut();
            }
            PyTuple_SET_ITEM(tuple, at as Py_ssize_t, c);
        }
        let iter = PyObject_GetIter(tuple);
        Py_DECREF(tuple);
        iter
    }
}

pub(super) unsafe extern "C" fn length(_: *mut PyObject) -> Py_ssize_t {
    3
}

pub(super) unsafe extern "C" fn item(object: *mut PyObject, at: Py_ssize_t) -> *mut PyObject {
    // SAFETY: called by CPython with a `Vec3`; it has added the length to a negative index.
    unsafe {
        let v = get(object).unwrap_or_default();
        match usize::try_from(at).ok().and_then(|at| v.get(at)) {
            Some(&c) => PyFloat_FromDouble(c),
            None => {
                PyErr_SetString(PyExc_IndexError, c"a Vec3 has 3 components".as_ptr());
                null_mut()
            }
        }
    }
}
