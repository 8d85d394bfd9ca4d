//! What hooks receive and what they ask for.

use tessera_protocol::ids::{ClientId, EntityId, KindId};
use tessera_protocol::value::Value;

/// A message's name and arguments, independent of any interpreter.
pub use crate::clone::Cloned as Payload;

impl Payload {
    /// A message that the engine sends, such as `join`: the method `on_<name>` is called with `args`
    /// after the sender, 0.
    pub fn new(name: &str, args: &[Value]) -> Self {
        Self::from_values(name, args)
    }
}

/// A message from one entity to another, handled in the tick after the one that sent it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who handles it.
    pub target: EntityId,
    /// Who sent it; [`EntityId::NONE`] is the engine.
    pub sender: EntityId,
    /// Its place among what the sender asked for in its tick.
    pub seq: u32,
    /// Name and arguments.
    pub payload: Payload,
}

/// The messages of one tick, sorted by (target, sender, seq).
pub type Inbox = Vec<Message>;

/// An entity that a hook wants born.
#[derive(Clone, PartialEq, Debug)]
pub struct SpawnRequest {
    /// Who asked; [`EntityId::NONE`] for the mode's `start`.
    pub parent: EntityId,
    /// Its place among what the parent asked for in its tick.
    pub seq: u32,
    /// What is to be born.
    pub kind: KindId,
    /// Its canonical row, complete and checked.
    pub row: Vec<u8>,
}

/// Something that clients are told.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Who told it.
    pub sender: EntityId,
    /// Its place among what the sender asked for in its tick.
    pub seq: u32,
    /// The one client to tell, or all.
    pub to: Option<ClientId>,
    /// Name of the event.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Value>,
}

/// What the hooks of one tick asked for, in the order of asking: senders ascend, and `seq` within them;
/// after them messages of the engine, such as `impact`.
#[derive(Clone, Default, Debug)]
pub struct Outbox {
    /// Messages to entities.
    pub messages: Vec<Message>,
    /// Entities to be born.
    pub spawns: Vec<SpawnRequest>,
    /// Entities that end themselves, ascending.
    pub despawns: Vec<EntityId>,
    /// Events for clients.
    pub events: Vec<Event>,
}

impl Outbox {
    /// Empties all lists and keeps their memory.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.spawns.clear();
        self.despawns.clear();
        self.events.clear();
    }
}
