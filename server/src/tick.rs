//! The tick thread: keeps the absolute schedule, steps the simulation, hands the result over.
//!
//! It shares no lock with the network that is held for longer than a push, so the network can be late
//! without the match being late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tessera_protocol::{ClientId, EntityId, FieldTable, Tick};
use tessera_sim::{SimConfig, SimError, SimReport, Simulation, TickOutput, TickTimings};
use tokio::sync::oneshot;

use crate::clock::{self, Schedule};
use crate::handover::{Handover, Publication};
use crate::intake::{Intake, RosterSender};
use crate::priority;
use crate::recorder::{Recorder, TickTimes};

/// Time between the start of the schedule and its first tick, so that the first is not late.
const LEAD_NS: u64 = 5_000_000;

/// What others see of the tick thread without asking it.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The newest tick boundary.
    pub(crate) tick: AtomicU32,
    /// Clients in the match.
    pub(crate) clients: AtomicUsize,
    /// When the newest tick ended, nanoseconds of the monotonic clock.
    pub(crate) ended_ns: AtomicU64,
    stop: AtomicBool,
}

/// A question to the tick thread, answered after a tick.
enum Question {
    /// The record since the last reset, and the totals since the start.
    Record(oneshot::Sender<Answer>),
    /// Begin a new record.
    Reset(oneshot::Sender<()>),
}

/// The tick thread's record at some tick.
pub(crate) struct Answer {
    pub(crate) recorder: Recorder,
    pub(crate) totals: SimReport,
}

/// Asks the tick thread. Answers are `None` once it has ended.
#[derive(Clone)]
pub(crate) struct Asker(Sender<Question>);

impl Asker {
    pub(crate) async fn record(&self) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Record(answer)).ok()?;
        answered.await.ok()
    }

    pub(crate) async fn reset(&self) -> Option<()> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Reset(answer)).ok()?;
        answered.await.ok()
    }
}

/// The running tick thread, and its first state.
pub(crate) struct Ticking {
    pub(crate) field_table: Arc<FieldTable>,
    pub(crate) roster: RosterSender,
    pub(crate) asker: Asker,
    pub(crate) pulse: Arc<Pulse>,
    thread: JoinHandle<Result<Answer, SimError>>,
}

