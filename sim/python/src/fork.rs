//! A copy of a process in which CPython runs, as a sibling of it.
//!
//! The C library's `fork` makes children of the process that calls it; here the copy is a child of that
//! one's parent (`CLONE_PARENT`), as `runc` makes its containers' processes. What `fork` does beside
//! the system call is for processes with several threads, whose locks might be held; and it tells the C
//! library the new number of the thread, for which the kernel is given the same address here.

use std::io;

use pyo3_ffi::{PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork};

use crate::zone::Forked;

/// Forks.
///
/// # Errors
/// More than one thread; a kernel without `CONFIG_CHECKPOINT_RESTORE`, which doesn't say where the C
/// library has the thread's number; one that refuses another process.
///
/// # Safety
/// Attached to the main interpreter, with no frame running.
pub(crate) unsafe fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("it has more than one thread"));
    }
    // SAFETY: attached, by the caller; CPython is told on both sides. With one thread, nobody holds a lock
    // that would stay locked in the copy.
    unsafe {
        PyOS_BeforeFork();
        let cloned = clone_as_sibling();
        match cloned {
            Ok(0) => PyOS_AfterFork_Child(),
            _ => PyOS_AfterFork_Parent(),
        }
        cloned.map(|pid| match pid {
            0 => Forked::Copy,
            pid => Forked::Original(pid),
        })
    }
}

/// 0 in the copy.
#[cfg(target_os = "linux")]
unsafe fn clone_as_sibling() -> io::Result<u32> {
    const NULL: usize = 0;
    const PR_GET_TID_ADDRESS: libc::c_int = 40;
    let flags =
        libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    let mut number: *mut libc::pid_t = std::ptr::null_mut();
    // SAFETY: `number` receives where the C library keeps the thread's number, and where the kernel may
    // write it, now as at the process's start. The copy has a copy of the stack. Machines differ in which of
    // the last two arguments is that address; the other one is ignored.
    unsafe {
        if libc::prctl(PR_GET_TID_ADDRESS, &raw mut number) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::syscall(libc::SYS_clone, flags, NULL, NULL, number, number) {
            -1 => Err(io::Error::last_os_error()),
            pid => Ok(pid as u32),
        }
    }
}

#[cfg(not(target_os = "linux"))]
unsafe fn clone_as_sibling() -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}
