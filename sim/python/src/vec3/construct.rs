//! `Vec3(x, y, z)`.

use std::ptr::null_mut;
use std::slice;

use pyo3_ffi::*;

use super::{new, scalar};
use crate::describe::type_name;
use crate::py::{PyResult, Raised, raise};

const NAMES: [&str; 3] = ["x", "y", "z"];

/// The constructor as `type.__call__` uses it: no tuple is made of the arguments.
pub(super) unsafe extern "C" fn vectorcall(
    ty: *mut PyObject,
    args: *const *mut PyObject,
    count: usize,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with `ty` ours, `args` that many arguments followed by one for each
    // name in `keywords`, which is null or a tuple of str.
    unsafe {
        let count = PyVectorcall_NARGS(count) as usize;
        let mut v = [0.0; 3];
        if take_positional(slice_of(args, count), &mut v).is_err() {
            return null_mut();
        }
        if !keywords.is_null() {
            for at in 0..PyTuple_GET_SIZE(keywords) {
                let name = PyTuple_GET_ITEM(keywords, at);
                if take_keyword(name, *args.add(count + at as usize), count, &mut v).is_err() {
                    return null_mut();
                }
            }
        }
        new(ty.cast(), v)
    }
}

/// The constructor for callers that come with a tuple, such as `Vec3.__new__`.
pub(super) unsafe extern "C" fn tp_new(
    ty: *mut PyTypeObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with `args` a tuple and `keywords` null or a dict with str as keys.
    unsafe {
        let count = PyTuple_GET_SIZE(args);
        let positional: Vec<_> = (0..count).map(|at| PyTuple_GET_ITEM(args, at)).collect();
        let mut v = [0.0; 3];
        if take_positional(&positional, &mut v).is_err() {
            return null_mut();
        }
        let (mut at, mut name, mut value) = (0, null_mut(), null_mut());
        while !keywords.is_null() && PyDict_Next(keywords, &mut at, &mut name, &mut value) != 0 {
            if take_keyword(name, value, positional.len(), &mut v).is_err() {
                return null_mut();
            }
        }
        new(ty, v)
    }
}

/// # Safety
/// `args` points to `count` objects; it may be null if there are none.
unsafe fn slice_of<'a>(args: *const *mut PyObject, count: usize) -> &'a [*mut PyObject] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts(args, count) }
}

unsafe fn take_positional(args: &[*mut PyObject], v: &mut [f64; 3]) -> PyResult<()> {
    // SAFETY: the callers pass arguments that CPython gave them.
    unsafe {
        if args.len() > 3 {
            let message = format!("Vec3() takes at most 3 arguments, not {}", args.len());
            return Err(raise(PyExc_TypeError, &message));
        }
        for (at, &arg) in args.iter().enumerate() {
            v[at] = number(arg, NAMES[at])?;
        }
        Ok(())
    }
}

unsafe fn take_keyword(
    name: *mut PyObject,
    value: *mut PyObject,
    positional: usize,
    v: &mut [f64; 3],
) -> PyResult<()> {
    // SAFETY: the callers pass names, which are str, and values that CPython gave them.
    unsafe {
        let mut len = 0;
        let text = PyUnicode_AsUTF8AndSize(name, &mut len);
        if text.is_null() {
            return Err(Raised);
        }
        let text = slice::from_raw_parts(text.cast::<u8>(), len as usize);
        match NAMES.iter().position(|known| known.as_bytes() == text) {
            Some(at) if at >= positional => {
                v[at] = number(value, NAMES[at])?;
                Ok(())
            }
            Some(at) => {
                let message = format!("Vec3() got {} twice", NAMES[at]);
                Err(raise(PyExc_TypeError, &message))
            }
            None => {
                let name = String::from_utf8_lossy(text);
                let message = format!("Vec3() has no argument {name}: x, y, z");
                Err(raise(PyExc_TypeError, &message))
            }
        }
    }
}

unsafe fn number(object: *mut PyObject, name: &str) -> PyResult<f64> {
    // SAFETY: the object comes from CPython; a type's name is a C string.
    unsafe {
        if let Some(value) = scalar(object) {
            return Ok(value);
        }
        if PyErr_Occurred().is_null() {
            let ty = type_name(object);
            let message = format!("Vec3(): {name} must be a number, not {ty}");
            raise(PyExc_TypeError, &message);
        }
        Err(Raised)
    }
}
