//! One quantized copy of the state per tick, shared by all clients.

use rustc_hash::FxHashMap;

use super::StateConfig;
use super::bits::BitWriter;
use super::datagram::{Start, write_private};
use super::history::History;
use super::interest::InterestGrid;
use super::pack::Scratch;
use super::plan::{KindPlan, Piece, Record, Rounded};
use super::slots::{Ranks, SlotSet};
use super::view::RESEND_TICKS;
use crate::fields::{Declarations, Edition, TableError};
use crate::ids::{ClientId, EntityId, KindId, Tick};
use crate::snapshot::{BatchRef, RowRef, Snapshot};

/// Rounds each entity once per tick; clients' datagrams are put together from its pieces.
///
/// Call [`FrameEncoder::encode`] with each snapshot, then for each client
/// [`FrameEncoder::look`] and [`FrameEncoder::pack`].
#[derive(Debug)]
pub struct FrameEncoder {
    pub(super) config: StateConfig,
    pub(super) tick_hz: u32,
    declarations: Declarations,
    plans: Vec<KindPlan>,
    /// By kind: whether its entities are in everyone's sight, wherever they are.
    always: Vec<bool>,
    /// By kind: whether an owned entity of it is the owner's player.
    player: Vec<bool>,
    pub(super) tick: Tick,
    /// The entities. One keeps its slot while it lives, so that what is known per client and entity
    /// is an array.
    pub(super) slots: Vec<Slot>,
    /// By slot.
    told: Vec<Pieces>,
    slot_of: FxHashMap<EntityId, u32>,
    free: Vec<u32>,
    pub(super) ranks: Ranks,
    /// Those that the frame before did not have.
    pub(super) born: SlotSet,
    /// What each client looks at each tick: all that has changed within the last [`RESEND_TICKS`], all
    /// that somebody owns, and slots whose entity has just died.
    pub(super) stirring: SlotSet,
    pub(super) grid: InterestGrid,
    /// Pieces and records coded in this tick, each from a whole byte on.
    pieces: Vec<u8>,
    /// The players, by client.
    own: Vec<EntityId>,
    /// Scratch: the entities being rounded, what a client expects of one, and a record being put together.
    public: Rounded,
    private: Rounded,
    expected: Record,
    own_record: Vec<u8>,
    pub(super) scratch: Scratch,
}

/// What every client has to look at of one entity. Small, since a hundred clients look at hundreds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// [`EntityId::NONE`] while nobody has the slot.
    pub(super) id: EntityId,
    /// Metres.
    pub(super) position: [f32; 3],
    /// The tick at which the public piece became what it is.
    pub(super) changed: Tick,
    pub(super) owner: Option<ClientId>,
    pub(super) kind: KindId,
    /// Whether it is in everyone's sight, wherever that is.
    pub(super) anywhere: bool,
}

/// The rest of it: what is only looked at to tell it.
#[derive(Debug, Default)]
struct Pieces {
    /// What everyone in sight is told.
    public: History,
    /// What only the owner is told; empty while nobody owns it.
    private: History,
    /// This tick's shared records, by baseline.
    coded: Vec<(Option<Tick>, PieceRef)>,
}

/// What was coded, a piece or a record: some bits of [`FrameEncoder::pieces`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceRef {
    start: u32,
    /// How many bits.
    pub(super) bits: u32,
    /// The tick of the baseline that it, or the public piece, starts from; `None` where it is whole.
    pub(super) baseline: Option<Tick>,
}

impl Slot {
    const FREE: Self = Self {
        id: EntityId::NONE,
        position: [0.0; 3],
        changed: Tick(0),
        owner: None,
        kind: KindId(0),
        anywhere: false,
    };
}

