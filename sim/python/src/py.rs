//! The few things about CPython's C API that everything here leans on: owned references, the mark of
//! a raised exception, types and their tables in static memory.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_int, c_ulong, c_void};
use std::ptr::{NonNull, null, null_mut};

use pyo3_ffi::*;

/// A Python exception is set on this thread; whoever ends up with this must report or clear it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raised;

/// The result of something that may raise in Python.
pub(crate) type PyResult<T> = Result<T, Raised>;

/// An owned reference to a Python object of the interpreter that this thread is attached to.
///
/// # Invariants
/// Dropped on the thread of its interpreter, while that interpreter is attached and alive.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Owned(NonNull<PyObject>);

impl Owned {
    /// Takes over a new reference that a C function returned; null means that it raised.
    ///
    /// # Safety
    /// `object` is null with an exception set, or a reference that the caller owns.
    pub(crate) unsafe fn from_new(object: *mut PyObject) -> PyResult<Self> {
        NonNull::new(object).map(Self).ok_or(Raised)
    }

    /// Makes a new reference to an object that somebody else owns.
    ///
    /// # Safety
    /// `object` is a live object of the attached interpreter.
    pub(crate) unsafe fn from_borrowed(object: *mut PyObject) -> Self {
        // SAFETY: the object is alive by the caller's promise.
        unsafe { Self(NonNull::new_unchecked(Py_NewRef(object))) }
    }

    /// The object; still owned by `self`.
    pub(crate) fn as_ptr(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference to the caller, who must release it or pass it on to Python.
    pub(crate) fn into_ptr(self) -> *mut PyObject {
        let object = self.0.as_ptr();
        std::mem::forget(self);
        object
    }
}

impl Clone for Owned {
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { Self::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the type's invariant says that its interpreter is attached.
        unsafe { Py_DECREF(self.0.as_ptr()) }
    }
}

/// The same objects as CPython's calling convention wants them, borrowed.
pub(crate) fn pointers(objects: &[Owned]) -> &[*mut PyObject] {
    // SAFETY: `Owned` is a transparent, non-null pointer.
    unsafe { std::slice::from_raw_parts(objects.as_ptr().cast(), objects.len()) }
}

/// Raises `message` as an exception of type `exception` (such as `PyExc_TypeError`).
///
/// # Safety
/// The thread is attached to an interpreter and `exception` is an exception type.
#[cold]
pub(crate) unsafe fn raise(exception: *mut PyObject, message: &str) -> Raised {
    // A message with a NUL in it would be a str of a script: show what stands before.
    let end = message.find('\0').unwrap_or(message.len());
    let message = CString::new(&message[..end]).unwrap_or_default();
    // SAFETY: by the caller's promise.
    unsafe { PyErr_SetString(exception, message.as_ptr()) };
    Raised
}

/// A Python `str`.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn text(text: &str) -> PyResult<Owned> {
    // SAFETY: attached, by the caller; pointer and length are those of a slice.
    unsafe {
        let length = text.len() as Py_ssize_t;
        Owned::from_new(PyUnicode_FromStringAndSize(text.as_ptr().cast(), length))
    }
}

/// What a C function returns for a result: the reference, or null for an exception.
pub(crate) fn returned(result: PyResult<Owned>) -> *mut PyObject {
    result.map_or(null_mut(), Owned::into_ptr)
}

/// A table in static memory that CPython wants by mutable pointer, though it doesn't write to it.
#[repr(transparent)]
pub(crate) struct Table<T>(UnsafeCell<T>);

// SAFETY: CPython only reads method, member and slot tables, and Rust hands out no reference to them.
unsafe impl<T> Sync for Table<T> {}

impl<T> Table<T> {
    /// A table with these entries; the last one must be the all-zero sentinel.
    pub(crate) const fn new(entries: T) -> Self {
        Self(UnsafeCell::new(entries))
    }

    /// The first entry.
    pub(crate) const fn first<E>(&self) -> *mut E {
        self.0.get().cast()
    }
}

/// A slot of a type: a function with the signature that it has there, or static data.
pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> PyType_Slot {
    PyType_Slot { slot, pfunc }
}

/// An attribute that lies in the object itself, at `offset`, for reading.
pub(crate) const fn member(
    name: &'static CStr,
    type_code: c_int,
    offset: usize,
    doc: &'static CStr,
) -> PyMemberDef {
    PyMemberDef {
        name: name.as_ptr(),
        type_code,
        offset: offset as Py_ssize_t,
        flags: Py_READONLY,
        doc: doc.as_ptr(),
    }
}

/// The end of a table of members.
pub(crate) const LAST_MEMBER: PyMemberDef = PyMemberDef {
    name: null(),
    type_code: 0,
    offset: 0,
    flags: 0,
    doc: null(),
};

/// Flags of a type that scripts neither change nor call.
pub(crate) const SEALED: c_ulong = Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;

/// Makes a heap type from `slots` (without sentinel), owned by `module`; null with an exception set
/// where that fails.
///
/// # Safety
/// `module` is the module being initialized; the slots fit `basicsize` and each other; tables that
/// they point to are static.
pub(crate) unsafe fn heap_type(
    module: *mut PyObject,
    name: &'static CStr,
    basicsize: usize,
    flags: c_ulong,
    slots: &[PyType_Slot],
) -> *mut PyTypeObject {
    let mut slots = slots.to_vec();
    slots.push(PyType_Slot::default());
    let mut spec = PyType_Spec {
        name: name.as_ptr(),
        basicsize: basicsize as _,
        itemsize: 0,
        flags: (flags | Py_TPFLAGS_DEFAULT) as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is valid by the caller's promise; CPython copies it.
    unsafe { PyType_FromModuleAndSpec(module, &mut spec, null_mut()).cast() }
}

/// The `dealloc` of a type whose objects hold nothing.
pub(crate) unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by CPython once, with no references left.
    unsafe { free(object) }
}

/// Frees an object of a heap type: what the `dealloc` of each type ends with.
///
/// # Safety
/// `object` has no references left and has released what it held.
pub(crate) unsafe fn free(object: *mut PyObject) {
    // SAFETY: heap types have tp_free, and each instance owns a reference to its type.
    unsafe {
        let tp = Py_TYPE(object);
        ((*tp).tp_free.expect("heap types have tp_free"))(object.cast());
        Py_DECREF(tp.cast());
    }
}
