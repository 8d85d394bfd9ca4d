//! The targets. None may panic, whatever the bytes are.

use std::path::Path;
use std::time::Duration;

use tessera_protocol::token::TokenError;
use tessera_protocol::{
    ClientSession, ClientView, EntityId, FieldTable, FrameEncoder, ServerSession, SignedToken,
    Snapshot, StateConfig,
};
use tessera_server::config::Config;
use tessera_world::World;

use crate::sample;

/// Ticks that the server runs after what arrived: the farthest that a command may be ahead.
const TICKS: u32 = 40;
/// Where a fuzzed configuration would lie.
const CONFIG_PATH: &str = "fuzzed/tessera.toml";

/// Cuts bytes into pieces: each a little-endian `u16` length and that many bytes, as far as there are any.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk()?;
        let (piece, tail) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        bytes = tail;
        Some(piece)
    })
}

/// The bytes that [`pieces`] cuts into these.
pub fn joined<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend((piece.len() as u16).to_le_bytes());
        bytes.extend(piece);
    }
    bytes
}

/// Datagrams of a client that is in the match: whatever command they make is finite and in range, and whatever
/// states they say have arrived, it goes on to be told of the state.
pub fn client_datagram(bytes: &[u8]) {
    let (_, mut server) = sample::playing();
    let welcome = sample::welcome();
    let coding = FrameEncoder::new(
        welcome.declarations,
        welcome.tick_hz,
        StateConfig::default(),
    );
    let mut encoder = coding.expect("the sample's table is sound");
    let mut view = ClientView::new(welcome.client, u32::MAX);
    for (datagram, ticks) in pieces(bytes).zip(0..) {
        server.handle_datagram(Duration::ZERO, datagram);
        view.handle_ack(server.state_ack());
        encoder.encode(&sample::state(sample::TICK.offset(ticks)));
        encoder.look(&mut view);
        encoder.pack(&mut view, server.ack(), |state| assert!(!state.is_empty()));
    }
    for ticks in 0..TICKS {
        let tick = sample::TICK.offset(ticks.cast_signed());
        let Some(command) = server.take_command(tick, sample::OWN) else {
            continue;
        };
        assert_eq!((command.tick, command.entity), (tick, sample::OWN));
        assert_eq!(
            command.validate(),
            Ok(command),
            "nothing is left to put right"
        );
        assert!(command.move_x.hypot(command.move_z) <= 1.0 + 1e-6);
    }
}

/// The control stream of a client, as it arrives: there is at most one hello, with a name that can be shown.
pub fn client_stream(bytes: &[u8]) {
    let mut server = ServerSession::new(Duration::ZERO);
    let mut hellos = 0;
    for piece in pieces(bytes) {
        server.handle_stream(Duration::ZERO, piece);
        if let Some(hello) = server.poll_hello() {
            assert!((1..=24).contains(&hello.name.len()));
            assert!(!hello.name.chars().any(char::is_control));
            hellos += 1;
            server.accept(&sample::welcome());
        }
    }
    assert!(hellos <= 1, "nobody joins twice on one stream");
    if server.is_closed() {
        assert!(server.poll_close().is_some(), "an end has a reason");
    }
}

/// The control stream of a server, as it arrives: a client that lives on has been welcomed or still waits.
pub fn server_stream(bytes: &[u8]) {
    let mut client = ClientSession::new(Duration::ZERO, "fuzz");
    pieces(bytes).for_each(|piece| client.handle_stream(Duration::ZERO, piece));
    if let Some(welcome) = client.welcome() {
        assert!(welcome.tick_hz > 0);
        assert!(welcome.declarations.table.check().is_ok());
    }
    while client.poll_event().is_some() {}
    // Whatever the server said, the client's own machinery goes on.
    while client.poll_command_tick(Duration::from_secs(1)).is_some() {}
}

/// State datagrams to a client that is in the match: the entities ascend, and all their fields can be read.
pub fn state_datagrams(bytes: &[u8]) {
    let (mut client, _) = sample::playing();
    for datagram in pieces(bytes) {
        client.handle_datagram(Duration::ZERO, datagram);
    }
    let Some(world) = client.world() else {
        panic!("no datagram ends a session");
    };
    let table: &FieldTable = world.field_table();
    let mut before = EntityId::NONE;
    for entity in world.entities() {
        assert!(entity.id() > before);
        before = entity.id();
        let kind = &table.kinds[entity.kind().index()];
        for index in 0..=kind.fields.len() {
            // One past the end is none, not a panic.
            let _ = entity.field(index);
        }
        let _ = (entity.position(), entity.velocity(), entity.seen());
    }
    while client.poll_command_tick(Duration::from_secs(1)).is_some() {}
}

/// A token, as it arrives and as its text; and what it says, signed with the right key. One that lets its bearer in says
/// just what was signed, and lets nobody in again.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let told = [Some(SignedToken::from_bytes(bytes)), text.parse().ok()];
    let mut gate = sample::gate();
    for token in told.into_iter().flatten() {
        let _ = gate.check(Some(&token), sample::NOW_UNIX_S);
    }
    let signed = sample::signed(bytes);
    if let Ok(token) = gate.check(Some(&signed), sample::NOW_UNIX_S) {
        assert!((1..=24).contains(&token.name().len()));
        assert!(!token.name().chars().any(char::is_control));
        assert_eq!(token.sign(&sample::key()), signed);
        gate.spend(&token);
        let again = gate.check(Some(&signed), sample::NOW_UNIX_S);
        assert_eq!(again, Err(TokenError::Used));
    }
}

/// A snapshot from outside: one that is accepted can be read through and through.
pub fn snapshot(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::from_bytes(bytes.to_vec()) else {
        return;
    };
    let mut row_bytes = Vec::new();
    for batch in snapshot.batches() {
        for row in batch.rows() {
            row_bytes.clear();
            row.write_row(&mut row_bytes);
            let _ = (row.position(), row.owner());
            let _ = snapshot.find(row.id());
        }
    }
    assert_eq!(snapshot.bytes(), bytes);
}

/// A map: the text of its file and the heights beside it, as [`pieces`]. One that is accepted can be walked on.
pub fn map(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let text = String::from_utf8_lossy(pieces.next().unwrap_or_default());
    let heights = pieces.next().unwrap_or_default();
    match World::parse(&text, heights) {
        Ok(world) => {
            let half = world.size() / 2.0;
            assert!(world.ground(half, half).is_finite());
            assert!(world.ground(-1e9, f64::MAX).is_finite(), "outside, too");
            assert!(world.spawn_points().iter().all(|point| point.is_finite()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A configuration file: what is wrong is said with the name of the file.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(Path::new(CONFIG_PATH), &text) {
        Ok(config) => {
            assert!((10..=128).contains(&config.tick_hz));
            assert!((1..=500).contains(&config.players));
        }
        Err(error) => assert!(error.to_string().contains(CONFIG_PATH), "{error}"),
    }
}
