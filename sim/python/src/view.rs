//! Types of views: a kind's class once more, with slots that can only be read.
//!
//! A view's type derives from the script's class, so `isinstance` holds and methods that only read
//! work. Its own read-only descriptors, at the same offsets, hide those of the class; the interpreter
//! specializes their loads like any slot's.

use std::ffi::{CString, c_int};
use std::sync::OnceLock;

use pyo3_ffi::*;

use crate::py::{Owned, PyResult, Raised, Table, raise};
use crate::value::str_lossy;

/// What descriptors of view types point to: must be dropped after the interpreter has ended.
#[derive(Default)]
pub(crate) struct Members {
    names: Vec<CString>,
    #[expect(clippy::vec_box, reason = "descriptors hold on to the addresses")]
    members: Vec<Box<PyMemberDef>>,
}

static SETATTR: Table<[PyMethodDef; 2]> = Table::new([
    PyMethodDef {
        ml_name: c"__setattr__".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFast: refuse,
        },
        ml_flags: METH_FASTCALL,
        ml_doc: std::ptr::null(),
    },
    PyMethodDef::zeroed(),
]);

/// Makes the view type of a kind.
///
/// # Errors
/// Raises what CPython raises.
///
/// # Safety
/// Attached; `class` is an entity class whose slots called `names` are at `offsets`; `members` outlives
/// the interpreter.
pub(crate) unsafe fn create_type(
    class: &Owned,
    names: &[Owned],
    offsets: &[usize],
    members: &mut Members,
) -> PyResult<Owned> {
    // SAFETY: attached; what `type.__new__` returns is a type.
    unsafe {
        let view = derive(class)?;
        for (name, offset) in names.iter().zip(offsets) {
            let c_name = CString::new(str_lossy(name.as_ptr())).unwrap_or_default();
            let mut member = Box::new(PyMemberDef {
                name: c_name.as_ptr(),
                type_code: Py_T_OBJECT_EX,
                offset: *offset as Py_ssize_t,
                flags: Py_READONLY,
                doc: std::ptr::null(),
            });
            let descriptor = PyDescr_NewMember(view.as_ptr().cast(), &mut *member);
            members.names.push(c_name);
            members.members.push(member);
            set(&view, name, &Owned::from_new(descriptor)?)?;
        }
        let refuse = PyDescr_NewMethod(view.as_ptr().cast(), SETATTR.first());
        set(
            &view,
            &crate::kinds::intern("__setattr__")?,
            &Owned::from_new(refuse)?,
        )?;
        // CPython gives no object the class of one that is immutable, nor takes it away: a view stays one.
        (*view.as_ptr().cast::<PyTypeObject>()).tp_flags |= Py_TPFLAGS_IMMUTABLETYPE;
        Ok(view)
    }
}

/// `type.__new__(type(cls), cls.__name__, (cls,), {"__slots__": (), …})`, which the metaclass's own
/// `__new__`, and so the registration, doesn't see.
unsafe fn derive(class: &Owned) -> PyResult<Owned> {
    // SAFETY: attached; each call returns a new reference or null.
    unsafe {
        let metaclass = Owned::from_borrowed(Py_TYPE(class.as_ptr()).cast());
        let name = Owned::from_new(PyType_GetName(class.as_ptr().cast()))?;
        let bases = Owned::from_new(PyTuple_Pack(1, class.as_ptr()))?;
        let namespace = Owned::from_new(PyDict_New())?;
        let empty = Owned::from_new(PyTuple_New(0))?;
        let slots = c"__slots__".as_ptr();
        if PyDict_SetItemString(namespace.as_ptr(), slots, empty.as_ptr()) != 0 {
            return Err(Raised);
        }
        for copied in [c"__module__", c"__qualname__", c"__doc__"] {
            let value = PyObject_GetAttrString(class.as_ptr(), copied.as_ptr());
            let value = Owned::from_new(value)?;
            if PyDict_SetItemString(namespace.as_ptr(), copied.as_ptr(), value.as_ptr()) != 0 {
                return Err(Raised);
            }
        }
        let new = (&raw mut PyType_Type).cast();
        let new = Owned::from_new(PyObject_GetAttrString(new, c"__new__".as_ptr()))?;
        let arguments = [
            metaclass.as_ptr(),
            name.as_ptr(),
            bases.as_ptr(),
            namespace.as_ptr(),
        ];
        let view = PyObject_Vectorcall(
            new.as_ptr(),
            arguments.as_ptr(),
            arguments.len(),
            std::ptr::null_mut(),
        );
        Owned::from_new(view)
    }
}

