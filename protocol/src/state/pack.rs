//! What one client gets of a frame: the most pressing records that it has bandwidth for.

use super::DATAGRAM_LEN_MAX;
use super::bits::BitWriter;
use super::datagram::{
    CommandAck, HEADER_LEN_MAX, StateHeader, id_len, lists_len_max, write_count, write_gone,
    write_id,
};
use super::frame::{FrameEncoder, PieceRef, Slot};
use super::slots::SlotSet;
use super::urgency::{Queue, Urgency};
use super::view::{ClientView, FullReason, Known, RESEND_TICKS, SentRecord};
use crate::fields::RECORD_LEN_MAX;
use crate::ids::{EntityId, Tick};

/// Most entities that one datagram says are gone.
const GONE_PER_DATAGRAM_MAX: usize = 16;
/// Ticks of staleness with which an entity comes into sight: it goes before most that are known.
const NEW_STALENESS_TICKS: i32 = 8;
/// Metres within which what moves is told every tick, every second, every fourth; beyond, every eighth.
const EVERY_TICK_M: f32 = 30.0;
const EVERY_SECOND_M: f32 = 80.0;
const EVERY_FOURTH_M: f32 = 160.0;
/// Ticks from one look of a client at all that may be in sight to the next: as many as from one record to
/// the next of what comes into sight far away. In between it looks at what stirs and at the newborn.
const CLOSE_LOOK_TICKS: u32 = 8;
/// Metres along an axis that nobody moves in the meantime without having leapt.
const LEAP_M: f32 = 4.0;
/// Bytes that QUIC adds to a datagram: short header, frame header, tag.
const QUIC_OVERHEAD_LEN: usize = 31;
/// Bytes that a client may save up for a moment in which much happens.
const CREDIT_LEN_MAX: f32 = 4.0 * DATAGRAM_LEN_MAX as f32;
/// Bits that a record's id takes about, ids being close to each other.
const ID_BITS_ABOUT: u32 = 4;
/// Bits at most of what a record holds besides its pieces.
const HEADER_BITS_MAX: usize = 63 + 1 + 63 + 2 + 63;

// Whatever else is in a datagram, any record has room in it.
const _: () = assert!(
    HEADER_LEN_MAX
        + (lists_len_max(GONE_PER_DATAGRAM_MAX) + HEADER_BITS_MAX).div_ceil(8)
        + RECORD_LEN_MAX
        <= DATAGRAM_LEN_MAX
);

/// What one client's datagram is put together in, and then the next one's: it stays in the caches.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Who may have come into sight.
    newcomers: Vec<u32>,
    queue: Queue,
    /// What goes into the datagram, the most pressing first.
    chosen: Vec<Chosen>,
    /// Their ranks: the order that they are written in.
    ranks: SlotSet,
    /// By rank, which of those chosen that is.
    at: Vec<u32>,
    records: Vec<u8>,
    datagram: Vec<u8>,
}

/// A record that goes into the datagram.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    slot: u32,
    record: PieceRef,
    /// Whether the client owns the entity: then the record is for it alone.
    mine: bool,
}

/// What was packed for a client in a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Bytes of the datagram.
    pub bytes: usize,
    /// Bits of it that are records.
    pub record_bits: usize,
    /// Entities told.
    pub records: usize,
    /// Of these, such that the client knows, told as a whole all the same: its version is not kept any
    /// more, or too different.
    pub rewritten: usize,
    /// Entities that were to be told but had no room.
    pub waiting: usize,
    /// Why it begins to tell everything anew, if it does.
    pub full: Option<FullReason>,
}

impl FrameEncoder {
    /// Finds out what a client has in sight of the frame encoded last, and what presses to be told.
    pub fn look(&mut self, view: &mut ClientView) {
        view.decode_by(self.edition());
        if let Some(slot) = self.slot_of(self.own_entity(view.client)) {
            view.viewpoint = Some(self.slots[slot as usize].position);
        }
        if view.known.len() < self.slots.len() {
            view.known.resize(self.slots.len(), Known::NOBODY);
            view.private.resize(self.slots.len(), None);
        }
        view.candidates.clear();
        view.untold = 0;
        let closely = self.looks_closely(view);
        self.look_at_the_known(view, closely);
        self.look_around(view, closely);
    }

    /// Leaves a client out of this frame: its path doesn't take more. What it would have been sent may be sent
    /// later, and it looks at everything when it is its turn again.
    pub fn pass_over(&self, view: &mut ClientView) {
        view.earn(self.tick_hz);
        view.is_waiting = true;
    }

    /// Whether it is a client's turn to look at everything: not all clients in one tick. Who waits for
    /// something to be told looks each time, and so does who has leapt.
    fn looks_closely(&self, view: &mut ClientView) -> bool {
        let leapt = match (view.looked_from, view.viewpoint) {
            (Some(from), Some(to)) => (0..3).any(|axis| (from[axis] - to[axis]).abs() > LEAP_M),
            (from, to) => from != to,
        };
        let turn = self.tick.0.wrapping_add(view.client.0.into());
        let closely = view.is_waiting || leapt || turn.is_multiple_of(CLOSE_LOOK_TICKS);
        if closely {
            view.looked_from = view.viewpoint;
        }
        closely
    }

