//! The parts of a state datagram around the entities' pieces; docs/protocol.md draws them.

use super::bits::{BitReader, BitWriter, golomb_len};
use crate::fields::Edition;
use crate::ids::{EntityId, KindId, Tick};

/// What a state datagram says about itself and its receiver. A tick has one for each client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateHeader {
    /// The tick boundary whose state it carries.
    pub tick: Tick,
    /// Goes up when the server begins anew with this client: what it told before is void.
    pub epoch: u8,
    /// By which declarations it is coded.
    pub edition: Edition,
    /// What became of the client's commands.
    pub ack: CommandAck,
    /// The client's player, [`EntityId::NONE`] while it has none.
    pub own: EntityId,
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

/// Which state datagrams a client has: what it says with its commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StateAck {
    /// The epoch that it speaks of.
    pub epoch: u8,
    /// The newest one's tick, if there is any.
    pub newest: Option<Tick>,
    /// Bit n is set where the one n + 1 ticks before that is there too.
    pub mask: u32,
    /// The client lacks a baseline that the server used: it asks the server to begin anew.
    pub lost: bool,
}

/// Ticks before the newest one of which a [`StateAck`] speaks.
pub(super) const ACKED_TICKS: i32 = 32;

impl StateAck {
    /// Whether the datagram of a tick is there; `None` where this says nothing of it.
    pub fn has(&self, tick: Tick) -> Option<bool> {
        match self.newest?.wrapping_sub(tick) {
            0 => Some(true),
            age @ 1..=ACKED_TICKS => Some(self.mask >> (age - 1) & 1 == 1),
            _ => None,
        }
    }

    /// Whether this was said after `other`: datagrams of commands overtake each other too.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        match (self.newest, other.newest) {
            (None, _) => false,
            (Some(_), None) => true,
            // Of one newest tick, what is there only grows.
            (Some(a), Some(b)) if a == b => self.mask > other.mask || (self.lost && !other.lost),
            (Some(a), Some(b)) => a.is_newer_than(b),
        }
    }

    /// Notes that the datagram of a tick is there.
    pub(super) fn note(&mut self, tick: Tick) {
        let ahead = self.newest.map(|newest| tick.wrapping_sub(newest));
        match ahead {
            None => self.newest = Some(tick),
            Some(ahead @ 1..) => {
                // The newest so far becomes one of those before.
                let mask = u64::from(self.mask) << 1 | 1;
                let shift = ahead.cast_unsigned() - 1;
                self.mask = mask.checked_shl(shift).unwrap_or(0) as u32;
                self.newest = Some(tick);
            }
            Some(ahead) if (1..=ACKED_TICKS).contains(&-ahead) => self.mask |= 1 << (-ahead - 1),
            Some(_) => {}
        }
    }
}

/// Why a state datagram can't be used. It is as if it had been lost, except that what it said before
/// the fault has been taken.
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
    /// It changes a version of an entity that this client doesn't have.
    #[error("entity {} is changed, but not known as of {}", .0.0, .1)]
    NoBaseline(EntityId, Tick),
    /// It changes an entity that this client has never heard of.
    #[error("entity {} is changed, but was never told", .0.0)]
    Unknown(EntityId),
    /// It is so old that what it says has been forgotten since, or it was there before.
    #[error("the datagram is of {0}, long past or known")]
    TooOld(Tick),
    /// It is coded by other declarations than the decoder's.
    #[error("the datagram is coded by declarations {}", .0.number())]
    OtherEdition(Edition),
    /// More entities than a client keeps.
    #[error("more entities than a client keeps")]
    TooMany,
}

const HAS_CONSUMED: u8 = 1;
const HAS_SLACK: u8 = 2;
/// The edition is in the highest bits of the flags.
const EDITION_SHIFT: u32 = u8::BITS - Edition::BITS;

/// Most bytes of a header: tick, epoch, flags, consumed tick, slack, own entity.
pub(super) const HEADER_LEN_MAX: usize = 4 + 1 + 1 + 5 + 1 + 5;

