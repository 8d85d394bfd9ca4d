//! The base type of all entities: the slots that every kind has.
//!
//! A kind's own fields are slots of its Python class, which CPython puts behind these. Live objects and
//! views have the same layout; what makes a view read-only is its type (see [`crate::view`]).

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3_ffi::*;
use tessera_protocol::base;
use tessera_protocol::ids::{EntityId, Tick};

use crate::native::{TypeId, methods};
use crate::py::{self, LAST_MEMBER, Owned, PyResult, Table, heap_type, member, raise, slot};

/// The layout of an entity's object up to where the slots of its class begin.
#[repr(C)]
pub(crate) struct EntityObject {
    head: PyObject,
    /// The id as a Python `int`; set at birth, never changed.
    id: *mut PyObject,
    /// The base fields.
    base: [*mut PyObject; base::COUNT],
    /// Of a live object: which `object` fields hold something mutable. Such a field may change
    /// without its slot changing, so it is compared by content. Of a view: [`VIEW`], and of one from afar
    /// in the upper half the tick that it shows, see [`alloc_far_view`].
    mutable: u64,
}

/// Marks a view: the bit of the position, which is no `object`.
const VIEW: u64 = 1 << base::POSITION;
/// Marks a view from afar, beside [`VIEW`]: the bit of the velocity, likewise.
const FAR: u64 = 1 << base::VELOCITY;
const _: () = assert!((FAR | VIEW) >> 32 == 0, "the tick is above");

/// Names of the base fields, in order.
pub(crate) const BASE_NAMES: [&std::ffi::CStr; base::COUNT] =
    [c"position", c"velocity", c"yaw", c"pitch", c"owner"];

const fn base_member(field: usize) -> PyMemberDef {
    let offset = offset_of!(EntityObject, base) + field * size_of::<*mut PyObject>();
    PyMemberDef {
        flags: 0, // for writing too
        ..member(BASE_NAMES[field], Py_T_OBJECT_EX, offset, c"")
    }
}

static MEMBERS: Table<[PyMemberDef; base::COUNT + 2]> = Table::new([
    member(c"id", Py_T_OBJECT_EX, offset_of!(EntityObject, id), c""),
    base_member(base::POSITION),
    base_member(base::VELOCITY),
    base_member(base::YAW),
    base_member(base::PITCH),
    base_member(base::OWNER),
    LAST_MEMBER,
]);

/// Makes the type; see [`crate::native::CreateType`].
pub(crate) unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let doc = c"The native base of all entities.";
    let slots = [
        slot(Py_tp_new, new as _),
        slot(Py_tp_dealloc, dealloc as _),
        slot(Py_tp_traverse, traverse as _),
        slot(Py_tp_clear, clear as _),
        slot(Py_tp_repr, repr as _),
        slot(Py_tp_hash, hash as _),
        slot(Py_tp_richcompare, richcompare as _),
        slot(Py_tp_members, MEMBERS.first()),
        slot(Py_tp_methods, methods::ENTITY.first()),
        slot(Py_tp_doc, doc.as_ptr() as _),
    ];
    let (name, size) = (c"_tessera.Entity", size_of::<EntityObject>());
    let flags = Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE;
    // SAFETY: the functions have the signatures of their slots, the tables are static.
    unsafe { heap_type(module, name, size, flags, &slots) }
}

/// Makes an object of a kind's live or view type, with all field slots empty.
///
/// # Safety
/// Attached; `class` is a subclass of the type that [`create_type`] made for this interpreter.
pub(crate) unsafe fn alloc(class: *mut PyTypeObject, id: EntityId) -> PyResult<Owned> {
    // SAFETY: heap types have tp_alloc, which zeroes; the layout begins with EntityObject.
    unsafe {
        let number = Owned::from_new(PyLong_FromUnsignedLong(id.0.into()))?;
        let object = PyType_GenericAlloc(class, 0);
        let object = Owned::from_new(object)?;
        (*object.as_ptr().cast::<EntityObject>()).id = number.into_ptr();
        Ok(object)
    }
}

/// Makes an object of a kind's view type, with all field slots empty.
///
/// # Safety
/// As for [`alloc`].
pub(crate) unsafe fn alloc_view(class: *mut PyTypeObject, id: EntityId) -> PyResult<Owned> {
    // SAFETY: by the caller's promise.
    unsafe {
        let view = alloc(class, id)?;
        *mutable(view.as_ptr()) = VIEW;
        Ok(view)
    }
}

/// Makes a view whose slots are filled when they are read, from the state of this tick and no other.
///
/// # Safety
/// As for [`alloc`].
pub(crate) unsafe fn alloc_far_view(
    class: *mut PyTypeObject,
    id: EntityId,
    tick: Tick,
) -> PyResult<Owned> {
    // SAFETY: by the caller's promise.
    unsafe {
        let view = alloc(class, id)?;
        *mutable(view.as_ptr()) = u64::from(tick.0) << 32 | FAR | VIEW;
        Ok(view)
    }
}

/// The tick that a view shows which [`alloc_far_view`] made.
///
/// # Safety
/// `view` is an entity.
pub(crate) unsafe fn far_tick(view: *mut PyObject) -> Option<Tick> {
    // SAFETY: by the caller's promise.
    let mark = unsafe { *mutable(view) };
    (mark & (FAR | VIEW) == FAR | VIEW).then_some(Tick((mark >> 32) as u32))
}