    /// Puts together a client's datagram and hands it to `send`; after [`FrameEncoder::look`]. There is
    /// always one, since it carries the acknowledgement.
    pub fn pack(
        &mut self,
        view: &mut ClientView,
        ack: CommandAck,
        send: impl FnOnce(&[u8]),
    ) -> Packed {
        let room = view.earn(self.tick_hz);
        let header = StateHeader {
            tick: self.tick,
            epoch: view.epoch,
            edition: self.edition(),
            ack,
            own: self.own_entity(view.client),
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.datagram.clear();
        header.write(&mut scratch.datagram);
        let mut packed = Packed {
            full: view.full.take(),
            ..Packed::default()
        };
        let gone = view.gone.len().min(GONE_PER_DATAGRAM_MAX);
        view.gone[..gone].sort_unstable();
        let lists = lists_len_max(gone);
        let taken = scratch.datagram.len() * 8 + lists;
        let affordable = (room * 8).saturating_sub(taken);
        self.choose(view, affordable, &mut scratch, &mut packed);
        view.is_waiting = false;
        let left = DATAGRAM_LEN_MAX * 8 - taken;
        self.write(view, gone, left, &mut scratch, &mut packed);
        packed.waiting = view.candidates.len() - packed.records;
        view.is_waiting |= view.untold > 0;
        packed.bytes = scratch.datagram.len();
        view.credit -= (packed.bytes + QUIC_OVERHEAD_LEN) as f32;
        send(&scratch.datagram);
        self.scratch = scratch;
        packed
    }

    /// Notes who is gone out of sight, and who of the others presses. Unless it looks closely, of what
    /// stirs: what there may be to tell of the rest can wait.
    fn look_at_the_known(&self, view: &mut ClientView, closely: bool) {
        let mut sight = std::mem::take(&mut view.sight);
        let stirring = (!closely).then_some(&self.stirring);
        let forget2 = squared(self.config.forget_m);
        sight.retain(stirring, |index| {
            let slot = &self.slots[index as usize];
            let known = &view.known[index as usize];
            let mine = slot.owner == Some(view.client);
            let distance2 = view.distance2(slot);
            let stays = slot.id == known.id && (mine || distance2 <= forget2);
            if stays {
                let urgency = pressing(self.tick, known, slot, index, mine, distance2);
                view.candidates
                    .extend(urgency.map(|urgency| (urgency, index)));
                view.untold += usize::from(!known.told);
            } else {
                view.gone.push(known.id);
                view.known[index as usize] = Known::NOBODY;
            }
            stays
        });
        view.sight = sight;
    }

    /// Notes who has come into sight: they all press. Unless it looks closely, only the newborn.
    fn look_around(&mut self, view: &mut ClientView, closely: bool) {
        let near = match closely {
            true => self.grid.around(view.viewpoint),
            false => &self.born,
        };
        let mut sight = std::mem::take(&mut view.sight);
        let newcomers = &mut self.scratch.newcomers;
        newcomers.clear();
        newcomers.extend(near.without(&sight));
        for &index in newcomers.iter() {
            let slot = &self.slots[index as usize];
            let mine = slot.owner == Some(view.client);
            let distance2 = view.distance2(slot);
            if !mine && distance2 > squared(self.config.sight_m) {
                continue;
            }
            view.gone.retain(|id| *id != slot.id); // it is back
            let known = Known {
                id: slot.id,
                since: self.tick,
                sent: self.tick.offset(-NEW_STALENESS_TICKS),
                ..Known::NOBODY
            };
            let urgency = pressing(self.tick, &known, slot, index, mine, distance2);
            view.candidates
                .extend(urgency.map(|urgency| (urgency, index)));
            view.untold += 1;
            view.known[index as usize] = known;
            view.private[index as usize] = None;
            sight.insert(index);
        }
        view.sight = sight;
    }

    /// Takes the most pressing candidates, as many as there is room for, and codes them.
    fn choose(
        &mut self,
        view: &mut ClientView,
        room_bits: usize,
        scratch: &mut Scratch,
        packed: &mut Packed,
    ) {
        let (queue, chosen) = (&mut scratch.queue, &mut scratch.chosen);
        queue.clear(self.slots.len());
        for &(urgency, slot) in &view.candidates {
            queue.push(urgency, slot);
        }
        chosen.clear();
        scratch.ranks.clear();
        scratch.at.resize(self.slots.len(), 0);
        let mut used = 0;
        while let Some(index) = queue.pop() {
            let mine = !view.watches && self.slots[index as usize].owner == Some(view.client);
            let baseline = view.known[index as usize].baseline;
            let record = match mine {
                true => self.own_record(index, baseline, view.private[index as usize]),
                false => self.shared_record(index, baseline),
            };
            used += (record.bits + ID_BITS_ABOUT) as usize;
            if used > room_bits && !chosen.is_empty() {
                break;
            }
            let rewritten = baseline.is_some() && record.baseline.is_none();
            packed.rewritten += usize::from(rewritten);
            let rank = self.ranks.of(index);
            scratch.ranks.insert(rank);
            scratch.at[rank as usize] = chosen.len() as u32;
            chosen.push(Chosen {
                slot: index,
                record,
                mine,
            });
        }
    }

    /// Writes the lists and the records that fit, and notes what was sent. The estimate of the records'
    /// ids may have been too low: `room` is the bits that there really are for them.
    fn write(
        &self,
        view: &mut ClientView,
        gone: usize,
        room: usize,
        scratch: &mut Scratch,
        packed: &mut Packed,
    ) {
        let mut sent = view.blank_sent();
        sent.tick = self.tick;
        sent.gone.extend_from_slice(&view.gone[..gone]);
        // Where a whole crowd is gone, the others have their turn before these are repeated.
        view.gone.rotate_left(gone);
        scratch.records.clear();
        let mut records = BitWriter::new(&mut scratch.records);
        let mut before = EntityId::NONE;
        for rank in scratch.ranks.iter() {
            let chosen = &scratch.chosen[scratch.at[rank as usize] as usize];
            let id = self.slots[chosen.slot as usize].id;
            if chosen.record.bits as usize + id_len(id, before) > room - records.len() {
                break;
            }
            write_id(id, before, &mut records);
            self.append(chosen.record, &mut records);
            before = id;
            let known = &mut view.known[chosen.slot as usize];
            view.untold -= usize::from(!known.told);
            (known.sent, known.told) = (self.tick, true);
            sent.records.push(SentRecord {
                slot: chosen.slot,
                id,
                private: chosen.mine,
            });
        }
        packed.records = sent.records.len();
        packed.record_bits = records.len();
        records.finish();
        let mut out = BitWriter::new(&mut scratch.datagram);
        write_gone(&sent.gone, &mut out);
        write_count(packed.records, &mut out);
        out.append(&scratch.records, packed.record_bits);
        out.finish();
        let len = scratch.datagram.len();
        assert!(len <= DATAGRAM_LEN_MAX, "{len}");
        view.note_sent(sent);
    }
}

impl ClientView {
    /// Metres from the client's eyes, squared; none to what is in everyone's sight.
    fn distance2(&self, slot: &Slot) -> f32 {
        match self.viewpoint {
            Some(from) if !slot.anywhere => {
                let [x, y, z] = [0, 1, 2].map(|axis| from[axis] - slot.position[axis]);
                x * x + y * y + z * z
            }
            Some(_) => 0.0,
            None if slot.anywhere => 0.0,
            None => f32::INFINITY,
        }
    }