impl StateHeader {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flag = |bit: u8, set: bool| if set { bit } else { 0 };
        out.extend_from_slice(&self.tick.0.to_le_bytes());
        out.push(self.epoch);
        out.push(
            flag(HAS_CONSUMED, self.ack.consumed.is_some())
                | flag(HAS_SLACK, self.ack.slack.is_some())
                | self.edition.number() << EDITION_SHIFT,
        );
        if let Some(tick) = self.ack.consumed {
            write_varint(self.tick.0.wrapping_sub(tick.0), out);
        }
        if let Some(slack) = self.ack.slack {
            out.push(slack.cast_unsigned());
        }
        write_varint(self.own.0, out);
    }

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, StateError> {
        let tick = input.tick()?;
        let epoch = input.u8()?;
        let flags = input.u8()?;
        let consumed = match flags & HAS_CONSUMED {
            0 => None,
            _ => Some(Tick(tick.0.wrapping_sub(input.varint()?))),
        };
        let slack = match flags & HAS_SLACK {
            0 => None,
            _ => Some(input.u8()?.cast_signed()),
        };
        let own = EntityId(input.varint()?);
        Ok(Self {
            tick,
            epoch,
            edition: Edition::of_number(flags >> EDITION_SHIFT).unwrap_or_default(),
            ack: CommandAck { consumed, slack },
            own,
        })
    }
}

fn write_varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What is left to read of a datagram's whole bytes.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    fn u8(&mut self) -> Result<u8, StateError> {
        let (&byte, rest) = self.0.split_first().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    fn tick(&mut self) -> Result<Tick, StateError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(Tick(u32::from_le_bytes(*bytes)))
    }

    fn varint(&mut self) -> Result<u32, StateError> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| StateError::BadId);
            }
        }
        Err(StateError::BadId)
    }
}

/// Orders of the Golomb codes around the pieces.
const GONE_COUNT_ORDER: u32 = 0;
const GONE_ORDER: u32 = 6;
const COUNT_ORDER: u32 = 5;
const ID_ORDER: u32 = 2;
const AGE_ORDER: u32 = 2;
/// Bits of a kind.
const KIND_BITS: u32 = 6;

const _: () = assert!(crate::fields::KINDS_MAX <= 1 << KIND_BITS);

/// Writes who is gone, ascending: their number, then each as the distance to the one before.
pub(super) fn write_gone(ids: &[EntityId], out: &mut BitWriter<'_>) {
    out.write_golomb(ids.len() as u32, GONE_COUNT_ORDER);
    let mut before = EntityId::NONE;
    for &id in ids {
        out.write_golomb(id.0 - before.0 - 1, GONE_ORDER);
        before = id;
    }
}

/// Reads what [`write_gone`] wrote.
pub(super) fn read_gone(
    bits: &mut BitReader<'_>,
    mut take: impl FnMut(EntityId) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let count = bits.read_golomb(GONE_COUNT_ORDER);
    let mut before = EntityId::NONE;
    for _ in 0..count.ok_or(StateError::Truncated)? {
        before = id_after(before, bits.read_golomb(GONE_ORDER))?;
        take(before)?;
    }
    Ok(())
}

pub(super) fn write_count(count: usize, out: &mut BitWriter<'_>) {
    out.write_golomb(count as u32, COUNT_ORDER);
}

pub(super) fn read_count(bits: &mut BitReader<'_>) -> Result<u32, StateError> {
    bits.read_golomb(COUNT_ORDER).ok_or(StateError::Truncated)
}

/// Bits of a list of this many gone ids at most, and of a count of records.
pub(super) const fn lists_len_max(gone: usize) -> usize {
    golomb_len(gone as u32, GONE_COUNT_ORDER)
        + gone * golomb_len(u32::MAX, GONE_ORDER)
        + golomb_len(u16::MAX as u32, COUNT_ORDER)
}

/// What precedes an entity's public piece. Records ascend by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHeader {
    pub(super) id: EntityId,
    pub(super) public: Start,
    /// Whether the private piece follows the public one, and where that starts from.
    pub(super) private: Option<Baseline>,
}

/// Where a public piece starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// It is whole.
    Whole(KindId),
    /// It says how the entity differs from what the datagram of an earlier tick told.
    Delta(Tick),
}

