//! The parts of a state datagram around the entities' pieces; docs/protocol.md draws them.

use crate::ids::{EntityId, KindId, Tick};

/// What a state datagram says about itself and its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateHeader {
    /// The tick boundary whose state it carries.
    pub tick: Tick,
    /// What became of the client's commands.
    pub ack: CommandAck,
    /// The client's player, [`EntityId::NONE`] while it has none.
    pub own: EntityId,
    /// Whether it is the last datagram of this tick for this client.
    pub last: bool,
}

/// What became of a client's commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommandAck {
    /// The tick of the command consumed last, if any was.
    pub consumed: Option<Tick>,
    /// Ticks by which the newest command was ahead of the tick that had to consume one; negative
    /// where it came too late. `None` before the first command.
    pub slack: Option<i8>,
}

/// Why a state datagram can't be used. What came before the fault has been taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// It ends early.
    #[error("the datagram ends inside a header, an id or a record")]
    Truncated,
    /// An id is 0 or past 32 bits, or a varint is too long.
    #[error("an entity id is out of range")]
    BadId,
    /// A kind that the field table doesn't have, or another than the entity had.
    #[error("entity {} can't be of kind {}", .0.0, .1.0)]
    BadKind(EntityId, KindId),
    /// The bits of a record don't make the kind's values.
    #[error("the fields of entity {} can't be read", .0.0)]
    BadRecord(EntityId),
    /// It is so old that what it says has been forgotten since.
    #[error("the datagram is of {0}, long past")]
    TooOld(Tick),
    /// More entities than a client keeps.
    #[error("more entities than a client keeps")]
    TooMany,
}

const HAS_CONSUMED: u8 = 1;
const HAS_SLACK: u8 = 2;
const LAST: u8 = 4;

/// Most bytes of a header: tick, flags, consumed tick, slack, own entity.
pub(super) const HEADER_LEN_MAX: usize = 4 + 1 + 4 + 1 + 5;

impl StateHeader {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flag = |bit: u8, set: bool| if set { bit } else { 0 };
        out.extend_from_slice(&self.tick.0.to_le_bytes());
        out.push(
            flag(HAS_CONSUMED, self.ack.consumed.is_some())
                | flag(HAS_SLACK, self.ack.slack.is_some())
                | flag(LAST, self.last),
        );
        if let Some(tick) = self.ack.consumed {
            out.extend_from_slice(&tick.0.to_le_bytes());
        }
        if let Some(slack) = self.ack.slack {
            out.push(slack.cast_unsigned());
        }
        write_varint(self.own.0.into(), out);
    }

    /// Makes a datagram that was written already the last one.
    pub(super) fn mark_last(datagram: &mut [u8]) {
        datagram[4] |= LAST;
    }

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, StateError> {
        let tick = input.tick()?;
        let flags = input.u8()?;
        let consumed = if flags & HAS_CONSUMED != 0 {
            Some(input.tick()?)
        } else {
            None
        };
        let slack = if flags & HAS_SLACK != 0 {
            Some(input.u8()?.cast_signed())
        } else {
            None
        };
        let own = u32::try_from(input.varint()?).map_err(|_| StateError::BadId)?;
        Ok(Self {
            tick,
            ack: CommandAck { consumed, slack },
            own: EntityId(own),
            last: flags & LAST != 0,
        })
    }
}

/// Bytes of a list of this many ids at most.
pub(super) const fn ids_len_max(count: usize) -> usize {
    5 + 5 * count
}

/// Writes ascending ids: their number, then each as the distance to the one before.
pub(super) fn write_ids(ids: &[EntityId], out: &mut Vec<u8>) {
    write_varint(ids.len() as u64, out);
    let mut before = 0;
    for id in ids {
        write_varint((id.0 - before).into(), out);
        before = id.0;
    }
}

/// What precedes the pieces of an entity. Records ascend by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHeader {
    pub(super) id: EntityId,
    pub(super) kind: KindId,
    /// Whether the private piece follows the public one.
    pub(super) private: bool,
}

impl RecordHeader {
    /// Bytes that it takes.
    pub(super) fn len(before: EntityId, id: EntityId) -> usize {
        varint_len(u64::from(id.0 - before.0) << 1) + 1
    }

    /// Bytes that it takes at most, and that it adds to the one after it.
    pub(super) fn len_max(id: EntityId) -> usize {
        Self::len(EntityId::NONE, id)
    }

    pub(super) fn write(&self, before: EntityId, out: &mut Vec<u8>) {
        let distance = u64::from(self.id.0 - before.0);
        write_varint(distance << 1 | u64::from(self.private), out);
        out.push(self.kind.0);
    }

    pub(super) fn read(before: EntityId, input: &mut Input<'_>) -> Result<Self, StateError> {
        let word = input.varint()?;
        let id = input.id_after(before, word >> 1)?;
        Ok(Self {
            id,
            kind: KindId(input.u8()?),
            private: word & 1 == 1,
        })
    }
}

/// Bytes of a varint.
fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What is left to read of a datagram.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn u8(&mut self) -> Result<u8, StateError> {
        let (&byte, rest) = self.0.split_first().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn tick(&mut self) -> Result<Tick, StateError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(Tick(u32::from_le_bytes(*bytes)))
    }

    /// At most 35 bits, as much as an id and a flag need.
    pub(super) fn varint(&mut self) -> Result<u64, StateError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(StateError::BadId)
    }

    /// The id this far after another. Ids ascend, so the distance is not 0.
    pub(super) fn id_after(&self, before: EntityId, distance: u64) -> Result<EntityId, StateError> {
        let id = u64::from(before.0) + distance;
        match u32::try_from(id) {
            Ok(id) if id > before.0 => Ok(EntityId(id)),
            _ => Err(StateError::BadId),
        }
    }
}
