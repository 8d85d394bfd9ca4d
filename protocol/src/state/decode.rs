//! The client's side: a table of the entities it has heard of.

use std::sync::Arc;

use super::EXPIRY_TICKS;
use super::datagram::{Input, RecordHeader, StateError, StateHeader};
use super::plan::KindPlan;
use super::value::FieldValue;
use crate::fields::{FieldTable, TableError, base};
use crate::ids::{EntityId, KindId, Tick};
use crate::value::ValueRef;

/// Most entities that a client keeps, those included that it has been told are gone.
const ENTITIES_MAX: usize = 16_384;
/// Ticks between sweeps for entities that have expired.
const SWEEP_TICKS: i32 = 16;

/// Reads state datagrams, in whichever order they arrive, into a table of entities.
#[derive(Debug)]
pub struct FrameDecoder {
    table: Arc<FieldTable>,
    plans: Vec<KindPlan>,
    /// Ascending by id.
    entities: Vec<Entity>,
    newest: Option<StateHeader>,
    swept: Tick,
}

/// What has been heard of an entity.
#[derive(Debug)]
struct Entity {
    id: EntityId,
    kind: KindId,
    /// The tick of the newest word of it.
    seen: Tick,
    /// Whether that word wasn't that it is gone. Kept, so that older records don't bring it back.
    present: bool,
    /// One a field of the kind.
    values: Vec<FieldValue>,
}

/// An entity as a client knows it.
#[derive(Clone, Copy, Debug)]
pub struct EntityRef<'a>(&'a Entity);

impl<'a> EntityRef<'a> {
    /// Its id.
    pub fn id(&self) -> EntityId {
        self.0.id
    }

    /// Its kind.
    pub fn kind(&self) -> KindId {
        self.0.kind
    }

    /// The tick whose state this is.
    pub fn seen(&self) -> Tick {
        self.0.seen
    }

    /// A field by its index in the kind's declaration, rounded as it was on the wire; `None` where
    /// this client is not told (or there is no such field).
    pub fn field(&self, index: usize) -> Option<ValueRef<'a>> {
        self.0.values.get(index)?.get()
    }

    /// The base field `position`, metres.
    pub fn position(&self) -> [f64; 3] {
        self.vector(base::POSITION)
    }

    /// The base field `velocity`, metres per second.
    pub fn velocity(&self) -> [f64; 3] {
        self.vector(base::VELOCITY)
    }

    /// The base field `yaw`, radians.
    pub fn yaw(&self) -> f32 {
        self.angle(base::YAW)
    }

    /// The base field `pitch`, radians.
    pub fn pitch(&self) -> f32 {
        self.angle(base::PITCH)
    }

    /// Zero where it isn't told.
    fn vector(&self, field: usize) -> [f64; 3] {
        match self.field(field) {
            Some(ValueRef::Vec3(vector)) => vector,
            _ => [0.0; 3],
        }
    }

    fn angle(&self, field: usize) -> f32 {
        match self.field(field) {
            Some(ValueRef::F32(angle)) => angle,
            _ => 0.0,
        }
    }
}

impl FrameDecoder {
    /// A decoder that knows no entity.
    ///
    /// # Errors
    /// Where the table doesn't pass [`FieldTable::check`].
    pub fn new(table: Arc<FieldTable>) -> Result<Self, TableError> {
        table.check()?;
        let plans = KindPlan::of(&table);
        Ok(Self {
            table,
            plans,
            entities: Vec::new(),
            newest: None,
            swept: Tick::default(),
        })
    }

