//! A worker that loads the mode: others have power over that, too.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel as mpsc;
use tessera_python::ScriptError;

use crate::worker::{Leash, Worker, WorkerId};

/// How a worker's start went.
pub(crate) type Started = (WorkerId, Result<Worker, ScriptError>);

/// How long one that is broken off may take to say so, before it is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker's start, as its thread and the nursery see it. It is told of once.
#[derive(Clone)]
pub(crate) struct Starting(Arc<Inner>);

struct Inner {
    id: WorkerId,
    began: Instant,
    /// Known as soon as there are scripts to have power over.
    leash: OnceLock<Leash>,
    is_over: AtomicBool,
    tell: mpsc::Sender<Started>,
}

impl Starting {
    pub(crate) fn new(id: WorkerId, tell: mpsc::Sender<Started>) -> Starting {
        Starting(Arc::new(Inner {
            id,
            began: Instant::now(),
            leash: OnceLock::new(),
            is_over: AtomicBool::new(false),
            tell,
        }))
    }

    /// Whoever has `leash` has power over the scripts.
    pub(crate) fn hold(&self, leash: Leash) {
        // It is held once a start.
        let _ = self.0.leash.set(leash);
    }

    /// What has power over the scripts.
    ///
    /// # Panics
    /// Where that isn't known yet.
    pub(crate) fn leash(&self) -> Leash {
        let leash = self.0.leash.get();
        leash.expect("it is held before scripts load").clone()
    }

    /// Says how it went. False where it has been given up, and nobody waits for it any more.
    pub(crate) fn tell(&self, started: Result<Worker, ScriptError>) -> bool {
        if self.0.is_over.swap(true, AcqRel) {
            if let Ok(mut worker) = started {
                worker.abandon();
            }
            return false;
        }
        // Nobody listens any more only if the match is over.
        let _ = self.0.tell.send((self.0.id, started));
        true
    }

    /// Whether somebody has said how it went.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Acquire)
    }

    /// Breaks off what has been loading for longer than `timeout`, and gives it up if that doesn't help.
    pub(crate) fn limit(&self, timeout: Duration) {
        let took = self.0.began.elapsed();
        if took > timeout + PATIENCE {
            self.give_up(&format!(
                "the mode has not loaded within supervision.load_timeout_s = {}, and can't be broken off: it \
                 is stuck in C code",
                timeout.as_secs()
            ));
        } else if took > timeout {
            self.break_off();
        }
    }

    /// Breaks it off, if it can be.
    pub(crate) fn break_off(&self) {
        if let Some(leash) = self.0.leash.get() {
            leash.preempt();
        }
    }

    /// Waits for it no more. A process is ended; a thread ends when it comes back.
    pub(crate) fn give_up(&self, why: &str) {
        if let Some(Leash::Process(process)) = self.0.leash.get() {
            process.kill();
        }
        self.tell(Err(ScriptError::host(why)));
    }
}
