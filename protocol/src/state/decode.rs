//! The client's side: a table of the entities it has heard of.

use std::sync::Arc;

use super::bits::BitReader;
use super::datagram::{
    ACKED_TICKS, Input, RecordHeader, Start, StateAck, StateError, StateHeader, read_count,
    read_gone,
};
use super::entities::{Entities, Entity, EntityRef};
use super::plan::{KindPlan, Record};
use super::value::FieldValue;
use crate::fields::{Declarations, FieldTable, TableError};
use crate::ids::{EntityId, Tick};

/// Ticks between sweeps for entities that are long gone.
const SWEEP_TICKS: i32 = 16;

/// Reads state datagrams, in whichever order they arrive, into a table of entities.
#[derive(Debug)]
pub struct FrameDecoder {
    declarations: Declarations,
    plans: Vec<KindPlan>,
    entities: Entities,
    newest: Option<StateHeader>,
    ack: StateAck,
    swept: Tick,
    /// Scratch: the piece being read, and what was expected of it.
    record: Record,
    expected: Record,
}

impl FrameDecoder {
    /// A decoder that knows no entity, of a match of `tick_hz` ticks a second.
    ///
    /// # Errors
    /// Where the table doesn't pass [`FieldTable::check`].
    pub fn new(declarations: impl Into<Declarations>, tick_hz: u32) -> Result<Self, TableError> {
        let declarations = declarations.into();
        let table = &declarations.table;
        table.check()?;
        Ok(Self {
            plans: KindPlan::of(table, tick_hz),
            declarations,
            entities: Entities::default(),
            newest: None,
            ack: StateAck::default(),
            swept: Tick::default(),
            record: Record::default(),
            expected: Record::default(),
        })
    }

    /// What the entities' fields are.
    pub fn field_table(&self) -> &Arc<FieldTable> {
        &self.declarations.table
    }

    /// The header of the newest datagram so far.
    pub fn newest(&self) -> Option<StateHeader> {
        self.newest
    }