impl FrameEncoder {
    /// An encoder for entities of these kinds (a field table will do) in a match of `tick_hz` ticks a
    /// second.
    ///
    /// # Errors
    /// Where the table doesn't pass [`FieldTable::check`](crate::FieldTable::check).
    pub fn new(
        declarations: impl Into<Declarations>,
        tick_hz: u32,
        config: StateConfig,
    ) -> Result<Self, TableError> {
        let declarations = declarations.into();
        let table = &declarations.table;
        table.check()?;
        let kinds = table.kinds.iter();
        Ok(Self {
            config,
            tick_hz,
            plans: KindPlan::of(table, tick_hz),
            always: kinds.clone().map(|kind| kind.is_match).collect(),
            player: kinds.map(|kind| kind.projectile.is_none()).collect(),
            declarations,
            tick: Tick::default(),
            slots: Vec::new(),
            told: Vec::new(),
            slot_of: FxHashMap::default(),
            free: Vec::new(),
            ranks: Ranks::default(),
            born: SlotSet::default(),
            stirring: SlotSet::default(),
            grid: InterestGrid::new(config.forget_m),
            pieces: Vec::new(),
            own: Vec::new(),
            public: Rounded::default(),
            private: Rounded::default(),
            expected: Record::default(),
            own_record: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// By which declarations the snapshots to come are laid out, and clients' datagrams are coded. Where
    /// they are others than before, all clients are told everything anew. Returns whether they are.
    ///
    /// # Errors
    /// Where the table doesn't pass [`FieldTable::check`](crate::FieldTable::check); then nothing has changed.
    pub fn set_declarations(&mut self, declarations: &Declarations) -> Result<bool, TableError> {
        if self.edition() == declarations.edition {
            return Ok(false);
        }
        *self = Self::new(declarations.clone(), self.tick_hz, self.config)?;
        Ok(true)
    }

    /// Of the declarations by which it codes.
    pub(super) fn edition(&self) -> Edition {
        self.declarations.edition
    }

    /// Rounds all entities of a snapshot, which is newer than the one before.
    pub fn encode(&mut self, snapshot: &Snapshot) {
        self.tick = snapshot.tick();
        self.pieces.clear();
        self.born.clear();
        self.stirring.clear();
        self.own.fill(EntityId::NONE);
        self.grid.clear();
        for batch in snapshot.batches() {
            // A snapshot of another table would be a fault of the caller; it is not worth a crash.
            if batch.kind().index() < self.plans.len() {
                self.encode_batch(batch);
            }
        }
        let have_died = self.free_the_dead(snapshot);
        if have_died || !self.born.is_empty() {
            let slots = self.slots.iter().zip(0..);
            let living = slots.filter(|(slot, _)| !slot.id.is_none());
            self.ranks
                .sort(living.map(|(slot, index)| (slot.id, index)));
        }
    }

    /// The tick of the snapshot rounded last.
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

    /// Where an entity has its slot.
    pub(super) fn slot_of(&self, id: EntityId) -> Option<u32> {
        self.slot_of.get(&id).copied()
    }

    fn encode_batch(&mut self, batch: BatchRef<'_>) {
        let plan = &self.plans[batch.kind().index()];
        plan.public.quantize(batch, &mut self.public);
        if !plan.private.is_empty() {
            plan.private.quantize(batch, &mut self.private);
        }
        for (n, row) in batch.rows().enumerate() {
            self.encode_row(n, row);
        }
    }

    /// Notes the `n`th row of the batch that was rounded.
    fn encode_row(&mut self, n: usize, row: RowRef<'_>) {
        let (id, kind) = (row.id(), row.kind());
        let owner = ClientId::from_owner(row.owner());
        if let Some(owner) = owner
            && self.player[kind.index()]
        {
            self.note_player(owner, id);
        }
        let index = self.slot_for(id);
        let slot = &mut self.slots[index as usize];
        let told = &mut self.told[index as usize];
        let plan = &self.plans[kind.index()];
        told.public.note(self.tick, self.public.record(n));
        if slot.owner != owner {
            // The next owner has heard nothing of it.
            told.private.clear();
        }
        if owner.is_some() && !plan.private.is_empty() {
            told.private.note(self.tick, self.private.record(n));
        }
        told.coded.clear();
        *slot = Slot {
            id,
            position: row.position().map(|axis| axis as f32),
            changed: told.public.newest().map_or(self.tick, |(since, _)| since),
            owner,
            kind,
            anywhere: self.always[kind.index()],
        };
        let lies_still = self.tick.wrapping_sub(slot.changed) > RESEND_TICKS;
        if !lies_still || owner.is_some() {
            self.stirring.insert(index);
        }
        self.grid.insert(index, slot.position, slot.anywhere);
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
    fn slot_for(&mut self, id: EntityId) -> u32 {
        let (slots, told) = (&mut self.slots, &mut self.told);
        let (free, born) = (&mut self.free, &mut self.born);
        *self.slot_of.entry(id).or_insert_with(|| {
            let slot = free.pop().unwrap_or_else(|| {
                slots.push(Slot::FREE);
                told.push(Pieces::default());
                slots.len() as u32 - 1
            });
            born.insert(slot);
            slot
        })
    }

    /// Frees the slots of entities that the snapshot doesn't have. Returns whether there were any.
    fn free_the_dead(&mut self, snapshot: &Snapshot) -> bool {
        if self.slot_of.len() == snapshot.len() {
            return false;
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if !slot.id.is_none() && snapshot.find(slot.id).is_none() {
                self.slot_of.remove(&slot.id);
                *slot = Slot::FREE;
                let told = &mut self.told[index];
                told.public.clear();
                told.private.clear();
                self.free.push(index as u32);
                self.stirring.insert(index as u32);
            }
        }
        true
    }

    /// An entity's record for whoever has it as of `baseline` and is not its owner, from its
    /// [`Start`] on. Coded when the first client asks, and shared by all that have the same.
    pub(super) fn shared_record(&mut self, index: u32, baseline: Option<Tick>) -> PieceRef {
        let told = &mut self.told[index as usize];
        if let Some((_, piece)) = told.coded.iter().find(|(known, _)| *known == baseline) {
            return *piece;
        }
        let (tick, kind) = (self.tick, self.slots[index as usize].kind);
        let coder = Coder {
            tick,
            pieces: &mut self.pieces,
            expected: &mut self.expected,
        };
        let plan = &self.plans[kind.index()].public;
        let record = coder.code(plan, &told.public, baseline, |baseline, out| {
            Start::of(kind, baseline).write(tick, out);
            write_private(None, tick, out);
        });
        told.coded.push((baseline, record));
        record
    }

    /// An entity's record for its owner, who has its pieces as of these baselines; the private one is in
    /// it if its kind has one.
    pub(super) fn own_record(
        &mut self,
        index: u32,
        public: Option<Tick>,
        private: Option<Tick>,
    ) -> PieceRef {
        let (tick, kind) = (self.tick, self.slots[index as usize].kind);
        let (told, plan) = (&self.told[index as usize], &self.plans[kind.index()]);
        let mut code = |plan, history, baseline| {
            let coder = Coder {
                tick,
                pieces: &mut self.pieces,
                expected: &mut self.expected,
            };
            coder.code(plan, history, baseline, |_, _| {})
        };
        let public = code(&plan.public, &told.public, public);
        let has_private = told.private.newest().is_some();
        let private = has_private.then(|| code(&plan.private, &told.private, private));
        let mut record = std::mem::take(&mut self.own_record);
        record.clear();
        let mut out = BitWriter::new(&mut record);
        Start::of(kind, public.baseline).write(tick, &mut out);
        write_private(private.map(|piece| piece.baseline), tick, &mut out);
        self.append(public, &mut out);
        if let Some(private) = private {
            self.append(private, &mut out);
        }
        let bits = out.len();
        out.finish();
        let whole = write(&mut self.pieces, public.baseline, |out| {
            out.append(&record, bits)
        });
        self.own_record = record;
        whole
    }

    /// Appends what was coded.
    pub(super) fn append(&self, piece: PieceRef, out: &mut BitWriter<'_>) {
        out.append(&self.pieces[piece.start as usize..], piece.bits as usize);
    }
}

/// What coding a piece needs of the encoder.
struct Coder<'a> {
    tick: Tick,
    pieces: &'a mut Vec<u8>,
    expected: &'a mut Record,
}

impl Coder<'_> {
    /// Codes the newest version as a delta, or as a whole where there is no baseline (any more) or where
    /// that is shorter; after a head that tells which.
    fn code(
        self,
        plan: &Piece,
        history: &History,
        baseline: Option<Tick>,
        head: impl Fn(Option<Tick>, &mut BitWriter<'_>),
    ) -> PieceRef {
        let (_, newest) = history.newest().expect("an entity in a slot has a version");
        let old = baseline.and_then(|tick| Some((tick, history.at(tick)?)));
        let delta = old.map(|(from, old)| {
            let age = self.tick.wrapping_sub(from);
            let expected = &mut *self.expected;
            write(self.pieces, Some(from), |out| {
                head(Some(from), out);
                plan.write_delta(old, age, newest, expected, out)
            })
        });
        match delta {
            Some(delta) if delta.bits as usize <= plan.whole_len_min => delta,
            delta => {
                let whole = write(self.pieces, None, |out| {
                    head(None, out);
                    plan.write_whole(newest, out);
                });
                delta
                    .filter(|delta| delta.bits <= whole.bits)
                    .unwrap_or(whole)
            }
        }
    }
}

/// Appends a piece to those coded.
fn write(
    pieces: &mut Vec<u8>,
    baseline: Option<Tick>,
    code: impl FnOnce(&mut BitWriter<'_>),
) -> PieceRef {
    let start = pieces.len() as u32;
    let mut out = BitWriter::new(pieces);
    code(&mut out);
    let bits = out.len() as u32;
    out.finish();
    PieceRef {
        start,
        bits,
        baseline,
    }
}
