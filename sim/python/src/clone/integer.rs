//! The number inside a small `int`, which CPython's API gives by a call.

use pyo3_ffi::*;

/// Whether the layout below is that of the CPython we are built for: it was compared with the headers of
/// 3.13 and 3.14 (`Include/cpython/longintrepr.h`).
const KNOWN: bool = cfg!(not(Py_3_15));
/// Tags below this are of ints of at most one digit: `2 << NON_SIZE_BITS`.
const COMPACT_END: usize = 2 << 3;
/// The part of a tag that is one less the sign.
const SIGN_MASK: usize = 3;

/// CPython's `PyLongObject`, up to its first digit.
#[repr(C)]
struct Int {
    head: PyObject,
    tag: usize,
    digit: u32,
}

/// The value of an `int` of at most 30 bits.
///
/// # Safety
/// `object` is an `int` of the attached interpreter.
#[inline]
pub(super) unsafe fn compact(object: *mut PyObject) -> Option<i64> {
    // SAFETY: the struct is laid out like CPython's, and every `int` has a first digit.
    unsafe {
        let int = &*object.cast::<Int>();
        let sign = 1 - (int.tag & SIGN_MASK) as i64;
        (KNOWN && int.tag < COMPACT_END).then(|| sign * i64::from(int.digit))
    }
}
