//! What a tick of 100 clients and 500 entities costs: writing batches, sealing, coding the state
//! once, and packing every client's datagrams.
//!
//! `cargo bench -p tessera-protocol`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tessera_protocol::{
    Audience, ClientId, ClientView, CommandAck, EntityId, Field, FieldTable, FieldType,
    FrameDecoder, FrameEncoder, Kind, KindTable, Quantization, Snapshot, SnapshotHeader,
    StateConfig, Tick, ZoneBatch, ZoneId, base,
};

const CLIENTS: u16 = 100;
const ENTITIES: u32 = 500;
const ZONES: u32 = 4;

fn kind(name: &str) -> Kind {
    let field = |name: &str, ty, quantization, audience| Field {
        name: name.to_owned(),
        ty,
        quantization,
        audience,
    };
    let mut fields = base::fields(1000.0).to_vec();
    let percent = Quantization::Range {
        min: 0.0,
        max: 100.0,
        bits: 8,
    };
    fields.push(field(
        "alive",
        FieldType::Bool,
        Quantization::Exact,
        Audience::Everyone,
    ));
    fields.push(field("health", FieldType::F32, percent, Audience::Everyone));
    fields.push(field("armour", FieldType::F32, percent, Audience::Owner));
    fields.push(field(
        "ammo",
        FieldType::U8,
        Quantization::Exact,
        Audience::Owner,
    ));
    fields.push(field(
        "name",
        FieldType::Str { max: 24 },
        Quantization::Exact,
        Audience::Everyone,
    ));
    fields.push(field(
        "brain",
        FieldType::Object,
        Quantization::Exact,
        Audience::Nobody,
    ));
    Kind {
        name: name.to_owned(),
        fields,
        hitbox: None,
        projectile: None,
        walker: None,
        is_match: false,
    }
}

/// Row bytes: the first entities are players all over the map and on the move, the others lie still.
fn row(id: u32, tick: u32) -> Vec<u8> {
    let moved = if id <= u32::from(CLIENTS) {
        f64::from(tick) * 0.1
    } else {
        0.0
    };
    let x = f64::from(id * 7919 % 1000) + moved;
    let z = f64::from(id * 104_729 % 1000);
    let mut row = [x, 10.0, z, 1.0, 0.0, 2.0].map(f64::to_le_bytes).concat();
    row.extend([0.5_f32, 0.1].map(f32::to_le_bytes).concat());
    let owner = if id <= u32::from(CLIENTS) {
        id as u16
    } else {
        0
    };
    row.extend(owner.to_le_bytes());
    row.push(1);
    row.extend([100.0_f32, 50.0].map(f32::to_le_bytes).concat());
    row.push(30);
    for text in ["player_000", "0123456789012345678901234567890123456789"] {
        row.extend((text.len() as u32).to_le_bytes());
        row.extend(text.as_bytes());
    }
    row
}

fn tables(table: &FieldTable, tick: u32) -> Vec<KindTable> {
    let mut zones: Vec<_> = (0..ZONES)
        .map(|_| KindTable::new(&table.kinds[0]))
        .collect();
    for id in 1..=ENTITIES {
        let zone = &mut zones[(id % ZONES) as usize];
        zone.insert_row(EntityId(id), &row(id, tick))
            .expect("a row of this kind");
    }
    zones
}

fn batches(tables: &[KindTable]) -> Vec<ZoneBatch> {
    tables
        .iter()
        .zip(0..)
        .map(|(table, zone)| ZoneBatch::of(ZoneId(zone), std::slice::from_ref(table)))
        .collect()
}

fn seal(tables: &[KindTable], tick: u32) -> Snapshot {
    let batches = batches(tables);
    let batches: Vec<&ZoneBatch> = batches.iter().collect();
    let header = SnapshotHeader {
        tick: Tick(tick),
        ..SnapshotHeader::default()
    };
    Snapshot::seal(header, &batches, None)
}

fn tick(c: &mut Criterion) {
    let table = Arc::new(FieldTable {
        kinds: vec![kind("Player")],
    });
    let zones = tables(&table, 0);
    let mut batch = ZoneBatch::default();
    c.bench_function("write one zone's batch of 125 entities", |b| {
        b.iter(|| batch.write(ZoneId(0), black_box(&zones[..1])));
    });

    let batches = batches(&zones);
    let batches: Vec<&ZoneBatch> = batches.iter().collect();
    let mut recycled = None;
    c.bench_function("seal 4 zones of 125 entities", |b| {
        b.iter(|| {
            let header = SnapshotHeader::default();
            recycled = Some(Snapshot::seal(header, &batches, recycled.take()));
        });
    });

    let snapshot = seal(&zones, 0);
    c.bench_function("find an entity among 500", |b| {
        let mut id = 0;
        b.iter(|| {
            id = id % ENTITIES + 1;
            snapshot.find(EntityId(id)).map(|row| row.position())
        });
    });

    let mut encoder = FrameEncoder::new(&table, StateConfig::default()).expect("a good table");
    c.bench_function("code 500 entities", |b| {
        b.iter(|| encoder.encode(&snapshot))
    });

    let mut views: Vec<_> = (0..CLIENTS).map(|n| ClientView::new(ClientId(n))).collect();
    let mut sample = Vec::new();
    let mut now = 0;
    c.bench_function("code 500 entities and pack for 100 clients", |b| {
        let next = || {
            now += 1;
            seal(&tables(&table, now), now)
        };
        let code_and_pack = |snapshot: Snapshot| {
            encoder.encode(&snapshot);
            for view in &mut views {
                encoder.pack(view, CommandAck::default(), |datagram| {
                    sample.clear();
                    sample.extend_from_slice(datagram);
                });
            }
        };
        b.iter_batched(next, code_and_pack, BatchSize::PerIteration);
    });

    let mut decoder = FrameDecoder::new(Arc::clone(&table)).expect("a good table");
    c.bench_function("decode one datagram", |b| {
        b.iter(|| decoder.handle(black_box(&sample)))
    });
}

criterion_group!(benches, tick);
criterion_main!(benches);
