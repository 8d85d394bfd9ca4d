//! The native module `_tessera`, on which the Python package `tessera` stands.
//!
//! Each file contributes a [`Part`]: types and functions. To add one, add a line to [`PARTS`], and for
//! a type that Rust has to find again a variant to [`TypeId`].
//!
//! # How the package declares kinds
//! `_tessera.Entity` is the native base type, with the slots `position`, `velocity`, `yaw`, `pitch` and
//! `owner` and a read-only `id`. The package derives its `Entity` from it (empty `__slots__`, its own
//! metaclass). The metaclass turns annotated fields into `__slots__`, and for each concrete kind, that
//! is every subclass of `Entity` but `Match` itself, calls, right after creating the class,
//!
//! ```python
//! _tessera.register_kind(cls, fields, hitbox, projectile, walker, is_match)
//! # fields: tuple of (name, type, max, default, quantization, audience): declared ones, inherited first
//! #   type: "bool" "u8" "u16" "u32" "i32" "f32" "f64" "vec3" "ref" "str" "bytes" "object"
//! #   max: most bytes of str and bytes, else 0
//! #   quantization: ("exact",) | ("range", min, max, bits) | ("angle", bits)
//! #   audience: 0 everyone, 1 owner, 2 nobody
//! # hitbox: None | (radius, height, when: str | None);  projectile: None | gravity (float)
//! # walker: None | (rules, when: str | None), rules: 13 floats in the order of `WalkRules`
//! ```
//!
//! which raises `_tessera.DeclarationError` (a `TypeError`) where they don't fit: the exception passes
//! through the class statement, so file and line are right. Kinds can be registered only while the mode
//! is loading. View types are made with `type.__new__(type(cls), …)`, past the metaclass's `__new__`.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use pyo3_ffi::*;

use crate::buffer;
use crate::clone::{self, Codec};
use crate::context::{self, Context};
use crate::entity;
use crate::py::{Owned, PyResult, Raised, Table};
use crate::vec3;

pub(crate) mod command;
mod constants;
mod hit;
mod log;
pub(crate) mod methods;
mod modules;
mod query;
mod random;
mod requests;
pub(crate) mod start;
pub(crate) mod terrain;
mod walk;

/// Types that Rust code looks up: index into [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum TypeId {
    /// `Vec3`.
    Vec3,
    /// Large bytes that another interpreter lends.
    SharedBuffer,
    /// The base of all entities.
    Entity,
    /// What `start` gets.
    World,
    /// What `command` gets.
    Command,
    /// What a ray met.
    Hit,
    /// A snapshot's bytes.
    SnapshotBuffer,
    /// How many there are.
    Count,
}

/// The native types of one interpreter, by [`TypeId`]. Owned by the module.
pub(crate) type Types = [*mut PyTypeObject; TypeId::Count as usize];

/// Makes a type for `module`; null with an exception set where that fails.
pub(crate) type CreateType = unsafe fn(module: *mut PyObject) -> *mut PyTypeObject;

/// What one file adds to the module.
pub(crate) struct Part {
    /// Types, created in this order and added under their names.
    pub(crate) types: &'static [(TypeId, CreateType)],
    /// The functions' table, ended by a zeroed entry.
    pub(crate) functions: Option<*mut PyMethodDef>,
}

/// All parts, in order of initialization.
const PARTS: &[Part] = &[
    Part {
        types: &[(TypeId::Vec3, vec3::create_type)],
        functions: None,
    },
    Part {
        types: &[(TypeId::SharedBuffer, buffer::create_type)],
        functions: None,
    },
    Part {
        types: &[(TypeId::Entity, entity::create_type)],
        functions: None,
    },
    start::PART,
    command::PART,
    hit::PART,
    query::PART,
    terrain::PART,
    walk::PART,
    log::PART,
    modules::PART,
];

/// The module's state: references to the types, which the module keeps alive.
#[repr(C)]
struct State {
    types: Types,
    declaration_error: *mut PyObject,
    preempted: *mut PyObject,
}

unsafe fn state(module: *mut PyObject) -> *mut State {
    // SAFETY: `module` is ours, its state has been allocated by its `m_size`.
    unsafe { PyModule_GetState(module).cast() }
}

unsafe extern "C" fn exec(module: *mut PyObject) -> c_int {
    // SAFETY: called once by the import system with the new module, attached.
    context::with(|context| match unsafe { fill(context, module) } {
        Ok(()) => 0,
        Err(Raised) => -1,
    })
}