    /// Adds a tick's worth of bandwidth; gives how many bytes the datagram may take. (A header and one
    /// record are sent in any case.)
    fn earn(&mut self, tick_hz: u32) -> usize {
        let earned = self.rate as f32 / tick_hz as f32;
        self.credit = (self.credit + earned).min(CREDIT_LEN_MAX.max(earned));
        let affordable = (self.credit - QUIC_OVERHEAD_LEN as f32).max(0.0) as usize;
        affordable.min(DATAGRAM_LEN_MAX)
    }
}

const fn squared(metres: f32) -> f32 {
    metres * metres
}

/// How much an entity presses to be told, if at all.
///
/// An entity has its ticks, the same for all clients at about its distance: then they have the same
/// baselines, and share its pieces.
fn pressing(
    tick: Tick,
    known: &Known,
    slot: &Slot,
    index: u32,
    mine: bool,
    distance2: f32,
) -> Option<Urgency> {
    if mine {
        // Each datagram tells the client where its player is, so that it can check its prediction.
        return Some(Urgency::OWN);
    }
    let stale = tick.wrapping_sub(known.sent);
    let changed = slot.changed.is_newer_than(known.sent);
    if known.told && !changed {
        // It has arrived, or is on its way unless it has been for too long.
        let arrived = |baseline| !slot.changed.is_newer_than(baseline);
        if known.baseline.is_some_and(arrived) || stale < RESEND_TICKS {
            return None;
        }
    }
    // Its interval is 2^doublings; a branch on it would be mispredicted half of the time.
    let doublings: u32 = [EVERY_TICK_M, EVERY_SECOND_M, EVERY_FOURTH_M]
        .map(|beyond| u32::from(distance2 >= squared(beyond)))
        .iter()
        .sum();
    let urgency = Urgency::of(stale, doublings);
    let its_turn = tick.0.wrapping_add(index) & ((1 << doublings) - 1) == 0;
    let waits = known.told & !its_turn & (urgency < Urgency::LATE);
    (!waits).then_some(urgency)
}
