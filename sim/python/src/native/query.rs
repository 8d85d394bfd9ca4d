//! Reading the state at the tick's start: who is near, who is anywhere, the snapshot itself.

use std::sync::Arc;

use pyo3_ffi::*;
use tessera_protocol::ids::EntityId;
use tessera_protocol::snapshot::Snapshot;

use super::{Part, TypeId};
use crate::args::{self, Arguments};
use crate::context::{self, Context};
use crate::far;
use crate::near::Query;
use crate::population::position;
use crate::py::{self, Owned, PyResult, Raised, SEALED, Table, heap_type, raise, returned, slot};

pub(super) const PART: Part = Part {
    types: &[(TypeId::SnapshotBuffer, create_type)],
    functions: Some(FUNCTIONS.first()),
};

static FUNCTIONS: Table<[PyMethodDef; 5]> = Table::new([
    PyMethodDef {
        ml_name: c"find".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: find },
        ml_flags: METH_O,
        ml_doc: c"find($module, kind, /)\n--\n\nViews of all entities of a kind.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"get".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: get },
        ml_flags: METH_O,
        ml_doc: c"get($module, id, /)\n--\n\nThe view of an entity, or None.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"snapshot".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunction: snapshot,
        },
        ml_flags: METH_NOARGS,
        ml_doc: c"snapshot($module, /)\n--\n\nThe state at the tick's start, as bytes.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"tick".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: tick },
        ml_flags: METH_NOARGS,
        ml_doc: c"tick($module, /)\n--\n\nThe number of the tick that runs.".as_ptr(),
    },
    PyMethodDef::zeroed(),
]);

/// `entity.near(radius, kind=None, at=None)`.
pub(super) unsafe extern "C" fn near(
    object: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with these arguments.
        returned(unsafe { near_list(context, object, Arguments::new(arguments, count, names)) })
    })
}

unsafe fn near_list(
    context: &Context,
    object: *mut PyObject,
    arguments: Arguments<'_>,
) -> PyResult<Owned> {
    let actor = context.acting(object)?;
    let population = context.population()?;
    let kinds = context.kinds()?;
    // SAFETY: attached, in a hook, arguments are alive for the call, by the caller.
    unsafe {
        let [radius, kind, at] = arguments.bind("near", ["radius", "kind", "at"], 1)?;
        let radius = args::length("near", "radius", radius)?;
        let own = position(&population.own[actor.kind.get().index()], actor.row.get());
        let center = match at {
            at if at.is_null() || at == Py_None() => own,
            at => args::vector("near", "at", at)?,
        };
        let reach = radius + own.distance(center);
        if reach > context.halo {
            return Err(beyond_halo(radius, reach, context.halo));
        }
        let family = match kind {
            kind if kind.is_null() || kind == Py_None() => u64::MAX,
            kind => args::family("near", "kind", kinds, kind)?,
        };
        let query = Query {
            center,
            radius,
            family,
            except: actor.id.get(),
        };
        let mut grid = context.grid.borrow_mut();
        grid.query(context, population, kinds, &query)
    }
}

#[cold]
fn beyond_halo(radius: f64, reach: f64, halo: f64) -> Raised {
    let message = format!(
        "near: a radius of {radius} m reaches {reach:.2} m from this entity, beyond the halo of {halo} \
         m; ask for less, or use find() for the whole world"
    );
    // SAFETY: natives run attached.
    unsafe { raise(PyExc_ValueError, &message) }
}

unsafe extern "C" fn find(_module: *mut PyObject, kind: *mut PyObject) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached; `population` makes sure that this is a hook.
        returned(unsafe {
            (|| {
                let population = context.population()?;
                let kinds = context.kinds()?;
                let family = args::family("find", "kind", kinds, kind)?;
                far::find(context, population, kinds, family)
            })()
        })
    })
}

unsafe extern "C" fn get(_module: *mut PyObject, id: *mut PyObject) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached; `population` makes sure that this is a hook.
        returned(unsafe {
            (|| {
                let population = context.population()?;
                let id = args::entity("get", "id", id)?;
                let view = match id {
                    EntityId::NONE => None,
                    id => far::get(context, population, context.kinds()?, id)?,
                };
                Ok(view.unwrap_or_else(|| Owned::from_borrowed(Py_None())))
            })()
        })
    })
}

unsafe extern "C" fn tick(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython, attached.
    context::with(|context| unsafe { PyLong_FromUnsignedLong(context.tick.get().0.into()) })
}

/// Holds a snapshot for the memoryviews of it.
#[repr(C)]
struct SnapshotBuffer {
    head: PyObject,
    /// From `Arc::into_raw`; null only while the object is being made.
    snapshot: *const Snapshot,
}

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let slots = [
        slot(Py_tp_dealloc, dealloc as _),
        slot(Py_bf_getbuffer, get_buffer as _),
    ];
    let (name, size) = (c"_tessera.SnapshotBuffer", size_of::<SnapshotBuffer>());
    // SAFETY: the functions have the signatures of their slots.
    unsafe { heap_type(module, name, size, SEALED, &slots) }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called once, with no references and so no memoryviews left.
    unsafe {
        let snapshot = (*object.cast::<SnapshotBuffer>()).snapshot;
        if !snapshot.is_null() {
            drop(Arc::from_raw(snapshot));
        }
        py::free(object);
    }
}

unsafe extern "C" fn get_buffer(
    object: *mut PyObject,
    buffer: *mut Py_buffer,
    flags: std::ffi::c_int,
) -> std::ffi::c_int {
    // SAFETY: called by CPython with one of ours; the bytes live as long as the object, which the
    // buffer keeps alive; read-only, as the 1 says.
    unsafe {
        let bytes = (*(*object.cast::<SnapshotBuffer>()).snapshot).bytes();
        let (data, length) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as Py_ssize_t);
        PyBuffer_FillInfo(buffer, object, data, length, 1, flags)
    }
}

unsafe extern "C" fn snapshot(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached; the new object gets its snapshot before anyone sees it.
        returned(unsafe {
            (|| {
                context.population()?;
                let Some(snapshot) = context.snapshot.borrow().clone() else {
                    return Ok(Owned::from_borrowed(Py_None()));
                };
                // A script may keep it; shared memory is written again in half a second.
                let snapshot = snapshot.owned();
                let class = context.types.get()[TypeId::SnapshotBuffer as usize];
                let object = Owned::from_new(PyType_GenericAlloc(class, 0))?;
                (*object.as_ptr().cast::<SnapshotBuffer>()).snapshot = Arc::into_raw(snapshot);
                Owned::from_new(PyMemoryView_FromObject(object.as_ptr()))
            })()
        })
    })
}
