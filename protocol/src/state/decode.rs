//! The client's side: a table of the entities it has heard of.

use std::sync::Arc;

use super::EXPIRY_TICKS;
use super::datagram::{Input, RecordHeader, StateError, StateHeader};
use super::entities::{Entities, EntityRef};
use super::plan::KindPlan;
use super::value::FieldValue;
use crate::fields::{FieldTable, TableError};
use crate::ids::{EntityId, Tick};

/// Ticks between sweeps for entities that have expired.
const SWEEP_TICKS: i32 = 16;

/// Reads state datagrams, in whichever order they arrive, into a table of entities.
#[derive(Debug)]
pub struct FrameDecoder {
    table: Arc<FieldTable>,
    plans: Vec<KindPlan>,
    entities: Entities,
    newest: Option<StateHeader>,
    swept: Tick,
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
            entities: Entities::default(),
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
        self.entities.iter()
    }

    /// An entity, if it is in sight.
    pub fn get(&self, id: EntityId) -> Option<EntityRef<'_>> {
        self.entities.get(id)
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
            self.entities.forget_unheard(header.tick);
        }
        Ok(())
    }

    fn read_gone(&mut self, tick: Tick, input: &mut Input<'_>) -> Result<(), StateError> {
        let mut before = EntityId::NONE;
        for _ in 0..input.varint()? {
            let distance = input.varint()?;
            let id = input.id_after(before, distance)?;
            let entity = self.entities.entry(id, tick)?;
            if tick.is_newer_than(entity.seen) {
                (entity.seen, entity.present) = (tick, false);
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
        let plan = self.plans.get(kind.index());
        let plan = plan.ok_or(StateError::BadKind(id, kind))?;
        let entity = self.entities.entry(id, tick)?;
        if !entity.present {
            entity.kind = kind;
            entity.values.clear();
            entity.values.resize(plan.fields, FieldValue::Unknown);
        } else if entity.kind != kind {
            return Err(StateError::BadKind(id, kind));
        }
        let mut unused = Vec::new();
        let values = if entity.seen.is_newer_than(tick) {
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
}
