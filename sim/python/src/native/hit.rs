//! `Hit`: what a ray met.

use std::ffi::CStr;
use std::mem::offset_of;

use pyo3_ffi::*;

use super::{Part, TypeId};
use crate::context::Context;
use crate::py::{self, LAST_MEMBER, Owned, PyResult, SEALED, Table, heap_type, member, slot};

pub(super) const PART: Part = Part {
    types: &[(TypeId::Hit, create_type)],
    functions: None,
};

#[repr(C)]
struct HitObject {
    head: PyObject,
    distance: *mut PyObject,
    position: *mut PyObject,
    normal: *mut PyObject,
    entity: *mut PyObject,
    base: *mut PyObject,
}

const fn value(name: &'static CStr, offset: usize, doc: &'static CStr) -> PyMemberDef {
    member(name, Py_T_OBJECT_EX, offset, doc)
}

static MEMBERS: Table<[PyMemberDef; 6]> = Table::new([
    value(
        c"distance",
        offset_of!(HitObject, distance),
        c"Metres from the ray's origin.",
    ),
    value(
        c"position",
        offset_of!(HitObject, position),
        c"The point met.",
    ),
    value(
        c"normal",
        offset_of!(HitObject, normal),
        c"Unit normal of the surface there.",
    ),
    value(
        c"entity",
        offset_of!(HitObject, entity),
        c"Id of the entity hit; 0 for the map.",
    ),
    value(
        c"base",
        offset_of!(HitObject, base),
        c"Where the entity hit stood then; for the map the point met.",
    ),
    LAST_MEMBER,
]);

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        slot(Py_tp_dealloc, dealloc as _),
        slot(Py_tp_members, MEMBERS.first()),
        slot(Py_tp_repr, repr as _),
        slot(Py_tp_hash, hash as _),
        slot(Py_tp_doc, c"What a ray met.".as_ptr() as _),
    ];
    let (name, size) = (c"_tessera.Hit", size_of::<HitObject>());
    // SAFETY: the functions have the signatures of their slots, the table is static. Its values are
    // floats, vectors and ints, which make no cycle: no collector support is needed.
    unsafe { heap_type(module, name, size, SEALED, &slots) }
}

/// A new `Hit` of a distance, a position, a normal, an entity's id and a base.
///
/// # Safety
/// Attached; the values are of these types.
pub(super) unsafe fn new(context: &Context, values: [Owned; 5]) -> PyResult<Owned> {
    // SAFETY: attached; the new object is filled before anyone sees it.
    unsafe {
        let class = context.types.get()[TypeId::Hit as usize];
        let object = Owned::from_new(PyType_GenericAlloc(class, 0))?;
        let hit = object.as_ptr().cast::<HitObject>();
        let [distance, position, normal, entity, base] = values.map(Owned::into_ptr);
        (*hit).distance = distance;
        (*hit).position = position;
        (*hit).normal = normal;
        (*hit).entity = entity;
        (*hit).base = base;
        Ok(object)
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called once, with no references left.
    unsafe {
        let hit = object.cast::<HitObject>();
        for value in [
            (*hit).distance,
            (*hit).position,
            (*hit).normal,
            (*hit).entity,
            (*hit).base,
        ] {
            Py_XDECREF(value);
        }
        py::free(object);
    }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with a hit, whose values are all there.
    unsafe {
        let hit = object.cast::<HitObject>();
        PyUnicode_FromFormat(
            c"Hit(distance=%R, position=%R, normal=%R, entity=%R, base=%R)".as_ptr(),
            (*hit).distance,
            (*hit).position,
            (*hit).normal,
            (*hit).entity,
            (*hit).base,
        )
    }
}

/// By value: an address would bring the order of sets, and so the state, down to where objects lie.
unsafe extern "C" fn hash(object: *mut PyObject) -> Py_hash_t {
    // SAFETY: as for `repr`; numbers and vectors hash by value.
    unsafe {
        let hit = object.cast::<HitObject>();
        let values = PyTuple_Pack(
            5,
            (*hit).distance,
            (*hit).position,
            (*hit).normal,
            (*hit).entity,
            (*hit).base,
        );
        Owned::from_new(values).map_or(-1, |values| PyObject_Hash(values.as_ptr()))
    }
}
