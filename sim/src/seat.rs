//! A zone without its interpreter: everything about it that outlives one, and the first phase of its
//! tick.

use std::sync::Arc;

use tessera_protocol::columns::Column;
use tessera_protocol::fields::base;
use tessera_protocol::ids::{EntityId, Tick, ZoneId};
use tessera_protocol::snapshot::Snapshot;
use tessera_python::{Event, HookStats, Inbox, MemoryUse, Message};

use crate::barrier::{Birth, Ran};
use crate::channel::{Arrival, Batch, Receiver, Record, Sender};
use crate::directory::Directory;
use crate::host::{Host, engine_message};
use crate::partition::Grid;
use crate::quarantine::{Quarantine, QuarantineRule};
use crate::report::{ChannelReport, ZoneReport, ZoneTimings};
use crate::tracked::TrackedSet;
use crate::worker::WorkerId;

/// Why rows and deltas of other zones always fit.
const SAME_TABLES: &str = "every zone has loaded the same declarations";

/// A zone's state between orders. Whoever [holds](Seat::holder) it runs the zone; it is locked for as
/// long as no script runs, so that it can be taken from one that is stuck in a script.
///
/// # Invariants
/// `tracked` holds exactly the entities of the host's tables: those whose position in `S_t` lies in
/// this zone.
pub(crate) struct Seat {
    pub(crate) id: ZoneId,
    /// The worker that runs the zone; none while it is vacant.
    pub(crate) holder: Option<WorkerId>,
    pub(crate) grid: Grid,
    pub(crate) halo_m: f64,
    pub(crate) senders: Vec<Option<Sender>>,
    receivers: Vec<Option<Receiver>>,
    pub(crate) tracked: TrackedSet,
    pub(crate) quarantine: Quarantine,
    /// Messages between own entities, for the next tick.
    pub(crate) local: Vec<Message>,
    /// Messages for the hooks of this tick, while they have not begun.
    inbox: Inbox,
    /// This tick's own entities that ended, and those that another zone owns now.
    pub(crate) deaths: Vec<EntityId>,
    pub(crate) moved: Vec<(EntityId, ZoneId)>,
    /// Fields that this tick changed in any entity, by kind.
    pub(crate) changed_fields: Vec<u64>,
    /// Bytes of the field being hashed.
    pub(crate) scratch: Vec<u8>,
    entities_max: u64,
    handoffs_in: u64,
    pub(crate) handoffs_out: u64,
    pub(crate) messages_sent: u64,
    rests: u64,
    mailbox_max: u64,
    /// Of the interpreters before this one.
    stats_before: HookStats,
    /// Of this one, as of its last tick.
    stats: HookStats,
    memory: MemoryUse,
    /// Of the interpreters before this one.
    denied_before: u64,
}

/// What an empty host is filled from.
#[derive(Clone)]
pub(crate) struct Refill {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Who runs whom in the snapshot.
    pub(crate) directory: Arc<Directory>,
}

/// Nothing that has a name: two lists of a seat's channels, by the other zone; `None` for itself.
pub(crate) type Ends = (Vec<Option<Sender>>, Vec<Option<Receiver>>);

impl Seat {
    pub(crate) fn new(
        id: ZoneId,
        grid: Grid,
        halo_m: f64,
        (senders, receivers): Ends,
        rule: QuarantineRule,
    ) -> Seat {
        Seat {
            id,
            holder: None,
            grid,
            halo_m,
            senders,
            receivers,
            tracked: TrackedSet::default(),
            quarantine: Quarantine::new(rule),
            local: Vec::new(),
            inbox: Inbox::default(),
            deaths: Vec::new(),
            moved: Vec::new(),
            changed_fields: Vec::new(),
            scratch: Vec::new(),
            entities_max: 0,
            handoffs_in: 0,
            handoffs_out: 0,
            messages_sent: 0,
            rests: 0,
            mailbox_max: 0,
            stats_before: HookStats::default(),
            stats: HookStats::default(),
            memory: MemoryUse::default(),
            denied_before: 0,
        }
    }

    /// Takes in all that the other zones sent (arrivals, ghosts), and gives the messages to the hooks
    /// of this tick, sorted.
    pub(crate) fn drain(&mut self, host: &mut dyn Host, mut from_engine: Vec<Message>) -> Inbox {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.append(&mut from_engine);
        inbox.append(&mut self.local);
        let mut receivers = std::mem::take(&mut self.receivers);
        for receiver in receivers.iter_mut().flatten() {
            receiver.drain(|batch| self.take_in(host, batch, &mut inbox));
        }
        self.receivers = receivers;
        inbox.sort_unstable_by_key(|message| (message.target, message.sender, message.seq));
        self.entities_max = self.entities_max.max(self.tracked.len() as u64);
        self.mailbox_max = self.mailbox_max.max(inbox.len() as u64);
        inbox
    }

    fn take_in(&mut self, host: &mut dyn Host, batch: &mut Batch, inbox: &mut Inbox) {
        for record in batch.records() {
            match record {
                Record::Handoff { arrival, row } => {
                    self.adopt(host, arrival, row);
                    self.handoffs_in += u64::from(!arrival.born);
                }
                Record::GhostRow { kind, id, row } => {
                    host.ghost_row(kind, id, row).expect(SAME_TABLES);
                }
                Record::GhostDelta { id, delta } => {
                    host.ghost_delta(id, delta).expect(SAME_TABLES);
                }
                Record::GhostRemove { id } => host.ghost_remove(id),
            }
        }
        inbox.append(&mut batch.messages);
    }

