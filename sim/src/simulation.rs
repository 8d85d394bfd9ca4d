//! The simulation: starts the zones and drives them, tick by tick.

use std::sync::Arc;

use tessera_protocol::command::Command;
use tessera_protocol::fields::FieldTable;
use tessera_protocol::ids::{ClientId, EntityId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_protocol::value::Value;
use tessera_python::{Event, Message, ModeSource, Payload};

use crate::barrier::{self, Ran};
use crate::config::SimConfig;
use crate::directory::Directory;
use crate::error::SimError;
use crate::exchange::{Batches, Exchange};
use crate::nursery::Nursery;
use crate::partition::Grid;
use crate::pool::{State, ZonePool};
use crate::reload::{Adaptation, ReloadError, Reloaded};
use crate::report::{Audit, SimReport, TickTimings, ZoneSpan};
use crate::seal::SnapshotRing;
use crate::supervision::Incident;
use crate::worker::{Pace, Run, WorkerSetup};

/// What reaches the match from outside in one tick.
#[derive(Clone, Debug, Default)]
pub struct TickInputs {
    /// At most one command a client; it reaches the entity that the client owns.
    pub commands: Vec<(ClientId, Command)>,
    /// Clients that have joined, with their names: the `Match` entity hears `on_join` in this order.
    pub joins: Vec<(ClientId, String)>,
    /// Clients that have left: `on_leave`, after the joins.
    pub leaves: Vec<ClientId>,
}

/// What a tick made.
#[derive(Clone, Debug)]
pub struct TickOutput {
    /// The state that the tick made; its `tick()` names the boundary.
    pub snapshot: Arc<Snapshot>,
    /// What clients are to be told, ordered by (sender, sequence).
    pub events: Vec<Event>,
    /// Who owns which entity in the snapshot, by ascending client.
    pub owners: Vec<(ClientId, EntityId)>,
    /// How long the stages took.
    pub timings: TickTimings,
    /// By zone, what it ran when, while that is recorded: what ended since the tick before was told.
    pub spans: Vec<Vec<ZoneSpan>>,
    /// What happened to zones.
    pub incidents: Vec<Incident>,
    /// How a reload went that ended with this tick: the first that ran the new code, if it went well.
    pub reload: Option<Arc<Result<Reloaded, ReloadError>>>,
}

/// A running match. Dropping it ends the zones' threads and interpreters.
pub struct Simulation {
    seed: u64,
    clock: fn() -> u64,
    grid: Grid,
    field_table: Arc<FieldTable>,
    zones: ZonePool,
    directory: Arc<Directory>,
    next_entity: u32,
    ring: SnapshotRing,
    #[expect(clippy::vec_box, reason = "each goes to its zone and back every tick")]
    batches: Vec<Box<Batches>>,
    match_entity: Option<EntityId>,
    owners: Vec<(ClientId, EntityId)>,
    /// Joins and leaves that the match entity has not heard of: its zone or itself lost that tick.
    unheard: Vec<Payload>,
    undeliverable: u64,
    commands_without_entity: u64,
    tracing: bool,
    start: Option<TickOutput>,
}

impl Simulation {
    /// Starts the zones, loads the mode into each, and makes `S_0` with the mode's `start`.
    ///
    /// # Errors
    /// A mode that does not load, a number out of range, or a system without threads to give.
    pub fn start(config: SimConfig) -> Result<Simulation, SimError> {
        check(&config)?;
        let count = config.grid.zones();
        let zones = ZonePool::start(&config)?;
        let mut simulation = Simulation {
            seed: config.seed,
            clock: config.clock,
            grid: config.grid,
            field_table: zones.field_table(),
            zones,
            directory: Arc::default(),
            next_entity: 1,
            ring: SnapshotRing::new(config.tick_hz),
            batches: (0..count).map(|_| Box::default()).collect(),
            match_entity: None,
            owners: Vec::new(),
            unheard: Vec::new(),
            undeliverable: 0,
            commands_without_entity: 0,
            tracing: false,
            start: None,
        };
        let ran = simulation.zones.run_start()?;
        let output = simulation.finish_tick(Tick(0), ran, TickTimings::default())?;
        simulation.start = Some(output);
        Ok(simulation)
    }

    /// Loads the mode once, as a zone would, and gives what it declares.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn check(config: &SimConfig) -> Result<Arc<FieldTable>, SimError> {
        check(config)?;
        let mut nursery = Nursery::new(config.supervision.load_timeout)?;
        let mut setup = WorkerSetup::new(config)?;
        setup.scripts.check = true;
        nursery.request(setup, Pace::Calm);
        let (_, worker) = nursery.wait();
        Ok(worker?.field_table.clone())
    }

    /// What the mode declared.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.field_table
    }

    /// The boundary that the next step starts from.
    pub fn tick(&self) -> Tick {
        self.ring.newest().tick()
    }

    /// The newest snapshot: `S_0` after the start.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.ring.newest()
    }

    /// A snapshot of the last [`SNAPSHOTS_KEPT`](crate::SNAPSHOTS_KEPT) ticks.
    pub fn snapshot_at(&self, tick: Tick) -> Option<&Arc<Snapshot>> {
        self.ring.at(tick)
    }

    /// What the mode's `start` made: `S_0` and its events. Once.
    pub fn take_start(&mut self) -> Option<TickOutput> {
        self.start.take()
    }

    /// How many entities live.
    pub fn entities(&self) -> usize {
        self.directory.len()
    }

    /// How many zones there are.
    pub fn zones(&self) -> usize {
        self.zones.len()
    }

    /// Computes `S_t+1` from `S_t` and the inputs.
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken; the simulation cannot go on then. What scripts do
    /// costs them their zone's interpreter, and is told in [`TickOutput::incidents`].
    pub fn step(&mut self, inputs: &TickInputs) -> Result<TickOutput, SimError> {
        let began = (self.clock)();
        self.zones.welcome();
        if let Some(adaptation) = self.zones.adaptation() {
            self.change_to(&adaptation)?;
        }
        let state = self.state();
        self.zones.heal(&state)?;
        let greetings = self.greetings(inputs);
        let runs = self.route(inputs, &greetings);
        let routed = (self.clock)();
        let ran = self.zones.run(runs, &state)?;
        let heard = self.match_zone().is_none_or(|zone| ran[zone.index()].heard);
        self.unheard = if heard { Vec::new() } else { greetings };
        drop(state);
        let timings = TickTimings {
            commands_ns: routed - began,
            zones_ns: (self.clock)() - routed,
            ..TickTimings::default()
        };
        self.finish_tick(self.tick().next(), ran, timings)
    }

    /// Gives a zone a new interpreter, between two ticks, and waits until it has one. The match goes on
    /// as if nothing had happened, but for what `on_restart` hooks do.
    ///
    /// # Errors
    /// A mode that does not load any more; a zone that a fault of the engine has broken.
    ///
    /// # Panics
    /// Where there is no such zone.
    pub fn replace_zone(&mut self, zone: ZoneId) -> Result<(), SimError> {
        let state = self.state();
        self.zones.replace(zone, &state)
    }

    /// Whether to note what runs when: see [`TickOutput::spans`].
    pub fn trace(&mut self, on: bool) {
        self.tracing = on;
    }

    /// Begins to load new code beside the running one: when it is ready, it takes over at a tick boundary.
    /// [`TickOutput::reload`] tells of it.
    ///
    /// # Errors
    /// Another reload is under way.
    pub fn reload(&mut self, mode: ModeSource) -> Result<(), ReloadError> {
        self.zones.reload(mode)
    }

    /// The boundary at which new code takes over.
    fn change_to(&mut self, adaptation: &Adaptation) -> Result<(), SimError> {
        let table = adaptation.table();
        if *self.field_table != **table {
            self.ring.adapt(adaptation);
            self.zones.publish_anew(self.ring.kept());
            self.field_table = table.clone();
            // They are laid out for the declarations before.
            self.batches = (0..self.zones()).map(|_| Box::default()).collect();
        }
        let state = self.state();
        self.zones.swap(&state)
    }

    /// Interpreters that are ready to replace one that is lost.
    pub fn spares(&self) -> usize {
        self.zones.spares()
    }

    /// Totals since the match began.
    pub fn report(&self) -> SimReport {
        SimReport {
            zones: self.zones.report(),
            undeliverable: self.undeliverable,
            commands_without_entity: self.commands_without_entity,
            forks: self.zones.forks(),
        }
    }

    /// Counts who is in the newest snapshot against who lives.
    pub fn audit(&self) -> Audit {
        let batches = self.snapshot().batches();
        let mut ids: Vec<EntityId> = batches.flat_map(|b| b.rows()).map(|row| row.id()).collect();
        let rows = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let living = self.directory.ids();
        let there = living
            .iter()
            .filter(|id| ids.binary_search(id).is_ok())
            .count();
        Audit {
            lost: (living.len() - there) as u64,
            doubled: (rows - there) as u64,
        }
    }

    /// What zones are filled from.
    fn state(&self) -> State {
        State {
            tick: self.tick(),
            snapshot: self.ring.newest().clone(),
            directory: self.directory.clone(),
        }
    }

    /// Sorts the inputs by the zones that own their entities.
    fn route(&mut self, inputs: &TickInputs, greetings: &[Payload]) -> Vec<Run> {
        let mut runs: Vec<Run> = (0..self.zones.len())
            .map(|_| Run {
                tick: self.tick(),
                snapshot: self.ring.newest().clone(),
                hitboxes: self.ring.hitboxes().clone(),
                commands: Vec::new(),
                messages: Vec::new(),
                trace: self.tracing,
            })
            .collect();
        for &(client, command) in &inputs.commands {
            let owned = self.owners.binary_search_by_key(&client, |owner| owner.0);
            let Ok(at) = owned else {
                self.commands_without_entity += 1;
                continue;
            };
            let entity = self.owners[at].1;
            let zone = self.directory.owner(entity).expect("owners live");
            runs[zone.index()].commands.push((entity, command));
        }
        for run in &mut runs {
            run.commands.sort_by_key(|(entity, _)| *entity);
        }
        match (self.match_entity, self.match_zone()) {
            (Some(target), Some(zone)) => {
                let messages = greetings.iter().zip(0..).map(|(payload, seq)| Message {
                    target,
                    sender: EntityId::NONE,
                    seq,
                    payload: payload.clone(),
                });
                runs[zone.index()].messages.extend(messages);
            }
            _ => self.undeliverable += greetings.len() as u64,
        }
        runs
    }

    /// Who runs the match entity.
    fn match_zone(&self) -> Option<ZoneId> {
        self.directory.owner(self.match_entity?)
    }

    /// Joins and leaves that the match entity is to hear of, those first that it should have heard of.
    fn greetings(&mut self, inputs: &TickInputs) -> Vec<Payload> {
        let number = |client: ClientId| Value::Int(i64::from(client.owner()));
        let joins = inputs.joins.iter().map(|(client, name)| {
            Payload::new("join", &[number(*client), Value::Str(name.clone())])
        });
        let leaves = inputs
            .leaves
            .iter()
            .map(|client| Payload::new("leave", &[number(*client)]));
        let mut greetings = std::mem::take(&mut self.unheard);
        greetings.extend(joins.chain(leaves));
        greetings
    }

    /// The barrier, the exchange and the seal: from the hooks' results to `S_tick`.
    fn finish_tick(
        &mut self,
        tick: Tick,
        mut ran: Vec<Ran>,
        mut timings: TickTimings,
    ) -> Result<TickOutput, SimError> {
        let began = (self.clock)();
        let newborn = barrier::settle(
            &ran,
            &self.grid,
            // The zones have let go of it; from one that was given up it is copied.
            Arc::make_mut(&mut self.directory),
            &mut self.next_entity,
        );
        let batches = std::mem::take(&mut self.batches);
        let mut events = Vec::new();
        let merge = || events = barrier::merge_events(&mut ran);
        let mut exchanged = self
            .zones
            .exchange(&self.directory, newborn, batches, merge)?;
        let settled = (self.clock)();

        let table = self.field_table.clone();
        self.ring
            .seal(&table, tick, self.seed, self.next_entity, &exchanged);
        self.zones.publish(self.ring.newest());
        self.match_entity = exchanged.iter().filter_map(|zone| zone.match_entity).min();
        self.collect_owners(&exchanged);
        timings.barrier_ns = settled - began;
        timings.snapshot_ns = (self.clock)() - settled;
        for (ran, exchange) in ran.iter().zip(&exchanged) {
            let mut zone = ran.timings;
            zone.exchange_ns += exchange.exchange_ns;
            zone.snapshot_ns = exchange.snapshot_ns;
            timings.zones.push(zone);
            self.undeliverable += exchange.undeliverable;
        }
        self.batches = exchanged.drain(..).map(|zone| zone.batches).collect();
        Ok(TickOutput {
            snapshot: self.ring.newest().clone(),
            events,
            owners: self.owners.clone(),
            timings,
            spans: ran.into_iter().map(|ran| ran.spans).collect(),
            incidents: self.zones.take_incidents(),
            reload: self.zones.take_reload().map(Arc::new),
        })
    }

    /// By client; of several entities with one owner, the client steers the oldest.
    fn collect_owners(&mut self, exchanged: &[Exchange]) {
        self.owners.clear();
        self.owners
            .extend(exchanged.iter().flat_map(|zone| &zone.owners).copied());
        self.owners.sort_unstable();
        self.owners.dedup_by_key(|(client, _)| *client);
    }
}

fn check(config: &SimConfig) -> Result<(), SimError> {
    let wrong = |field, value: String, permitted| {
        Err(SimError::Config {
            field,
            value,
            permitted,
        })
    };
    if !(1..=1000).contains(&config.tick_hz) {
        return wrong("tick_hz", config.tick_hz.to_string(), "from 1 to 1000");
    }
    if !(config.halo_m.is_finite() && config.halo_m > 0.0) {
        return wrong(
            "halo_m",
            config.halo_m.to_string(),
            "a finite number of metres above 0",
        );
    }
    Ok(())
}
