//! Channels: bounded, single-producer single-consumer, one per ordered pair of zones.
//!
//! A tick's traffic from one zone to another is one [`Batch`], written during the exchange and read
//! when the receiver's next tick drains. Emptied batches travel back through a second ring, so the
//! buffers are allocated once. Nobody blocks: the barrier already orders writing before reading.

use rtrb::{Consumer, Producer, RingBuffer};
use tessera_protocol::ids::{EntityId, KindId};
use tessera_python::Message;

use crate::quarantine;

/// Batches that fit a ring: the one being read and the one being written, with room to spare.
const BATCHES_MAX: usize = 4;

/// Scripts' messages that one batch holds. More are refused and counted. An entity may send 1,024
/// a tick, so this is a guard against a runaway script, not a limit that play comes near.
pub(crate) const MESSAGES_MAX: usize = 1 << 16;

const HANDOFF: u8 = 1;
const GHOST_ROW: u8 = 2;
const GHOST_DELTA: u8 = 3;
const GHOST_REMOVE: u8 = 4;
const NEWBORN: u8 = 5;

/// An entity that changes its zone, beside its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) kind: KindId,
    pub(crate) id: EntityId,
    /// The zones that hold a ghost of it.
    pub(crate) ghosts: u64,
    /// Whether it has not lived before.
    pub(crate) born: bool,
    /// What its hooks have failed.
    pub(crate) record: quarantine::Record,
}

/// What one zone tells another about the state that the tick made.
#[derive(Debug, PartialEq)]
pub(crate) enum Record<'a> {
    /// From now on the receiver runs this entity.
    Handoff { arrival: Arrival, row: &'a [u8] },
    /// An entity has come into the receiver's halo.
    GhostRow {
        kind: KindId,
        id: EntityId,
        row: &'a [u8],
    },
    /// Fields of a ghost that changed.
    GhostDelta { id: EntityId, delta: &'a [u8] },
    /// A ghost has left the halo, or ended.
    GhostRemove { id: EntityId },
}

/// All that one zone sends another in one tick.
#[derive(Default)]
pub(crate) struct Batch {
    records: u32,
    bytes: Vec<u8>,
    pub(crate) messages: Vec<Message>,
}

impl Batch {
    /// Begins a record and returns where its length goes once the payload is written.
    fn open(&mut self, tag: u8, id: EntityId) -> &mut Vec<u8> {
        self.records += 1;
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&id.0.to_le_bytes());
        &mut self.bytes
    }

    pub(crate) fn handoff(&mut self, arrival: Arrival, write: impl FnOnce(&mut Vec<u8>)) {
        let tag = if arrival.born { NEWBORN } else { HANDOFF };
        let bytes = self.open(tag, arrival.id);
        bytes.push(arrival.kind.0);
        bytes.extend_from_slice(&arrival.ghosts.to_le_bytes());
        bytes.extend_from_slice(&arrival.record.to_bytes());
        sized(bytes, write);
    }

    pub(crate) fn ghost_row(
        &mut self,
        kind: KindId,
        id: EntityId,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let bytes = self.open(GHOST_ROW, id);
        bytes.push(kind.0);
        sized(bytes, write);
    }

    pub(crate) fn ghost_delta(&mut self, id: EntityId, write: impl FnOnce(&mut Vec<u8>)) {
        sized(self.open(GHOST_DELTA, id), write);
    }

    pub(crate) fn ghost_remove(&mut self, id: EntityId) {
        self.open(GHOST_REMOVE, id);
    }

    /// The records in the order they were written.
    pub(crate) fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }

    /// Records and messages waiting.
    fn depth(&self) -> u64 {
        u64::from(self.records) + self.messages.len() as u64
    }

    fn size(&self) -> u64 {
        let payloads: usize = self.messages.iter().map(|m| m.payload.len()).sum();
        (self.bytes.len() + payloads) as u64
    }

    fn clear(&mut self) {
        self.records = 0;
        self.bytes.clear();
        self.messages.clear();
    }
}

