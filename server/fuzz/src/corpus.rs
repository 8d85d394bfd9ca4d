//! Where fuzzing starts from: valid inputs of each target, and each of them spoiled in a few ways.

use std::time::Duration;

use tessera_protocol::token::TAG_LEN;
use tessera_protocol::{
    ClientId, ClientSession, ClientView, Command, CommandAck, FrameEncoder, SharedDeclarations,
    SharedEvent, StateAck, StateConfig, Tick, Token, Value,
};

use crate::sample;
use crate::targets::joined;

/// Most bytes of a file of the corpus.
pub const FILE_LEN_MAX: usize = 4_096;

/// A little generator (splitmix64, Steele, Lea and Flood 2014), so that a seed gives the same bytes everywhere.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A whole number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }
}

/// The same bytes with one thing wrong.
pub fn spoiled(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = dice.below(bytes.len());
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, dice.bits() as u8),
        2 if !bytes.is_empty() => drop(bytes.remove(at)),
        // Bytes that numbers, lengths and offsets have at their limits.
        3 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xff][dice.below(4)],
        4 => {
            let from = dice.below(bytes.len());
            let piece = bytes[from..(from + 8).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        _ if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        _ => bytes.push(dice.bits() as u8),
    }
    bytes
}

/// Valid inputs of a target, each with its name.
///
/// # Panics
/// Where there is no such target, or what is valid can't be made.
pub fn valid(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    match target {
        "client_datagram" => commands(),
        "client_stream" => hellos(),
        "server_stream" => welcomes(),
        "state_datagrams" => states(),
        "token" => tokens(),
        "snapshot" => vec![("match", sample::state(sample::TICK).bytes().to_vec())],
        "map" => vec![("hill", joined([MAP.as_bytes(), &heights()]))],
        "config" => vec![
            ("small", CONFIG_SMALL.into()),
            ("options", CONFIG_OPTIONS.into()),
        ],
        other => panic!("no target {other}"),
    }
}

fn commands() -> Vec<(&'static str, Vec<u8>)> {
    let (mut client, _) = sample::playing();
    let mut datagrams = Vec::new();
    for step in 1..=4 {
        let now = Duration::from_millis(20 * step);
        while let Some(tick) = client.poll_command_tick(now) {
            client.send_command(Command {
                tick,
                entity: sample::OWN,
                move_z: -1.0,
                yaw: 1.5,
                buttons: 3,
                ..Command::default()
            });
        }
        datagrams.extend(client.poll_datagram());
    }
    let all = joined(datagrams.iter().map(Vec::as_slice));
    let one = joined(datagrams.first().map(Vec::as_slice));
    vec![("one", one), ("some", all)]
}

fn hellos() -> Vec<(&'static str, Vec<u8>)> {
    let hello = |name: &str| {
        let mut session = ClientSession::new(Duration::ZERO, name);
        session.poll_stream().expect("a hello")
    };
    let ada = hello("Ada");
    let (head, tail) = ada.split_at(5);
    vec![
        ("whole", joined([ada.as_slice()])),
        ("in-two", joined([head, tail])),
        ("twice", joined([ada.as_slice(), ada.as_slice()])),
        ("bad-name", joined([hello("\u{7}").as_slice()])),
    ]
}

fn welcomes() -> Vec<(&'static str, Vec<u8>)> {
    let mut client = ClientSession::new(Duration::ZERO, "fuzz");
    let mut server = tessera_protocol::ServerSession::new(Duration::ZERO);
    server.handle_stream(Duration::ZERO, &client.poll_stream().expect("a hello"));
    server.poll_hello().expect("it is a good one");
    server.accept(&sample::welcome());
    let welcome = server.poll_stream().expect("a welcome");
    let args = [
        Value::None,
        Value::Bool(true),
        Value::Int(-5),
        Value::Float(0.5),
        Value::Str("Ada".into()),
        Value::Entity(sample::OWN),
    ];
    server.send_event(&SharedEvent::new(sample::TICK, "kill", &args).expect("short"));
    let event = server.poll_stream().expect("an event");
    server.declare(&SharedDeclarations::new(&sample::redeclared()));
    let declared = server.poll_stream().expect("declarations");
    vec![
        ("welcome", joined([welcome.as_slice()])),
        ("event", joined([welcome.as_slice(), event.as_slice()])),
        ("event-first", joined([event.as_slice()])),
        (
            "declared",
            joined([welcome.as_slice(), declared.as_slice(), event.as_slice()]),
        ),
    ]
}

/// What tokens say, before they are signed.
fn tokens() -> Vec<(&'static str, Vec<u8>)> {
    let content = |match_id, expires_unix_s| {
        let token = Token::new(match_id, "Ada", expires_unix_s, [0xaa; 16]).expect("short");
        let signed = token.sign(&sample::key());
        let len = signed.as_bytes().len() - TAG_LEN;
        signed.as_bytes()[..len].to_vec()
    };
    vec![
        ("good", content("m", sample::NOW_UNIX_S + 60)),
        ("expired", content("m", sample::NOW_UNIX_S)),
        ("another-match", content("n", sample::NOW_UNIX_S + 60)),
    ]
}

fn states() -> Vec<(&'static str, Vec<u8>)> {
    let encoder = FrameEncoder::new(sample::table(), 64, StateConfig::default());
    let mut encoder = encoder.expect("a table");
    let mut view = ClientView::new(ClientId(0), 30_000);
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for tick in 0..4 {
        if tick == 3 {
            let others = encoder.set_declarations(&sample::redeclared());
            assert_eq!(others, Ok(true), "a table, and another edition");
        }
        let tick: Tick = sample::TICK.offset(tick);
        encoder.encode(&sample::state(tick));
        let ack = CommandAck {
            consumed: Some(tick.offset(-1)),
            slack: Some(-2),
        };
        encoder.look(&mut view);
        encoder.pack(&mut view, ack, |datagram| datagrams.push(datagram.to_vec()));
        // What comes next starts from this.
        view.handle_ack(StateAck {
            newest: Some(tick),
            ..StateAck::default()
        });
    }
    let slices = || datagrams.iter().map(Vec::as_slice);
    vec![
        ("first", joined(slices().take(1))),
        ("three", joined(slices().take(3))),
        ("redeclared", joined(slices())),
        ("backwards", joined(slices().rev())),
    ]
}

const MAP: &str = r#"format = 1
name = "hill"
size = 32.0
terrain = { heights = "hill.heights", cell = 16.0, base = -2.0, step = 0.01 }
spawn_points = [[10.0, 12.5]]
loot_points = [[22.0, 21.5]]
boxes = [{ kind = "wall", at = [16.0, 1.5, 4.0], half = [4.0, 1.5, 0.15], yaw = 0.5 }]
"#;

fn heights() -> Vec<u8> {
    let mut bytes = b"TSHEIGHT".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    for sample in [200_u16, 210, 220, 205, 230, 225, 200, 215, 210] {
        bytes.extend(sample.to_le_bytes());
    }
    bytes
}

const CONFIG_SMALL: &str = r#"[match]
mode = "minimal"
seed = 42
tick_hz = 32
players = 8

[net]
listen = "127.0.0.1:0"
idle_timeout_s = 5

[ops]
listen = "off"
"#;

const CONFIG_OPTIONS: &str = r#"[match.options]
fill_bots = 20
respawn = true
speed = 1.5
title = "a match"

[zones]
cuts_x = [250.0, 500.0]
halo_m = 80.0

[log]
filter = "info,tessera_python=debug"
"#;
