//! Objects in the words of error messages.

use std::ffi::CStr;
use std::slice;

use pyo3_ffi::*;

/// Longest text of a value in a message, in characters.
const VALUE_CHARS_MAX: usize = 40;

/// The name of an object's type, without its module.
///
/// # Safety
/// `object` is an object of the interpreter that this thread is attached to.
pub(crate) unsafe fn type_name(object: *mut PyObject) -> String {
    // SAFETY: a type's name is a C string that lives as long as the type.
    let name = unsafe { CStr::from_ptr((*Py_TYPE(object)).tp_name) }.to_string_lossy();
    name.rsplit('.').next().unwrap_or(&name).to_owned()
}

/// The `repr` of a value, cut short. Only for values made of built-in types, whose `repr` runs no
/// script.
///
/// # Safety
/// As for [`type_name`]; no exception is set.
pub(crate) unsafe fn value(object: *mut PyObject) -> String {
    // SAFETY: the text lives in `repr`, which is released after it has been read.
    unsafe {
        let repr = PyObject_Repr(object);
        let text = text(repr);
        Py_XDECREF(repr);
        let Some(text) = text else {
            PyErr_Clear();
            return type_name(object);
        };
        if text.chars().nth(VALUE_CHARS_MAX).is_none() {
            return text;
        }
        text.chars()
            .take(VALUE_CHARS_MAX - 1)
            .chain(['…'])
            .collect()
    }
}

unsafe fn text(object: *mut PyObject) -> Option<String> {
    // SAFETY: null is what a failed `repr` returned; CPython's text lives as long as the object.
    unsafe {
        if object.is_null() {
            return None;
        }
        let mut len = 0;
        let text = PyUnicode_AsUTF8AndSize(object, &mut len);
        if text.is_null() {
            return None;
        }
        let text = slice::from_raw_parts(text.cast::<u8>(), len as usize);
        Some(String::from_utf8_lossy(text).into_owned())
    }
}
