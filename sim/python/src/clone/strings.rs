//! A cache of short strings: the names that messages and dicts repeat.

use std::ptr::null_mut;
use std::slice;

use pyo3_ffi::*;

/// Longest text that is kept, bytes.
const TEXT_BYTES_MAX: usize = 24;
/// Entries, each place for one text; a power of two.
const ENTRIES: usize = 512;

/// Short ASCII strings of one interpreter, found by their bytes.
///
/// # Invariants
/// Entries are null or owned references to compact ASCII strings. Used and dropped while the thread is
/// attached to the interpreter.
pub(super) struct Strings {
    entries: Box<[*mut PyObject; ENTRIES]>,
}

impl Strings {
    pub(super) fn new() -> Self {
        Self {
            entries: Box::new([null_mut(); ENTRIES]),
        }
    }

    /// A new reference to a `str`, or null with an exception set where the bytes aren't UTF-8.
    ///
    /// # Safety
    /// This thread is attached to the cache's interpreter.
    #[inline]
    pub(super) unsafe fn get(&mut self, text: &[u8]) -> *mut PyObject {
        if text.len() > TEXT_BYTES_MAX {
            // SAFETY: attached; the pointer and length are one slice.
            return unsafe { decode(text) };
        }
        let entry = &mut self.entries[place(text)];
        // SAFETY: by the invariant an entry is null or an ASCII string, of which the data is `len`
        // bytes behind its head.
        unsafe {
            if !entry.is_null() {
                let len = PyUnicode_GET_LENGTH(*entry) as usize;
                if slice::from_raw_parts(PyUnicode_DATA(*entry).cast::<u8>(), len) == text {
                    return Py_NewRef(*entry);
                }
            }
            replace(entry, text)
        }
    }
}

/// Decodes `text` and keeps it in `entry` if it is ASCII.
///
/// # Safety
/// As for [`Strings::get`]; the entry keeps the invariant of [`Strings`].
#[cold]
unsafe fn replace(entry: &mut *mut PyObject, text: &[u8]) -> *mut PyObject {
    // SAFETY: the entry's old string is released after the new one took its place. Interning makes the
    // string the same object as the constants in scripts, which look-ups compare first.
    unsafe {
        let mut string = decode(text);
        if !string.is_null() && PyUnicode_IS_COMPACT_ASCII(string) != 0 {
            PyUnicode_InternInPlace(&mut string);
            let old = std::mem::replace(entry, Py_NewRef(string));
            Py_XDECREF(old);
        }
        string
    }
}

unsafe fn decode(text: &[u8]) -> *mut PyObject {
    // SAFETY: attached, by the callers' promise; the pointer and length are one slice.
    unsafe {
        PyUnicode_DecodeUTF8(
            text.as_ptr().cast(),
            text.len() as Py_ssize_t,
            c"strict".as_ptr(),
        )
    }
}

/// Where a text is kept, by its first and last eight bytes.
#[inline]
fn place(text: &[u8]) -> usize {
    let len = text.len();
    let (head, tail) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => {
            let mut bytes = [0; 8];
            bytes[..len].copy_from_slice(text);
            (u64::from_le_bytes(bytes), 0)
        }
    };
    // Fibonacci hashing: the product's high bits depend on all bits of the sum.
    let mixed = (head ^ tail.rotate_left(29) ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - ENTRIES.trailing_zeros())) as usize
}

impl Drop for Strings {
    fn drop(&mut self) {
        for entry in self.entries.iter_mut() {
            // SAFETY: our reference, released on the interpreter's thread by the invariant.
            unsafe { Py_XDECREF(std::mem::replace(entry, null_mut())) }
        }
    }
}