/// Whether any object is the view of an entity.
///
/// # Safety
/// Attached; `object` is any object of this interpreter.
pub(crate) unsafe fn is_view(object: *mut PyObject) -> bool {
    crate::context::with_any(|context| {
        let base = context.types.get()[TypeId::Entity as usize];
        // SAFETY: a subtype of the base type begins with EntityObject.
        unsafe { PyType_IsSubtype(Py_TYPE(object), base) != 0 && *mutable(object) & VIEW != 0 }
    })
    .unwrap_or(false)
}

/// The slot of a field, by its offset.
///
/// # Safety
/// `object` is an entity and `offset` that of one of its slots.
#[inline]
pub(crate) unsafe fn field(object: *mut PyObject, offset: usize) -> *mut *mut PyObject {
    // SAFETY: in bounds by the caller's promise.
    unsafe { object.byte_add(offset).cast() }
}

/// Puts a value into a slot and releases what was there.
///
/// # Safety
/// As for [`field`]; attached. May run a destructor, so no borrow of the zone may be held.
#[inline]
pub(crate) unsafe fn set_field(object: *mut PyObject, offset: usize, value: Owned) {
    // SAFETY: the old value is released only after the slot has the new one.
    unsafe {
        let old = std::mem::replace(&mut *field(object, offset), value.into_ptr());
        Py_XDECREF(old);
    }
}

/// The set of `object` fields of a live object that hold something mutable.
///
/// # Safety
/// `object` is an entity.
#[inline]
pub(crate) unsafe fn mutable<'a>(object: *mut PyObject) -> &'a mut u64 {
    // SAFETY: the layout begins with EntityObject; the object's zone is the only one to look at it.
    unsafe { &mut (*object.cast::<EntityObject>()).mutable }
}

/// The id of any object that is an entity, live or view.
///
/// # Safety
/// Attached; `object` is any object of this interpreter.
pub(crate) unsafe fn id_of(object: *mut PyObject) -> Option<EntityId> {
    crate::context::with(|context| {
        let base = context.types.get()[TypeId::Entity as usize];
        // SAFETY: a subtype of the base type begins with EntityObject, whose id is an int that fits.
        unsafe {
            if PyType_IsSubtype(Py_TYPE(object), base) == 0 {
                return None;
            }
            Some(EntityId(
                PyLong_AsUnsignedLongMask((*object.cast::<EntityObject>()).id) as u32,
            ))
        }
    })
}

unsafe extern "C" fn new(
    class: *mut PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached; a type's name is a C string.
    unsafe {
        let name = std::ffi::CStr::from_ptr((*class).tp_name).to_string_lossy();
        let message = format!(
            "entities are not made by calling their class; call spawn({name}, ...) in a hook"
        );
        raise(PyExc_TypeError, &message);
    }
    null_mut()
}

unsafe extern "C" fn traverse(object: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: called by the collector with an entity; null slots are skipped.
    unsafe {
        let entity = object.cast::<EntityObject>();
        for value in (*entity).base {
            if !value.is_null() {
                let result = visit(value, arg);
                if result != 0 {
                    return result;
                }
            }
        }
        visit(Py_TYPE(object).cast(), arg)
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: called by the collector or `dealloc`; each value leaves its slot before its release.
    unsafe {
        let entity = object.cast::<EntityObject>();
        for at in 0..base::COUNT {
            let value = std::mem::replace(&mut (*entity).base[at], null_mut());
            Py_XDECREF(value);
        }
    }
    0
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called once, with no references left; CPython has released the class's own slots.
    unsafe {
        PyObject_GC_UnTrack(object.cast());
        clear(object);
        Py_XDECREF((*object.cast::<EntityObject>()).id);
        py::free(object);
    }
}

/// `<Player 17>`.
unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an entity, whose id is an int (null only if its birth failed).
    unsafe {
        let id = (*object.cast::<EntityObject>()).id;
        let name = PyType_GetName(Py_TYPE(object));
        if name.is_null() {
            return null_mut();
        }
        let text = PyUnicode_FromFormat(c"<%U %S>".as_ptr(), name, id);
        Py_DECREF(name);
        text
    }
}

/// By id: an address would bring the order of sets, and so the state, down to where objects lie.
unsafe extern "C" fn hash(object: *mut PyObject) -> Py_hash_t {
    // SAFETY: as for `repr`. The hash of a small int is never -1, which would mean an exception.
    unsafe { PyObject_Hash((*object.cast::<EntityObject>()).id) }
}

/// Equal are objects of one entity, live or view; there is no order.
unsafe extern "C" fn richcompare(
    object: *mut PyObject,
    other: *mut PyObject,
    operator: c_int,
) -> *mut PyObject {
    // SAFETY: called by CPython with an entity on the left and anything on the right.
    unsafe {
        let (Some(id), Some(other)) = (id_of(object), id_of(other)) else {
            return Py_NewRef(Py_NotImplemented());
        };
        if operator != Py_EQ && operator != Py_NE {
            return Py_NewRef(Py_NotImplemented());
        }
        PyBool_FromLong(((id == other) == (operator == Py_EQ)).into())
    }
}