    /// What the entities' fields are.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.table
    }

    /// The header of the newest datagram so far.
    pub fn newest(&self) -> Option<StateHeader> {
        self.newest
    }

    /// All entities in sight, ascending by id.
    pub fn entities(&self) -> impl Iterator<Item = EntityRef<'_>> {
        self.entities
            .iter()
            .filter(|entity| entity.present)
            .map(EntityRef)
    }

    /// An entity, if it is in sight.
    pub fn get(&self, id: EntityId) -> Option<EntityRef<'_>> {
        let at = self.place(id).ok()?;
        Some(&self.entities[at])
            .filter(|entity| entity.present)
            .map(EntityRef)
    }

    /// The client's own player, if it has one and has been told of it.
    pub fn own(&self) -> Option<EntityRef<'_>> {
        self.get(self.newest?.own)
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// Where it is garbage or older than what this client remembers.
    pub fn handle(&mut self, datagram: &[u8]) -> Result<StateHeader, StateError> {
        let mut input = Input(datagram);
        let header = StateHeader::read(&mut input)?;
        self.advance(header)?;
        self.read_gone(header.tick, &mut input)?;
        let mut before = EntityId::NONE;
        while !input.0.is_empty() {
            let record = RecordHeader::read(before, &mut input)?;
            input.0 = self.read_record(header.tick, record, input.0)?;
            before = record.id;
        }
        Ok(header)
    }

    /// Moves on to the datagram's tick, if it is newer.
    fn advance(&mut self, header: StateHeader) -> Result<(), StateError> {
        let Some(newest) = self.newest else {
            (self.newest, self.swept) = (Some(header), header.tick);
            return Ok(());
        };
        let ahead = header.tick.wrapping_sub(newest.tick);
        if ahead <= -EXPIRY_TICKS {
            return Err(StateError::TooOld(header.tick));
        }
        if ahead > 0 {
            self.newest = Some(header);
        }
        if header.tick.wrapping_sub(self.swept) >= SWEEP_TICKS {
            self.swept = header.tick;
            self.entities
                .retain(|e| header.tick.wrapping_sub(e.seen) < EXPIRY_TICKS);
        }
        Ok(())
    }

    fn read_gone(&mut self, tick: Tick, input: &mut Input<'_>) -> Result<(), StateError> {
        let mut before = EntityId::NONE;
        for _ in 0..input.varint()? {
            let distance = input.varint()?;
            let id = input.id_after(before, distance)?;
            if let Ok(at) = self.place(id) {
                let entity = &mut self.entities[at];
                if tick.is_newer_than(entity.seen) {
                    (entity.seen, entity.present) = (tick, false);
                }
            }
            before = id;
        }
        Ok(())
    }

    /// Takes a record whose pieces begin `bytes`; returns what follows them.
    fn read_record<'a>(
        &mut self,
        tick: Tick,
        record: RecordHeader,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], StateError> {
        let RecordHeader { id, kind, private } = record;
        let bad_kind = StateError::BadKind(id, kind);
        let at = match self.place(id) {
            Ok(at) => at,
            Err(_) if self.entities.len() >= ENTITIES_MAX => return Err(StateError::TooMany),
            Err(at) => {
                let fields = self.plans.get(kind.index()).ok_or(bad_kind)?.fields;
                let values = vec![FieldValue::Unknown; fields];
                // Seen long ago, so that this record is news.
                let seen = tick.offset(-1);
                self.entities.insert(
                    at,
                    Entity {
                        id,
                        kind,
                        seen,
                        present: false,
                        values,
                    },
                );
                at
            }
        };
        let entity = &mut self.entities[at];
        let plan = self
            .plans
            .get(kind.index())
            .filter(|_| entity.kind == kind)
            .ok_or(bad_kind)?;
        let stale = entity.seen.is_newer_than(tick);
        let mut unused = Vec::new();
        let values = if stale {
            unused.resize(plan.fields, FieldValue::Unknown); // only its length matters
            &mut unused
        } else {
            (entity.seen, entity.present) = (tick, true);
            &mut entity.values
        };
        let rest = plan.public.decode(bytes, values);
        let rest = if private {
            rest.and_then(|rest| plan.private.decode(rest, values))
        } else {
            plan.private.forget(values); // it may have been the owner before
            rest
        };
        rest.ok_or(StateError::BadRecord(id))
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.entities.binary_search_by_key(&id, |entity| entity.id)
    }
}
