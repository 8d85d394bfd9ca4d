//! What a tick of 100 clients and 500 entities costs: writing batches, sealing, coding the state
//! once, and packing every client's datagrams.
//!
//! `cargo bench -p tessera-protocol`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tessera_protocol::{
    Audience, ClientId, ClientView, CommandAck, EntityId, Field, FieldTable, FieldType,
    FrameDecoder, FrameEncoder, Kind, KindTable, Quantization, Snapshot, SnapshotHeader, StateAck,
    StateConfig, Tick, ZoneBatch, ZoneId, base,
};

const CLIENTS: u16 = 100;
const ENTITIES: u32 = 500;
const ZONES: u32 = 4;
const TICK_HZ: u32 = 64;
/// Bytes a second for one client.
const RATE: u32 = 30 << 10;

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

/// Where the entities are.
#[derive(Clone, Copy)]
enum Place {
    /// All over the map.
    Map,
    /// Within 50 m, all in sight of each other.
    Crowd,
}

/// Row bytes: the first entities are players on the move, in circles, the others lie still.
fn row(id: u32, tick: u32, place: Place) -> Vec<u8> {
    let scale = match place {
        Place::Map => 1.0,
        Place::Crowd => 0.05,
    };
    let x = f64::from(id * 7919 % 1000) * scale;
    let z = f64::from(id * 104_729 % 1000) * scale;
    let angle = f64::from(tick) * 0.05 + f64::from(id);
    let (sine, cosine) = match id <= u32::from(CLIENTS) {
        true => angle.sin_cos(),
        false => (0.0, 0.0),
    };
    // 5 m/s on a circle, at 64 ticks a second.
    let radius = 5.0 / (0.05 * 64.0);
    let (x, z) = (x + radius * sine, z + radius * cosine);
    let velocity = [5.0 * cosine, 0.0, -5.0 * sine];
    let mut row = [[x, 10.0, z], velocity].concat();
    let mut row: Vec<u8> = row.drain(..).flat_map(f64::to_le_bytes).collect();
    row.extend((sine as f32).to_le_bytes());
    row.extend(0.1_f32.to_le_bytes());
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

fn tables(table: &FieldTable, tick: u32, place: Place) -> Vec<KindTable> {
    let mut zones: Vec<_> = (0..ZONES)
        .map(|_| KindTable::new(&table.kinds[0]))
        .collect();
    for id in 1..=ENTITIES {
        let zone = &mut zones[(id % ZONES) as usize];
        zone.insert_row(EntityId(id), &row(id, tick, place))
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
    let zones = tables(&table, 0, Place::Map);
    let mut batch = ZoneBatch::default();
    c.bench_function("write one zone's batch of 125 entities", |b| {
        b.iter(|| batch.write(ZoneId(0), black_box(&zones[..1])));
    });
    c.bench_function(
        "bring it up to date where half of the fields changed",
        |b| {
            b.iter(|| batch.update(ZoneId(0), black_box(&zones[..1]), &[0x5555]));
        },
    );

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

    for (name, place) in [("over the map", Place::Map), ("in a crowd", Place::Crowd)] {
        clients(c, &table, name, place);
    }
}

/// A tick's coding for all clients, whose acknowledgements are six ticks under way.
fn clients(c: &mut Criterion, table: &Arc<FieldTable>, name: &str, place: Place) {
    let encoder = || FrameEncoder::new(Arc::clone(table), TICK_HZ, StateConfig::default());
    let mut encoder = encoder().expect("a good table");
    let view = |n| ClientView::new(ClientId(n), RATE);
    let mut views: Vec<_> = (0..CLIENTS).map(view).collect();
    let mut decoder = FrameDecoder::new(Arc::clone(table), TICK_HZ).expect("a good table");
    let mut now = 0;
    let mut run = |measured: &mut dyn FnMut(&mut FrameEncoder, &mut Vec<ClientView>, &Snapshot)| {
        now += 1;
        let snapshot = seal(&tables(table, now, place), now);
        let ack = StateAck {
            newest: now.checked_sub(6).map(Tick),
            mask: u32::MAX,
            ..StateAck::default()
        };
        views.iter_mut().for_each(|view| view.handle_ack(ack));
        measured(&mut encoder, &mut views, &snapshot);
    };
    c.bench_function(&format!("code 500 entities for 100 clients {name}"), |b| {
        b.iter_custom(|iterations| {
            let mut took = Duration::ZERO;
            for _ in 0..iterations {
                run(&mut |encoder, views, snapshot| {
                    let began = Instant::now();
                    encoder.encode(snapshot);
                    for view in views {
                        encoder.look(view);
                        encoder.pack(view, CommandAck::default(), |datagram| {
                            black_box(datagram);
                        });
                    }
                    took += began.elapsed();
                });
            }
            took
        });
    });
    let mut view = ClientView::new(ClientId(0), RATE);
    c.bench_function(&format!("decode one datagram {name}"), |b| {
        b.iter_custom(|iterations| {
            let mut took = Duration::ZERO;
            for _ in 0..iterations {
                run(&mut |encoder, _, snapshot| {
                    encoder.encode(snapshot);
                    encoder.look(&mut view);
                    let mut datagram = Vec::new();
                    encoder.pack(&mut view, CommandAck::default(), |sent| {
                        datagram.extend_from_slice(sent);
                    });
                    let began = Instant::now();
                    let read = decoder.handle(&datagram);
                    took += began.elapsed();
                    read.expect("a good datagram");
                    view.handle_ack(decoder.ack());
                });
            }
            took
        });
    });
}

criterion_group!(benches, tick);
criterion_main!(benches);