/// Where a private piece starts from: nothing, or what the datagram of an earlier tick told.
pub(super) type Baseline = Option<Tick>;

impl Start {
    pub(super) fn of(kind: KindId, baseline: Baseline) -> Self {
        baseline.map_or(Self::Whole(kind), Self::Delta)
    }

    pub(super) fn write(self, tick: Tick, out: &mut BitWriter<'_>) {
        match self {
            Self::Whole(kind) => out.write(u32::from(kind.0) << 1, 1 + KIND_BITS),
            Self::Delta(baseline) => {
                out.write(1, 1);
                out.write_golomb(age(tick, baseline), AGE_ORDER);
            }
        }
    }
}

/// Writes whose record follows, after that of `before`.
pub(super) fn write_id(id: EntityId, before: EntityId, out: &mut BitWriter<'_>) {
    out.write_golomb(id.0 - before.0 - 1, ID_ORDER);
}

/// Bits of what [`write_id`] writes.
pub(super) fn id_len(id: EntityId, before: EntityId) -> usize {
    golomb_len(id.0 - before.0 - 1, ID_ORDER)
}

/// Writes whether the private piece follows the public one, and where that starts from.
pub(super) fn write_private(private: Option<Baseline>, tick: Tick, out: &mut BitWriter<'_>) {
    out.write(private.is_some().into(), 1);
    if let Some(baseline) = private {
        out.write(baseline.is_some().into(), 1);
        if let Some(baseline) = baseline {
            out.write_golomb(age(tick, baseline), AGE_ORDER);
        }
    }
}

impl RecordHeader {
    pub(super) fn read(
        before: EntityId,
        tick: Tick,
        bits: &mut BitReader<'_>,
    ) -> Result<Self, StateError> {
        let id = id_after(before, bits.read_golomb(ID_ORDER))?;
        let read = |bits: &mut BitReader<'_>| {
            let age = |bits: &mut BitReader<'_>| {
                let age = bits.read_golomb(AGE_ORDER)?;
                Some(Tick(tick.0.wrapping_sub(age).wrapping_sub(1)))
            };
            let public = match bits.read(1)? {
                0 => Start::Whole(KindId(bits.read(KIND_BITS)? as u8)),
                _ => Start::Delta(age(bits)?),
            };
            let private = match bits.read(1)? {
                0 => None,
                _ => Some(match bits.read(1)? {
                    0 => None,
                    _ => Some(age(bits)?),
                }),
            };
            Some((public, private))
        };
        let (public, private) = read(bits).ok_or(StateError::Truncated)?;
        Ok(Self {
            id,
            public,
            private,
        })
    }
}

/// Ticks from a baseline to the tick after it, less one: a baseline is never of the tick itself.
fn age(tick: Tick, baseline: Tick) -> u32 {
    tick.0.wrapping_sub(baseline.0).wrapping_sub(1)
}

fn id_after(before: EntityId, distance: Option<u32>) -> Result<EntityId, StateError> {
    let distance = distance.ok_or(StateError::Truncated)?;
    let id = before
        .0
        .checked_add(distance)
        .and_then(|id| id.checked_add(1));
    id.map(EntityId).ok_or(StateError::BadId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn an_ack_tells_which_datagrams_are_there(
            start in any::<u32>(), steps in prop::collection::vec(-40..40_i32, 1..60),
        ) {
            let (mut ack, mut there, mut tick) = (StateAck::default(), BTreeSet::new(), Tick(start));
            for step in steps {
                tick = tick.offset(step);
                let newest = ack.newest.unwrap_or(tick);
                if newest.wrapping_sub(tick) <= ACKED_TICKS {
                    there.insert(tick.0);
                }
                ack.note(tick);
                let newest = ack.newest.expect("one is there");
                for age in 0..=ACKED_TICKS {
                    let tick = newest.offset(-age);
                    prop_assert_eq!(ack.has(tick), Some(there.contains(&tick.0)), "{} ago", age);
                }
                prop_assert_eq!(ack.has(newest.offset(1)), None);
            }
        }
    }
}
