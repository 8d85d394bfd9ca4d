//! What the server remembers of one client's knowledge of the state.

use std::collections::VecDeque;

use super::datagram::StateAck;
use super::slots::SlotSet;
use super::urgency::Urgency;
use crate::fields::Edition;
use crate::ids::{ClientId, EntityId, Tick};

/// Datagrams of which it is remembered what was in them, until it is known whether they arrived: a
/// second at 64 ticks a second. A client that acknowledges none of so many is told everything anew.
const SENT_MAX: usize = 64;
/// A datagram counts as lost when one so many ticks younger has arrived (RFC 9002 §6.1.1).
const LOST_AFTER_TICKS: i32 = 3;
/// Ticks after which what was sent is sent again, if neither its arrival nor its loss is known.
pub(super) const RESEND_TICKS: i32 = 32;

/// Why a client is told everything anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FullReason {
    /// It has just come in.
    Joined,
    /// It lacks a baseline, and asked.
    Asked,
    /// It has acknowledged nothing for a second.
    Silent,
    /// It watches, and now somebody else.
    Moved,
    /// Scripts declare something else than before.
    Declared,
}

/// What the server remembers of a client's knowledge.
#[derive(Debug)]
pub struct ClientView {
    pub(super) client: ClientId,
    /// Whether it sees what the client sees without being it: then nothing is told that is for owners only.
    pub(super) watches: bool,
    /// By slot of the frame.
    pub(super) known: Vec<Known>,
    /// By slot, the newest tick whose private piece has arrived.
    pub(super) private: Vec<Option<Tick>>,
    /// What it has in sight.
    pub(super) sight: SlotSet,
    /// Entities to be told gone until that has arrived, in turns.
    pub(super) gone: Vec<EntityId>,
    /// Where the client's player is, or was last.
    pub(super) viewpoint: Option<[f32; 3]>,
    /// What was sent and is neither known to have arrived nor to be lost, oldest first.
    sent: VecDeque<Sent>,
    /// Sent ones to use again, for the sake of their memory.
    spare: Vec<Sent>,
    pub(super) epoch: u8,
    /// Of the declarations by which it was told what it knows.
    edition: Edition,
    /// Set until the first datagram of an epoch is packed.
    pub(super) full: Option<FullReason>,
    /// Most bytes a second.
    pub(super) rate: u32,
    /// Bytes that may be sent now.
    pub(super) credit: f32,
    /// Where it was when it last looked at everything.
    pub(super) looked_from: Option<[f32; 3]>,
    /// Whether something pressed that had no room, it was left out of a frame, or it knows nothing yet.
    pub(super) is_waiting: bool,
    /// Scratch: what could be told, and how much it presses.
    pub(super) candidates: Vec<(Urgency, u32)>,
    /// How many of those were never told.
    pub(super) untold: usize,
}

/// What was told of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Who, [`EntityId::NONE`] where the client has nobody of this slot in sight.
    pub(super) id: EntityId,
    /// The tick at which it came into sight.
    pub(super) since: Tick,
    /// Whether a record was sent and is not known to be lost.
    pub(super) told: bool,
    /// The tick of the record sent last and not lost; before the first, some ticks before it came into
    /// sight.
    pub(super) sent: Tick,
    /// The newest tick whose record has arrived.
    pub(super) baseline: Option<Tick>,
}

impl Known {
    pub(super) const NOBODY: Self = Self {
        id: EntityId::NONE,
        since: Tick(0),
        told: false,
        sent: Tick(0),
        baseline: None,
    };
}

/// What was in a datagram.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) tick: Tick,
    pub(super) records: Vec<SentRecord>,
    pub(super) gone: Vec<EntityId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SentRecord {
    pub(super) slot: u32,
    pub(super) id: EntityId,
    /// Whether the private piece was with it.
    pub(super) private: bool,
}

