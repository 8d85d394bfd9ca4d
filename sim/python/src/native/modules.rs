//! The code of modules that the host has in memory, for `load/bootstrap.py`.

use pyo3_ffi::*;

use super::Part;
use crate::context;
use crate::load;
use crate::py::{Owned, PyResult, Table, raise, returned, text};
use crate::source::Source;
use crate::value::str_lossy;

pub(super) const PART: Part = Part {
    types: &[],
    functions: Some(FUNCTIONS.first()),
};

static FUNCTIONS: Table<[PyMethodDef; 3]> = Table::new([
    PyMethodDef {
        ml_name: c"_code".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: code },
        ml_flags: METH_O,
        ml_doc: c"_code($module, name, /)\n--\n\nThe code object of a module.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"_source".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunction: source,
        },
        ml_flags: METH_O,
        ml_doc: c"_source($module, name, /)\n--\n\nThe text of a module.".as_ptr(),
    },
    PyMethodDef::zeroed(),
]);

unsafe extern "C" fn code(_module: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython, attached.
    returned(unsafe { with_module(name, |module| module.code()) })
}

unsafe extern "C" fn source(_module: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython, attached.
    returned(unsafe { with_module(name, |module| text(&module.text)) })
}

unsafe fn with_module(
    name: *mut PyObject,
    body: impl FnOnce(&Source) -> PyResult<Owned>,
) -> PyResult<Owned> {
    // SAFETY: attached, by the caller; the name is alive for the call.
    unsafe {
        if PyUnicode_Check(name) == 0 {
            return Err(raise(PyExc_TypeError, "a module's name is a str"));
        }
        let name = str_lossy(name);
        context::with(|context| match load::find(context, &name) {
            Some(module) => body(module),
            None => Err(raise(PyExc_ImportError, "no module of the host's")),
        })
    }
}
