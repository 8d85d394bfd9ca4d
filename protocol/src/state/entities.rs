//! What a client remembers of the entities it has heard of.

use std::collections::VecDeque;

use super::datagram::StateError;
use super::plan::Record;
use super::value::FieldValue;
use crate::fields::base;
use crate::ids::{EntityId, KindId, Tick};
use crate::value::ValueRef;

/// Most entities that a client keeps, those included that it has been told are gone.
const ENTITIES_MAX: usize = 16_384;
/// Versions of an entity that a client keeps: more than the server has, and than its records can be
/// under way.
const VERSIONS_MAX: usize = 64;
/// Ticks for which it is remembered that an entity is gone, so that late records don't bring it back.
const GONE_TICKS: i32 = 192;

/// Entities, ascending by id.
#[derive(Debug, Default)]
pub(super) struct Entities(Vec<Entity>);

/// What has been heard of an entity.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) id: EntityId,
    pub(super) kind: KindId,
    /// The tick of the newest word of it.
    pub(super) seen: Tick,
    /// Whether that word wasn't that it is gone.
    pub(super) present: bool,
    /// One a field of the kind, if present.
    pub(super) values: Vec<FieldValue>,
    pub(super) public: Versions,
    pub(super) private: Versions,
}

/// Versions of one piece, oldest first.
///
/// # Invariants
/// Ticks ascend.
#[derive(Debug, Default)]
pub(super) struct Versions(VecDeque<(Tick, Record)>);

impl Versions {
    pub(super) fn at(&self, tick: Tick) -> Option<&Record> {
        let version = self.0.iter().rev().find(|(known, _)| *known == tick);
        version.map(|(_, record)| record)
    }

    /// Adds the version of a tick. Those older than `baseline`, from which it started, are of no use any
    /// more.
    pub(super) fn insert(&mut self, tick: Tick, baseline: Option<Tick>, record: &Record) {
        let mut spare = None;
        while let Some((oldest, _)) = self.0.front()
            && (self.0.len() == VERSIONS_MAX
                || baseline.is_some_and(|baseline| baseline.is_newer_than(*oldest)))
        {
            spare = self.0.pop_front();
        }
        let mut version = spare.map_or_else(Record::default, |(_, record)| record);
        version.copy_from(record);
        let at = self
            .0
            .partition_point(|(known, _)| tick.is_newer_than(*known));
        self.0.insert(at, (tick, version));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Entities {
    /// Those in sight.
    pub(super) fn iter(&self) -> impl Iterator<Item = EntityRef<'_>> {
        self.0.iter().filter(|entity| entity.present).map(EntityRef)
    }

    /// One in sight.
    pub(super) fn get(&self, id: EntityId) -> Option<EntityRef<'_>> {
        let at = self.place(id).ok()?;
        Some(&self.0[at])
            .filter(|entity| entity.present)
            .map(EntityRef)
    }

    /// What is remembered of an entity, if anything.
    pub(super) fn get_mut(&mut self, id: EntityId) -> Option<&mut Entity> {
        let at = self.place(id).ok()?;
        Some(&mut self.0[at])
    }

    /// The same; one that is new is remembered as absent until `tick`.
    pub(super) fn entry(&mut self, id: EntityId, tick: Tick) -> Result<&mut Entity, StateError> {
        let at = match self.place(id) {
            Ok(at) => at,
            Err(_) if self.0.len() >= ENTITIES_MAX => return Err(StateError::TooMany),
            Err(at) => {
                let entity = Entity {
                    id,
                    kind: KindId::default(),
                    seen: tick.offset(-1),
                    present: false,
                    values: Vec::new(),
                    public: Versions::default(),
                    private: Versions::default(),
                };
                self.0.insert(at, entity);
                at
            }
        };
        Ok(&mut self.0[at])
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets those that have been gone for long enough.
    pub(super) fn forget_gone(&mut self, now: Tick) {
        self.0
            .retain(|entity| entity.present || now.wrapping_sub(entity.seen) < GONE_TICKS);
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entity| entity.id)
    }
}

impl Entity {
    /// It is out of sight as of a tick.
    pub(super) fn leave(&mut self, tick: Tick) {
        if tick.is_newer_than(self.seen) {
            (self.seen, self.present) = (tick, false);
            self.public.clear();
            self.private.clear();
        }
    }
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

    /// The tick of the newest record of it: its fields are as of then. What has not changed since is not
    /// told again.
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
