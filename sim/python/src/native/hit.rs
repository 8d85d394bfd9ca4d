//! `Hit`: what a ray met.

use std::ffi::c_void;
use std::mem::offset_of;

use pyo3_ffi::*;

use super::{Part, TypeId};
use crate::context::Context;
use crate::py::{self, Owned, PyResult, Table};

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

const fn member(
    name: &'static std::ffi::CStr,
    offset: usize,
    doc: &'static std::ffi::CStr,
) -> PyMemberDef {
    PyMemberDef {
        name: name.as_ptr(),
        type_code: Py_T_OBJECT_EX,
        offset: offset as Py_ssize_t,
        flags: Py_READONLY,
        doc: doc.as_ptr(),
    }
}

static MEMBERS: Table<[PyMemberDef; 6]> = Table::new([
    member(
        c"distance",
        offset_of!(HitObject, distance),
        c"Metres from the ray's origin.",
    ),
    member(
        c"position",
        offset_of!(HitObject, position),
        c"The point met.",
    ),
    member(
        c"normal",
        offset_of!(HitObject, normal),
        c"Unit normal of the surface there.",
    ),
    member(
        c"entity",
        offset_of!(HitObject, entity),
        c"Id of the entity hit; 0 for the map.",
    ),
    member(
        c"base",
        offset_of!(HitObject, base),
        c"Where the entity hit stood then; for the map the point met.",
    ),
    PyMemberDef {
        name: std::ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: std::ptr::null(),
    },
]);

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        PyType_Slot {
            slot: Py_tp_dealloc,
            pfunc: dealloc as *mut c_void,
        },
        PyType_Slot {
            slot: Py_tp_members,
            pfunc: MEMBERS.first(),
        },
        PyType_Slot {
            slot: Py_tp_repr,
            pfunc: repr as *mut c_void,
        },
        PyType_Slot {
            slot: Py_tp_hash,
            pfunc: hash as *mut c_void,
        },
        PyType_Slot {
            slot: Py_tp_doc,
            pfunc: c"What a ray met.".as_ptr() as *mut c_void,
        },
    ];
    let flags = Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: the functions have the signatures of their slots, the table is static. Its values are
    // floats, vectors and ints, which make no cycle: no collector support is needed.
    unsafe {
        py::heap_type(
            module,
            c"_tessera.Hit",
            size_of::<HitObject>(),
            flags,
            &slots,
        )
    }
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
