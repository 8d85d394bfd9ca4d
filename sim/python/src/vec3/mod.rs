//! `Vec3`: three doubles, immutable, with arithmetic.
//!
//! Skeleton: signatures only.

use pyo3_ffi::{PyObject, PyTypeObject};

/// Makes the type `Vec3` for an interpreter: a new reference, or null with an exception set. The caller
/// adds it to the module.
///
/// # Safety
/// `module` is a module of the interpreter that this thread is attached to.
pub(crate) unsafe fn create_type(_module: *mut PyObject) -> *mut PyTypeObject {
    todo!()
}

/// A new reference to a vector, or null with `MemoryError` set.
///
/// # Safety
/// `ty` is a type that [`create_type`] made for the interpreter that this thread is attached to.
pub(crate) unsafe fn new(_ty: *mut PyTypeObject, _v: [f64; 3]) -> *mut PyObject {
    todo!()
}

/// The components, if the object is a `Vec3`.
///
/// # Safety
/// `object` is an object of the interpreter that this thread is attached to.
#[inline]
pub(crate) unsafe fn get(_object: *mut PyObject) -> Option<[f64; 3]> {
    todo!()
}
