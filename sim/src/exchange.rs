//! The second phase of a zone's tick: everything that other zones and the snapshot must know.
//!
//! Who computed an entity's row of `S_t+1` tells it to every zone in whose halo the new position
//! lies, and hands the entity over if another zone owns that position. The set of zones that hold a
//! ghost travels with the entity, so its next owner goes on where this one stopped.

use std::sync::Arc;

use tessera_protocol::columns::{Column, KindTable, bits};
use tessera_protocol::fields::{FieldTable, base};
use tessera_protocol::ids::{ClientId, EntityId, KindId};
use tessera_protocol::snapshot::ZoneBatch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use tessera_python::{Message, SpawnRequest};

use crate::channel::Arrival;
use crate::directory::Directory;
use crate::host::{Host, engine_message};
use crate::laps::Laps;
use crate::quarantine;
use crate::seat::{Seat, position_in_row, positions};

/// A zone's two batches of a snapshot: the entities it ran, and those it spawned. They go to the
/// barrier to be sealed and come back for the next tick, so that they are allocated once.
#[derive(Default)]
pub(crate) struct Batches {
    pub(crate) own: ZoneBatch,
    pub(crate) newborn: ZoneBatch,
    pub(crate) has_newborn: bool,
}

/// What phase two gives the barrier.
pub(crate) struct Exchange {
    pub(crate) batches: Box<Batches>,
    /// Wrapping sum of the hashes of all rows in the batches.
    pub(crate) rows_hash: u64,
    /// Wrapping sum of the hashes of what is state beside the rows: the messages on their way, and
    /// the records of the quarantine.
    pub(crate) transit_hash: u64,
    pub(crate) undeliverable: u64,
    /// Who owns which of the batches' entities.
    pub(crate) owners: Vec<(ClientId, EntityId)>,
    /// The lowest entity of the match kind among them.
    pub(crate) match_entity: Option<EntityId>,
    pub(crate) exchange_ns: u64,
    pub(crate) snapshot_ns: u64,
}

impl Seat {
    /// Runs the phase; `newborn` are the ids of the outbox's spawns, in its order.
    pub(crate) fn exchange(
        &mut self,
        host: &mut dyn Host,
        laps: &mut Laps,
        directory: Arc<Directory>,
        newborn: &[EntityId],
        mut batches: Box<Batches>,
    ) -> Exchange {
        laps.restart();
        self.bury_the_dead(host);
        let mut spawns = std::mem::take(&mut host.outbox().spawns);
        let newborn_tables = tabulate(host.field_table(), &spawns, newborn);
        self.note_changed_fields(host);
        batches
            .own
            .update(self.id, host.tables(), &self.changed_fields);
        batches.has_newborn = !spawns.is_empty();
        if batches.has_newborn {
            batches.newborn.write(self.id, &newborn_tables);
        }
        let snapshot_ns = laps.lap();

        let (owners, match_entity) = find_owners(host, &newborn_tables);
        self.send_changed(host);
        let newborn_hash = hash_all(&newborn_tables, &mut self.scratch);
        let rows_hash = self.tracked.hash_sum().wrapping_add(newborn_hash);
        let records_hash = self.quarantine.hash_sum();
        self.hand_off_moved(host);
        for (spawn, &id) in spawns.iter().zip(newborn) {
            self.deliver_newborn(host, spawn, id);
            if host.hears(spawn.kind, "spawn") {
                host.outbox().messages.push(engine_message(id, "spawn"));
            }
        }
        spawns.clear();
        host.outbox().spawns = spawns;
        let (messages_hash, undeliverable) = self.route_messages(host, &directory);
        for sender in self.senders.iter_mut().flatten() {
            sender.flush();
        }
        // The barrier writes the directory next, and no zone may hold it then.
        drop(directory);
        let exchange_ns = laps.lap();
        let [snapshot_ns, exchange_ns] = laps.settle([snapshot_ns, exchange_ns]);

        Exchange {
            batches,
            rows_hash,
            transit_hash: messages_hash.wrapping_add(records_hash),
            undeliverable,
            owners,
            match_entity,
            exchange_ns,
            snapshot_ns,
        }
    }