/// Sets an attribute of a type past its metaclass.
unsafe fn set(class: &Owned, name: &Owned, value: &Owned) -> PyResult<()> {
    // SAFETY: attached; `type` has tp_setattro.
    unsafe {
        let set = PyType_Type.tp_setattro.expect("types can be assigned to");
        match set(class.as_ptr(), name.as_ptr(), value.as_ptr()) {
            0 => Ok(()),
            _ => Err(Raised),
        }
    }
}

/// What descriptors of slots did before [`guard_slots`].
static SLOTS: OnceLock<(descrgetfunc, descrsetfunc)> = OnceLock::new();

/// Has reads of a view's empty slots fill them ([`crate::far`]), and keeps scripts from writing its slots
/// by way of the class of live objects, whose descriptors have the same offsets:
/// `Player.health.__set__(view, 5.0)`.
///
/// The type of these descriptors is static and CPython's own: there is no other to put into a class
/// whose attributes its interpreter specializes. What it specializes doesn't come through here, but for
/// reads of slots that it finds empty.
///
/// # Safety
/// Called once, before the main interpreter starts: each takes the functions into its `__get__`, `__set__`
/// and `__delete__` when it starts.
pub(crate) unsafe fn guard_slots() {
    // SAFETY: by the caller's promise nobody else reads or writes the type.
    unsafe {
        let (get, set) = (
            PyMemberDescr_Type.tp_descr_get,
            PyMemberDescr_Type.tp_descr_set,
        );
        if let (Some(get), Some(set)) = (get, set) {
            SLOTS.get_or_init(|| (get, set));
            PyMemberDescr_Type.tp_descr_get = Some(get_slot);
            PyMemberDescr_Type.tp_descr_set = Some(set_slot);
        }
    }
}

/// `object.slot`, or the descriptor itself where `object` is null.
unsafe extern "C" fn get_slot(
    descriptor: *mut PyObject,
    object: *mut PyObject,
    class: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached, with a descriptor of a slot; what was there before takes the same.
    unsafe {
        let member = descriptor.cast::<PyMemberDescrObject>();
        if !object.is_null()
            && PyObject_TypeCheck(object, (*member).d_common.d_type) != 0
            && (*(*member).d_member).type_code == Py_T_OBJECT_EX
        {
            let offset = (*(*member).d_member).offset as usize;
            let is_empty = (*object.byte_add(offset).cast::<*mut PyObject>()).is_null();
            if is_empty && crate::entity::is_view(object) {
                let fill = |context: &_| crate::far::fill_slot(context, object, offset);
                if let Err(Raised) = crate::context::with(fill) {
                    return std::ptr::null_mut();
                }
            }
        }
        match SLOTS.get() {
            Some((get, _)) => get(descriptor, object, class),
            None => std::ptr::null_mut(),
        }
    }
}

/// `object.slot = value`, or `del object.slot` where `value` is null.
unsafe extern "C" fn set_slot(
    descriptor: *mut PyObject,
    object: *mut PyObject,
    value: *mut PyObject,
) -> c_int {
    // SAFETY: called by CPython, attached, with a descriptor of a slot and any object; what was there
    // before takes the same.
    unsafe {
        match SLOTS.get() {
            Some((_, set)) if !crate::entity::is_view(object) => set(descriptor, object, value),
            _ => {
                let name = (*descriptor.cast::<PyMemberDescrObject>()).d_common.d_name;
                refuse_write(object, &str_lossy(name));
                -1
            }
        }
    }
}

/// `view.field = value`.
unsafe extern "C" fn refuse(
    view: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython, attached, with `count` arguments.
    unsafe {
        let name = if count > 0 {
            str_lossy(*arguments)
        } else {
            "?".into()
        };
        refuse_write(view, &name);
    }
    std::ptr::null_mut()
}

/// Raises for a script that wants to write a view.
#[cold]
unsafe fn refuse_write(view: *mut PyObject, name: &str) {
    // SAFETY: attached, `view` is alive, by the callers.
    unsafe {
        let this = Owned::from_new(PyObject_Repr(view));
        let this = this
            .map(|this| str_lossy(this.as_ptr()))
            .unwrap_or_default();
        let message = format!(
            "{this} is a view of another entity as it was when the tick began; its {name} can't be \
             set: send it a message, and let it set its own fields"
        );
        raise(PyExc_AttributeError, &message);
    }
}
