//! One quantized copy of the state per tick, shared by all clients.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::StateConfig;
use super::plan::KindPlan;
use crate::fields::{FieldTable, TableError};
use crate::ids::{ClientId, EntityId, KindId, Tick};
use crate::snapshot::{RowRef, Snapshot};

/// Codes each entity once per tick; clients' datagrams are put together from its pieces.
///
/// Call [`FrameEncoder::encode`] with each snapshot, then [`FrameEncoder::pack`] for each client;
/// packing needs no exclusive access, so clients can be packed on several threads.
#[derive(Debug)]
pub struct FrameEncoder {
    pub(super) config: StateConfig,
    plans: Vec<KindPlan>,
    /// By kind: whether its entities are in everyone's sight, wherever they are.
    always: Vec<bool>,
    /// By kind: whether an owned entity of it is the owner's player.
    player: Vec<bool>,
    pub(super) tick: Tick,
    /// The entities. One keeps its slot while it lives, so that what is known per client and entity
    /// is an array.
    pub(super) slots: Vec<Slot>,
    slot_of: HashMap<EntityId, u32>,
    free: Vec<u32>,
    /// The pieces of this frame and those of the one before.
    pub(super) pieces: Vec<u8>,
    pieces_before: Vec<u8>,
    /// The players, by client.
    own: Vec<EntityId>,
}

/// One entity, coded.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// [`EntityId::NONE`] while nobody has the slot.
    pub(super) id: EntityId,
    pub(super) kind: KindId,
    pub(super) always: bool,
    pub(super) owner: Option<ClientId>,
    /// Metres.
    pub(super) position: [f32; 3],
    /// The tick at which the public piece became what it is.
    pub(super) changed: Tick,
    /// Where the pieces are in [`FrameEncoder::pieces`]; the private one follows the public one.
    pub(super) public: Range<u32>,
    pub(super) private_end: u32,
}

impl Slot {
    const FREE: Self = Self {
        id: EntityId::NONE,
        kind: KindId(0),
        always: false,
        owner: None,
        position: [0.0; 3],
        changed: Tick(0),
        public: 0..0,
        private_end: 0,
    };

    /// Where both pieces are, or only the public one.
    pub(super) fn pieces(&self, private: bool) -> Range<usize> {
        let end = if private {
            self.private_end
        } else {
            self.public.end
        };
        self.public.start as usize..end as usize
    }
}

impl FrameEncoder {
    /// An encoder for entities of these kinds.
    ///
    /// # Errors
    /// Where the table doesn't pass [`FieldTable::check`].
    pub fn new(table: &Arc<FieldTable>, config: StateConfig) -> Result<Self, TableError> {
        table.check()?;
        Ok(Self {
            config,
            plans: KindPlan::of(table),
            always: table.kinds.iter().map(|kind| kind.is_match).collect(),
            player: table
                .kinds
                .iter()
                .map(|kind| kind.projectile.is_none())
                .collect(),
            tick: Tick::default(),
            slots: Vec::new(),
            slot_of: HashMap::new(),
            free: Vec::new(),
            pieces: Vec::new(),
            pieces_before: Vec::new(),
            own: Vec::new(),
        })
    }

    /// Codes all entities of a snapshot.
    pub fn encode(&mut self, snapshot: &Snapshot) {
        self.tick = snapshot.tick();
        std::mem::swap(&mut self.pieces, &mut self.pieces_before);
        self.pieces.clear();
        self.own.fill(EntityId::NONE);
        for batch in snapshot.batches() {
            // A snapshot of another table would be a fault of the caller; it is not worth a crash.
            if batch.kind().index() < self.plans.len() {
                batch.rows().for_each(|row| self.encode_row(row));
            }
        }
        self.free_the_dead(snapshot);
    }

    /// The tick of the snapshot coded last.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.slot_of.len()
    }

    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.slot_of.is_empty()
    }

    /// A client's player: of the entities whose `owner` it is, the oldest that is no projectile.
    pub fn own_entity(&self, client: ClientId) -> EntityId {
        self.own.get(client.index()).copied().unwrap_or_default()
    }

    pub(super) fn slot_of(&self, id: EntityId) -> Option<&Slot> {
        self.slot_of
            .get(&id)
            .map(|&slot| &self.slots[slot as usize])
    }

    fn encode_row(&mut self, row: RowRef<'_>) {
        let (id, kind) = (row.id(), row.kind());
        let owner = ClientId::from_owner(row.owner());
        if let Some(owner) = owner
            && self.player[kind.index()]
        {
            self.note_player(owner, id);
        }
        let start = self.pieces.len();
        let plan = &self.plans[kind.index()];
        plan.public.encode(row, &mut self.pieces);
        let end = self.pieces.len();
        if owner.is_some() {
            plan.private.encode(row, &mut self.pieces);
        }
        let public = start as u32..end as u32;

        let index = self.slot_for(id);
        let slot = &mut self.slots[index];
        let before = slot.pieces(false);
        let same =
            slot.id == id && self.pieces_before.get(before) == Some(&self.pieces[start..end]);
        *slot = Slot {
            id,
            kind,
            always: self.always[kind.index()],
            owner,
            position: row.position().map(|axis| axis as f32),
            changed: if same { slot.changed } else { self.tick },
            public,
            private_end: self.pieces.len() as u32,
        };
    }

    fn note_player(&mut self, client: ClientId, id: EntityId) {
        if self.own.len() <= client.index() {
            self.own.resize(client.index() + 1, EntityId::NONE);
        }
        let own = &mut self.own[client.index()];
        if own.is_none() || id < *own {
            *own = id;
        }
    }

    /// The slot that an entity has or now gets.
    fn slot_for(&mut self, id: EntityId) -> usize {
        let (slots, free) = (&mut self.slots, &mut self.free);
        let slot = *self.slot_of.entry(id).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                slots.push(Slot::FREE);
                slots.len() as u32 - 1
            })
        });
        slot as usize
    }

    /// Frees the slots of entities that the snapshot doesn't have.
    fn free_the_dead(&mut self, snapshot: &Snapshot) {
        if self.slot_of.len() == snapshot.len() {
            return;
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if !slot.id.is_none() && snapshot.find(slot.id).is_none() {
                self.slot_of.remove(&slot.id);
                *slot = Slot::FREE;
                self.free.push(index as u32);
            }
        }
    }
}