/// Writes what `write` appends, with its length in front.
fn sized(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    write(bytes);
    let length = (bytes.len() - at - 4) as u32;
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Reads a batch's records. Both ends are this crate, so a malformed record is a bug and panics.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("it took as many")
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn kind(&mut self) -> KindId {
        KindId(self.take(1)[0])
    }

    fn sized(&mut self) -> &'a [u8] {
        let length = self.u32() as usize;
        self.take(length)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let tag = self.take(1)[0];
        let id = EntityId(self.u32());
        Some(match tag {
            HANDOFF | NEWBORN => Record::Handoff {
                arrival: Arrival {
                    id,
                    born: tag == NEWBORN,
                    kind: self.kind(),
                    ghosts: u64::from_le_bytes(self.array()),
                    record: quarantine::Record::from_bytes(self.array()),
                },
                row: self.sized(),
            },
            GHOST_ROW => Record::GhostRow {
                id,
                kind: self.kind(),
                row: self.sized(),
            },
            GHOST_DELTA => Record::GhostDelta {
                id,
                delta: self.sized(),
            },
            GHOST_REMOVE => Record::GhostRemove { id },
            other => unreachable!("record tag {other}"),
        })
    }
}

/// What a channel has carried since the match began, counted by its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChannelStats {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) depth_max: u64,
    pub(crate) refused: u64,
}

/// The sending end.
pub(crate) struct Sender {
    full: Producer<Batch>,
    empty: Consumer<Batch>,
    open: Batch,
    pub(crate) stats: ChannelStats,
}

/// The receiving end.
pub(crate) struct Receiver {
    full: Consumer<Batch>,
    empty: Producer<Batch>,
}

/// A channel between two zones.
pub(crate) fn channel() -> (Sender, Receiver) {
    let (full_in, full_out) = RingBuffer::new(BATCHES_MAX);
    let (empty_in, empty_out) = RingBuffer::new(BATCHES_MAX);
    let sender = Sender {
        full: full_in,
        empty: empty_out,
        open: Batch::default(),
        stats: ChannelStats::default(),
    };
    let receiver = Receiver {
        full: full_out,
        empty: empty_in,
    };
    (sender, receiver)
}

impl Sender {
    /// The batch being written.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        &mut self.open
    }

    /// Adds a script's message, or refuses it when the batch is full.
    pub(crate) fn message(&mut self, message: Message) {
        if self.open.messages.len() == MESSAGES_MAX {
            self.stats.refused += 1;
        } else {
            self.open.messages.push(message);
        }
    }

    /// Hands the tick's batch over, if there is anything in it.
    pub(crate) fn flush(&mut self) {
        let depth = self.open.depth();
        if depth == 0 {
            return;
        }
        self.stats.messages += depth;
        self.stats.bytes += self.open.size();
        self.stats.depth_max = self.stats.depth_max.max(depth);
        let fresh = self.empty.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.open, fresh);
        self.full
            .push(batch)
            .unwrap_or_else(|_| unreachable!("the receiver drains once a tick"));
    }
}

impl Receiver {
    /// Takes every batch that has arrived, lets `read` empty it, and sends the buffer back.
    pub(crate) fn drain(&mut self, mut read: impl FnMut(&mut Batch)) {
        while let Ok(mut batch) = self.full.pop() {
            read(&mut batch);
            batch.clear();
            // A full ring of spare buffers only means that this one is not needed.
            let _ = self.empty.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let (mut sender, mut receiver) = channel();
        let batch = sender.batch();
        let arrival = Arrival {
            kind: KindId(3),
            id: EntityId(7),
            ghosts: 0b101,
            born: false,
            record: quarantine::Record::from_bytes([1, 2, 3, 4, 5, 6]),
        };
        batch.handoff(arrival, |row| row.extend(b"row"));
        batch.ghost_row(KindId(1), EntityId(8), |row| row.extend(b"full"));
        batch.ghost_delta(EntityId(9), |delta| delta.extend(b"d"));
        batch.ghost_remove(EntityId(10));
        sender.flush();
        let mut seen = 0;
        receiver.drain(|batch| {
            let records: Vec<_> = batch.records().collect();
            seen = records.len();
            assert_eq!(
                records[0],
                Record::Handoff {
                    arrival,
                    row: b"row"
                }
            );
            assert_eq!(
                records[2],
                Record::GhostDelta {
                    id: EntityId(9),
                    delta: b"d"
                }
            );
        });
        assert_eq!(seen, 4);
        assert_eq!(sender.stats.messages, 4);
        assert_eq!(sender.stats.depth_max, 4);
    }

    #[test]
    fn an_empty_tick_sends_nothing() {
        let (mut sender, mut receiver) = channel();
        sender.flush();
        receiver.drain(|_| panic!("nothing was sent"));
        assert_eq!(sender.stats, ChannelStats::default());
    }
}
