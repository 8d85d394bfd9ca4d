//! How even the machine's cores are: the same piece of work, over and over while a match is played.
//!
//! It is timed by the processor time that it took, so waiting for a core doesn't count. What is left is how fast
//! the cores were: a host that shares them out among virtual machines, or slows them down, shows here and nowhere else.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::conditions::thread_cpu_ns;
use crate::measure::Distribution;
use crate::report::schema::Percentiles;

/// From one piece of work to the next: together they take half a percent of a core.
const PAUSE: Duration = Duration::from_millis(20);
/// Multiplications of one piece, each of which needs the one before: some 100 µs.
const STEPS: u32 = 50_000;

/// The thread that measures. Dropping it ends the measurement.
pub struct Pace {
    stop: Sender<Infallible>,
    thread: JoinHandle<Distribution>,
}

impl Pace {
    /// Begins to measure.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn measure() -> io::Result<Pace> {
        let (stop, stopped) = channel::<Infallible>();
        let thread = std::thread::Builder::new().name("pace".into());
        let thread = thread.spawn(move || {
            let mut took_ns = Distribution::new(2);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PAUSE) {
                let before = thread_cpu_ns();
                work();
                took_ns.record(thread_cpu_ns() - before);
            }
            took_ns
        })?;
        Ok(Pace { stop, thread })
    }

    /// Ends the measurement: how long the pieces took, in µs of processor time.
    pub fn finish(self) -> Percentiles {
        drop(self.stop);
        let took_ns = self.thread.join();
        took_ns.map_or_else(
            |_| Percentiles::default(),
            |took_ns| took_ns.percentiles().scaled(1e-3),
        )
    }
}

fn work() {
    // A linear congruential generator (Knuth, MMIX): nothing of it can be done ahead.
    let mut x = black_box(1_u64);
    for _ in 0..STEPS {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }
    black_box(x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_work_are_timed_until_the_end() {
        let pace = Pace::measure().expect("a thread");
        std::thread::sleep(5 * PAUSE);
        let took_us = pace.finish();
        assert!(
            took_us.p50 > 0.0 && took_us.max >= took_us.p50,
            "{took_us:?}"
        );
    }
}
