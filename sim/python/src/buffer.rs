//! Large bytes that cross from one interpreter to another without a copy.
//!
//! The sender's `bytes` object stays where it is. [`Exports::lend`] takes a reference to it on behalf
//! of everybody who will read it; a [`SharedBytes`] travels in the message; the receiver's scripts get
//! a read-only `memoryview` over a `SharedBuffer`, which holds the `SharedBytes`. A reference count
//! may be changed on its interpreter's thread only, so the last holder doesn't release the object: it
//! sends it home, and [`Exports::drain`] on the owner's thread does.
//!
//! Whoever ends first:
//! - *The receiver*: its `SharedBuffer`s go when its interpreter does, and send the object home.
//! - *The message*, dropped undelivered on any thread: the same.
//! - *The owner*: what it has lent out stays as it is, since our reference isn't released: a block of
//!   at least [`SHARED_BYTES_MIN`] is none of the interpreter's arenas but one of the process-wide
//!   allocator, which outlives the interpreter. After the end, [`Exports::orphan`] marks the way home
//!   as closed; the last holder then puts the object on the list of orphans, and whichever interpreter
//!   drains next frees it.

use std::fmt;
use std::mem::{replace, take};
use std::ptr::{NonNull, drop_in_place, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3_ffi::*;

use crate::py::{self, PyResult, Raised, SEALED, heap_type, slot};

/// Bytes of this size and above cross without a copy in messages.
pub(crate) const SHARED_BYTES_MIN: usize = 4096;
/// Larger objects than this are never in an interpreter's own arenas (`SMALL_REQUEST_THRESHOLD` of
/// CPython's obmalloc).
const ARENA_BYTES_MAX: usize = 512;
const _: () = assert!(SHARED_BYTES_MIN > ARENA_BYTES_MAX);

/// A `bytes` object on its way home, with the one reference that [`Exports::lend`] took.
struct Home(NonNull<PyObject>);

// SAFETY: it is only carried; the object is touched on the owner's thread, or under the orphans' lock
// when no owner is left.
unsafe impl Send for Home {}

/// Objects whose interpreter has ended.
static ORPHANS: Mutex<Vec<Home>> = Mutex::new(Vec::new());
/// Length of [`ORPHANS`], so that a drain looks without locking.
static ORPHAN_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The way home to one owner.
#[derive(Default)]
struct Returns {
    /// Whether the owner has ended.
    closed: bool,
    /// What came back and waits for the owner's thread.
    objects: Vec<Home>,
}

/// One object that is lent out; dropped by its last holder.
struct Loan {
    object: NonNull<PyObject>,
    data: *const u8,
    len: usize,
    returns: Arc<Mutex<Returns>>,
}

// SAFETY: readers on other threads touch only the contents, which never change and stay in place until
// the loan is dropped; the object's head is left to the owner's thread.
unsafe impl Send for Loan {}
// SAFETY: as for `Send`.
unsafe impl Sync for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        let home = Home(self.object);
        let mut returns = lock(&self.returns);
        if returns.closed {
            lock(&ORPHANS).push(home);
            ORPHAN_COUNT.fetch_add(1, Ordering::Release);
        } else {
            returns.objects.push(home);
        }
    }
}

/// A panic elsewhere leaves these lists whole: each change to them is one push or one take.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that a message shares. A clone of it is another holder.
#[derive(Clone)]
pub(crate) struct SharedBytes {
    whole: Whole,
    start: usize,
    len: usize,
}

/// What shared bytes are a part of.
#[derive(Clone)]
enum Whole {
    /// An object of an interpreter of this process.
    Lent(Arc<Loan>),
    /// A copy of what came from another process.
    Copied(Arc<[u8]>),
}

impl Whole {
    fn as_slice(&self) -> &[u8] {
        match self {
            // SAFETY: the contents of a loan stay for as long as it is held.
            Self::Lent(loan) => unsafe { std::slice::from_raw_parts(loan.data, loan.len) },
            Self::Copied(bytes) => bytes,
        }
    }
}

impl SharedBytes {
    /// Bytes that are no object's.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self {
            whole: Whole::Copied(bytes.into()),
            start: 0,
            len: bytes.len(),
        }
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.whole.as_slice()[self.start..self.start + self.len]
    }

    /// The part of it that begins at `data`, if that lies within.
    pub(crate) fn part(&self, data: *const u8, len: usize) -> Option<Self> {
        let whole = self.whole.as_slice();
        let start = data.addr().checked_sub(whole.as_ptr().addr())?;
        (start.checked_add(len)? <= whole.len()).then(|| Self {
            whole: self.whole.clone(),
            start,
            len,
        })
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBytes({} bytes)", self.len)
    }
}

/// The owner's end, one an interpreter: what it lent out and what came back.
pub(crate) struct Exports {
    returns: Arc<Mutex<Returns>>,
    /// Loans that haven't come home.
    outstanding: usize,
    /// Kept for its memory.
    drained: Vec<Home>,
}

