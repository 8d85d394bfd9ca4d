//! The tick thread: keeps the absolute schedule, steps the simulation, hands the result over.
//!
//! It shares no lock with the network that is held for longer than a push, so the network can be late
//! without the match being late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tessera_protocol::{ClientId, Declarations, EntityId, FieldTable, Tick};
use tessera_python::ModeSource;
use tessera_sim::{
    ReloadError, Reloaded, SimConfig, SimError, SimReport, Simulation, TickOutput, TickTimings,
};
use tokio::sync::oneshot;

use crate::clock::{self, Schedule};
use crate::config::OnExhausted;
use crate::handover::{Handover, Publication};
use crate::intake::{Intake, RosterSender};
use crate::overseer::Overseer;
use crate::priority;
use crate::recorder::{Recorder, TickTimes};
use crate::tally::Tally;
use crate::trace::{Trace, Tracing};

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
    /// What has been counted since the start.
    Account(oneshot::Sender<Account>),
    /// Load new code.
    Reload(ModeSource, oneshot::Sender<ReloadResult>),
    /// Record so many ticks from the next on.
    Trace(u32, oneshot::Sender<Trace>),
}

/// How a reload went.
pub(crate) type ReloadResult = Arc<Result<Reloaded, ReloadError>>;

/// What the tick thread has counted since the start.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tally: Tally,
    pub(crate) totals: SimReport,
}

/// The tick thread's record at some tick.
pub(crate) struct Answer {
    pub(crate) recorder: Recorder,
    pub(crate) overseer: Overseer,
    pub(crate) totals: SimReport,
}

/// Asks the tick thread. Answers are `None` once it has ended.
#[derive(Clone)]
pub(crate) struct Asker(Sender<Question>);

impl Asker {
    pub(crate) async fn record(&self) -> Option<Answer> {
        self.ask(Question::Record).await
    }

    pub(crate) async fn reset(&self) -> Option<()> {
        self.ask(Question::Reset).await
    }

    pub(crate) async fn account(&self) -> Option<Account> {
        self.ask(Question::Account).await
    }

    /// Waits until the ticks are over. Another trace that is being recorded ends without an answer.
    pub(crate) async fn trace(&self, ticks: u32) -> Option<Trace> {
        self.ask(|answer| Question::Trace(ticks, answer)).await
    }

    /// Waits until the new code runs or is refused.
    pub(crate) async fn reload(&self, mode: ModeSource) -> Option<ReloadResult> {
        self.ask(|answer| Question::Reload(mode, answer)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(question(answer)).ok()?;
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
        on_exhausted: OnExhausted,
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
                    tally: Tally::new(simulation.zones()),
                    overseer: Overseer::new(on_exhausted, hz),
                    reloading: None,
                    tracing: None,
                    declarations: simulation.field_table().clone().into(),
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
    /// Of the newest state.
    declarations: Declarations,
    /// By client, who steers whom in the newest state.
    owners: Vec<(ClientId, EntityId)>,
    intake: Intake,
    recorder: Recorder,
    tally: Tally,
    overseer: Overseer,
    /// Who has asked for new code.
    reloading: Option<oneshot::Sender<ReloadResult>>,
    /// While somebody has asked for it.
    tracing: Option<Tracing>,
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
            let mut output = self.simulation.step(inputs)?;
            let tick = output.snapshot.tick();
            self.overseer.look(&output, &self.simulation)?;
            self.tell_reload(&output);
            let spans = std::mem::take(&mut output.spans);
            let timings = self.publish(output, slot.due_ns);
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
            self.tally.record(&times, &timings);
            self.overseer.time(&times);
            if let Some(tracing) = self.tracing.take() {
                self.tracing = tracing.record(&times, &timings, spans);
                self.simulation.trace(self.tracing.is_some());
            }
            self.pulse.ended_ns.store(end_ns, Relaxed);
            self.answer_questions()?;
        }
        self.answer()
    }

    /// Tells who asked for new code how that went.
    fn tell_reload(&mut self, output: &TickOutput) {
        if let Some(told) = &output.reload
            && let Some(asked) = self.reloading.take()
        {
            // Who asked may have gone meanwhile.
            let _ = asked.send(told.clone());
        }
    }

    fn publish(&mut self, output: TickOutput, due_ns: u64) -> TickTimings {
        let tick = output.snapshot.tick();
        let table = self.simulation.field_table();
        if !Arc::ptr_eq(&self.declarations.table, table) {
            self.declarations = Declarations {
                edition: self.declarations.edition.next(),
                table: table.clone(),
            };
        }
        self.owners = output.owners;
        self.pulse.tick.store(tick.0, Relaxed);
        self.pulse.clients.store(self.intake.acks().len(), Relaxed);
        self.handover.put(Publication {
            snapshot: output.snapshot,
            declarations: self.declarations.clone(),
            due_ns,
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
                    self.overseer.reset();
                    let _ = asked.send(());
                }
                Ok(Question::Account(asked)) => {
                    let account = Account {
                        tally: self.tally.clone(),
                        totals: self.simulation.report(),
                    };
                    let _ = asked.send(account);
                }
                Ok(Question::Reload(mode, asked)) => match self.simulation.reload(mode) {
                    Ok(()) => self.reloading = Some(asked),
                    Err(error) => drop(asked.send(Arc::new(Err(error)))),
                },
                Ok(Question::Trace(ticks, asked)) => {
                    self.tracing = Some(Tracing::new(ticks, asked));
                    self.simulation.trace(true);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn answer(&mut self) -> Result<Answer, SimError> {
        Ok(Answer {
            recorder: self.recorder.clone(),
            overseer: self.overseer.clone(),
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
    fn zones_that_keep_panicking_end_the_match_where_that_is_asked_for() {
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
        let ticking = Ticking::start(simulation, OnExhausted::Drain, handover.clone(), ended_in);
        let ticking = ticking
            .map_err(|error| error.to_string())
            .expect("it starts");
        // The server waits for this; it is told by the end of the thread.
        assert!(ended.blocking_recv().is_err());
        // The network thread gets what was published before, and then ends too.
        let published = std::iter::from_fn(|| handover.take()).count();
        assert!(published > 0, "the match was under way");
        let error = ticking.stop().err().expect("it did not end well");
        // Between two phases a zone can be given to another interpreter, in the exchange it can't.
        let named = matches!(error, SimError::Zone { .. } | SimError::Exhausted { .. });
        assert!(named, "{error}");
    }
}