unsafe fn fill(context: &Context, module: *mut PyObject) -> PyResult<()> {
    // SAFETY: attached, `module` is new, by the caller; CPython has zeroed its state.
    unsafe {
        if context.codec.get().is_some() {
            let message = "_tessera is imported already: a zone has one, in its own interpreter";
            return Err(crate::py::raise(PyExc_ImportError, message));
        }
        let state = state(module);
        for part in PARTS {
            for (id, create) in part.types {
                let created = create(module);
                if created.is_null() {
                    return Err(Raised);
                }
                (*state).types[*id as usize] = created;
                done(PyModule_AddType(module, created))?;
            }
            if let Some(functions) = part.functions {
                done(PyModule_AddFunctions(module, functions))?;
            }
        }
        let types = (*state).types;
        context.types.set(types);
        let codec = Codec::new(clone::Types {
            vec3: types[TypeId::Vec3 as usize],
            shared_buffer: types[TypeId::SharedBuffer as usize],
            entity: types[TypeId::Entity as usize],
        });
        let fresh = context.codec.set(RefCell::new(codec)).is_ok();
        assert!(fresh, "the import system initializes the module once");
        let error = PyErr_NewExceptionWithDoc(
            c"_tessera.DeclarationError".as_ptr(),
            c"A class declares something that can't be.".as_ptr(),
            PyExc_TypeError,
            null_mut(),
        );
        let error = Owned::from_new(error)?;
        add(module, c"DeclarationError", error.clone())?;
        context.declaration_error.set(error.as_ptr());
        (*state).declaration_error = error.into_ptr();
        let preempted = PyErr_NewExceptionWithDoc(
            c"_tessera.Preempted".as_ptr(),
            c"A script ran for too long and is broken off.".as_ptr(),
            PyExc_BaseException,
            null_mut(),
        );
        let preempted = Owned::from_new(preempted)?;
        add(module, c"Preempted", preempted.clone())?;
        context.preempted.set(preempted.as_ptr());
        (*state).preempted = preempted.into_ptr();
        constants::add_all(context, module)
    }
}

/// Adds a value to the module.
unsafe fn add(module: *mut PyObject, name: &std::ffi::CStr, value: Owned) -> PyResult<()> {
    // SAFETY: attached by the callers.
    done(unsafe { PyModule_AddObjectRef(module, name.as_ptr(), value.as_ptr()) })
}

/// What a C function says that returns 0 or -1.
fn done(status: c_int) -> PyResult<()> {
    if status == 0 { Ok(()) } else { Err(Raised) }
}

unsafe extern "C" fn traverse(module: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: called by the collector on a live module; null types are skipped.
    unsafe {
        let state = state(module);
        if state.is_null() {
            return 0;
        }
        for created in (*state).types {
            if !created.is_null() {
                let result = visit(created.cast(), arg);
                if result != 0 {
                    return result;
                }
            }
        }
        for exception in [(*state).declaration_error, (*state).preempted] {
            if !exception.is_null() {
                let result = visit(exception, arg);
                if result != 0 {
                    return result;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn clear(module: *mut PyObject) -> c_int {
    // SAFETY: as for `traverse`; each reference is taken out before it is released.
    unsafe {
        let state = state(module);
        if state.is_null() {
            return 0;
        }
        for at in 0..TypeId::Count as usize {
            let created = std::mem::replace(&mut (*state).types[at], null_mut());
            Py_XDECREF(created.cast());
        }
        for exception in [&mut (*state).declaration_error, &mut (*state).preempted] {
            Py_XDECREF(std::mem::replace(exception, null_mut()));
        }
    }
    0
}

unsafe extern "C" fn free(module: *mut c_void) {
    // SAFETY: called once, last, with the module.
    unsafe {
        clear(module.cast());
    }
}

static SLOTS: Table<[PyModuleDef_Slot; 4]> = Table::new([
    PyModuleDef_Slot {
        slot: Py_mod_exec,
        value: exec as *mut c_void,
    },
    PyModuleDef_Slot {
        slot: Py_mod_multiple_interpreters,
        value: Py_MOD_PER_INTERPRETER_GIL_SUPPORTED,
    },
    PyModuleDef_Slot {
        slot: Py_mod_gil,
        value: Py_MOD_GIL_NOT_USED,
    },
    PyModuleDef_Slot {
        slot: 0,
        value: null_mut(),
    },
]);

static DEFINITION: Table<PyModuleDef> = Table::new(PyModuleDef {
    m_base: PyModuleDef_HEAD_INIT,
    m_name: c"_tessera".as_ptr(),
    m_doc: c"The engine, as the package `tessera` uses it.".as_ptr(),
    m_size: size_of::<State>() as Py_ssize_t,
    m_methods: null_mut(),
    m_slots: SLOTS.first(),
    m_traverse: Some(traverse),
    m_clear: Some(clear),
    m_free: Some(free),
});

/// The module's entry, for the interpreter's table of built-in modules.
pub(crate) unsafe extern "C" fn init() -> *mut PyObject {
    // SAFETY: the definition is static; CPython writes only to its head, under its own lock.
    unsafe { PyModuleDef_Init(DEFINITION.first()) }
}
