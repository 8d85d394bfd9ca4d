//! The table inside a dict, which CPython's API shows one entry a call.

use std::cell::Cell;
use std::slice;

use pyo3_ffi::*;

/// Whether the layout below is that of the CPython we are built for: it was compared with the sources
/// of 3.13 and 3.14 (`Include/internal/pycore_dict.h`).
const KNOWN: bool = cfg!(not(Py_3_15));
/// `DICT_KEYS_UNICODE`: all keys are `str`.
const UNICODE: u8 = 1;

/// CPython's `PyDictKeysObject`, before the hash table and, behind that, the entries.
#[repr(C)]
struct Keys {
    refcount: Py_ssize_t,
    log2_size: u8,
    log2_index_bytes: u8,
    kind: u8,
    version: u32,
    usable: Py_ssize_t,
    count: Py_ssize_t,
}

/// CPython's `PyDictUnicodeEntry`.
#[repr(C)]
pub(super) struct Entry {
    pub(super) key: *mut PyObject,
    pub(super) value: Cell<*mut PyObject>,
}

/// The entries of a dict in its order, if all keys are `str` and none was removed. Any other dict has to
/// be asked through the API.
///
/// # Safety
/// `dict` is a dict of the attached interpreter, and isn't changed otherwise while the entries are used.
/// A value that is put in its place comes with a reference, and the old one's goes to the caller.
#[inline]
pub(super) unsafe fn entries<'a>(dict: *mut PyObject) -> Option<&'a [Entry]> {
    // SAFETY: the structs are laid out like CPython's; a table of its own (no values beside it) that
    // holds `str` only has `count` entries behind its indices, of which none is free if so many are used.
    unsafe {
        let dict = &*dict.cast::<PyDictObject>();
        let keys = dict.ma_keys.cast::<Keys>();
        let dense = (*keys).count == dict.ma_used;
        if !KNOWN || !dict.ma_values.is_null() || (*keys).kind != UNICODE || !dense {
            return None;
        }
        let indices = keys.add(1).cast::<u8>();
        let entries = indices.add(1 << (*keys).log2_index_bytes).cast();
        Some(slice::from_raw_parts(entries, dict.ma_used as usize))
    }
}