impl ClientView {
    /// The view of a client that knows nothing yet, and may be sent so many bytes a second.
    pub fn new(client: ClientId, bytes_per_s: u32) -> Self {
        Self {
            client,
            watches: false,
            known: Vec::new(),
            private: Vec::new(),
            sight: SlotSet::default(),
            gone: Vec::new(),
            viewpoint: None,
            sent: VecDeque::new(),
            spare: Vec::new(),
            epoch: 0,
            edition: Edition::default(),
            full: Some(FullReason::Joined),
            rate: bytes_per_s,
            credit: 0.0,
            looked_from: None,
            is_waiting: true,
            candidates: Vec::new(),
            untold: 0,
        }
    }

    /// The view of one who watches what a client does: it sees what the client sees, but for what is for
    /// owners only.
    pub fn watching(client: ClientId, bytes_per_s: u32) -> Self {
        Self {
            watches: true,
            ..Self::new(client, bytes_per_s)
        }
    }

    /// The client.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Lets one who watches see what another client does, from now on.
    pub fn see_through(&mut self, client: ClientId) {
        if client != self.client {
            self.client = client;
            self.viewpoint = None;
            self.begin_anew(FullReason::Moved);
        }
    }

    /// Changes how many bytes a second it may be sent, as the path allows.
    pub fn set_rate(&mut self, bytes_per_s: u32) {
        self.rate = bytes_per_s;
    }

    /// What it is told from now on is coded by these declarations.
    pub(super) fn decode_by(&mut self, edition: Edition) {
        if self.edition != edition {
            self.edition = edition;
            // Who has just come in knows nothing that could be void.
            if self.full != Some(FullReason::Joined) {
                self.begin_anew(FullReason::Declared);
            }
        }
    }

    /// Learns which datagrams have arrived.
    pub fn handle_ack(&mut self, ack: StateAck) {
        if ack.epoch != self.epoch {
            return; // it speaks of what is void
        }
        if ack.lost {
            return self.begin_anew(FullReason::Asked);
        }
        let Some(newest) = ack.newest else { return };
        let mut at = 0;
        while let Some(sent) = self.sent.get(at) {
            let age = newest.wrapping_sub(sent.tick);
            let arrived = ack.has(sent.tick).unwrap_or(false);
            if !arrived && age < LOST_AFTER_TICKS {
                at += 1;
                continue;
            }
            let sent = self.sent.remove(at).expect("it was just looked at");
            self.settle(sent, arrived);
        }
    }

    /// An empty note of what a datagram holds.
    pub(super) fn blank_sent(&mut self) -> Sent {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a note of what a datagram held, for when it is known whether it arrived.
    pub(super) fn note_sent(&mut self, sent: Sent) {
        self.sent.push_back(sent);
        if self.sent.len() == SENT_MAX {
            self.begin_anew(FullReason::Silent);
        }
    }

    fn settle(&mut self, mut sent: Sent, arrived: bool) {
        for record in sent.records.drain(..) {
            let known = &mut self.known[record.slot as usize];
            if known.id != record.id || known.since.is_newer_than(sent.tick) {
                continue; // it has been out of sight meanwhile
            }
            if arrived {
                let newer = |tick: Tick| tick.is_newer_than(sent.tick);
                if !known.baseline.is_some_and(newer) {
                    known.baseline = Some(sent.tick);
                }
                let private = &mut self.private[record.slot as usize];
                if record.private && !private.is_some_and(newer) {
                    *private = Some(sent.tick);
                }
            } else if known.sent == sent.tick {
                known.told = known.baseline.is_some();
                known.sent = known
                    .baseline
                    .unwrap_or_else(|| sent.tick.offset(-RESEND_TICKS));
            }
        }
        if arrived {
            self.gone.retain(|id| !sent.gone.contains(id));
        }
        sent.gone.clear();
        self.spare.push(sent);
    }

    /// Forgets all that the client was told.
    fn begin_anew(&mut self, reason: FullReason) {
        self.epoch = self.epoch.wrapping_add(1);
        self.full = Some(reason);
        self.is_waiting = true;
        self.known.fill(Known::NOBODY);
        self.sight.clear();
        self.gone.clear();
        for mut sent in self.sent.drain(..) {
            sent.records.clear();
            sent.gone.clear();
            self.spare.push(sent);
        }
    }
}
