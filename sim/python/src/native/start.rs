//! `World`: what the mode's `start` gets, to fill the match with.

use std::ffi::c_void;

use pyo3_ffi::*;

use super::{Part, TypeId, methods};
use crate::context::Context;
use crate::py::{self, Owned, PyResult};

pub(super) const PART: Part = Part {
    types: &[(TypeId::World, create_type)],
    functions: None,
};

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        PyType_Slot {
            slot: Py_tp_dealloc,
            pfunc: dealloc as *mut c_void,
        },
        PyType_Slot {
            slot: Py_tp_methods,
            pfunc: methods::WORLD.first(),
        },
        PyType_Slot {
            slot: Py_tp_doc,
            pfunc: c"The match before its first tick.".as_ptr() as *mut c_void,
        },
    ];
    let flags = Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: the functions have the signatures of their slots, the table is static.
    unsafe {
        py::heap_type(
            module,
            c"_tessera.World",
            size_of::<PyObject>(),
            flags,
            &slots,
        )
    }
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

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called once, with no references left.
    unsafe { py::free(object) }
}
