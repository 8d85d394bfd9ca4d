//! Memory of interpreters: how much each has, how much it may have, and that one that ends gives it
//! back.
//!
//! All that CPython allocates comes through here: arenas, in which objects of up to 512 bytes live, and
//! the *raw* domain, where every larger block ends up. Each is charged to the interpreter whose thread
//! asks. Where a script would exceed the cap, it gets a `MemoryError`; what the host itself needs is
//! counted but never refused.
//!
//! CPython keeps the arenas of an ended interpreter for as long as any object in them seems to be
//! alive, which some always do: 4 to 7 MiB would be lost each time. Here each interpreter's arenas are
//! listed, and what is left when it has ended is unmapped, with the tables that find an object's arena,
//! which CPython then forgets: 384 KiB. Objects that outlive their interpreter on purpose (large `bytes`
//! lent out) are never in an arena: see [`crate::buffer`].

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pyo3_ffi::*;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::interrupt;

/// What scripts may take beyond the cap where they run on the host's behalf: rendering an exception,
/// finalizers. Bytes.
const RESERVE_BYTES: u64 = 4 << 20;
/// Blocks up to here are granted beyond the limit, as far as the margin goes; CPython's arenas are such.
const SMALL_BYTES: usize = 1 << 20;
/// The margin: what C code may still allocate until the script comes to where it can raise.
const MARGIN_BYTES: u64 = 16 << 20;
/// Zeroed blocks of this size and above that are made with an interpreter, and not freed with it, are
/// tables of its arenas. Bytes.
const TABLE_BYTES_MIN: usize = 64 << 10;
/// The limit where there is none.
const NO_LIMIT: u64 = u64::MAX;

thread_local! {
    static CURRENT: Cell<*const Arenas> = const { Cell::new(null()) };
}

/// Memory of one interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryUse {
    /// Bytes that it has: mapped arenas and larger blocks.
    pub used: u64,
    /// The most that `used` has been.
    pub peak: u64,
    /// The most that scripts may make of it, if there is a limit.
    pub cap: Option<u64>,
    /// Allocations refused since the start.
    pub denied: u64,
}

/// Gives memory back to the system that ended interpreters have freed. glibc keeps it, in as many heaps as
/// there have been threads at once: after a storm of restarts, twice of what the match needs. It takes some
/// milliseconds, in which an allocation of another thread may wait for one heap; any thread may call it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            /// malloc_trim(3).
            fn malloc_trim(keep: usize) -> std::ffi::c_int;
        }
        // SAFETY: it may be called at any time.
        unsafe { malloc_trim(0) };
    }
}

/// Reads a zone's [`MemoryUse`] from any thread, also when the zone has ended.
#[derive(Clone, Debug)]
pub struct MemoryMeter(pub(crate) Arc<Account>);

impl MemoryMeter {
    /// The figures as they are now.
    pub fn read(&self) -> MemoryUse {
        let account = &*self.0;
        MemoryUse {
            used: account.used.load(Relaxed),
            peak: account.peak.load(Relaxed),
            cap: (account.cap != NO_LIMIT).then_some(account.cap),
            denied: account.denied.load(Relaxed),
        }
    }
}

/// How much of its memory an interpreter has used.
///
/// # Invariants
/// Written by the interpreter's thread only, by plain loads and stores; others may read.
#[derive(Debug)]
pub(crate) struct Account {
    used: AtomicU64,
    peak: AtomicU64,
    denied: AtomicU64,
    cap: u64,
    /// What `used` may not exceed now.
    limit: AtomicU64,
    /// A small block was granted beyond the limit, and the script has not heard of it yet.
    overdrawn: AtomicBool,
}

impl Account {
    /// Nothing used yet, of at most `cap` bytes.
    pub(crate) fn new(cap: Option<u64>) -> Self {
        Self {
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            cap: cap.unwrap_or(NO_LIMIT),
            limit: AtomicU64::new(NO_LIMIT),
            overdrawn: AtomicBool::new(false),
        }
    }

    /// Runs `body`, a script's own work, under the cap.
    #[inline]
    pub(crate) fn capped<R>(&self, body: impl FnOnce() -> R) -> R {
        self.limited(self.cap, body)
    }

    /// Runs `body`, in which scripts may run on the host's behalf, with a little more than the cap.
    pub(crate) fn reserved<R>(&self, body: impl FnOnce() -> R) -> R {
        self.limited(self.cap.saturating_add(RESERVE_BYTES), body)
    }

    /// Runs `body`, in which no script runs, without a limit.
    pub(crate) fn lifted<R>(&self, body: impl FnOnce() -> R) -> R {
        self.limited(NO_LIMIT, body)
    }