impl Ticking {
    /// Starts the simulation on a thread of its own and waits until it has loaded. The schedule begins
    /// at once; `ended` is told when the thread ends, for whatever reason.
    pub(crate) fn start(
        config: SimConfig,
        handover: Arc<Handover>,
        ended: oneshot::Sender<()>,
    ) -> Result<Ticking, crate::error::Error> {
        let pulse = Arc::new(Pulse::default());
        let (roster, intake) = Intake::new();
        let (asker, questions) = crossbeam_channel::unbounded();
        let (loaded_in, loaded) = crossbeam_channel::bounded(1);
        let thread = std::thread::Builder::new().name("tick".into()).spawn({
            let pulse = pulse.clone();
            move || {
                let _ended = ended;
                let _closes = CloseOnDrop(handover.clone());
                // Before the simulation starts, since its zones' threads inherit the priority.
                priority::raise_this_thread();
                priority::wake_this_thread_on_time();
                let hz = config.tick_hz;
                let mut simulation = Simulation::start(config)?;
                // After it, since zones' threads run scripts and must not inherit this.
                priority::put_this_thread_first();
                let start = simulation.take_start();
                // Nobody waits any more only if the starting thread has gone.
                let _ = loaded_in.send(simulation.field_table().clone());
                let totals = simulation.report();
                let ticker = Ticker {
                    recorder: Recorder::new(simulation.zones(), totals),
                    simulation,
                    owners: start.map(|start| start.owners).unwrap_or_default(),
                    intake,
                    questions,
                    handover,
                    pulse,
                };
                ticker.run(hz)
            }
        })?;
        match loaded.recv() {
            Ok(field_table) => Ok(Ticking {
                field_table,
                roster,
                asker: Asker(asker),
                pulse,
                thread,
            }),
            Err(_) => match thread.join() {
                Ok(result) => Err(result.err().expect("it ended before it began").into()),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }

    /// Finishes the tick that runs, ends the match, and gives its record.
    pub(crate) fn stop(self) -> Result<Answer, SimError> {
        self.pulse.stop.store(true, Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The network thread ends when the tick thread does, even by a panic.
struct CloseOnDrop(Arc<Handover>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Ticker {
    simulation: Simulation,
    /// By client, who steers whom in the newest state.
    owners: Vec<(ClientId, EntityId)>,
    intake: Intake,
    recorder: Recorder,
    questions: Receiver<Question>,
    handover: Arc<Handover>,
    pulse: Arc<Pulse>,
}

impl Ticker {
    fn run(mut self, hz: u32) -> Result<Answer, SimError> {
        let mut schedule = Schedule::new(clock::now_ns() + LEAD_NS, hz);
        while !self.pulse.stop.load(Relaxed) {
            let slot = schedule.next_slot(clock::now_ns());
            clock::sleep_until(slot.due_ns);
            let start_ns = clock::now_ns();
            let inputs = self.intake.collect(self.simulation.tick(), &self.owners);
            let collected_ns = clock::now_ns();
            let output = self.simulation.step(inputs)?;
            let tick = output.snapshot.tick();
            let timings = self.publish(output);
            let end_ns = clock::now_ns();
            let times = TickTimes {
                due_ns: slot.due_ns,
                start_ns,
                collected_ns,
                end_ns,
                next_due_ns: slot.next_due_ns,
                skipped: slot.skipped,
                tick,
            };
            self.recorder.record(&times, &timings);
            self.pulse.ended_ns.store(end_ns, Relaxed);
            self.answer_questions()?;
        }
        self.answer()
    }

    fn publish(&mut self, output: TickOutput) -> TickTimings {
        let tick = output.snapshot.tick();
        self.owners = output.owners;
        self.pulse.tick.store(tick.0, Relaxed);
        self.pulse.clients.store(self.intake.acks().len(), Relaxed);
        self.handover.put(Publication {
            snapshot: output.snapshot,
            acks: self.intake.acks().to_vec(),
            events: output
                .events
                .into_iter()
                .map(|event| (tick, event))
                .collect(),
            left: self.intake.left().to_vec(),
            superseded: 0,
            events_lost: 0,
        });
        output.timings
    }

    fn answer_questions(&mut self) -> Result<(), SimError> {
        loop {
            match self.questions.try_recv() {
                // Who asked may have gone meanwhile.
                Ok(Question::Record(asked)) => drop(asked.send(self.answer()?)),
                Ok(Question::Reset(asked)) => {
                    let totals = self.simulation.report();
                    self.recorder = Recorder::new(self.simulation.zones(), totals);
                    let _ = asked.send(());
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn answer(&mut self) -> Result<Answer, SimError> {
        Ok(Answer {
            recorder: self.recorder.clone(),
            totals: self.simulation.report(),
        })
    }
}

impl Pulse {
    /// The newest tick boundary.
    pub(crate) fn tick(&self) -> Tick {
        Tick(self.tick.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use crate::config::Config;
    use crate::setup;

    /// Calls of [`failing_clock`], by all zones.
    static CALLS: AtomicU32 = AtomicU32::new(0);

    /// A clock of zones' threads that fails once the match is well under way.
    fn failing_clock() -> u64 {
        let calls = CALLS.fetch_add(1, Relaxed);
        assert!(calls < 1000, "the clock was made to fail");
        u64::from(calls)
    }

    #[test]
    fn a_zone_that_panics_ends_the_match_with_an_error_that_names_it() {
        let assets = Assets::find().expect("the assets are in the repository");
        let config = Config {
            mode: "minimal".into(),
            ..Config::default()
        };
        let simulation = SimConfig {
            cpu_clock: failing_clock,
            ..setup::simulation(&config, &assets).expect("a good mode")
        };
        let handover = Arc::new(Handover::default());
        let (ended_in, ended) = oneshot::channel();
        let ticking = Ticking::start(simulation, handover.clone(), ended_in);
        let ticking = ticking
            .map_err(|error| error.to_string())
            .expect("it starts");
        // The server waits for this; it is told by the end of the thread.
        assert!(ended.blocking_recv().is_err());
        // The network thread gets what was published before, and then ends too.
        let published = std::iter::from_fn(|| handover.take()).count();
        assert!(published > 0, "the match was under way");
        let error = ticking.stop().err().expect("it did not end well");
        assert!(matches!(error, SimError::Zone { .. }), "{error}");
        assert!(error.to_string().contains("made to fail"), "{error}");
    }
}
