//! A zone: one interpreter on one thread, and the first phase of its tick.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel as mpsc;
use tessera_protocol::columns::Column;
use tessera_protocol::command::Command;
use tessera_protocol::fields::{FieldTable, base};
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{HitboxHistory, Inbox, Message, ScriptConfig, ScriptError, ScriptZone};

use crate::barrier::{Birth, Ran};
use crate::channel::{Batch, Receiver, Record, Sender};
use crate::directory::Directory;
use crate::exchange::{Batches, Exchange};
use crate::laps::Laps;
use crate::partition::Grid;
use crate::rendezvous::Rendezvous;
use crate::report::{ChannelReport, ZoneReport, ZoneTimings};
use crate::tracked::TrackedSet;

/// Stack of a zone's thread, in bytes of address space: deep recursion in a script reaches Python's
/// own limit, and its error, long before the end of it.
const STACK_BYTES: usize = 64 << 20;

/// Why rows and deltas of other zones always fit.
const SAME_TABLES: &str = "every zone has loaded the same declarations";

/// What the simulation tells a zone to do.
pub(crate) enum Order {
    /// Run the mode's `start` hook: the tick that makes `S_0`.
    Start,
    /// Phase one: drain, run the hooks, gather.
    Run(Run),
    /// Phase two: exchange, and write the batch of the snapshot.
    Exchange {
        directory: Arc<Directory>,
        newborn: Vec<EntityId>,
        batches: Box<Batches>,
    },
    /// Tell the totals.
    Report,
}

/// What a zone needs for phase one.
pub(crate) struct Run {
    /// The tick that the hooks belong to: they read `S_tick` and make `S_tick+1`.
    pub(crate) tick: Tick,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) hitboxes: Arc<HitboxHistory>,
    /// Commands for entities of this zone, by ascending id.
    pub(crate) commands: Vec<(EntityId, Command)>,
    /// Messages of the engine itself (joins and leaves).
    pub(crate) messages: Vec<Message>,
}

/// What a zone answers.
pub(crate) enum Reply {
    Started(Result<Arc<FieldTable>, ScriptError>),
    Ran(Ran),
    StartFailed(ScriptError),
    Exchanged(Exchange),
    Report(ZoneReport),
}

/// What a zone is made from; crosses to its thread.
pub(crate) struct ZoneSetup {
    pub(crate) scripts: ScriptConfig,
    pub(crate) grid: Grid,
    /// As [`SimConfig::cpu_clock`](crate::SimConfig).
    pub(crate) cpu_clock: fn() -> u64,
    /// By receiving zone; `None` for itself.
    pub(crate) senders: Vec<Option<Sender>>,
    /// By sending zone; `None` for itself.
    pub(crate) receivers: Vec<Option<Receiver>>,
}

/// Starts a zone's thread. It answers `Started`, then one reply an order, and ends when the orders'
/// sender is dropped.
pub(crate) fn spawn(
    setup: ZoneSetup,
    orders: mpsc::Receiver<Order>,
    rendezvous: Arc<Rendezvous>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let id = setup.scripts.zone;
    std::thread::Builder::new()
        .name(format!("zone-{}", id.0))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let run = AssertUnwindSafe(|| serve(setup, &orders, &rendezvous));
            if let Err(panic) = catch_unwind(run) {
                let message = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_else(|| "panic without a message".to_owned());
                rendezvous.panicked(id, message);
            }
        })
}

fn serve(setup: ZoneSetup, orders: &mpsc::Receiver<Order>, rendezvous: &Rendezvous) {
    let id = setup.scripts.zone;
    let reply = |reply| rendezvous.reply(id, reply);
    let scripts = match ScriptZone::start(&setup.scripts) {
        Ok(scripts) => scripts,
        Err(error) => return reply(Reply::Started(Err(error))),
    };
    reply(Reply::Started(Ok(scripts.field_table().clone())));
    let mut zone = Zone::new(setup, scripts);
    for order in orders {
        match order {
            Order::Start => reply(match zone.start() {
                Ok(ran) => Reply::Ran(ran),
                Err(error) => Reply::StartFailed(error),
            }),
            Order::Run(run) => reply(Reply::Ran(zone.run(run))),
            Order::Exchange {
                directory,
                newborn,
                batches,
            } => {
                let exchanged = zone.exchange(directory, &newborn, batches);
                reply(Reply::Exchanged(exchanged));
                zone.use_the_slack();
            }
            Order::Report => reply(Reply::Report(zone.report())),
        }
    }
}