    #[inline]
    fn limited<R>(&self, limit: u64, body: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a Account, u64);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.limit.store(self.1, Relaxed);
            }
        }
        let _restore = Restore(self, self.limit.load(Relaxed));
        self.limit.store(limit, Relaxed);
        body()
    }

    /// Whether so many bytes more are permitted. A large block beyond the limit is refused, where it was
    /// asked for. A small one is granted, and the script raises `MemoryError` at the next point where it
    /// safely can: CPython does not come through the refusal of just any small block.
    fn permits(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        let wanted = self.used.load(Relaxed).saturating_add(bytes as u64);
        if wanted <= limit {
            return true;
        }
        let bearable = bytes <= SMALL_BYTES && wanted <= limit.saturating_add(MARGIN_BYTES);
        if bearable && (self.overdrawn.load(Relaxed) || self.raise_soon()) {
            return true;
        }
        self.count_refusal();
        false
    }

    /// Has the script that runs raise; false where it can't be asked to.
    #[cold]
    fn raise_soon(&self) -> bool {
        // SAFETY: returns null on threads that aren't attached; else the interpreter is this thread's, and
        // ends before the account does.
        let queued = unsafe {
            let state = PyThreadState_GetUnchecked();
            !state.is_null()
                && interrupt::_PyEval_AddPendingCall(
                    PyThreadState_GetInterpreter(state),
                    settle,
                    std::ptr::from_ref(self).cast_mut().cast(),
                    0,
                ) == 0
        };
        self.overdrawn.store(queued, Relaxed);
        queued
    }

    fn count_refusal(&self) {
        self.denied.store(self.denied.load(Relaxed) + 1, Relaxed);
    }

    /// A block of `old` bytes (0: none) has become one of `new`.
    fn change(&self, old: usize, new: usize) {
        // A block may come from elsewhere, such as one that an interpreter that has ended had lent.
        let used = self.used.load(Relaxed).saturating_sub(old as u64) + new as u64;
        self.used.store(used, Relaxed);
        if used > self.peak.load(Relaxed) {
            self.peak.store(used, Relaxed);
        }
    }
}

/// Raises if the memory that was granted beyond the limit is still in use.
unsafe extern "C" fn settle(account: *mut c_void) -> c_int {
    // SAFETY: `raise_soon` passes an account that outlives the interpreter's calls.
    let account = unsafe { &*account.cast::<Account>() };
    account.overdrawn.store(false, Relaxed);
    if account.used.load(Relaxed) <= account.limit.load(Relaxed) {
        return 0;
    }
    account.count_refusal();
    // SAFETY: called by CPython, attached, with no exception set.
    account.lifted(|| unsafe { PyErr_NoMemory() });
    -1
}

/// The arenas of one interpreter, and its account.
///
/// # Invariants
/// Used by the interpreter's thread only, and dropped after the interpreter has ended.
pub(crate) struct Arenas {
    mapped: RefCell<Vec<(*mut c_void, usize)>>,
    /// Large zeroed blocks of the interpreter's making: no script's, and nothing that interpreters
    /// share, since the main one has made that.
    tables: RefCell<Vec<*mut c_void>>,
    /// Whether the interpreter is being made.
    creating: Cell<bool>,
    account: Arc<Account>,
}

impl Arenas {
    /// None yet.
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self {
            mapped: RefCell::default(),
            tables: RefCell::default(),
            creating: Cell::new(true),
            account,
        }
    }

    /// From now on what this thread's interpreter maps is listed here.
    pub(crate) fn enter(&self) {
        CURRENT.set(self);
    }

    /// Leaves what is mapped to an interpreter that never ends.
    pub(crate) fn abandon(&self) {
        self.mapped.take();
        self.tables.take();
    }

    /// The interpreter has been made.
    pub(crate) fn created(&self) {
        self.creating.set(false);
    }

    /// A block is no table, or none any more.
    fn forget_table(&self, block: *mut c_void, size: usize) {
        if size >= TABLE_BYTES_MIN {
            self.tables.borrow_mut().retain(|table| *table != block);
        }
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
            self.account.change(size, 0);
            // SAFETY: mapped by `map` and not unmapped since; by the type's invariant nobody uses it any
            // more.
            let _ = unsafe { munmap(address, size) };
        }
        for table in self.tables.take() {
            // SAFETY: allocated by `allocate_zeroed` and not freed since; by the type's invariant the
            // interpreter has ended, which was the only one to look into it.
            unsafe {
                self.account.change(c::malloc_usable_size(table), 0);
                c::free(table);
            }
        }
    }
}

