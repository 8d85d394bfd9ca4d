//! `Vec3`: three doubles, immutable, with arithmetic. The one native value type of scripts.
//!
//! Components are kept as doubles inside the object rather than as three `float` objects: arithmetic
//! then allocates once a result, and that is what scripts do most. The price is that reading `.x`
//! makes a `float`.
//!
//! All operations are single IEEE operations in the order written, so results are the same on every
//! host: no fused multiply-add, no library functions but `sqrt`, which IEEE defines exactly.

mod construct;
mod methods;
mod number;
mod object;

pub(crate) use object::hash_bits;
use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3_ffi::*;

use crate::py::{self, LAST_MEMBER, Table, heap_type, member, slot};

/// The object's layout.
#[repr(C)]
struct Vec3Object {
    head: PyObject,
    v: [f64; 3],
}

/// Makes the type `Vec3` for an interpreter: a new reference, or null with an exception set.
///
/// # Safety
/// `module` is a module of the interpreter that this thread is attached to.
pub(crate) unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        slot(Py_tp_doc, DOC.as_ptr() as _),
        slot(Py_tp_new, construct::tp_new as _),
        slot(Py_tp_dealloc, py::dealloc as _),
        slot(Py_tp_repr, object::repr as _),
        slot(Py_tp_hash, object::hash as _),
        slot(Py_tp_richcompare, object::richcompare as _),
        slot(Py_tp_iter, object::iter as _),
        slot(Py_sq_length, object::length as _),
        slot(Py_sq_item, object::item as _),
        slot(Py_tp_members, MEMBERS.first::<PyMemberDef>().cast()),
        slot(Py_tp_methods, methods::TABLE.first::<PyMethodDef>().cast()),
        slot(Py_nb_add, number::add as _),
        slot(Py_nb_subtract, number::subtract as _),
        slot(Py_nb_multiply, number::multiply as _),
        slot(Py_nb_true_divide, number::true_divide as _),
        slot(Py_nb_negative, number::negative as _),
        slot(Py_nb_positive, number::positive as _),
    ];
    // SAFETY: the slots fit `Vec3Object` and their tables are static; the module is live by the
    // caller's promise. The new type isn't visible to any script yet, so its vectorcall may be set,
    // which the slots can't before 3.14.
    unsafe {
        let ty = heap_type(
            module,
            c"tessera.Vec3",
            size_of::<Vec3Object>(),
            Py_TPFLAGS_IMMUTABLETYPE,
            &slots,
        );
        if !ty.is_null() {
            (*ty).tp_vectorcall = Some(construct::vectorcall);
        }
        ty
    }
}

/// A new reference to a vector, or null with `MemoryError` set.
///
/// # Safety
/// `ty` is a type that [`create_type`] made for the interpreter that this thread is attached to.
#[inline]
pub(crate) unsafe fn new(ty: *mut PyTypeObject, v: [f64; 3]) -> *mut PyObject {
    // SAFETY: instances of `ty` have the layout of `Vec3Object`, and need no garbage collection.
    unsafe {
        let object = PyObject_New::<Vec3Object>(ty);
        if object.is_null() {
            return null_mut();
        }
        (*object).v = v;
        object.cast()
    }
}

/// The components, if the object is a `Vec3`.
///
/// # Safety
/// `object` is an object of the interpreter that this thread is attached to.
#[inline]
pub(crate) unsafe fn get(object: *mut PyObject) -> Option<[f64; 3]> {
    // SAFETY: only types from `create_type` have this table of methods: it is private to this module,
    // subclasses don't inherit the pointer, and the type can't be subclassed. So the layout is ours.
    unsafe {
        ((*Py_TYPE(object)).tp_methods == methods::TABLE.first())
            .then(|| (*object.cast::<Vec3Object>()).v)
    }
}

/// A Python number as a double: `None` without an exception where it is none, and with `OverflowError`
/// set where an `int` is too large.
///
/// # Safety
/// `object` is an object of the interpreter that this thread is attached to.
#[inline]
unsafe fn scalar(object: *mut PyObject) -> Option<f64> {
    // SAFETY: the types are checked before each access.
    unsafe {
        if PyFloat_Check(object) != 0 {
            return Some(PyFloat_AS_DOUBLE(object));
        }
        if PyLong_Check(object) == 0 {
            return None;
        }
        let value = PyLong_AsDouble(object);
        (value != -1.0 || PyErr_Occurred().is_null()).then_some(value)
    }
}

const DOC: &CStr = c"Vec3(x=0.0, y=0.0, z=0.0)
--

A point or a direction: three floats, metres unless said otherwise, y is up. Immutable.";

static MEMBERS: Table<[PyMemberDef; 4]> = Table::new([
    component(c"x", 0, c"Along the map's x axis."),
    component(c"y", 1, c"Up."),
    component(c"z", 2, c"Along the map's z axis."),
    LAST_MEMBER,
]);

const fn component(name: &'static CStr, at: usize, doc: &'static CStr) -> PyMemberDef {
    let offset = offset_of!(Vec3Object, v) + at * size_of::<f64>();
    member(name, Py_T_DOUBLE, offset, doc)
}