    fn bury_the_dead(&mut self, host: &mut dyn Host) {
        for &id in &self.deaths {
            let entity = self.tracked.remove(id).expect("only own entities end here");
            self.quarantine.take(id);
            for zone in bits(entity.ghosts) {
                batch_of(&mut self.senders, zone).ghost_remove(id);
            }
            host.remove(id);
        }
    }

    /// Which fields of each kind differ from what the last snapshot has.
    fn note_changed_fields(&mut self, host: &dyn Host) {
        self.changed_fields.clear();
        self.changed_fields.resize(host.tables().len(), 0);
        for &(_, kind, mask) in host.changed() {
            self.changed_fields[kind.index()] |= mask;
        }
    }

    /// Hashes what changed, tells it to the neighbours, and keeps each entity's set of ghosts.
    fn send_changed(&mut self, host: &dyn Host) {
        for &(id, kind, mask) in host.changed() {
            let Some(at) = self.tracked.find(id) else {
                continue;
            };
            let table = &host.tables()[kind.index()];
            let row = table.row_of(id).expect("tracked entities have rows");
            let entity = self.tracked.rehash(at, table, row, mask);
            let have = entity.ghosts;
            let mut want = have;
            if mask & 1 << base::POSITION != 0 {
                let position = positions(&table.columns)[row];
                want = self.grid.zones_within(position, self.halo_m) & !(1 << self.id.0);
                // A new owner gets the whole row as a handoff instead.
                let owner = self.grid.zone_of(position);
                if owner != self.id {
                    want &= !(1 << owner.0);
                    entity.ghosts &= !(1 << owner.0);
                }
            }
            let have = have & entity.ghosts;
            for zone in bits(want & have) {
                batch_of(&mut self.senders, zone)
                    .ghost_delta(id, |out| table.write_delta(row, mask, out));
            }
            for zone in bits(want & !have) {
                batch_of(&mut self.senders, zone)
                    .ghost_row(kind, id, |out| table.write_row(row, out));
            }
            for zone in bits(have & !want) {
                batch_of(&mut self.senders, zone).ghost_remove(id);
            }
            entity.ghosts = want;
        }
    }

    fn hand_off_moved(&mut self, host: &mut dyn Host) {
        for &(id, owner) in &self.moved {
            let entity = self.tracked.remove(id).expect("only own entities move");
            let table = &host.tables()[entity.kind.index()];
            let row = table.row_of(id).expect("tracked entities have rows");
            let position = positions(&table.columns)[row];
            let stays = self.grid.zones_within(position, self.halo_m) & 1 << self.id.0;
            let arrival = Arrival {
                kind: entity.kind,
                id,
                ghosts: entity.ghosts | stays,
                born: false,
                record: self.quarantine.take(id),
            };
            batch_of(&mut self.senders, owner.index())
                .handoff(arrival, |out| table.write_row(row, out));
            self.handoffs_out += 1;
            if stays != 0 {
                host.demote(id);
            } else {
                host.remove(id);
            }
        }
    }

    /// Gives a newborn to its owner, and a ghost of it to every zone that can see it: all of them
    /// know it from its first tick on.
    fn deliver_newborn(&mut self, host: &mut dyn Host, spawn: &SpawnRequest, id: EntityId) {
        let position = position_in_row(&spawn.row);
        let owner = self.grid.zone_of(position);
        let ghosts = self.grid.zones_within(position, self.halo_m) & !(1 << owner.0);
        for zone in bits(ghosts) {
            if zone == self.id.index() {
                host.ghost_row(spawn.kind, id, &spawn.row)
                    .expect("the interpreter writes canonical rows");
            } else {
                batch_of(&mut self.senders, zone)
                    .ghost_row(spawn.kind, id, |out| out.extend_from_slice(&spawn.row));
            }
        }
        let arrival = Arrival {
            kind: spawn.kind,
            id,
            ghosts,
            born: true,
            record: quarantine::Record::default(),
        };
        if owner == self.id {
            self.adopt(host, arrival, &spawn.row);
        } else {
            batch_of(&mut self.senders, owner.index())
                .handoff(arrival, |out| out.extend_from_slice(&spawn.row));
        }
    }