    /// From now on this zone runs the entity.
    pub(crate) fn adopt(&mut self, host: &mut dyn Host, arrival: Arrival, row: &[u8]) {
        let Arrival {
            kind, id, ghosts, ..
        } = arrival;
        host.insert(kind, id, row).expect(SAME_TABLES);
        let table = &host.tables()[kind.index()];
        let at = table.row_of(id).expect("it was just inserted");
        self.tracked.insert(id, kind, ghosts, table, at);
        self.quarantine.put(id, arrival.record);
    }

    /// What the barrier needs to know of phase one, once the host has gathered. `inbox` is what the
    /// hooks had; its memory is used again.
    pub(crate) fn ran(
        &mut self,
        host: &mut dyn Host,
        tick: Tick,
        mut inbox: Inbox,
        timings: ZoneTimings,
    ) -> Ran {
        inbox.clear();
        self.inbox = inbox;
        self.rests += self.quarantine.note(tick, host.failed());
        let outbox = host.outbox();
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
        let events: Vec<Event> = std::mem::take(&mut outbox.events);
        self.find_moved(host);
        self.memory = host.memory();

        Ran {
            births,
            deaths: self.deaths.clone(),
            moved: self.moved.clone(),
            events,
            heard: false,
            timings,
            spans: Vec::new(),
        }
    }

    /// Own entities that live on in another zone.
    fn find_moved(&mut self, host: &dyn Host) {
        self.moved.clear();
        for &(id, kind, mask) in host.changed() {
            if mask & 1 << base::POSITION == 0 || self.deaths.binary_search(&id).is_ok() {
                continue;
            }
            let table = &host.tables()[kind.index()];
            let row = table.row_of(id).expect("changed entities have rows");
            let owner = self.grid.zone_of(positions(&table.columns)[row]);
            if owner != self.id {
                self.moved.push((id, owner));
            }
        }
    }

    /// Fills an empty host from `S_t`: the zone's entities, and the ghosts that it sees. What is on its
    /// way to the zone stays so, but for what the snapshot has as well. Entities hear `on_restart`.
    pub(crate) fn refill(&mut self, host: &mut dyn Host, from: &Refill) {
        let Refill {
            snapshot,
            directory,
        } = from;
        self.keep_what_no_snapshot_has();
        self.tracked = TrackedSet::default();
        self.deaths.clear();
        self.moved.clear();
        let mut row_bytes = Vec::new();
        for row in snapshot.batches().flat_map(|batch| batch.rows()) {
            let (id, kind) = (row.id(), row.kind());
            let owner = directory.owner(id).expect("who is in S_t lives");
            let within = self.grid.zones_within(row.position(), self.halo_m) & !(1 << owner.0);
            row_bytes.clear();
            row.write_row(&mut row_bytes);
            if owner == self.id {
                let record = self.quarantine.take(id);
                let arrival = Arrival {
                    kind,
                    id,
                    ghosts: within,
                    born: false,
                    record,
                };
                self.adopt(host, arrival, &row_bytes);
                if host.hears(kind, "restart") {
                    self.inbox.push(engine_message(id, "restart"));
                }
            } else if within & 1 << self.id.0 != 0 {
                host.ghost_row(kind, id, &row_bytes).expect(SAME_TABLES);
            }
        }
    }

    /// Empties the channels: keeps messages and what is known of arriving entities beside their rows.
    fn keep_what_no_snapshot_has(&mut self) {
        let (quarantine, inbox) = (&mut self.quarantine, &mut self.inbox);
        let mut handoffs = 0;
        for receiver in self.receivers.iter_mut().flatten() {
            receiver.drain(|batch| {
                for record in batch.records() {
                    if let Record::Handoff { arrival, .. } = record {
                        quarantine.put(arrival.id, arrival.record);
                        handoffs += u64::from(!arrival.born);
                    }
                }
                inbox.append(&mut batch.messages);
            });
        }
        self.handoffs_in += handoffs;
        inbox.append(&mut self.local);
    }

    /// What waited for hooks that will not run any more is lost.
    pub(crate) fn lose_mail(&mut self) {
        self.keep_what_no_snapshot_has();
        self.stats_before.coasted += self.inbox.len() as u64;
        self.inbox.clear();
    }

    /// Nobody runs the zone any more: what its interpreter counted stays counted.
    pub(crate) fn vacate(&mut self) {
        self.holder = None;
        self.denied_before += std::mem::take(&mut self.memory).denied;
        let stats = std::mem::take(&mut self.stats);
        self.stats_before.absorb(&stats);
    }

    /// Whether its scripts used all the memory that they may at the end of the last tick.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let MemoryUse { used, cap, .. } = self.memory;
        cap.is_some_and(|cap| used > cap / 16 * 15)
    }

    /// Takes over what the host has counted, which may be lost with it.
    pub(crate) fn note_stats(&mut self, host: &dyn Host) {
        self.stats.follow(host.stats());
    }

    pub(crate) fn report(&self) -> ZoneReport {
        let mut hooks = self.stats_before.clone();
        hooks.absorb(&self.stats);
        ZoneReport {
            zone: self.id,
            entities_max: self.entities_max,
            entities: self.tracked.len() as u64,
            handoffs_in: self.handoffs_in,
            handoffs_out: self.handoffs_out,
            messages_sent: self.messages_sent,
            mailbox_max: self.mailbox_max,
            rests: self.rests,
            hooks,
            memory: self.memory,
            memory_denied: self.denied_before + self.memory.denied,
            vacant: self.holder.is_none(),
            restarts: Default::default(),
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
