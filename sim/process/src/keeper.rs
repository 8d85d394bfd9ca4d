//! The fork server as the server sees it: who starts it, asks it for forks, and starts it again.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, recv};
use rustix::process::Pid;
use tessera_protocol::ids::ZoneId;
use tessera_python::ScriptConfig;

use crate::config::ProcessConfig;
use crate::descriptors;
use crate::error::ProcessError;
use crate::frame::{Malformed, Start, Started};
use crate::handle::ProcessHandle;
use crate::line::{self, Far, Line};
use crate::parent::{Gone, ProcessZone};
use crate::program;
use crate::ring::RingError;
use crate::snapshots::SnapshotSlots;

/// How long a fork may take before the fork server is taken for stuck.
const FORK_PATIENCE: Duration = Duration::from_secs(5);
/// How often fork servers are looked at while nobody asks for a fork.
const LOOK: Duration = Duration::from_secs(1);
/// A fork server ends when none of its forks live and nobody has asked it for so long.
const IDLE: Duration = Duration::from_secs(60);
/// After one that didn't start, or ended before its first fork, none is started for so long.
const REST: Duration = Duration::from_secs(10);

/// Starts process zones, as forks of a process that has done once what each of them needs: it has started
/// CPython, loaded the map and the package `tessera`, and compiled the mode. So a zone costs a fork and the
/// running of the mode's modules.
///
/// No script runs in the fork server: each fork gives its rights up for itself, as a program of its own
/// would, before it runs the first. The forks are children of this process and not of the fork server, so
/// that they outlive that, and their end is told here.
///
/// There is a fork server for each code that is asked for. One that ends is started again; while there is
/// none, zones start as programs of their own.
///
/// Handles share what they start. With the last one, the fork server ends; zones keep one.
#[derive(Clone)]
pub struct ForkServer(Arc<Shared>);

struct Shared {
    common: Arc<Common>,
    keeper: Mutex<Option<Keeper>>,
}

/// What handles and the keeper's thread know.
struct Common {
    config: ProcessConfig,
    slots: SnapshotSlots,
    forks: AtomicU64,
    programs: AtomicU64,
    ends: AtomicU64,
    /// The process of the fork server that was started last, 0 before.
    id: AtomicU64,
}

/// How zones were started so far, and what became of fork servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ForkTally {
    /// Zones that are forks.
    pub forks: u64,
    /// Zones that started as programs of their own, since there was no fork server.
    pub programs: u64,
    /// Fork servers that ended though nobody wanted that.
    pub ends: u64,
}

impl ForkServer {
    /// A fork server for programs that start so; it starts with the first zone.
    pub fn new(config: ProcessConfig, slots: SnapshotSlots) -> Self {
        Self(Arc::new(Shared {
            common: Arc::new(Common {
                config,
                slots,
                forks: AtomicU64::new(0),
                programs: AtomicU64::new(0),
                ends: AtomicU64::new(0),
                id: AtomicU64::new(0),
            }),
            keeper: Mutex::new(None),
        }))
    }

    /// Starts a zone and waits until it has loaded the mode. Any thread may.
    ///
    /// # Errors
    /// As [`ProcessZone::start`].
    pub fn start(&self, scripts: &ScriptConfig) -> Result<ProcessZone, ProcessError> {
        self.start_with(scripts, |_| ())
    }

    /// Starts as [`start`](Self::start) does, and tells who has power over the process before it loads the
    /// mode.
    ///
    /// # Errors
    /// As [`ProcessZone::start_with`].
    pub fn start_with(
        &self,
        scripts: &ScriptConfig,
        tell: impl FnOnce(ProcessHandle),
    ) -> Result<ProcessZone, ProcessError> {
        let Common { config, slots, .. } = &*self.0.common;
        let Some((line, user)) = self.fork(scripts)? else {
            self.0.common.programs.fetch_add(1, Relaxed);
            return ProcessZone::start_with(scripts, config, slots, tell);
        };
        self.0.common.forks.fetch_add(1, Relaxed);
        tell(line.process.handle.clone());
        let mut zone = ProcessZone::load(line, scripts, slots)?;
        zone.assign(scripts.zone);
        zone.lease = Some(Lease {
            _forks: self.clone(),
            _user: user,
        });
        Ok(zone)
    }

    /// The states that the zones see.
    pub fn slots(&self) -> &SnapshotSlots {
        &self.0.common.slots
    }

