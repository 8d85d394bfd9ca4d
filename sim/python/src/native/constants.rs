//! Values of the module: settings of the match, the mode's options, bits of commands.

use std::ffi::CStr;

use pyo3_ffi::*;
use tessera_protocol::command::buttons;

use super::add;
use crate::args::c_string;
use crate::config::OptionValue;
use crate::context::Context;
use crate::py::{Owned, PyResult, Raised};

const BUTTONS: [(&CStr, u16); 6] = [
    (c"FIRE", buttons::FIRE),
    (c"JUMP", buttons::JUMP),
    (c"RELOAD", buttons::RELOAD),
    (c"CROUCH", buttons::CROUCH),
    (c"SPRINT", buttons::SPRINT),
    (c"USE", buttons::USE),
];

/// Adds all of them.
///
/// # Safety
/// Attached; `module` is the module of this interpreter.
pub(super) unsafe fn add_all(context: &Context, module: *mut PyObject) -> PyResult<()> {
    // SAFETY: attached, by the caller.
    unsafe {
        for (name, bit) in BUTTONS {
            add(module, name, Owned::from_new(PyLong_FromLong(bit.into()))?)?;
        }
        let hz = PyLong_FromUnsignedLong(context.tick_hz.into());
        add(module, c"TICK_HZ", Owned::from_new(hz)?)?;
        add(
            module,
            c"HALO",
            Owned::from_new(PyFloat_FromDouble(context.halo))?,
        )?;
        add(module, c"options", options(context)?)
    }
}

/// The mode's options as a read-only mapping.
unsafe fn options(context: &Context) -> PyResult<Owned> {
    // SAFETY: attached, by the caller.
    unsafe {
        let options = Owned::from_new(PyDict_New())?;
        for (name, value) in &context.options {
            let value = match value {
                OptionValue::Bool(value) => PyBool_FromLong((*value).into()),
                OptionValue::Int(value) => PyLong_FromLongLong(*value),
                OptionValue::Float(value) => PyFloat_FromDouble(*value),
                OptionValue::Str(value) => {
                    let length = value.len() as Py_ssize_t;
                    PyUnicode_FromStringAndSize(value.as_ptr().cast(), length)
                }
            };
            let value = Owned::from_new(value)?;
            let name = c_string(name);
            if PyDict_SetItemString(options.as_ptr(), name.as_ptr(), value.as_ptr()) != 0 {
                return Err(Raised);
            }
        }
        Owned::from_new(PyDictProxy_New(options.as_ptr()))
    }
}
