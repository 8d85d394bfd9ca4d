//! From what a client shows to what a bot knows.
//!
//! Fields are found by name, once, in the table that the server sent. A mode that lacks some of them still gets bots that
//! walk and turn; they just don't know about what isn't declared.

use glam::DVec3;
use tessera_client::Client;
use tessera_protocol::state::EntityRef;
use tessera_protocol::value::ValueRef;
use tessera_protocol::{EntityId, FieldTable, Kind};

use super::senses::{Body, Circle, Item, Other, Senses, WEAPONS};

/// Where in the table the things are that a bot looks at.
#[derive(Clone, Debug, Default)]
pub struct Eyes {
    kinds: Vec<Sort>,
}

/// What a kind is to a bot.
#[derive(Clone, Debug, Default)]
enum Sort {
    /// Somebody who plays, a person's or the server's.
    Player(PlayerFields),
    /// Something on the ground.
    Item { item: usize },
    /// What knows the circle.
    Game {
        state: usize,
        x: usize,
        z: usize,
        radius: usize,
    },
    /// Nothing that a bot looks at.
    #[default]
    Other,
}

#[derive(Clone, Debug, Default)]
struct PlayerFields {
    alive: Option<usize>,
    gliding: Option<usize>,
    health: Option<usize>,
    armour: Option<usize>,
    weapon: Option<usize>,
    owned: Option<usize>,
    magazines: Option<usize>,
    reserves: Option<usize>,
    medkits: Option<usize>,
    reloading: Option<usize>,
}

/// The state of a round in which the circle counts.
const FIGHT: f64 = 1.0;

impl Eyes {
    /// Looks the names up.
    pub fn new(table: &FieldTable) -> Eyes {
        Eyes {
            kinds: table.kinds.iter().map(sort).collect(),
        }
    }

    /// Takes in everything in sight.
    pub fn look(&self, client: &Client, senses: &mut Senses) {
        senses.others.clear();
        senses.items.clear();
        self.feel(client, senses);
        let Some(decoder) = client.session().world() else {
            return;
        };
        let own = senses.body.map_or(EntityId::NONE, |body| body.id);
        for entity in decoder.entities() {
            match self.kinds.get(entity.kind().index()) {
                Some(Sort::Player(fields))
                    if entity.id() != own && truth(entity, fields.alive).unwrap_or(true) =>
                {
                    senses.others.push(other(client, entity));
                }
                Some(Sort::Item { item }) => {
                    let item = number(entity, Some(*item)).unwrap_or(0.0) as u8;
                    senses.items.push(Item {
                        id: entity.id(),
                        position: place(entity),
                        item,
                    });
                }
                Some(Sort::Game {
                    state,
                    x,
                    z,
                    radius,
                }) => {
                    let field = |index: &usize| number(entity, Some(*index));
                    senses.safe = match (field(state), field(x), field(z), field(radius)) {
                        (Some(FIGHT), Some(x), Some(z), Some(radius)) => {
                            Some(Circle { x, z, radius })
                        }
                        _ => None,
                    };
                }
                _ => {}
            }
        }
    }

    /// Takes in the own body and one other only: what hands and feet need between two looks.
    pub fn glance(&self, client: &Client, senses: &mut Senses, at: Option<EntityId>) {
        self.feel(client, senses);
        let world = client.session().world();
        let Some(seen) = at.and_then(|id| world?.get(id)) else {
            return;
        };
        if let Some(known) = senses.others.iter_mut().find(|other| other.id == seen.id()) {
            *known = other(client, seen);
        }
    }

    fn feel(&self, client: &Client, senses: &mut Senses) {
        let told = client.session().world().and_then(|world| world.own());
        senses.body = told.map(|entity| {
            let body = match self.kinds.get(entity.kind().index()) {
                Some(Sort::Player(fields)) => body(entity, fields),
                _ => body(entity, &PlayerFields::default()),
            };
            match client.own() {
                Some(own) => Body {
                    position: own.position,
                    velocity: own.velocity,
                    ..body
                },
                None => body,
            }
        });
    }
}

fn sort(kind: &Kind) -> Sort {
    let field = |name: &str| kind.field(name);
    // The game first: it may have fields that players have too.
    if let (Some(state), Some(x), Some(z), Some(radius)) = (
        field("state"),
        field("next_x"),
        field("next_z"),
        field("next_radius"),
    ) {
        return Sort::Game {
            state,
            x,
            z,
            radius,
        };
    }
    if kind.hitbox.is_some() {
        return Sort::Player(PlayerFields {
            alive: field("alive"),
            gliding: field("gliding"),
            health: field("health"),
            armour: field("armour"),
            weapon: field("weapon"),
            owned: field("owned"),
            magazines: field("magazines"),
            reserves: field("reserves"),
            medkits: field("medkits"),
            reloading: field("reloading"),
        });
    }
    match field("item") {
        Some(item) => Sort::Item { item },
        None => Sort::Other,
    }
}

fn body(entity: EntityRef<'_>, fields: &PlayerFields) -> Body {
    let unknown = Body::default();
    Body {
        id: entity.id(),
        position: place(entity),
        velocity: DVec3::from_array(entity.velocity()),
        alive: truth(entity, fields.alive).unwrap_or(unknown.alive),
        gliding: truth(entity, fields.gliding).unwrap_or(unknown.gliding),
        health: number(entity, fields.health).unwrap_or(unknown.health),
        armour: number(entity, fields.armour).unwrap_or(unknown.armour),
        weapon: number(entity, fields.weapon).map_or(unknown.weapon, |w| w as u8),
        owned: number(entity, fields.owned).map_or(unknown.owned, |o| o as u8),
        magazines: row(entity, fields.magazines).unwrap_or(unknown.magazines),
        reserves: row(entity, fields.reserves).unwrap_or(unknown.reserves),
        medkits: number(entity, fields.medkits).map_or(unknown.medkits, |m| m as u8),
        reloading: truth(entity, fields.reloading).unwrap_or(unknown.reloading),
    }
}

/// Where the screen shows it, which is a little in the past.
fn other(client: &Client, entity: EntityRef<'_>) -> Other {
    let pose = client.pose(entity.id());
    Other {
        id: entity.id(),
        position: pose.map_or_else(|| place(entity), |pose| pose.position),
        velocity: pose.map_or_else(
            || DVec3::from_array(entity.velocity()),
            |pose| pose.velocity,
        ),
    }
}

fn place(entity: EntityRef<'_>) -> DVec3 {
    DVec3::from_array(entity.position())
}

fn truth(entity: EntityRef<'_>, field: Option<usize>) -> Option<bool> {
    match entity.field(field?)? {
        ValueRef::Bool(truth) => Some(truth),
        _ => None,
    }
}

fn number(entity: EntityRef<'_>, field: Option<usize>) -> Option<f64> {
    match entity.field(field?)? {
        ValueRef::U8(v) => Some(v.into()),
        ValueRef::U16(v) => Some(v.into()),
        ValueRef::U32(v) => Some(v.into()),
        ValueRef::I32(v) => Some(v.into()),
        ValueRef::F32(v) => Some(v.into()),
        ValueRef::F64(v) => Some(v),
        _ => None,
    }
}

fn row(entity: EntityRef<'_>, field: Option<usize>) -> Option<[u8; WEAPONS]> {
    match entity.field(field?)? {
        ValueRef::Var(bytes) => Some(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0))),
        _ => None,
    }
}