impl Exports {
    /// The end of an interpreter that has lent nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            returns: Arc::default(),
            outstanding: 0,
            drained: Vec::new(),
        }
    }

    /// Loans that haven't come home.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Lends a `bytes` object of at least [`SHARED_BYTES_MIN`].
    ///
    /// # Safety
    /// `bytes` is exactly a `bytes` of the interpreter that this end belongs to and this thread is
    /// attached to.
    pub(crate) unsafe fn lend(&mut self, bytes: *mut PyObject) -> SharedBytes {
        // SAFETY: the object is alive by the caller's promise; our reference keeps its contents, which
        // never change, in place.
        let loan = unsafe {
            Loan {
                object: NonNull::new_unchecked(Py_NewRef(bytes)),
                data: PyBytes_AS_STRING(bytes).cast(),
                len: Py_SIZE(bytes) as usize,
                returns: self.returns.clone(),
            }
        };
        assert!(loan.len >= SHARED_BYTES_MIN, "small bytes are copied");
        self.outstanding += 1;
        SharedBytes {
            start: 0,
            len: loan.len,
            whole: Whole::Lent(Arc::new(loan)),
        }
    }

    /// Releases what has come home, and orphans of interpreters that ended. Call each tick.
    ///
    /// # Safety
    /// This thread is attached to the interpreter that this end belongs to.
    pub(crate) unsafe fn drain(&mut self) {
        let empty = take(&mut self.drained);
        self.drained = replace(&mut lock(&self.returns).objects, empty);
        self.outstanding -= self.drained.len();
        for home in self.drained.drain(..) {
            // SAFETY: the reference that `lend` took, on the owner's thread.
            unsafe { Py_DECREF(home.0.as_ptr()) }
        }
        if ORPHAN_COUNT.load(Ordering::Acquire) > 0 {
            // SAFETY: attached, by the caller's promise.
            unsafe { free_orphans() }
        }
    }

    /// The interpreter has ended. What it has lent out stays valid for its holders; after them, and
    /// what has come home too late, is freed by whichever interpreter drains next.
    ///
    /// # Safety
    /// The interpreter that this end belongs to has ended: nobody will touch its objects any more.
    pub(crate) unsafe fn orphan(&mut self) {
        let mut returns = lock(&self.returns);
        returns.closed = true;
        let mut orphans = lock(&ORPHANS);
        ORPHAN_COUNT.fetch_add(returns.objects.len(), Ordering::Release);
        orphans.append(&mut returns.objects);
    }
}

/// Frees the objects of interpreters that have ended.
///
/// # Safety
/// This thread is attached to an interpreter.
unsafe fn free_orphans() {
    // The lock is held throughout: two loans of one object may be here, and they share its count.
    let mut orphans = lock(&ORPHANS);
    ORPHAN_COUNT.fetch_sub(orphans.len(), Ordering::Relaxed);
    for home in orphans.drain(..) {
        // SAFETY: the owner's thread is gone, so that nobody else changes the count. At zero CPython
        // frees the block: `bytes` is a static type whose objects own nothing, and a block that isn't
        // in the attached interpreter's arenas goes to the process-wide allocator it came from.
        unsafe { Py_DECREF(home.0.as_ptr()) }
    }
}

/// The object that a receiver's `memoryview` reads through.
#[repr(C)]
struct SharedBuffer {
    head: PyObject,
    bytes: SharedBytes,
}

/// Makes the type `SharedBuffer` for an interpreter: a new reference, or null with an exception set.
///
/// # Safety
/// `module` is a module of the interpreter that this thread is attached to.
pub(crate) unsafe fn create_type(module: *mut PyObject) -> *mut PyTypeObject {
    let doc = c"Bytes of another zone, read through a memoryview.";
    let slots = [
        slot(Py_tp_doc, doc.as_ptr() as _),
        slot(Py_tp_dealloc, dealloc as _),
        slot(Py_bf_getbuffer, get_buffer as _),
    ];
    let (name, size) = (c"tessera.SharedBuffer", size_of::<SharedBuffer>());
    // SAFETY: the slots fit `SharedBuffer`; the module is live by the caller's promise.
    unsafe { heap_type(module, name, size, SEALED, &slots) }
}

/// A new reference to a read-only `memoryview` of the bytes.
///
/// # Safety
/// `ty` is a type that [`create_type`] made for the interpreter that this thread is attached to.
pub(crate) unsafe fn memoryview(
    ty: *mut PyTypeObject,
    bytes: SharedBytes,
) -> PyResult<*mut PyObject> {
    // SAFETY: instances of `ty` have the layout of `SharedBuffer`, whose `bytes` is written before
    // anybody sees it; the view holds the buffer, so that our reference may go.
    unsafe {
        let buffer = PyObject_New::<SharedBuffer>(ty);
        if buffer.is_null() {
            return Err(Raised);
        }
        (&raw mut (*buffer).bytes).write(bytes);
        let view = PyMemoryView_FromObject(buffer.cast());
        Py_DECREF(buffer.cast());
        if view.is_null() {
            Err(Raised)
        } else {
            Ok(view)
        }
    }
}

/// What an object shares, if it is a `SharedBuffer` of this interpreter.
///
/// # Safety
/// As for [`memoryview`]; `object` is an object of that interpreter.
pub(crate) unsafe fn get(ty: *mut PyTypeObject, object: *mut PyObject) -> Option<SharedBytes> {
    // SAFETY: the type is checked before the layout is relied on.
    unsafe { (Py_TYPE(object) == ty).then(|| (*object.cast::<SharedBuffer>()).bytes.clone()) }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by CPython once, with the last reference gone; no view is left, since a view
    // holds a reference.
    unsafe {
        drop_in_place(&raw mut (*object.cast::<SharedBuffer>()).bytes);
        py::free(object);
    }
}

unsafe extern "C" fn get_buffer(
    object: *mut PyObject,
    view: *mut Py_buffer,
    flags: std::ffi::c_int,
) -> std::ffi::c_int {
    // SAFETY: called by CPython with a `SharedBuffer`. The view takes a reference to it, which keeps
    // the bytes; being read-only, a request to write is refused.
    unsafe {
        if view.is_null() {
            PyErr_SetString(PyExc_BufferError, c"a view is needed".as_ptr());
            return -1;
        }
        let bytes = (*object.cast::<SharedBuffer>()).bytes.as_slice();
        let (data, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as Py_ssize_t);
        (*view).obj = null_mut();
        PyBuffer_FillInfo(view, object, data, len, 1, flags)
    }
}
