//! Arenas of interpreters, so that one that ends gives its memory back.
//!
//! CPython keeps the arenas of an ended interpreter for as long as any object in them seems to be
//! alive, which some always do: 4 to 7 MiB would be lost each time. Here each interpreter's arenas are
//! listed, and what is left when it has ended is unmapped. Objects that outlive their interpreter on
//! purpose (large `bytes` lent out) are never in an arena: see [`crate::buffer`].

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use pyo3_ffi::*;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

thread_local! {
    static CURRENT: Cell<*const Arenas> = const { Cell::new(null()) };
}

/// The arenas of one interpreter.
///
/// # Invariants
/// Used by the interpreter's thread only, and dropped after the interpreter has ended.
#[derive(Default)]
pub(crate) struct Arenas {
    mapped: RefCell<Vec<(*mut c_void, usize)>>,
}

impl Arenas {
    /// From now on what this thread's interpreter maps is listed here.
    pub(crate) fn enter(&self) {
        CURRENT.set(self);
    }

    /// Bytes mapped.
    pub(crate) fn bytes(&self) -> usize {
        self.mapped.borrow().iter().map(|(_, size)| size).sum()
    }
}

impl Drop for Arenas {
    fn drop(&mut self) {
        if CURRENT.get() == std::ptr::from_ref(self) {
            CURRENT.set(null());
        }
        for (address, size) in self.mapped.take() {
            // SAFETY: mapped by `allocate` and not unmapped since; by the type's invariant nobody uses
            // it any more.
            let _ = unsafe { munmap(address, size) };
        }
    }
}

/// Makes CPython map its arenas through here.
///
/// # Safety
/// Between preinitialization and initialization of the runtime.
pub(crate) unsafe fn install() {
    let mut allocator = PyObjectArenaAllocator {
        ctx: null_mut(),
        alloc: Some(allocate),
        free: Some(free),
    };
    // SAFETY: CPython copies the struct; the functions are thread-safe.
    unsafe { PyObject_SetArenaAllocator(&mut allocator) };
}

/// The list of the attached interpreter; the main interpreter has none.
fn list<R>(body: impl FnOnce(&mut Vec<(*mut c_void, usize)>) -> R) -> Option<R> {
    let current = CURRENT.get();
    // SAFETY: null, or set by `enter` and taken back by `drop`.
    unsafe { current.as_ref() }.map(|arenas| body(&mut arenas.mapped.borrow_mut()))
}

extern "C" fn allocate(_context: *mut c_void, size: usize) -> *mut c_void {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping, at an address that the kernel chooses.
    let mapped = unsafe { mmap_anonymous(null_mut(), size, protection, MapFlags::PRIVATE) };
    let Ok(address) = mapped else {
        return null_mut();
    };
    list(|arenas| arenas.push((address, size)));
    address
}

extern "C" fn free(_context: *mut c_void, address: *mut c_void, size: usize) {
    list(|arenas| arenas.retain(|(known, _)| *known != address));
    // SAFETY: CPython returns what `allocate` mapped, once.
    let _ = unsafe { munmap(address, size) };
}
