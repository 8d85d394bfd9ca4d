//! Scripts' log, into `tracing`.

use pyo3_ffi::*;

use super::Part;
use crate::context;
use crate::py::{Owned, PyResult, Raised, Table, returned};
use crate::register;
use crate::value::str_lossy;

pub(super) const PART: Part = Part {
    types: &[],
    functions: Some(FUNCTIONS.first()),
};

static FUNCTIONS: Table<[PyMethodDef; 3]> = Table::new([
    PyMethodDef {
        ml_name: c"log".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunctionFast: log },
        ml_flags: METH_FASTCALL,
        ml_doc: c"log($module, level, message, /)\n--\n\nWrite to the server's log; level 10 debug, 20 info, 30 warning, 40 error.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"register_kind".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunctionFast: register::register_kind },
        ml_flags: METH_FASTCALL,
        ml_doc: c"register_kind($module, cls, fields, hitbox, projectile, walker, is_match, /)\n--\n\nDeclare a kind.".as_ptr(),
    },
    PyMethodDef::zeroed(),
]);

unsafe extern "C" fn log(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached, with `count` arguments.
    returned(unsafe { write(crate::args::positional(arguments, count)) })
}

unsafe fn write(arguments: &[*mut PyObject]) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by the caller.
    unsafe {
        let &[level, message] = arguments else {
            let message = "log takes a level and a message";
            return Err(crate::py::raise(PyExc_TypeError, message));
        };
        let level = PyLong_AsLong(level);
        if level == -1 && !PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        let message = Owned::from_new(PyObject_Str(message))?;
        let message = str_lossy(message.as_ptr());
        context::with(|context| {
            let zone = context.zone.get().0;
            let tick = context.tick.get().0;
            let entity = context.actor.id.get().0;
            match level {
                40.. => tracing::error!(target: "tessera::script", zone, tick, entity, "{message}"),
                30.. => tracing::warn!(target: "tessera::script", zone, tick, entity, "{message}"),
                20.. => tracing::info!(target: "tessera::script", zone, tick, entity, "{message}"),
                _ => tracing::debug!(target: "tessera::script", zone, tick, entity, "{message}"),
            }
        });
        Ok(Owned::from_borrowed(Py_None()))
    }
}