    /// Sends each message to the zone that runs its target next. Returns the hash sum of those on
    /// their way and the number of those whose target has ended.
    fn route_messages(&mut self, host: &mut dyn Host, directory: &Directory) -> (u64, u64) {
        let (mut hash, mut undeliverable) = (0u64, 0);
        let mut messages = std::mem::take(&mut host.outbox().messages);
        self.messages_sent += messages.len() as u64;
        for message in messages.drain(..) {
            let Some(owner) = directory.owner(message.target) else {
                undeliverable += 1;
                continue;
            };
            hash = hash.wrapping_add(hash_of(&message));
            if owner == self.id {
                self.local.push(message);
            } else {
                sender_of(&mut self.senders, owner.index()).message(message);
            }
        }
        host.outbox().messages = messages;
        (hash, undeliverable)
    }
}

/// The newborn as tables, one a kind; no tables at all in the usual case of no birth.
fn tabulate(table: &FieldTable, spawns: &[SpawnRequest], newborn: &[EntityId]) -> Vec<KindTable> {
    if spawns.is_empty() {
        return Vec::new();
    }
    let mut tables: Vec<KindTable> = table.kinds.iter().map(KindTable::new).collect();
    for (spawn, &id) in spawns.iter().zip(newborn) {
        tables[spawn.kind.index()]
            .insert_row(id, &spawn.row)
            .expect("the interpreter writes canonical rows");
    }
    tables
}

/// Who owns which entity, and which one is the match.
fn find_owners(
    host: &dyn Host,
    newborn: &[KindTable],
) -> (Vec<(ClientId, EntityId)>, Option<EntityId>) {
    let mut owners = Vec::new();
    let mut match_entity = None;
    let kinds = &host.field_table().kinds;
    for tables in [host.tables(), newborn] {
        for (kind, table) in kinds.iter().zip(tables) {
            if kind.is_match {
                let first = table.ids.first().copied();
                match_entity = [match_entity, first].into_iter().flatten().min();
            }
            let Column::U16(column) = &table.columns[base::OWNER] else {
                unreachable!("the base field owner is a U16");
            };
            owners.extend(
                column
                    .iter()
                    .zip(&table.ids)
                    .filter_map(|(owner, id)| Some((ClientId::from_owner(*owner)?, *id))),
            );
        }
    }
    (owners, match_entity)
}

/// Wrapping sum of the hashes of all fields of all rows.
fn hash_all(tables: &[KindTable], scratch: &mut Vec<u8>) -> u64 {
    let mut sum = 0u64;
    for (kind, table) in (0..).map(KindId).zip(tables) {
        for row in 0..table.len() {
            for field in 0..table.columns.len() {
                sum = sum.wrapping_add(table.hash_field(kind, row, field, scratch));
            }
        }
    }
    sum
}

fn sender_of(
    senders: &mut [Option<crate::channel::Sender>],
    zone: usize,
) -> &mut crate::channel::Sender {
    senders[zone]
        .as_mut()
        .expect("a zone has no channel to itself")
}

fn batch_of(
    senders: &mut [Option<crate::channel::Sender>],
    zone: usize,
) -> &mut crate::channel::Batch {
    sender_of(senders, zone).batch()
}

fn hash_of(message: &Message) -> u64 {
    let route = u64::from(message.target.0) << 32 | u64::from(message.sender.0);
    let seed = route.rotate_left(17) ^ u64::from(message.seq);
    xxh3_64_with_seed(&message.payload.digest().to_le_bytes(), seed)
}
