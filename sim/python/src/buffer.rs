//! Large bytes that cross from one interpreter to another without a copy.
//!
//! Skeleton: signatures only.

use pyo3_ffi::{PyObject, PyTypeObject};

/// Bytes that a message shares; a clone of it is another holder.
#[derive(Clone, Debug)]
pub struct SharedBytes;

impl SharedBytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        todo!()
    }
}

/// The owner's end, one an interpreter: what it lent out and what came back.
pub(crate) struct Exports;

impl Exports {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Takes back what holders have released. Call each tick.
    ///
    /// # Safety
    /// This thread is attached to the interpreter that exports.
    pub(crate) unsafe fn drain(&mut self) {
        todo!()
    }

    /// Before the interpreter ends: takes back what is released and orphans the rest, which stays valid.
    ///
    /// # Safety
    /// As for [`Self::drain`].
    pub(crate) unsafe fn close(&mut self) {
        todo!()
    }
}

/// Makes the type `SharedBuffer` for an interpreter: a new reference, or null with an exception set.
///
/// # Safety
/// `module` is a module of the interpreter that this thread is attached to.
pub(crate) unsafe fn create_type(_module: *mut PyObject) -> *mut PyTypeObject {
    todo!()
}
