//! Where workers are started: on a thread of its own, since loading a mode takes tens of milliseconds,
//! and since new threads inherit the priority of their parent, which for the tick thread is one that
//! scripts must not have.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel as mpsc;

use crate::error::SimError;
use crate::worker::{self, Started, Worker, WorkerId, WorkerSetup};

/// How long after its last order the nursery gives memory back once more: by then those that were
/// replaced have ended.
const QUIET: Duration = Duration::from_secs(1);

/// What the nursery is asked for.
enum Request {
    Start(WorkerId, Box<WorkerSetup>),
    /// End one: that can take a moment too.
    Retire(Worker),
}

/// Starts workers on request, and ends them.
pub(crate) struct Nursery {
    /// An `Option`, since the thread ends when it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    started: mpsc::Receiver<Started>,
    thread: Option<JoinHandle<()>>,
    next: u64,
    /// Workers that are starting.
    expected: usize,
}

impl Nursery {
    /// # Errors
    /// A system without threads to give.
    pub(crate) fn new() -> Result<Nursery, SimError> {
        let (requests, orders) = mpsc::unbounded();
        let (tell, started) = mpsc::unbounded();
        let thread = std::thread::Builder::new().name("nursery".into());
        let thread = thread.spawn(move || {
            let mut patience = Duration::MAX;
            loop {
                match orders.recv_timeout(patience) {
                    Ok(Request::Start(id, setup)) => worker::spawn(id, setup, tell.clone()),
                    Ok(Request::Retire(worker)) => drop(worker),
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        tessera_python::give_back();
                        patience = Duration::MAX;
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                };
                // Where one is started, another has ended, or will within the quiet.
                tessera_python::give_back();
                patience = QUIET;
            }
        });
        let thread = thread.map_err(SimError::Thread)?;
        Ok(Nursery {
            requests: Some(requests),
            started,
            thread: Some(thread),
            next: 0,
            expected: 0,
        })
    }

    /// Begins to start a worker.
    pub(crate) fn request(&mut self, setup: WorkerSetup) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        self.expected += 1;
        self.send(Request::Start(id, Box::new(setup)));
        id
    }

    /// Ends a worker.
    pub(crate) fn retire(&self, worker: Worker) {
        self.send(Request::Retire(worker));
    }

    fn send(&self, request: Request) {
        let requests = self.requests.as_ref().expect("open until the drop");
        // The thread ends with its requests.
        let _ = requests.send(request);
    }

    /// Workers that are starting.
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// The next one whose start has ended, if one has.
    pub(crate) fn poll(&mut self) -> Option<Started> {
        let started = self.started.try_recv().ok()?;
        self.expected -= 1;
        Some(started)
    }

    /// Waits for the next one whose start has ended.
    ///
    /// # Panics
    /// Where none is starting.
    pub(crate) fn wait(&mut self) -> Started {
        assert!(self.expected > 0, "nothing was requested");
        let started = self.started.recv().expect("workers tell of their start");
        self.expected -= 1;
        started
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Whoever is still starting ends when its handle is dropped.
        while self.expected > 0 {
            let (_, worker) = self.wait();
            drop(worker);
        }
    }
}
