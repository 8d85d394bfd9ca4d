//! A small match that targets and corpus share.

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use tessera_protocol::{
    Audience, ClientId, ClientSession, Declarations, Edition, EntityId, Field, FieldTable,
    FieldType, Kind, KindTable, Quantization, ServerSession, SharedDeclarations, SignedToken,
    Snapshot, SnapshotHeader, Tick, TokenGate, TokenKey, Welcome, ZoneBatch, ZoneId, base,
};

/// The tick that clients are welcomed at.
pub(crate) const TICK: Tick = Tick(1_000);
/// The client's player.
pub(crate) const OWN: EntityId = EntityId(1);

/// Players with a field of every type, and the match.
pub(crate) fn table() -> Arc<FieldTable> {
    let types = [
        FieldType::Bool,
        FieldType::U8,
        FieldType::U16,
        FieldType::U32,
        FieldType::I32,
        FieldType::F32,
        FieldType::F64,
        FieldType::Vec3,
        FieldType::Entity,
        FieldType::Str { max: 24 },
        FieldType::Bytes { max: 8 },
    ];
    let fields = types.into_iter().enumerate().map(|(n, ty)| Field {
        name: format!("f{n}"),
        ty,
        quantization: match ty {
            FieldType::F32 => Quantization::Range {
                min: 0.0,
                max: 100.0,
                bits: 8,
            },
            _ => Quantization::Exact,
        },
        audience: match ty {
            FieldType::U8 => Audience::Owner,
            _ => Audience::Everyone,
        },
    });
    let kind = |name: &str, more: Vec<Field>, is_match| Kind {
        name: name.to_owned(),
        fields: base::fields(1000.0).into_iter().chain(more).collect(),
        hitbox: None,
        projectile: None,
        walker: None,
        is_match,
    };
    Arc::new(FieldTable {
        kinds: vec![
            kind("Player", fields.collect(), false),
            kind("Match", Vec::new(), true),
        ],
    })
}

/// What the server says to a client that it lets in.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        client: ClientId(0),
        tick: TICK,
        tick_hz: 64,
        mode: "royale".to_owned(),
        map: "island".to_owned(),
        map_hash: 0xfeed_beef,
        declarations: table().into(),
        reconnect: None,
        reconnect_grace_s: 0,
        resumed: false,
        spectator: false,
    }
}

/// What scripts declare that were loaded anew.
pub(crate) fn redeclared() -> Declarations {
    Declarations {
        edition: Edition::default().next(),
        table: table(),
    }
}

/// Both ends of a session in the match, the client having been told of [`redeclared`] too.
///
/// # Panics
/// Where the two don't understand each other.
pub(crate) fn playing() -> (ClientSession, ServerSession) {
    let mut client = ClientSession::new(Duration::ZERO, "fuzz");
    let mut server = ServerSession::new(Duration::ZERO);
    server.handle_stream(Duration::ZERO, &client.poll_stream().expect("a hello"));
    server.poll_hello().expect("it is a good one");
    server.accept(&welcome());
    client.handle_stream(Duration::ZERO, &server.poll_stream().expect("a welcome"));
    assert!(client.welcome().is_some());
    server.declare(&SharedDeclarations::new(&redeclared()));
    client.handle_stream(Duration::ZERO, &server.poll_stream().expect("declarations"));
    (client, server)
}

/// The secret of [`key`].
const SECRET: [u8; 32] = [7; 32];
/// When tokens are brought, seconds since 1970.
pub(crate) const NOW_UNIX_S: u64 = 1_000_000;

/// The key of a server that asks for tokens.
pub(crate) fn key() -> TokenKey {
    TokenKey::new(&SECRET)
}

/// The gate of its match.
pub(crate) fn gate() -> TokenGate {
    TokenGate::new(key(), "m")
}

/// Any bytes under the right signature.
pub(crate) fn signed(content: &[u8]) -> SignedToken {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    let tag = hmac::sign(&key, content);
    SignedToken::from_bytes([content, tag.as_ref()].concat())
}

/// The match at a tick: three players, the first of whom is the client's, and the match itself.
///
/// # Panics
/// Where a row is none of its kind.
pub(crate) fn state(tick: Tick) -> Snapshot {
    let kinds = table();
    let mut tables: Vec<_> = kinds.kinds.iter().map(KindTable::new).collect();
    let ago = f64::from(tick.wrapping_sub(TICK));
    for id in 1..=4_u32 {
        let place = [10.0 * f64::from(id), 1.0, 20.0 + ago];
        let mut row: Vec<u8> = [place, [0.0, 0.0, ago]]
            .concat()
            .into_iter()
            .flat_map(f64::to_le_bytes)
            .collect();
        row.extend(0.5_f32.to_le_bytes()); // yaw
        row.extend(0.0_f32.to_le_bytes()); // pitch
        let owner = if id == OWN.0 { ClientId(0).owner() } else { 0 };
        row.extend(owner.to_le_bytes());
        let kind = usize::from(id == 4);
        if kind == 0 {
            row.extend([1, 30]); // bool, u8
            row.extend(7_u16.to_le_bytes());
            row.extend(70_000_u32.to_le_bytes());
            row.extend((-3_i32).to_le_bytes());
            row.extend(55.5_f32.to_le_bytes());
            row.extend(1e9_f64.to_le_bytes());
            row.extend([1.0, 2.0, 3.0].into_iter().flat_map(f64::to_le_bytes));
            row.extend(2_u32.to_le_bytes()); // an entity
            for text in [&b"Ada"[..], &b"\x00\xff"[..]] {
                row.extend((text.len() as u32).to_le_bytes());
                row.extend(text);
            }
        }
        tables[kind]
            .insert_row(EntityId(id), &row)
            .expect("a row of its kind");
    }
    let header = SnapshotHeader {
        tick,
        seed: 7,
        next_entity: 5,
        ..SnapshotHeader::default()
    };
    Snapshot::seal(header, &[&ZoneBatch::of(ZoneId(0), &tables)], None)
}