    /// What has been counted since the start.
    pub fn tally(&self) -> ForkTally {
        let common = &self.0.common;
        ForkTally {
            forks: common.forks.load(Relaxed),
            programs: common.programs.load(Relaxed),
            ends: common.ends.load(Relaxed),
        }
    }

    /// The process of the fork server that was started last, as the system numbers it; none before the
    /// first.
    pub fn id(&self) -> Option<u32> {
        let id = self.0.common.id.load(Relaxed);
        (id != 0).then_some(id as u32)
    }

    /// A fork that is about to load the mode; nothing where there is no fork server.
    fn fork(&self, scripts: &ScriptConfig) -> Result<Option<(Line, Arc<()>)>, ProcessError> {
        let start = Start {
            forks: true,
            // It is told later, to each fork.
            zone: ZoneId(0),
            ..Start::new(scripts, &self.0.common.config)
        };
        let (near, far) = line::pair()?;
        let (answer, answered) = mpsc::channel();
        self.ask(Request { start, far, answer })?;
        match answered.recv() {
            Ok(Some(Forked { pid, user })) => {
                Ok(Some((Line::new(near, pid, Some(scripts.zone))?, user)))
            }
            _ => Ok(None),
        }
    }

    fn ask(&self, request: Request) -> Result<(), ProcessError> {
        let mut keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            *keeper = Some(Keeper::start(self.0.common.clone())?);
        }
        if let Some(Keeper {
            requests: Some(requests),
            ..
        }) = &*keeper
        {
            // Who doesn't take it answers nothing.
            let _ = requests.send(request);
        }
        Ok(())
    }
}

/// A fork that is wanted.
struct Request {
    /// Of the fork server that makes it.
    start: Start,
    far: Far,
    answer: Sender<Option<Forked>>,
}

/// A fork that has been made.
struct Forked {
    pid: Pid,
    user: Arc<()>,
}

/// What a zone that is a fork keeps for as long as its process lives.
pub(crate) struct Lease {
    /// The keeper's thread ends with the last of these.
    _forks: ForkServer,
    /// Of the generation that the zone is of.
    _user: Arc<()>,
}

