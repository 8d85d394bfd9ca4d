//! Processor time of other threads.

use std::ffi::{c_int, c_long};

/// Nanoseconds of processor time that a thread of this process has used, by its number in the system; to
/// the moment, also while it runs. (What `/proc` tells of a running thread is up to a timer tick old,
/// which can be more than a zone's grace.) `None` where there is no such thread, and on other systems
/// than Linux.
pub fn thread_cpu_ns(thread: i32) -> Option<u64> {
    #[repr(C)]
    struct Time {
        seconds: c_long,
        nanoseconds: c_long,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: c_int, time: *mut Time) -> c_int;
    }
    /// The clock of a thread's time on processors, as the kernel numbers them beside the thread.
    const OF_A_THREAD: c_int = 6;
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut time = Time {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `time` is what the function fills in: a `timespec`.
    let got = unsafe { clock_gettime((!thread << 3) | OF_A_THREAD, &raw mut time) };
    (got == 0).then(|| time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_used_time_and_one_that_is_not_there_none() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        let before = thread_cpu_ns(own).expect("this thread is there");
        let sum: u64 = (0..100_000).map(std::hint::black_box).sum();
        assert!(sum > 0 && thread_cpu_ns(own).expect("still") > before);
        assert_eq!(thread_cpu_ns(i32::MAX >> 3), None);
    }
}
