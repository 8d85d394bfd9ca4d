//! The processor time of a thread, as another thread sees it.

/// Reads the processor time of the thread that made it. Exact, where the figures in `/proc` are up to a
/// scheduler's tick old.
#[derive(Clone, Copy, Debug)]
pub struct ThreadCpu(Option<libc::clockid_t>);

impl ThreadCpu {
    /// Of the calling thread.
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: the thread lives; `clock` receives the id.
        let found = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
        Self((found == 0).then_some(clock))
    }

    /// Of all threads of another process.
    pub fn of_process(process: i32) -> Self {
        let mut clock = 0;
        // SAFETY: `clock` receives the id; there may be no such process.
        let found = unsafe { libc::clock_getcpuclockid(process, &mut clock) };
        Self((found == 0).then_some(clock))
    }

    /// Nanoseconds since the thread began; `None` when it has ended, or where the system does not tell.
    pub fn read_ns(self) -> Option<u64> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` receives the time; an id whose thread has ended is an error.
        let read = unsafe { libc::clock_gettime(self.0?, &mut time) };
        (read == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_thread_reads_what_a_thread_has_used_until_it_ends() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = tell.send(ThreadCpu::of_this_thread());
            let _ = ended.recv();
        });
        let cpu = told.recv().expect("it tells");
        assert!(cpu.read_ns().is_some_and(|ns| ns > 0));
        drop(end);
        thread.join().expect("it ends");
        assert_eq!(cpu.read_ns(), None);
    }
}
