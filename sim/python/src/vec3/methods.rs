//! The methods of `Vec3`.

use std::ffi::CStr;
use std::ptr::null_mut;

use pyo3_ffi::*;

use super::{get, new, scalar};
use crate::describe::type_name;
use crate::py::{Table, raise};

/// All methods. Its address also tells a `Vec3` from other objects: see [`get`].
pub(super) static TABLE: Table<[PyMethodDef; 13]> = Table::new([
    no_args(c"length", length, c"length($self, /)\n--\n\nDistance from the origin."),
    no_args(
        c"length_squared",
        length_squared,
        c"length_squared($self, /)\n--\n\nSquare of the length; cheaper, and enough to compare.",
    ),
    no_args(
        c"normalized",
        normalized,
        c"normalized($self, /)\n--\n\nThe direction, with length 1. Of the zero vector: the zero vector.",
    ),
    no_args(c"flat", flat, c"flat($self, /)\n--\n\nThe same with y = 0."),
    no_args(c"__copy__", same, c"Itself: it can't change."),
    one_arg(c"__deepcopy__", same, c"Itself: it can't change."),
    one_arg(c"dot", dot, c"dot($self, other, /)\n--\n\nThe dot product."),
    one_arg(
        c"cross",
        cross,
        c"cross($self, other, /)\n--\n\nThe cross product; the frame is right-handed.",
    ),
    one_arg(c"distance", distance, c"distance($self, other, /)\n--\n\nDistance between two points."),
    one_arg(
        c"distance_squared",
        distance_squared,
        c"distance_squared($self, other, /)\n--\n\nSquare of the distance; cheaper, and enough to compare.",
    ),
    one_arg(c"with_y", with_y, c"with_y($self, y, /)\n--\n\nThe same with another y."),
    PyMethodDef {
        ml_name: c"lerp".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunctionFast: lerp },
        ml_flags: METH_FASTCALL,
        ml_doc: c"lerp($self, other, t, /)\n--\n\nThe point at fraction t of the way to other; t isn't clamped."
            .as_ptr(),
    },
    PyMethodDef::zeroed(),
]);

const fn no_args(name: &'static CStr, function: PyCFunction, doc: &'static CStr) -> PyMethodDef {
    method(name, function, METH_NOARGS, doc)
}

const fn one_arg(name: &'static CStr, function: PyCFunction, doc: &'static CStr) -> PyMethodDef {
    method(name, function, METH_O, doc)
}

const fn method(
    name: &'static CStr,
    function: PyCFunction,
    flags: std::ffi::c_int,
    doc: &'static CStr,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunction: function,
        },
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

fn dot_product(u: [f64; 3], v: [f64; 3]) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

fn difference(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| u[i] - v[i])
}

/// The vector in `self`, which the method's descriptor has checked.
unsafe fn vector(object: *mut PyObject) -> [f64; 3] {
    // SAFETY: CPython calls methods with a live `self`.
    unsafe { get(object) }.unwrap_or_default()
}

/// The vector in an argument, or `TypeError`.
unsafe fn argument(method: &str, object: *mut PyObject) -> Option<[f64; 3]> {
    // SAFETY: CPython calls methods with live arguments.
    unsafe {
        let v = get(object);
        if v.is_none() {
            let message = format!("Vec3.{method}() takes a Vec3, not {}", type_name(object));
            raise(PyExc_TypeError, &message);
        }
        v
    }
}

/// The number in an argument, or `TypeError`, or `OverflowError`.
unsafe fn number(method: &str, object: *mut PyObject) -> Option<f64> {
    // SAFETY: CPython calls methods with live arguments.
    unsafe {
        let value = scalar(object);
        if value.is_none() && PyErr_Occurred().is_null() {
            let message = format!("Vec3.{method}() takes a number, not {}", type_name(object));
            raise(PyExc_TypeError, &message);
        }
        value
    }
}

unsafe extern "C" fn same(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`.
    unsafe { Py_NewRef(this) }
}

unsafe extern "C" fn length(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor.
    unsafe {
        let v = vector(this);
        PyFloat_FromDouble(dot_product(v, v).sqrt())
    }
}

unsafe extern "C" fn length_squared(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor.
    unsafe {
        let v = vector(this);
        PyFloat_FromDouble(dot_product(v, v))
    }
}

unsafe extern "C" fn normalized(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor.
    unsafe {
        let v = vector(this);
        let length = dot_product(v, v).sqrt();
        if length == 0.0 {
            return new(Py_TYPE(this), [0.0; 3]);
        }
        new(Py_TYPE(this), v.map(|c| c / length))
    }
}

unsafe extern "C" fn flat(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor.
    unsafe {
        let [x, _, z] = vector(this);
        new(Py_TYPE(this), [x, 0.0, z])
    }
}

unsafe extern "C" fn dot(this: *mut PyObject, other: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and a live argument.
    unsafe {
        let Some(v) = argument("dot", other) else {
            return null_mut();
        };
        PyFloat_FromDouble(dot_product(vector(this), v))
    }
}

unsafe extern "C" fn cross(this: *mut PyObject, other: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and a live argument.
    unsafe {
        let Some(v) = argument("cross", other) else {
            return null_mut();
        };
        let u = vector(this);
        let product = [
            u[1] * v[2] - u[2] * v[1],
            u[2] * v[0] - u[0] * v[2],
            u[0] * v[1] - u[1] * v[0],
        ];
        new(Py_TYPE(this), product)
    }
}

unsafe extern "C" fn distance(this: *mut PyObject, other: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and a live argument.
    unsafe {
        let Some(v) = argument("distance", other) else {
            return null_mut();
        };
        let d = difference(vector(this), v);
        PyFloat_FromDouble(dot_product(d, d).sqrt())
    }
}

unsafe extern "C" fn distance_squared(this: *mut PyObject, other: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and a live argument.
    unsafe {
        let Some(v) = argument("distance_squared", other) else {
            return null_mut();
        };
        let d = difference(vector(this), v);
        PyFloat_FromDouble(dot_product(d, d))
    }
}

unsafe extern "C" fn with_y(this: *mut PyObject, y: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and a live argument.
    unsafe {
        let Some(y) = number("with_y", y) else {
            return null_mut();
        };
        let [x, _, z] = vector(this);
        new(Py_TYPE(this), [x, y, z])
    }
}

unsafe extern "C" fn lerp(
    this: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: a live `self`, checked by the descriptor, and `count` live arguments.
    unsafe {
        if count != 2 {
            let message = format!("Vec3.lerp() takes other and t, not {count} arguments");
            raise(PyExc_TypeError, &message);
            return null_mut();
        }
        let Some(v) = argument("lerp", *args) else {
            return null_mut();
        };
        let Some(t) = number("lerp", *args.add(1)) else {
            return null_mut();
        };
        let u = vector(this);
        new(
            Py_TYPE(this),
            std::array::from_fn(|i| u[i] + (v[i] - u[i]) * t),
        )
    }
}
