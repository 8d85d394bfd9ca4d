//! What one client gets of a frame: the most pressing records that fit its datagrams.

use super::datagram::{
    CommandAck, HEADER_LEN_MAX, RecordHeader, StateHeader, ids_len_max, write_ids,
};
use super::frame::{FrameEncoder, Slot};
use super::{DATAGRAM_LEN_MAX, ECHO_TICKS, REFRESH_TICKS, URGENT_TICKS};
use crate::fields::RECORD_LEN_MAX;
use crate::ids::{ClientId, EntityId, Tick};

/// Most entities that one datagram says are gone.
pub(super) const GONE_PER_DATAGRAM_MAX: usize = 64;
/// Datagrams in a row that say that an entity is gone: all of them would have to be lost for the
/// client to find out by its silence only.
const GONE_REPEATS: u8 = 8;
/// Least bytes of a record: id, kind and a byte or more of fields.
const RECORD_LEN_MIN: usize = 3;
/// Entities count as this many ticks stale before they are told the first time.
const NEW_STALENESS: f32 = 64.0;
/// Metres at which a record presses half as much as at the client's own position.
const HALF_PRESSING_M: f32 = 48.0;
/// How much an entity presses that has been told as it is, but might not have arrived.
const ECHO_WEIGHT: f32 = 0.25;

// Whatever else is in a datagram, any record has room in it.
const _: () = assert!(
    HEADER_LEN_MAX + ids_len_max(GONE_PER_DATAGRAM_MAX) + 7 + RECORD_LEN_MAX <= DATAGRAM_LEN_MAX
);

/// What the server remembers of a client's knowledge.
#[derive(Debug)]
pub struct ClientView {
    client: ClientId,
    /// By slot of the frame.
    known: Vec<Known>,
    /// Entities to be told gone, oldest first.
    gone: Vec<Gone>,
    /// Where the client's player is, or was last.
    viewpoint: Option<[f32; 3]>,
    /// Scratch: what could be told, as priority above slot.
    candidates: Vec<u64>,
    /// Scratch: what goes into one datagram, as id above slot.
    chosen: Vec<u64>,
    /// Scratch: ids gone, ascending.
    gone_ids: Vec<EntityId>,
    /// Scratch: the datagram.
    datagram: Vec<u8>,
}

/// What was told of an entity.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Who, [`EntityId::NONE`] where the client knows nobody of this slot.
    id: EntityId,
    /// The tick of the record sent last.
    sent: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Gone {
    id: EntityId,
    /// Times left to say so.
    left: u8,
}

/// What was packed for a client in a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Datagrams.
    pub datagrams: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// Entities told.
    pub records: usize,
    /// Entities that were to be told but had no room.
    pub waiting: usize,
}

impl ClientView {
    /// The view of a client that knows nothing yet.
    pub fn new(client: ClientId) -> Self {
        Self {
            client,
            known: Vec::new(),
            gone: Vec::new(),
            viewpoint: None,
            candidates: Vec::new(),
            chosen: Vec::new(),
            gone_ids: Vec::new(),
            datagram: Vec::new(),
        }
    }

    /// Whether the client is to get the slot's private piece.
    fn owns(&self, slot: &Slot) -> bool {
        slot.owner == Some(self.client)
    }

    /// The client.
    pub fn client(&self) -> ClientId {
        self.client
    }
}

impl FrameEncoder {
    /// Puts together a client's datagrams of the frame coded last and hands each to `send`: at
    /// least one, since each carries the acknowledgement.
    pub fn pack(
        &self,
        view: &mut ClientView,
        ack: CommandAck,
        mut send: impl FnMut(&[u8]),
    ) -> Packed {
        let own = self.own_entity(view.client);
        if let Some(slot) = self.slot_of(own) {
            view.viewpoint = Some(slot.position);
        }
        self.collect(view);
        self.keep_most_pressing(view);
        let header = StateHeader {
            tick: self.tick,
            ack,
            own,
            last: false,
        };
        let mut packed = Packed::default();
        let mut next = 0;
        while packed.datagrams == 0
            || (next < view.candidates.len() && packed.datagrams < self.config.datagrams_max)
        {
            Self::write_head(view, header, packed.datagrams == 0);
            let taken = self.choose(view, next);
            self.write_records(view);
            next += taken;
            packed.datagrams += 1;
            if next == view.candidates.len() || packed.datagrams == self.config.datagrams_max {
                StateHeader::mark_last(&mut view.datagram);
            }
            packed.bytes += view.datagram.len();
            packed.records += taken;
            send(&view.datagram);
        }
        packed.waiting = view.candidates.len() - next;
        packed
    }

