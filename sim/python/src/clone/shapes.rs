//! A cache of dicts by their keys: messages repeat them.
//!
//! To copy a dict of the same keys and put values in their place takes a small part of the time that
//! adding the keys one by one does. The copy is what adding them would have made, to the size of its
//! table: nothing tells whether a dict was made from the cache.

use std::ptr::null_mut;

use pyo3_ffi::*;

use super::strings::Key;
use super::table;

/// Most keys of a dict that is kept.
const KEYS_MAX: usize = 64;
/// Places for dicts; a power of two.
const PLACES: usize = 64;

/// A dict to copy.
#[derive(Clone, Copy)]
struct Shape {
    /// The first key of the dict that was here last.
    first: Key,
    /// How many it had.
    count: usize,
    /// The keys of one like it, all with `None`; null until a second one came. No script and no garbage
    /// collection ever sees it.
    dict: *mut PyObject,
}

/// Dicts of one interpreter, found by their first key and how many they have.
///
/// # Invariants
/// Dicts are null or owned references, and not changed once they are here. Used and dropped while the
/// thread is attached to the interpreter.
pub(super) struct Shapes {
    places: Box<[Shape; PLACES]>,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let free = Shape {
            first: Key::default(),
            count: 0,
            dict: null_mut(),
        };
        Self {
            places: Box::new([free; PLACES]),
        }
    }

    fn place(&mut self, first: Key, count: usize) -> &mut Shape {
        &mut self.places[first.hash(PLACES) ^ count % PLACES]
    }

    /// A dict that is likely to have the right keys, each with `None`: a new reference, or null where
    /// none is known or Python raised.
    ///
    /// # Safety
    /// By the invariants.
    #[inline]
    pub(super) unsafe fn copy(&mut self, first: Key, count: usize) -> *mut PyObject {
        let shape = self.place(first, count);
        if shape.first != first || shape.count != count || shape.dict.is_null() {
            return null_mut();
        }
        // SAFETY: attached; our reference keeps the dict. Its values will be any, so that the garbage
        // collector has to know the copy.
        unsafe {
            let dict = PyDict_Copy(shape.dict);
            if !dict.is_null() && PyObject_GC_IsTracked(dict) == 0 {
                PyObject_GC_Track(dict.cast());
            }
            dict
        }
    }

    /// A dict wasn't made from a copy: keeps its keys if it is the second one in a row.
    ///
    /// # Safety
    /// By the invariants; `dict` is a dict of the interpreter with `count` keys.
    #[cold]
    pub(super) unsafe fn learn(&mut self, first: Key, count: usize, dict: *mut PyObject) {
        if count > KEYS_MAX {
            return;
        }
        let shape = self.place(first, count);
        let again = shape.first == first && shape.count == count;
        // SAFETY: attached; the old dict is released after its place was taken.
        unsafe {
            let template = if again { blank(dict) } else { null_mut() };
            let old = std::mem::replace(
                shape,
                Shape {
                    first,
                    count,
                    dict: template,
                },
            );
            Py_XDECREF(old.dict);
        }
    }
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
        for shape in self.places.iter_mut() {
            // SAFETY: our reference, released on the interpreter's thread by the invariant.
            unsafe { Py_XDECREF(std::mem::replace(&mut shape.dict, null_mut())) }
        }
    }
}
