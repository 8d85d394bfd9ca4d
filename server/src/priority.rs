//! What the system can do for the threads that a tick waits for.

use std::num::NonZeroU64;

use rustix::process::setpriority_process;
use rustix::thread::{gettid, set_current_timer_slack};
use thread_priority::{
    RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// The niceness of the tick and zone threads: well ahead of the network and of other programs, and
/// not so far that a tick that runs away locks the machine up.
const TICK_NICENESS: i32 = -10;

/// Raises the calling thread's priority, and through inheritance that of all threads it starts from
/// now on. Best effort: without the right to it (`CAP_SYS_NICE`, or a `nice` limit) nothing changes,
/// and the log says so at debug level.
pub(crate) fn raise_this_thread() {
    // On Linux a niceness belongs to a thread, and the call takes a thread's id.
    match setpriority_process(Some(gettid()), TICK_NICENESS) {
        Ok(()) => tracing::debug!(niceness = TICK_NICENESS, "tick and zone threads are raised"),
        Err(error) => tracing::debug!(
            %error,
            "tick and zone threads keep their priority: raising it needs CAP_SYS_NICE or `ulimit -e 30`"
        ),
    }
}

/// Wakes the calling thread when it asked to be woken. By default the system may be 50 µs late, to
/// handle several threads' timers at once.
pub(crate) fn wake_this_thread_on_time() {
    if let Err(error) = set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::debug!(%error, "ticks may start 50 µs late: the system keeps its timer slack");
    }
}

/// Lets the calling thread run whenever it wants to, before every thread of an ordinary policy
/// (`SCHED_FIFO`). Only for the tick thread and the one that sends the state to all: their work is bounded,
/// and they never run a script; one that ran away in a thread of this policy would lock the machine up.
/// Threads that it starts from now on would inherit it.
pub(crate) fn put_this_thread_first() {
    let policy = ThreadSchedulePolicy::Realtime(Fifo);
    match set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
        Ok(()) => tracing::debug!("a thread is scheduled in real time"),
        Err(error) => tracing::debug!(
            ?error,
            "ticks may start and states leave late where cores are busy: real-time scheduling needs CAP_SYS_NICE or `ulimit -r 1`"
        ),
    }
}
