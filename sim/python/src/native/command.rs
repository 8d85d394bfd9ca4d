//! `Command`: what a client wants of its player this tick.

use std::mem::offset_of;

use pyo3_ffi::*;
use tessera_protocol::command::Command;

use super::{Part, TypeId};
use crate::context::Context;
use crate::py::{self, LAST_MEMBER, Owned, PyResult, SEALED, Table, heap_type, member, slot};
use crate::vec3;

pub(super) const PART: Part = Part {
    types: &[(TypeId::Command, create_type)],
    functions: None,
};

#[repr(C)]
struct CommandObject {
    head: PyObject,
    move_x: f64,
    move_z: f64,
    yaw: f64,
    pitch: f64,
    rewind: f64,
    buttons: u16,
    slot: u8,
}

static MEMBERS: Table<[PyMemberDef; 8]> = Table::new([
    member(
        c"move_x",
        Py_T_DOUBLE,
        offset_of!(CommandObject, move_x),
        c"Wish to move right (+) or left (-), in [-1, 1].",
    ),
    member(
        c"move_z",
        Py_T_DOUBLE,
        offset_of!(CommandObject, move_z),
        c"Wish to move back (+) or forward (-), in [-1, 1].",
    ),
    member(
        c"yaw",
        Py_T_DOUBLE,
        offset_of!(CommandObject, yaw),
        c"Radians about +y, in [-pi, pi).",
    ),
    member(
        c"pitch",
        Py_T_DOUBLE,
        offset_of!(CommandObject, pitch),
        c"Radians above the horizon, in [-pi/2, pi/2].",
    ),
    member(
        c"rewind",
        Py_T_DOUBLE,
        offset_of!(CommandObject, rewind),
        c"How far back it saw the others, in ticks.",
    ),
    member(
        c"buttons",
        Py_T_USHORT,
        offset_of!(CommandObject, buttons),
        c"Bits FIRE, JUMP, RELOAD, CROUCH, SPRINT, USE.",
    ),
    member(
        c"slot",
        Py_T_UBYTE,
        offset_of!(CommandObject, slot),
        c"The chosen weapon or item.",
    ),
    LAST_MEMBER,
]);

unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let doc = c"What a client wants of its player this tick.";
    let slots = [
        slot(Py_tp_dealloc, py::dealloc as _),
        slot(Py_tp_members, MEMBERS.first()),
        slot(Py_tp_hash, hash as _),
        slot(Py_tp_doc, doc.as_ptr() as _),
    ];
    let (name, size) = (c"_tessera.Command", size_of::<CommandObject>());
    // SAFETY: the functions have the signatures of their slots, the table is static.
    unsafe { heap_type(module, name, size, SEALED, &slots) }
}

/// A new `Command`.
///
/// # Safety
/// Attached to the interpreter of `context`.
pub(crate) unsafe fn new(context: &Context, command: &Command) -> PyResult<Owned> {
    // SAFETY: attached; the new object is filled before anyone sees it.
    unsafe {
        let class = context.types.get()[TypeId::Command as usize];
        let object = Owned::from_new(PyType_GenericAlloc(class, 0))?;
        let fields = object.as_ptr().cast::<CommandObject>();
        (*fields).move_x = command.move_x.into();
        (*fields).move_z = command.move_z.into();
        (*fields).yaw = command.yaw.into();
        (*fields).pitch = command.pitch.into();
        (*fields).rewind = command.rewind(context.tick_hz);
        (*fields).buttons = command.buttons;
        (*fields).slot = command.slot;
        Ok(object)
    }
}

/// By value: an address would bring the order of sets, and so the state, down to where objects lie.
unsafe extern "C" fn hash(object: *mut PyObject) -> Py_hash_t {
    // SAFETY: called by CPython with a command.
    let command = unsafe { &*object.cast::<CommandObject>() };
    let axes = [
        command.move_x,
        command.move_z,
        command.yaw,
        command.pitch,
        command.rewind,
    ];
    let rest = u64::from(command.buttons) << 8 | u64::from(command.slot);
    vec3::hash_bits(axes.iter().map(|axis| axis.to_bits()).chain([rest]))
}