    /// Which datagrams are here: what the server is to know.
    pub fn ack(&self) -> StateAck {
        self.ack
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
    /// Where it is garbage, older than what this client remembers, or a change of something that it
    /// doesn't have. It is not acknowledged then.
    pub fn handle(&mut self, datagram: &[u8]) -> Result<StateHeader, StateError> {
        let mut input = Input(datagram);
        let header = StateHeader::read(&mut input)?;
        if header.edition != self.declarations.edition {
            return Err(StateError::OtherEdition(header.edition));
        }
        self.begin(header)?;
        let mut bits = BitReader::new(input.0);
        let entities = &mut self.entities;
        read_gone(&mut bits, |id| {
            entities.entry(id, header.tick)?.leave(header.tick);
            Ok(())
        })?;
        let mut before = EntityId::NONE;
        let mut missing = None;
        for _ in 0..read_count(&mut bits)? {
            let record = RecordHeader::read(before, header.tick, &mut bits)?;
            match self.read_record(header.tick, record, &mut bits) {
                // What follows can be read all the same.
                Err(error @ StateError::NoBaseline(..)) => missing = Some(error),
                Err(error @ StateError::Unknown(_)) => {
                    self.ack.lost = true;
                    return Err(error);
                }
                read => read?,
            }
            before = record.id;
        }
        if let Some(error) = missing {
            return Err(error);
        }
        self.ack.note(header.tick);
        self.move_on(header);
        Ok(header)
    }

    /// Whether the datagram is to be read. A new epoch empties the table.
    fn begin(&mut self, header: StateHeader) -> Result<(), StateError> {
        let ahead = self
            .newest
            .map(|newest| header.tick.wrapping_sub(newest.tick));
        if header.epoch != self.ack.epoch {
            if ahead.is_some_and(|ahead| ahead <= 0) {
                return Err(StateError::TooOld(header.tick));
            }
            self.entities.clear();
            self.ack = StateAck {
                epoch: header.epoch,
                ..StateAck::default()
            };
            self.newest = Some(header);
            return Ok(());
        }
        let known = self.ack.has(header.tick) == Some(true);
        if known || ahead.is_some_and(|ahead| ahead < -ACKED_TICKS) {
            return Err(StateError::TooOld(header.tick));
        }
        Ok(())
    }

    /// Moves on to the datagram's tick, if it is newer.
    fn move_on(&mut self, header: StateHeader) {
        if self
            .newest
            .is_none_or(|newest| header.tick.is_newer_than(newest.tick))
        {
            self.newest = Some(header);
        }
        if header.tick.wrapping_sub(self.swept) >= SWEEP_TICKS {
            self.swept = header.tick;
            self.entities.forget_gone(header.tick);
        }
    }

    /// Takes the pieces that follow a record's header.
    fn read_record(
        &mut self,
        tick: Tick,
        header: RecordHeader,
        bits: &mut BitReader<'_>,
    ) -> Result<(), StateError> {
        let id = header.id;
        let bad = StateError::BadRecord(id);
        let (entity, baseline) = match header.public {
            Start::Whole(kind) => {
                let entity = self.entities.entry(id, tick)?;
                let another = !entity.values.is_empty() && entity.kind != kind;
                if another || kind.index() >= self.plans.len() {
                    return Err(StateError::BadKind(id, kind));
                }
                entity.kind = kind;
                (entity, None)
            }
            Start::Delta(baseline) => {
                let entity = self.entities.get_mut(id);
                // Without its kind nothing after it can be read.
                let entity = entity.filter(|entity| !entity.values.is_empty());
                (entity.ok_or(StateError::Unknown(id))?, Some(baseline))
            }
        };
        let plan = &self.plans[entity.kind.index()];
        let (record, expected) = (&mut self.record, &mut self.expected);
        let mut missing = None;
        let old = baseline.and_then(|tick| entity.public.at(tick));
        match baseline {
            None => plan.public.read_whole(bits, record).ok_or(bad)?,
            Some(from) => {
                let age = tick.wrapping_sub(from);
                if old.is_none() {
                    missing = Some(from);
                }
                let read = plan.public.read_delta(bits, old, age, expected, record);
                read.ok_or(bad)?;
            }
        }
        let newest = !entity.seen.is_newer_than(tick);
        if missing.is_none() {
            entity.public.insert(tick, baseline, record);
            if newest {
                entity.show(plan, tick);
                plan.public.show(record, &mut entity.values);
            }
        }
        match header.private {
            // The server tells an owner of all private fields with the first record.
            None if baseline.is_none() && newest => {
                entity.private.clear();
                plan.private.forget(&mut entity.values);
            }
            None => {}
            Some(baseline) => {
                let old = baseline.and_then(|tick| entity.private.at(tick));
                match baseline {
                    None => plan.private.read_whole(bits, record).ok_or(bad)?,
                    Some(from) => {
                        let age = tick.wrapping_sub(from);
                        if old.is_none() {
                            missing = Some(from);
                        }
                        let read = plan.private.read_delta(bits, old, age, expected, record);
                        read.ok_or(bad)?;
                    }
                }
                if missing.is_none() {
                    entity.private.insert(tick, baseline, record);
                    if newest {
                        plan.private.show(record, &mut entity.values);
                    }
                }
            }
        }
        let Some(missing) = missing else {
            return Ok(());
        };
        // A late datagram may start from what newer ones have made useless: it counts as lost, no more.
        self.ack.lost |= newest;
        Err(StateError::NoBaseline(id, missing))
    }
}

impl Entity {
    /// It is in sight as of a tick, with fields that are yet to be filled in.
    fn show(&mut self, plan: &KindPlan, tick: Tick) {
        (self.seen, self.present) = (tick, true);
        self.values.resize(plan.fields, FieldValue::Unknown);
    }
}