    /// Notes who is gone and who could be told.
    fn collect(&self, view: &mut ClientView) {
        let nobody = Known {
            id: EntityId::NONE,
            sent: self.tick,
        };
        view.known
            .resize(self.slots.len().max(view.known.len()), nobody);
        view.candidates.clear();
        let client = view.client;
        for (index, (known, slot)) in view.known.iter_mut().zip(&self.slots).enumerate() {
            if !known.id.is_none() && known.id != slot.id {
                view.gone.push(Gone {
                    id: known.id,
                    left: GONE_REPEATS,
                });
                *known = nobody;
            }
            if slot.id.is_none() {
                continue;
            }
            let mine = slot.owner == Some(client);
            let distance2 = match view.viewpoint {
                Some(from) if !slot.always => distance2(from, slot.position),
                _ => 0.0,
            };
            let knows = !known.id.is_none();
            let sight_m = if knows {
                self.config.forget_m
            } else {
                self.config.sight_m
            };
            if !mine && distance2 > sight_m * sight_m {
                if knows {
                    view.gone.push(Gone {
                        id: known.id,
                        left: GONE_REPEATS,
                    });
                    *known = nobody;
                }
                continue;
            }
            if !knows && !view.gone.is_empty() {
                view.gone.retain(|gone| gone.id != slot.id); // it is back
            }
            let priority = if mine {
                Some(f32::MAX)
            } else {
                pressing(self.tick, *known, slot, distance2)
            };
            if let Some(priority) = priority {
                // Positive floats order like their bits.
                view.candidates
                    .push(u64::from(priority.to_bits()) << 32 | index as u64);
            }
        }
    }

    /// Orders the candidates by priority, those that have a chance of room at least.
    fn keep_most_pressing(&self, view: &mut ClientView) {
        let room = self.config.datagrams_max * (DATAGRAM_LEN_MAX / RECORD_LEN_MIN);
        if view.candidates.len() > room {
            view.candidates
                .select_nth_unstable_by(room, |a, b| b.cmp(a));
        }
        let sorted = room.min(view.candidates.len());
        view.candidates[..sorted].sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Begins a datagram; the first of a tick also says who is gone.
    fn write_head(view: &mut ClientView, header: StateHeader, first: bool) {
        view.gone_ids.clear();
        if first {
            for gone in view.gone.iter_mut().take(GONE_PER_DATAGRAM_MAX) {
                gone.left -= 1;
                view.gone_ids.push(gone.id);
            }
            view.gone.retain(|gone| gone.left > 0);
            view.gone_ids.sort_unstable();
        }
        view.datagram.clear();
        header.write(&mut view.datagram);
        write_ids(&view.gone_ids, &mut view.datagram);
    }

    /// Fills `chosen` with the next candidates that fit the datagram; returns how many.
    fn choose(&self, view: &mut ClientView, next: usize) -> usize {
        let room = DATAGRAM_LEN_MAX - view.datagram.len();
        view.chosen.clear();
        // Ids are short once they are sorted, but until then each may be long: what that leaves is
        // filled again.
        let mut used = 0;
        loop {
            let before = view.chosen.len();
            for candidate in &view.candidates[next + before..] {
                let index = *candidate as u32;
                let slot = &self.slots[index as usize];
                used += RecordHeader::len_max(slot.id) + slot.pieces(view.owns(slot)).len();
                if used > room {
                    break;
                }
                view.chosen
                    .push(u64::from(slot.id.0) << 32 | u64::from(index));
            }
            if view.chosen.len() == before {
                return before;
            }
            view.chosen.sort_unstable();
            used = self
                .chosen(view)
                .map(|(before, slot)| {
                    RecordHeader::len(before, slot.id) + slot.pieces(view.owns(slot)).len()
                })
                .sum();
        }
    }

    /// Writes the records of what was chosen.
    fn write_records(&self, view: &mut ClientView) {
        let mut out = std::mem::take(&mut view.datagram);
        for (before, slot) in self.chosen(view) {
            let private = view.owns(slot);
            RecordHeader {
                id: slot.id,
                kind: slot.kind,
                private,
            }
            .write(before, &mut out);
            out.extend_from_slice(&self.pieces[slot.pieces(private)]);
        }
        assert!(out.len() <= DATAGRAM_LEN_MAX, "{} bytes", out.len());
        view.datagram = out;
        for chosen in &view.chosen {
            let index = *chosen as u32 as usize;
            view.known[index] = Known {
                id: self.slots[index].id,
                sent: self.tick,
            };
        }
    }

    /// The slots that were chosen, ascending by id, each with the id before.
    fn chosen(&self, view: &ClientView) -> impl Iterator<Item = (EntityId, &Slot)> {
        let slots = view
            .chosen
            .iter()
            .map(|chosen| &self.slots[*chosen as u32 as usize]);
        slots.scan(EntityId::NONE, |before, slot| {
            Some((std::mem::replace(before, slot.id), slot))
        })
    }
}

/// How much an entity presses to be told, if at all: the longer ago and the nearer, the more.
///
/// A priority accumulator (Fiedler, "State Synchronization", 2015) without a sum to keep: weights
/// change slowly, so weight × ticks since the last record comes to the same.
fn pressing(tick: Tick, known: Known, slot: &Slot, distance2: f32) -> Option<f32> {
    let near = || 1.0 / (1.0 + distance2.sqrt() / HALF_PRESSING_M);
    if known.id.is_none() {
        return Some(NEW_STALENESS * near());
    }
    let stale = tick.wrapping_sub(known.sent);
    // There are no acknowledgements here: what changes last is told again a little later.
    match known.sent.wrapping_sub(slot.changed) {
        ECHO_TICKS.. if stale < REFRESH_TICKS => None,
        // Above any that is not urgent, the longest unheard first.
        _ if stale >= URGENT_TICKS => Some(1e6 + stale as f32),
        0.. => Some(stale as f32 * near() * ECHO_WEIGHT),
        _ => Some(stale as f32 * near()),
    }
}

/// Square metres.
fn distance2(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    x * x + y * y + z * z
}