/// A zone's state between orders.
///
/// # Invariants
/// `tracked` holds exactly the entities of `scripts.tables()`: those whose position in `S_t` lies in
/// this zone.
pub(crate) struct Zone {
    pub(crate) id: ZoneId,
    pub(crate) grid: Grid,
    pub(crate) halo_m: f64,
    pub(crate) laps: Laps,
    pub(crate) scripts: ScriptZone,
    pub(crate) senders: Vec<Option<Sender>>,
    receivers: Vec<Option<Receiver>>,
    pub(crate) tracked: TrackedSet,
    tick: Tick,
    /// Messages between own entities, for the next tick.
    pub(crate) local: Vec<Message>,
    inbox: Inbox,
    /// This tick's own entities that ended, and those that another zone owns now.
    pub(crate) deaths: Vec<EntityId>,
    pub(crate) moved: Vec<(EntityId, ZoneId)>,
    /// Spent in the slack before this tick.
    gc_ns: u64,
    /// Fields that this tick changed in any entity, by kind.
    pub(crate) changed_fields: Vec<u64>,
    /// Bytes of the field being hashed.
    pub(crate) scratch: Vec<u8>,
    entities_max: u64,
    handoffs_in: u64,
    pub(crate) handoffs_out: u64,
    pub(crate) messages_sent: u64,
}

impl Zone {
    fn new(setup: ZoneSetup, scripts: ScriptZone) -> Zone {
        let changed_fields = vec![0; scripts.field_table().kinds.len()];
        Zone {
            id: setup.scripts.zone,
            grid: setup.grid,
            halo_m: setup.scripts.halo_m,
            laps: Laps::new(setup.cpu_clock),
            scripts,
            senders: setup.senders,
            receivers: setup.receivers,
            tracked: TrackedSet::default(),
            tick: Tick(0),
            local: Vec::new(),
            inbox: Inbox::default(),
            deaths: Vec::new(),
            moved: Vec::new(),
            gc_ns: 0,
            changed_fields,
            scratch: Vec::new(),
            entities_max: 0,
            handoffs_in: 0,
            handoffs_out: 0,
            messages_sent: 0,
        }
    }

    fn start(&mut self) -> Result<Ran, ScriptError> {
        self.scripts.run_start()?;
        Ok(self.ran(ZoneTimings::default()))
    }

    fn run(&mut self, run: Run) -> Ran {
        self.laps.restart();
        self.tick = run.tick;
        self.scripts
            .begin_tick(run.tick, run.snapshot, run.hitboxes);
        self.drain(run.messages);
        self.entities_max = self.entities_max.max(self.tracked.len() as u64);
        let exchange_ns = self.laps.lap();
        self.scripts.run_hooks(&self.inbox, &run.commands, &[]);
        self.inbox.clear();
        let script_ns = self.laps.lap();
        self.scripts.gather();
        let gather_ns = self.laps.lap();
        self.ran(ZoneTimings {
            script_ns,
            gather_ns,
            exchange_ns,
            snapshot_ns: 0,
            gc_ns: self.gc_ns,
        })
    }

    /// Takes in all that the other zones sent: arrivals, ghosts, messages.
    fn drain(&mut self, mut from_engine: Vec<Message>) {
        self.inbox.append(&mut from_engine);
        self.inbox.append(&mut self.local);
        let mut receivers = std::mem::take(&mut self.receivers);
        for receiver in receivers.iter_mut().flatten() {
            receiver.drain(|batch| self.take_in(batch));
        }
        self.receivers = receivers;
        self.inbox
            .sort_unstable_by_key(|message| (message.target, message.sender, message.seq));
    }

