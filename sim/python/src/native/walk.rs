//! `walk`: one tick of a character that somebody steers, by the rules that its kind declares.

use glam::DVec3;
use pyo3_ffi::*;
use tessera_protocol::{Walker, base};
use tessera_world::{WalkInput, WalkState};

use super::{Part, terrain};
use crate::args::{self, Arguments};
use crate::context::{self, Context};
use crate::entity;
use crate::py::{Owned, PyResult, Raised, Table, raise, returned};
use crate::value::{self, bad_argument};

pub(super) const PART: Part = Part {
    types: &[],
    functions: Some(FUNCTIONS.first()),
};

static FUNCTIONS: Table<[PyMethodDef; 2]> = Table::new([
    PyMethodDef {
        ml_name: c"walk".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFastWithKeywords: walk,
        },
        ml_flags: METH_FASTCALL | METH_KEYWORDS,
        ml_doc: c"walk($module, entity, move_x, move_z, buttons)\n--\n\nOne tick of a character that somebody steers."
            .as_ptr(),
    },
    PyMethodDef::zeroed(),
]);

unsafe extern "C" fn walk(
    _module: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with these arguments.
        returned(unsafe { walk_body(context, Arguments::new(arguments, count, names)) })
    })
}

/// The slots of an entity that walking reads and writes.
struct Slots<'a> {
    live: *mut PyObject,
    offsets: &'a [usize],
    walker: &'a Walker,
    /// Names of the kind and its fields, for errors.
    kind: &'a tessera_protocol::Kind,
}

unsafe fn walk_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `walk`.
    unsafe {
        let names = ["entity", "move_x", "move_z", "buttons"];
        let [live, move_x, move_z, pressed] = arguments.bind("walk", names, 4)?;
        let actor = context.acting(live)?;
        let kinds = context.kinds()?;
        let kind = kinds.declaration(actor.kind.get());
        let Some(walker) = &kind.walker else {
            return Err(no_walker(&kind.name));
        };
        let slots = Slots {
            live,
            offsets: &kinds.info(actor.kind.get()).offsets,
            walker,
            kind,
        };
        let buttons = value::int(pressed, 0, u16::MAX.into())
            .map_err(|_| bad_argument("walk", "buttons", "bits of buttons", pressed))?;
        let input = WalkInput {
            move_x: wish("move_x", move_x)?,
            move_z: wish("move_z", move_z)?,
            yaw: slots.number(base::YAW)?,
            buttons: walker.obeyed(buttons as u16),
        };
        let before = slots.read()?;
        let dt = 1.0 / f64::from(context.tick_hz);
        let walked = context.world.walk(&walker.rules, &before, &input, dt);
        slots.write(context, &before, &walked.state)?;
        Owned::from_new(PyFloat_FromDouble(walked.landing))
    }
}

/// A part of a wish, taken to [-1, 1]: a turned unit vector may be a rounding longer.
unsafe fn wish(argument: &str, value: *mut PyObject) -> PyResult<f64> {
    // SAFETY: attached and alive, by the caller.
    unsafe { args::number("walk", argument, value) }.map(|number| number.clamp(-1.0, 1.0))
}

#[cold]
fn no_walker(kind: &str) -> Raised {
    let message = format!("walk: {kind} declares no walker = Walker(...), so it has no rules");
    // SAFETY: natives run attached.
    unsafe { raise(PyExc_TypeError, &message) }
}

impl Slots<'_> {
    unsafe fn slot(&self, field: usize) -> *mut PyObject {
        // SAFETY: the offset is one of the object's slots, by the caller.
        unsafe { *entity::field(self.live, self.offsets[field]) }
    }

    /// A slot that a script has deleted, or that holds something else than its field's type.
    #[cold]
    unsafe fn fault(&self, field: usize, takes: &str) -> Raised {
        // SAFETY: attached; an empty slot is shown as None.
        unsafe {
            let slot = self.slot(field);
            let shown = if slot.is_null() { Py_None() } else { slot };
            let name = &self.kind.fields[field].name;
            bad_argument("walk", &format!("entity.{name}"), takes, shown)
        }
    }

    unsafe fn number(&self, field: usize) -> PyResult<f64> {
        // SAFETY: as for `slot`; empty slots are not looked into.
        unsafe {
            let slot = self.slot(field);
            match slot.is_null() {
                false => value::float(slot).map_err(|_| self.fault(field, "a finite number")),
                true => Err(self.fault(field, "a finite number")),
            }
        }
    }

    unsafe fn vector(&self, field: usize) -> PyResult<DVec3> {
        // SAFETY: as for `number`.
        unsafe {
            let slot = self.slot(field);
            let takes = "a Vec3 of finite floats";
            match slot.is_null() {
                false => value::vector(slot)
                    .map(DVec3::from)
                    .map_err(|_| self.fault(field, takes)),
                true => Err(self.fault(field, takes)),
            }
        }
    }

    unsafe fn flag(&self, field: Option<u16>) -> PyResult<bool> {
        let Some(field) = field.map(usize::from) else {
            return Ok(false);
        };
        // SAFETY: as for `slot`.
        unsafe {
            match self.slot(field) {
                slot if slot == Py_True() => Ok(true),
                slot if slot == Py_False() => Ok(false),
                _ => Err(self.fault(field, "True or False")),
            }
        }
    }

    unsafe fn read(&self) -> PyResult<WalkState> {
        // SAFETY: as for `slot`.
        unsafe {
            Ok(WalkState {
                position: self.vector(base::POSITION)?,
                velocity: self.vector(base::VELOCITY)?,
                grounded: self.flag(Some(self.walker.grounded))?,
                crouched: self.flag(self.walker.crouched)?,
                gliding: self.flag(self.walker.gliding)?,
            })
        }
    }

    /// Writes what has changed. A kind without a field for crouching or gliding never does.
    unsafe fn write(
        &self,
        context: &Context,
        before: &WalkState,
        after: &WalkState,
    ) -> PyResult<()> {
        let Walker {
            grounded,
            crouched,
            gliding,
            ..
        } = *self.walker;
        // SAFETY: attached; the offsets are those of the object's slots, by the caller.
        unsafe {
            let put =
                |field: usize, value| entity::set_field(self.live, self.offsets[field], value);
            if after.position != before.position {
                put(base::POSITION, terrain::vector(context, after.position)?);
            }
            if after.velocity != before.velocity {
                put(base::VELOCITY, terrain::vector(context, after.velocity)?);
            }
            for (field, old, new) in [
                (Some(grounded), before.grounded, after.grounded),
                (crouched, before.crouched, after.crouched),
                (gliding, before.gliding, after.gliding),
            ] {
                if let Some(field) = field.filter(|_| old != new) {
                    let flag = if new { Py_True() } else { Py_False() };
                    put(field.into(), Owned::from_borrowed(flag));
                }
            }
        }
        Ok(())
    }
}