/// Makes CPython allocate through here.
///
/// # Safety
/// Between preinitialization and initialization of the runtime.
pub(crate) unsafe fn install() {
    let mut arenas = PyObjectArenaAllocator {
        ctx: null_mut(),
        alloc: Some(map),
        free: Some(unmap),
    };
    let mut raw = PyMemAllocatorEx {
        ctx: null_mut(),
        malloc: Some(allocate),
        calloc: Some(allocate_zeroed),
        realloc: Some(resize),
        free: Some(release),
    };
    // SAFETY: CPython copies the structs; the functions are thread-safe. Blocks allocated before are
    // ones of `malloc`, as those of these functions are.
    unsafe {
        PyObject_SetArenaAllocator(&mut arenas);
        PyMem_SetAllocator(PyMemAllocatorDomain::PYMEM_DOMAIN_RAW, &mut raw);
    }
}

/// The arenas and account of the attached interpreter; the main interpreter has none.
#[inline]
fn current<'a>() -> Option<&'a Arenas> {
    // SAFETY: null, or set by `enter` and taken back by `drop`; callers use it at once.
    unsafe { CURRENT.get().as_ref() }
}

extern "C" fn map(_context: *mut c_void, size: usize) -> *mut c_void {
    let current = current();
    if current.is_some_and(|arenas| !arenas.account.permits(size)) {
        return null_mut();
    }
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping, at an address that the kernel chooses.
    let mapped = unsafe { mmap_anonymous(null_mut(), size, protection, MapFlags::PRIVATE) };
    let Ok(address) = mapped else {
        return null_mut();
    };
    if let Some(arenas) = current {
        arenas.mapped.borrow_mut().push((address, size));
        arenas.account.change(0, size);
    }
    address
}

extern "C" fn unmap(_context: *mut c_void, address: *mut c_void, size: usize) {
    if let Some(arenas) = current() {
        let mut mapped = arenas.mapped.borrow_mut();
        if let Some(at) = mapped.iter().position(|(known, _)| *known == address) {
            mapped.swap_remove(at);
            arenas.account.change(size, 0);
        }
    }
    // SAFETY: CPython returns what `map` mapped, once.
    let _ = unsafe { munmap(address, size) };
}

mod c {
    //! The C library's allocator.

    use std::ffi::c_void;

    unsafe extern "C" {
        pub(super) fn malloc(size: usize) -> *mut c_void;
        pub(super) fn calloc(count: usize, size: usize) -> *mut c_void;
        pub(super) fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
        pub(super) fn free(block: *mut c_void);
        /// The size of a block, at least what was asked for; 0 for null.
        #[cfg_attr(target_vendor = "apple", link_name = "malloc_size")]
        pub(super) fn malloc_usable_size(block: *mut c_void) -> usize;
    }
}

/// Allocates a block of at least `size` bytes, for the account that permits it.
fn charged(size: usize, allocate: impl FnOnce() -> *mut c_void) -> *mut c_void {
    let Some(Arenas { account, .. }) = current() else {
        return allocate();
    };
    if !account.permits(size) {
        return null_mut();
    }
    let block = allocate();
    // SAFETY: null or a block of `malloc`.
    account.change(0, unsafe { c::malloc_usable_size(block) });
    block
}

extern "C" fn allocate(_context: *mut c_void, size: usize) -> *mut c_void {
    // CPython wants a block also for nothing.
    let size = size.max(1);
    // SAFETY: any size will do.
    charged(size, || unsafe { c::malloc(size) })
}

extern "C" fn allocate_zeroed(_context: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let (count, size) = if count == 0 || size == 0 {
        (1, 1)
    } else {
        (count, size)
    };
    let bytes = count.saturating_mul(size);
    // SAFETY: any size will do; `calloc` itself refuses a product that overflows.
    let block = charged(bytes, || unsafe { c::calloc(count, size) });
    if bytes >= TABLE_BYTES_MIN
        && !block.is_null()
        && let Some(arenas) = current().filter(|arenas| arenas.creating.get())
    {
        arenas.tables.borrow_mut().push(block);
    }
    block
}

extern "C" fn resize(_context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    let size = size.max(1);
    // SAFETY: null or a block of `malloc`, by CPython; the new block takes the old one's place.
    unsafe {
        let Some(arenas) = current() else {
            return c::realloc(block, size);
        };
        let old = c::malloc_usable_size(block);
        if size > old && !arenas.account.permits(size - old) {
            return null_mut();
        }
        let resized = c::realloc(block, size);
        if !resized.is_null() {
            arenas.forget_table(block, old);
            arenas.account.change(old, c::malloc_usable_size(resized));
        }
        resized
    }
}

extern "C" fn release(_context: *mut c_void, block: *mut c_void) {
    // SAFETY: null or a block of `malloc`, by CPython, once.
    unsafe {
        if let Some(arenas) = current() {
            let size = c::malloc_usable_size(block);
            arenas.forget_table(block, size);
            arenas.account.change(size, 0);
        }
        c::free(block);
    }
}
