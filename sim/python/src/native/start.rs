//! `World`: what the mode's `start` gets, to fill the match with.

use pyo3_ffi::*;

use super::{Part, TypeId, methods};
use crate::context::Context;
use crate::py::{self, Owned, PyResult, SEALED, heap_type, slot};

pub(super) const PART: Part = Part {
    types: &[(TypeId::World, create_type)],
    functions: None,
};

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        slot(Py_tp_dealloc, py::dealloc as _),
        slot(Py_tp_methods, methods::WORLD.first()),
        slot(Py_tp_doc, c"The match before its first tick.".as_ptr() as _),
    ];
    let (name, size) = (c"_tessera.World", size_of::<PyObject>());
    // SAFETY: the functions have the signatures of their slots, the table is static.
    unsafe { heap_type(module, name, size, SEALED, &slots) }
}

/// A new `World`.
///
/// # Safety
/// Attached to the interpreter of `context`.
pub(crate) unsafe fn new(context: &Context) -> PyResult<Owned> {
    let class = context.types.get()[TypeId::World as usize];
    // SAFETY: attached; the type is this interpreter's.
    unsafe { Owned::from_new(PyType_GenericAlloc(class, 0)) }
}
