//! A cache of dicts by their keys, which the dicts that scripts send and keep have in common.
//!
//! To copy a dict of the same keys and put values in their place takes a small part of the time that
//! adding the keys one by one does; and where all keys are the very objects that they were before, so
//! are their bytes. A copy is what adding the keys would have made, to the size of its table: nothing
//! tells whether a dict was made from the cache.

use std::ptr::null_mut;

use pyo3_ffi::*;
use xxhash_rust::xxh3::xxh3_64;

use super::table::{self, Entry};

/// Most bytes of keys that are kept.
const BYTES_MAX: usize = 1024;
/// Places for dicts, of each of both directions; a power of two.
const PLACES: usize = 64;

/// The keys of a dict.
struct Shape {
    /// By which it is found.
    hash: u64,
    /// As [`super::wire`] has them: of encoded ones with their size in front, as they are written.
    bytes: Vec<u8>,
    /// The keys with `None` each; null until they came twice in a row. No script and no garbage collection
    /// ever sees it.
    dict: *mut PyObject,
}

/// Shapes of one interpreter.
///
/// # Invariants
/// Dicts are null or owned references that nobody else has. Used and dropped while the thread is
/// attached to the interpreter.
#[derive(Default)]
pub(super) struct Shapes {
    /// None until there is something to keep.
    places: Vec<Shape>,
}

impl Shapes {
    fn place(&mut self, hash: u64) -> Option<&mut Shape> {
        let at = hash >> (64 - PLACES.trailing_zeros());
        self.places.get_mut(at as usize)
    }

    /// A dict of the keys that have these bytes, with `None` each: a new reference, or null where none is
    /// known.
    ///
    /// # Safety
    /// By the invariants.
    pub(super) unsafe fn copy(&mut self, bytes: &[u8]) -> *mut PyObject {
        let Some(shape) = self.place(xxh3_64(bytes)) else {
            return null_mut();
        };
        if shape.dict.is_null() || shape.bytes != bytes {
            return null_mut();
        }
        // SAFETY: attached; our reference keeps the dict.
        unsafe {
            let copy = PyDict_Copy(shape.dict);
            if copy.is_null() {
                PyErr_Clear();
            }
            copy
        }
    }

    /// Keeps what [`Self::copy`] didn't find, if it is the second time.
    ///
    /// # Safety
    /// By the invariants; `dict` has the keys that have these bytes.
    #[cold]
    pub(super) unsafe fn learn(&mut self, bytes: &[u8], dict: *mut PyObject) {
        // SAFETY: by the caller's promise.
        unsafe { self.keep(xxh3_64(bytes), bytes, dict) }
    }

    /// The bytes of the keys of these entries.
    ///
    /// # Safety
    /// By the invariants; the entries are of a dict of the interpreter.
    pub(super) unsafe fn bytes(&mut self, entries: &[Entry]) -> Option<&[u8]> {
        let shape = self.place(hash_of(entries))?;
        if shape.dict.is_null() {
            return None;
        }
        // SAFETY: attached; the dict isn't changed. Since it holds its keys, what has the address of one
        // is the same `str`.
        let known = unsafe { table::entries(shape.dict) }?;
        let same =
            known.len() == entries.len() && known.iter().zip(entries).all(|(a, b)| a.key == b.key);
        same.then_some(&shape.bytes)
    }

    /// Keeps what [`Self::bytes`] didn't find, if it is the second time.
    ///
    /// # Safety
    /// By the invariants; the entries are of `dict`, and their keys have these bytes.
    #[cold]
    pub(super) unsafe fn learn_bytes(
        &mut self,
        entries: &[Entry],
        bytes: &[u8],
        dict: *mut PyObject,
    ) {
        // SAFETY: by the caller's promise.
        unsafe { self.keep(hash_of(entries), bytes, dict) }
    }

    unsafe fn keep(&mut self, hash: u64, bytes: &[u8], dict: *mut PyObject) {
        // SAFETY: by the caller's promise.
        if bytes.len() > BYTES_MAX || unsafe { table::entries(dict) }.is_none() {
            return;
        }
        self.places.resize_with(PLACES, || Shape {
            hash: 0,
            bytes: Vec::new(),
            dict: null_mut(),
        });
        let Some(shape) = self.place(hash) else {
            return;
        };
        let again = shape.hash == hash && shape.dict.is_null();
        shape.hash = hash;
        shape.bytes.clear();
        // SAFETY: attached, by the caller; the old dict is released after its place was taken.
        unsafe {
            let mut kept = null_mut();
            if again {
                kept = blank(dict);
                shape.bytes.extend_from_slice(bytes);
            }
            Py_XDECREF(std::mem::replace(&mut shape.dict, kept));
        }
    }
}

/// Tells lists of keys apart by their addresses.
#[inline]
fn hash_of(entries: &[Entry]) -> u64 {
    let ends = [entries.first(), entries.last()];
    let mix = |hash: u64, end: Option<&Entry>| {
        let key = end.map_or(0, |entry| entry.key as u64);
        (hash.rotate_left(29) ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    ends.into_iter().fold(entries.len() as u64, mix)
}

/// A copy of a dict with each value `None`, or null where that can't be: a new reference.
unsafe fn blank(dict: *mut PyObject) -> *mut PyObject {
    // SAFETY: attached, by the caller. The copy is nobody else's yet; what was in it is still in `dict`,
    // so that its release runs nothing.
    unsafe {
        let copy = PyDict_Copy(dict);
        if copy.is_null() {
            PyErr_Clear();
            return null_mut();
        }
        let Some(entries) = table::entries(copy) else {
            Py_DECREF(copy);
            return null_mut();
        };
        for entry in entries {
            Py_DECREF(entry.value.replace(Py_NewRef(Py_None())));
        }
        PyObject_GC_UnTrack(copy.cast());
        copy
    }
}

impl Drop for Shapes {
    fn drop(&mut self) {
        for shape in &mut self.places {
            // SAFETY: our reference, released on the interpreter's thread by the invariant.
            unsafe { Py_XDECREF(std::mem::replace(&mut shape.dict, null_mut())) }
        }
    }
}
