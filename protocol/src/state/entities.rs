//! What a client remembers of the entities it has heard of.

use super::EXPIRY_TICKS;
use super::datagram::StateError;
use super::value::FieldValue;
use crate::fields::base;
use crate::ids::{EntityId, KindId, Tick};
use crate::value::ValueRef;

/// Most entities that a client keeps, those included that it has been told are gone.
const ENTITIES_MAX: usize = 16_384;
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
    /// Whether that word wasn't that it is gone. Kept, so that older records don't bring it back.
    pub(super) present: bool,
    /// One a field of the kind, if present.
    pub(super) values: Vec<FieldValue>,
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

    /// What is remembered of an entity; one that is new is remembered as absent until `tick`.
    pub(super) fn entry(&mut self, id: EntityId, tick: Tick) -> Result<&mut Entity, StateError> {
        let at = match self.place(id) {
            Ok(at) => at,
            Err(_) if self.0.len() >= ENTITIES_MAX => return Err(StateError::TooMany),
            Err(at) => {
                let (kind, seen, values) = (KindId::default(), tick.offset(-1), Vec::new());
                self.0.insert(
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
        Ok(&mut self.0[at])
    }

    /// Forgets those not heard of for too long.
    pub(super) fn forget_unheard(&mut self, now: Tick) {
        self.0
            .retain(|entity| now.wrapping_sub(entity.seen) < EXPIRY_TICKS);
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entity| entity.id)
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