/// The thread that the fork servers and all forks are children of: they end when it does.
struct Keeper {
    /// An `Option`, since the thread ends when it is dropped.
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(common: Arc<Common>) -> Result<Self, ProcessError> {
        let (requests, orders) = mpsc::channel();
        let thread = std::thread::Builder::new().name("fork-keeper".into());
        let desk = Desk {
            common,
            generations: Vec::new(),
        };
        let thread = thread
            .spawn(move || desk.serve(&orders))
            .map_err(ProcessError::unsupported("a thread more"))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the keeper's thread works with.
struct Desk {
    common: Arc<Common>,
    /// One for each code, the one that was asked for first first.
    generations: Vec<Generation>,
}

/// The zones of one code, and their fork server.
struct Generation {
    start: Start,
    /// Who uses it: a zone each, and this.
    users: Arc<()>,
    asked: Instant,
    server: Option<Server>,
    /// Until when no server is started.
    rests_until: Option<Instant>,
    /// The system didn't let it fork, which has been told: from then on it is counted only.
    was_refused: bool,
}

/// A fork server that waits for requests.
struct Server {
    line: Line,
    has_forked: bool,
}

/// Why a fork server has not forked.
enum NoFork {
    /// The system didn't let it.
    Refused(Errno),
    /// It can't go on.
    Lost(RingError),
}

impl Desk {
    fn serve(mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(LOOK) {
                Ok(Request { start, far, answer }) => {
                    let forked = self.generation(start).fork(&far);
                    // Who asked has the other ends; without them the fork ends.
                    let _ = answer.send(forked);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn generation(&mut self, start: Start) -> Running<'_> {
        let known = self.generations.iter().position(|g| g.start == start);
        let at = known.unwrap_or_else(|| {
            self.generations.push(Generation {
                start,
                users: Arc::default(),
                asked: Instant::now(),
                server: None,
                rests_until: None,
                was_refused: false,
            });
            self.generations.len() - 1
        });
        Running(&mut self.generations[at], &self.common)
    }

    /// Replaces servers that have ended, and lets go of those that nobody needs.
    fn look(&mut self) {
        self.generations
            .retain(|g| g.asked.elapsed() < IDLE || Arc::strong_count(&g.users) > 1);
        for generation in &mut self.generations {
            Running(generation, &self.common).look();
        }
    }
}

/// A generation, and what it is run with.
struct Running<'a>(&'a mut Generation, &'a Common);

impl Running<'_> {
    /// Has a fork made, if there is a server or can be.
    fn fork(mut self, far: &Far) -> Option<Forked> {
        self.0.asked = Instant::now();
        // One that has ended unnoticed is replaced.
        for _ in 0..2 {
            match self.server()?.fork(far) {
                Ok(pid) => {
                    let user = self.0.users.clone();
                    return Some(Forked { pid, user });
                }
                Err(NoFork::Refused(error)) => {
                    if !std::mem::replace(&mut self.0.was_refused, true) {
                        tracing::warn!(
                            "zones.isolation = \"process\": the fork server can't fork: {error}. Zones \
                             start without it, slower; it needs a kernel with CONFIG_CHECKPOINT_RESTORE and \
                             room for another process"
                        );
                    }
                    return None;
                }
                Err(NoFork::Lost(error)) => self.lose(error),
            }
        }
        None
    }

    /// The server, which is started if need be.
    fn server(&mut self) -> Option<&mut Server> {
        let Self(generation, common) = self;
        let rests = generation
            .rests_until
            .is_some_and(|until| Instant::now() < until);
        if generation.server.is_none() && !rests {
            match Server::start(common, &generation.start) {
                Ok(server) => {
                    common.id.store(server.line.process.id().into(), Relaxed);
                    generation.server = Some(server);
                }
                Err(error) => {
                    tracing::warn!("no fork server, zones start without one, slower: {error}");
                    generation.rests_until = Some(Instant::now() + REST);
                }
            }
        }
        generation.server.as_mut()
    }

    /// The server is gone, or can't go on.
    fn lose(&mut self, error: RingError) {
        let Self(generation, common) = self;
        let Some(mut server) = generation.server.take() else {
            return;
        };
        let Gone(why) = server.line.process.end(error);
        let ends = common.ends.fetch_add(1, Relaxed) + 1;
        tracing::warn!(
            ends,
            "a fork server is gone and is started again when a zone needs it: {why}"
        );
        if !server.has_forked {
            generation.rests_until = Some(Instant::now() + REST);
        }
    }

    /// Replaces the server if it has ended, before somebody waits for it.
    fn look(&mut self) {
        let Some(server) = &mut self.0.server else {
            return;
        };
        server.line.process.drain_log();
        if server.line.process.handle.ends_within(0) {
            self.lose(RingError::Ended);
            self.server();
        }
    }
}

impl Server {
    /// Starts one and waits until it is ready to fork.
    fn start(common: &Common, start: &Start) -> Result<Self, ProcessError> {
        let mut line = program::start(&common.config, &common.slots, None)?;
        line.start(start)?;
        let Started::Forks = line.started()? else {
            return Err(line.malformed(Malformed("it is no fork server")));
        };
        let control = line.process.handle.control();
        set_socket_timeout(control, Timeout::Recv, Some(FORK_PATIENCE)).map_err(
            ProcessError::unsupported("sockets with a time-out (SO_RCVTIMEO)"),
        )?;
        Ok(Self {
            line,
            has_forked: false,
        })
    }

    /// A fork that has these ends. If the server ends right after it, before it has told of it, nobody
    /// waits for the fork, which ends for want of the other ends.
    fn fork(&mut self, far: &Far) -> Result<Pid, NoFork> {
        let control = self.line.process.handle.control();
        let Far {
            socket,
            ring,
            control: obeying,
            output,
        } = far;
        let ends = [
            socket.as_fd(),
            ring.as_fd(),
            obeying.as_fd(),
            output.as_fd(),
        ];
        descriptors::send(control, &ends).map_err(|_| NoFork::Lost(RingError::Ended))?;
        let mut answer = [0; size_of::<i32>()];
        let told = retry_on_intr(|| recv(control, &mut answer, RecvFlags::WAITALL));
        let lost = match told {
            Ok((4, _)) => match i32::from_le_bytes(answer) {
                refused if refused < 0 => {
                    return Err(NoFork::Refused(Errno::from_raw_os_error(-refused)));
                }
                pid => match Pid::from_raw(pid) {
                    Some(pid) => {
                        self.has_forked = true;
                        return Ok(pid);
                    }
                    None => RingError::Garbage("a fork has no number"),
                },
            },
            Err(Errno::AGAIN) => RingError::Garbage("it has not forked within five seconds"),
            _ => RingError::Ended,
        };
        Err(NoFork::Lost(lost))
    }
}