    fn take_in(&mut self, batch: &mut Batch) {
        for record in batch.records() {
            match record {
                Record::Handoff {
                    kind,
                    id,
                    ghosts,
                    born,
                    row,
                } => {
                    self.adopt(kind, id, ghosts, row);
                    self.handoffs_in += u64::from(!born);
                }
                Record::GhostRow { kind, id, row } => {
                    self.scripts.ghost_row(kind, id, row).expect(SAME_TABLES)
                }
                Record::GhostDelta { id, delta } => {
                    self.scripts.ghost_delta(id, delta).expect(SAME_TABLES)
                }
                Record::GhostRemove { id } => self.scripts.ghost_remove(id),
            }
        }
        self.inbox.append(&mut batch.messages);
    }

    /// From now on this zone runs the entity; `ghosts` are the zones that hold a ghost of it.
    pub(crate) fn adopt(&mut self, kind: KindId, id: EntityId, ghosts: u64, row: &[u8]) {
        self.scripts.insert(kind, id, row).expect(SAME_TABLES);
        let table = &self.scripts.tables()[kind.index()];
        let at = table.row_of(id).expect("it was just inserted");
        self.tracked.insert(id, kind, ghosts, table, at);
    }

    /// What the barrier needs to know of phase one.
    fn ran(&mut self, timings: ZoneTimings) -> Ran {
        let outbox = self.scripts.outbox();
        self.deaths.clear();
        self.deaths.append(&mut outbox.despawns);
        self.deaths.sort_unstable();
        self.deaths.dedup();
        let births = outbox
            .spawns
            .iter()
            .map(|spawn| Birth {
                parent: spawn.parent,
                seq: spawn.seq,
                position: position_in_row(&spawn.row),
            })
            .collect();
        let events = std::mem::take(&mut outbox.events);
        self.find_moved();

        Ran {
            births,
            deaths: self.deaths.clone(),
            moved: self.moved.clone(),
            events,
            timings,
        }
    }

    /// Own entities that live on in another zone.
    fn find_moved(&mut self) {
        self.moved.clear();
        for &(id, kind, mask) in self.scripts.changed() {
            if mask & 1 << base::POSITION == 0 || self.deaths.binary_search(&id).is_ok() {
                continue;
            }
            let table = &self.scripts.tables()[kind.index()];
            let row = table.row_of(id).expect("changed entities have rows");
            let owner = self.grid.zone_of(positions(&table.columns)[row]);
            if owner != self.id {
                self.moved.push((id, owner));
            }
        }
    }

    /// After the exchange's last lap.
    fn use_the_slack(&mut self) {
        self.scripts.collect_garbage(self.tick);
        self.gc_ns = self.laps.lap();
    }

    fn report(&self) -> ZoneReport {
        ZoneReport {
            zone: self.id,
            entities_max: self.entities_max,
            entities: self.tracked.len() as u64,
            handoffs_in: self.handoffs_in,
            handoffs_out: self.handoffs_out,
            messages_sent: self.messages_sent,
            hook_errors: self.scripts.stats().failures,
            channels: self
                .senders
                .iter()
                .enumerate()
                .filter_map(|(to, sender)| Some((to, &sender.as_ref()?.stats)))
                .map(|(to, stats)| ChannelReport {
                    to: ZoneId(to as u8),
                    messages: stats.messages,
                    bytes: stats.bytes,
                    depth_max: stats.depth_max,
                    refused: stats.refused,
                })
                .collect(),
        }
    }
}

/// The position column of a kind.
pub(crate) fn positions(columns: &[Column]) -> &[[f64; 3]] {
    match &columns[base::POSITION] {
        Column::Vec3(positions) => positions,
        _ => unreachable!("the first base field is the position"),
    }
}

/// The position in a canonical row, which is its first field.
pub(crate) fn position_in_row(row: &[u8]) -> [f64; 3] {
    std::array::from_fn(|axis| {
        let bytes = row[8 * axis..8 * axis + 8].try_into();
        f64::from_le_bytes(bytes.expect("a row begins with its position"))
    })
}
