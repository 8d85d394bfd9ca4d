//! Where workers are started: on a thread of its own, since loading a mode takes tens of milliseconds,
//! and since new threads inherit the priority of their parent, which for the tick thread is one that
//! scripts must not have.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel as mpsc;

use crate::error::SimError;
use crate::starting::{Started, Starting};
use crate::worker::{self, Pace, Worker, WorkerId, WorkerSetup};

/// How long after its last order the nursery gives memory back: by then those that were replaced have
/// ended, and nobody waits for the heaps. So often it looks whether those have ended who were stuck, and
/// how long those take that are loading.
const QUIET: Duration = Duration::from_secs(1);

/// At the end: how long who is loading may go on, how often it is looked at then, and for how long in all
/// it is waited for.
const GRACE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(5);
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What the nursery is asked for.
enum Request {
    Start(WorkerId, Box<WorkerSetup>, Pace),
    /// End one: that can take a moment too.
    Retire(Worker),
    /// See to what one leaves that is stuck, once it has come back and ended.
    Outlive(Worker),
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
    /// One where a mode may load for `load_timeout`.
    ///
    /// # Errors
    /// A system without threads to give.
    pub(crate) fn new(load_timeout: Option<Duration>) -> Result<Nursery, SimError> {
        let (requests, orders) = mpsc::unbounded();
        let (tell, started) = mpsc::unbounded();
        let thread = std::thread::Builder::new().name("nursery".into());
        let thread = thread.spawn(move || {
            let mut patience = Duration::MAX;
            let mut starting: Vec<Starting> = Vec::new();
            let mut stuck: Vec<Worker> = Vec::new();
            let mut owing = false;
            loop {
                let request = orders.recv_timeout(patience);
                patience = QUIET;
                starting.retain(|starting| !starting.is_over());
                if let Some(timeout) = load_timeout {
                    starting.iter().for_each(|starting| starting.limit(timeout));
                }
                match request {
                    Ok(Request::Start(id, setup, pace)) => {
                        starting.push(worker::spawn(id, setup, pace, tell.clone()));
                        // Where one is started, another has ended, or will within the quiet.
                        owing = true;
                    }
                    Ok(Request::Retire(worker)) => {
                        drop(worker);
                        owing = true;
                    }
                    Ok(Request::Outlive(worker)) => stuck.push(worker),
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let before = stuck.len();
                        stuck.retain(|worker| !worker.has_ended());
                        if owing || stuck.len() < before {
                            tessera_python::give_back();
                        }
                        owing = false;
                        if stuck.is_empty() && starting.is_empty() {
                            patience = Duration::MAX;
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => return end(starting),
                }
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
    pub(crate) fn request(&mut self, setup: WorkerSetup, pace: Pace) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        self.expected += 1;
        self.send(Request::Start(id, Box::new(setup), pace));
        id
    }

    /// Ends a worker.
    pub(crate) fn retire(&self, worker: Worker) {
        self.send(Request::Retire(worker));
    }

    /// Leaves one to itself that is stuck.
    pub(crate) fn abandon(&self, mut worker: Worker) {
        worker.abandon();
        self.send(Request::Outlive(worker));
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

/// Waits for those that are loading, and breaks off who takes too long.
fn end(mut starting: Vec<Starting>) {
    let began = Instant::now();
    loop {
        starting.retain(|starting| !starting.is_over());
        let took = began.elapsed();
        if starting.is_empty() || took > END_PATIENCE {
            break;
        }
        if took > GRACE {
            starting.iter().for_each(Starting::break_off);
        }
        std::thread::sleep(LOOK);
    }
    for starting in starting {
        starting.give_up("the match is over");
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // By now it is known of each how its start went.
        while self.expected > 0 {
            let (_, worker) = self.wait();
            drop(worker);
        }
    }
}
