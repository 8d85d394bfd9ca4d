//! A small world that tests can move about in, and snapshots of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tessera_protocol::{
    Audience, ClientId, Declarations, EntityId, Field, FieldTable, FieldType, Kind, KindTable,
    Quantization, Snapshot, SnapshotHeader, Tick, ZoneBatch, ZoneId, base,
};

pub(crate) const PLAYER: usize = 0;
pub(crate) const ROCK: usize = 1;
pub(crate) const MATCH: usize = 2;

/// Indices of the fields that a player has beyond the base fields.
pub(crate) const ALIVE: usize = 5;
pub(crate) const HEALTH: usize = 6;
pub(crate) const AMMO: usize = 7;
pub(crate) const NAME: usize = 8;
pub(crate) const TARGET: usize = 9;

/// Players, rocks and the match.
pub(crate) fn table() -> Arc<FieldTable> {
    let field = |name: &str, ty, quantization, audience| Field {
        name: name.to_owned(),
        ty,
        quantization,
        audience,
    };
    let kind = |name: &str, more: Vec<Field>, is_match| Kind {
        name: name.to_owned(),
        fields: base::fields(1000.0).into_iter().chain(more).collect(),
        hitbox: None,
        projectile: None,
        walker: None,
        is_match,
    };
    let exact = Quantization::Exact;
    let percent = Quantization::Range {
        min: 0.0,
        max: 100.0,
        bits: 8,
    };
    let player = vec![
        field("alive", FieldType::Bool, exact, Audience::Everyone),
        field("health", FieldType::F32, percent, Audience::Everyone),
        field("ammo", FieldType::U8, exact, Audience::Owner),
        field(
            "name",
            FieldType::Str { max: 24 },
            exact,
            Audience::Everyone,
        ),
        field("target", FieldType::Entity, exact, Audience::Nobody),
    ];
    let kinds = vec![
        kind("Player", player, false),
        kind("Rock", Vec::new(), false),
        kind("Match", Vec::new(), true),
    ];
    Arc::new(FieldTable { kinds })
}

/// What every rock has in a [`mossy`] table.
pub(crate) const MOSS: u8 = 7;

/// The same, but that rocks have moss, which all can see.
pub(crate) fn mossy() -> Arc<FieldTable> {
    let mut table = FieldTable::clone(&table());
    table.kinds[ROCK].fields.push(Field {
        name: "moss".to_owned(),
        ty: FieldType::U8,
        quantization: Quantization::Exact,
        audience: Audience::Everyone,
    });
    Arc::new(table)
}

/// One entity.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Thing {
    pub(crate) kind: usize,
    pub(crate) position: [f64; 3],
    pub(crate) velocity: [f64; 3],
    pub(crate) yaw: f32,
    pub(crate) pitch: f32,
    pub(crate) owner: Option<ClientId>,
    pub(crate) alive: bool,
    pub(crate) health: f32,
    pub(crate) ammo: u8,
    pub(crate) name: String,
    pub(crate) target: u32,
}

impl Thing {
    pub(crate) fn rock(x: f64, z: f64) -> Self {
        Self {
            kind: ROCK,
            position: [x, 0.0, z],
            velocity: [0.0; 3],
            yaw: 0.0,
            pitch: 0.0,
            owner: None,
            alive: true,
            health: 100.0,
            ammo: 30,
            name: "Ada".to_owned(),
            target: 9,
        }
    }

    pub(crate) fn player(x: f64, z: f64, owner: Option<u16>) -> Self {
        Self {
            kind: PLAYER,
            owner: owner.map(ClientId),
            ..Self::rock(x, z)
        }
    }

    fn row(&self) -> Vec<u8> {
        let mut row = [self.position, self.velocity].concat();
        let mut row: Vec<u8> = row.drain(..).flat_map(f64::to_le_bytes).collect();
        row.extend(self.yaw.to_le_bytes());
        row.extend(self.pitch.to_le_bytes());
        row.extend(self.owner.map_or(0, ClientId::owner).to_le_bytes());
        if self.kind == PLAYER {
            row.push(u8::from(self.alive));
            row.extend(self.health.to_le_bytes());
            row.push(self.ammo);
            row.extend((self.name.len() as u32).to_le_bytes());
            row.extend(self.name.as_bytes());
            row.extend(self.target.to_le_bytes());
        }
        row
    }
}

/// All entities at a tick.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) tick: Tick,
    pub(crate) things: BTreeMap<u32, Thing>,
    /// By which snapshots are laid out: of a table that is [`table`] or [`mossy`].
    pub(crate) declarations: Declarations,
    next: u32,
}

impl World {
    /// A world without entities.
    pub(crate) fn at(tick: u32) -> Self {
        Self {
            tick: Tick(tick),
            things: BTreeMap::new(),
            declarations: table().into(),
            next: 0,
        }
    }

    pub(crate) fn add(&mut self, thing: Thing) -> EntityId {
        self.next += 1;
        self.things.insert(self.next, thing);
        EntityId(self.next)
    }

    /// The snapshot of now, cut into two zones at x = 500.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let table = &self.declarations.table;
        let mut zones = [0, 1].map(|_| table.kinds.iter().map(KindTable::new).collect::<Vec<_>>());
        for (&id, thing) in &self.things {
            let zone = &mut zones[usize::from(thing.position[0] >= 500.0)];
            let mut row = thing.row();
            if table.kinds[thing.kind].field("moss").is_some() {
                row.push(MOSS);
            }
            zone[thing.kind]
                .insert_row(EntityId(id), &row)
                .expect("a good row");
        }
        let batches = [0, 1].map(|zone| ZoneBatch::of(ZoneId(zone), &zones[usize::from(zone)]));
        let header = SnapshotHeader {
            tick: self.tick,
            ..SnapshotHeader::default()
        };
        Snapshot::seal(header, &batches.each_ref(), None)
    }
}

/// A little generator for tests that are given a seed (splitmix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}
