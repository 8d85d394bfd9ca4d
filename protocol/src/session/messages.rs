//! The messages on the control stream.

use std::sync::Arc;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use super::framing::frame;
use super::seats::ReconnectSecret;
use super::table::{read_table, write_table};
use crate::fields::{Declarations, Edition};
use crate::generated::{events, fields, handshake as fb};
use crate::ids::{ClientId, EntityId, Tick};
use crate::token::SignedToken;
use crate::value::Value;

/// In the place of a client's slot: no slot.
const NO_CLIENT: u16 = u16::MAX;

/// Most bytes of a client's message.
pub(super) const CLIENT_MESSAGE_LEN_MAX: u32 = 1024;
/// Most bytes of a server's message: the field table of 64 kinds with 64 fields and their names.
pub(super) const SERVER_MESSAGE_LEN_MAX: u32 = 1 << 20;
/// Most bytes of an event.
const EVENT_LEN_MAX: usize = 16 << 10;

/// What a client says first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Its [`protocol_hash`](super::protocol_hash).
    pub protocol_hash: u64,
    /// How its player wants to be called.
    pub name: String,
    /// Its right to come in.
    pub token: Option<SignedToken>,
    /// It had a player before, and wants it back.
    pub reconnect: Option<ReconnectSecret>,
    /// It wants to watch rather than to play.
    pub watch: Option<Watch>,
}

/// Whom a client wants to watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Watch {
    /// Whoever lives.
    #[default]
    Anyone,
    /// This client's player, or whoever lives where there is none.
    Client(ClientId),
}

/// What the server answers to a client that it lets in.
#[derive(Clone, PartialEq, Debug)]
pub struct Welcome {
    /// The client's slot; meaningless for a spectator, which has none.
    pub client: ClientId,
    /// The tick that the server is at.
    pub tick: Tick,
    /// Ticks per second.
    pub tick_hz: u32,
    /// Name of the game mode.
    pub mode: String,
    /// Name of the map.
    pub map: String,
    /// Hash of the map, for a client that has it.
    pub map_hash: u64,
    /// What the entities' fields are, when the client comes in.
    pub declarations: Declarations,
    /// What brings the client back to its player after its connection was lost, if anything does.
    pub reconnect: Option<ReconnectSecret>,
    /// For how many seconds after the loss.
    pub reconnect_grace_s: u32,
    /// The client has got back the player that it had before.
    pub resumed: bool,
    /// The client watches: it has no player, and state arrives late.
    pub spectator: bool,
}

/// What a script told clients.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerEvent {
    /// The tick whose hooks told it.
    pub tick: Tick,
    /// Name.
    pub name: String,
    /// Arguments.
    pub args: Vec<Value>,
}

/// An event too long to be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event `{name}` takes {len} bytes, at most {EVENT_LEN_MAX} are possible")]
pub struct EventError {
    /// Name of the event.
    pub name: String,
    /// Its bytes.
    pub len: usize,
}

/// An event, coded once for all clients that are told it.
#[derive(Clone, Debug)]
pub struct SharedEvent(Arc<[u8]>);

impl SharedEvent {
    /// Codes an event.
    ///
    /// # Errors
    /// Where it is longer than 16 KiB.
    pub fn new(tick: Tick, name: &str, args: &[Value]) -> Result<Self, EventError> {
        let mut builder = FlatBufferBuilder::new();
        let body = write_event(&mut builder, tick, name, args).as_union_value();
        let message = finish_server(builder, fb::ServerBody::Event, body);
        match message.len() {
            len if len > EVENT_LEN_MAX => Err(EventError {
                name: name.to_owned(),
                len,
            }),
            _ => Ok(Self(frame(&message).into())),
        }
    }

    /// What goes on the stream.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Declarations, coded once for all clients that are told them.
#[derive(Clone, Debug)]
pub struct SharedDeclarations {
    edition: Edition,
    bytes: Arc<[u8]>,
}

impl SharedDeclarations {
    /// Codes declarations.
    pub fn new(declarations: &Declarations) -> Self {
        let mut builder = FlatBufferBuilder::new();
        let args = fb::DeclarationsArgs {
            edition: declarations.edition.number(),
            field_table: Some(write_table(&mut builder, &declarations.table)),
            field_table_hash: declarations.table.hash(),
        };
        let body = fb::Declarations::create(&mut builder, &args).as_union_value();
        let message = finish_server(builder, fb::ServerBody::Declarations, body);
        Self {
            edition: declarations.edition,
            bytes: frame(&message).into(),
        }
    }

    /// Which these are.
    pub(super) fn edition(&self) -> Edition {
        self.edition
    }

    /// What goes on the stream.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a server says.
#[derive(Debug)]
pub(super) enum ServerMessage {
    Welcome(Welcome),
    Event(ServerEvent),
    Declarations(Declarations),
}

/// The bytes of a hello on the stream.
pub(super) fn write_hello(hello: &Hello) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let token = hello.token.as_ref();
    let args = fb::HelloArgs {
        protocol_hash: hello.protocol_hash,
        name: Some(builder.create_string(&hello.name)),
        token: token.map(|token| builder.create_vector(token.as_bytes())),
        reconnect: hello
            .reconnect
            .map(|secret| builder.create_vector(&secret.0)),
        spectate: hello.watch.is_some(),
        watched: match hello.watch {
            Some(Watch::Client(ClientId(slot))) => slot,
            Some(Watch::Anyone) | None => NO_CLIENT,
        },
    };
    let body = fb::Hello::create(&mut builder, &args).as_union_value();
    let args = fb::ClientMessageArgs {
        body_type: fb::ClientBody::Hello,
        body: Some(body),
    };
    let message = fb::ClientMessage::create(&mut builder, &args);
    builder.finish(message, None);
    frame(builder.finished_data())
}

/// Reads a client's message; `None` where it is none.
pub(super) fn read_client(message: &[u8]) -> Option<Hello> {
    let hello = flatbuffers::root::<fb::ClientMessage<'_>>(message)
        .ok()?
        .body_as_hello()?;
    let watch = match hello.watched() {
        NO_CLIENT => Watch::Anyone,
        slot => Watch::Client(ClientId(slot)),
    };
    Some(Hello {
        protocol_hash: hello.protocol_hash(),
        name: hello.name().to_owned(),
        token: hello
            .token()
            .map(|token| SignedToken::from_bytes(token.bytes())),
        reconnect: read_secret(hello.reconnect())?,
        watch: hello.spectate().then_some(watch),
    })
}

/// Reads a secret that may be absent; `None` where it is there and none.
fn read_secret(bytes: Option<flatbuffers::Vector<'_, u8>>) -> Option<Option<ReconnectSecret>> {
    match bytes {
        None => Some(None),
        Some(bytes) => Some(Some(ReconnectSecret(bytes.bytes().try_into().ok()?))),
    }
}

/// The bytes of a welcome on the stream.
pub(super) fn write_welcome(welcome: &Welcome) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let args = fb::WelcomeArgs {
        client: match welcome.spectator {
            true => NO_CLIENT,
            false => welcome.client.0,
        },
        tick: welcome.tick.0,
        tick_hz: welcome.tick_hz,
        mode: Some(builder.create_string(&welcome.mode)),
        map: Some(builder.create_string(&welcome.map)),
        map_hash: welcome.map_hash,
        field_table: Some(write_table(&mut builder, &welcome.declarations.table)),
        field_table_hash: welcome.declarations.table.hash(),
        edition: welcome.declarations.edition.number(),
        reconnect: welcome
            .reconnect
            .map(|secret| builder.create_vector(&secret.0)),
        reconnect_grace_s: welcome.reconnect_grace_s,
        resumed: welcome.resumed,
        spectator: welcome.spectator,
    };
    let body = fb::Welcome::create(&mut builder, &args).as_union_value();
    frame(&finish_server(builder, fb::ServerBody::Welcome, body))
}

/// Reads a server's message; `None` where it is none.
pub(super) fn read_server(message: &[u8]) -> Option<ServerMessage> {
    let message = flatbuffers::root::<fb::ServerMessage<'_>>(message).ok()?;
    match message.body_type() {
        fb::ServerBody::Welcome => {
            read_welcome(message.body_as_welcome()?).map(ServerMessage::Welcome)
        }
        fb::ServerBody::Event => read_event(message.body_as_event()?).map(ServerMessage::Event),
        fb::ServerBody::Declarations => {
            let told = message.body_as_declarations()?;
            let (table, hash) = (told.field_table(), told.field_table_hash());
            read_declarations(told.edition(), table, hash).map(ServerMessage::Declarations)
        }
        _ => None,
    }
}

fn read_welcome(welcome: fb::Welcome<'_>) -> Option<Welcome> {
    let (table, hash) = (welcome.field_table(), welcome.field_table_hash());
    let declarations = read_declarations(welcome.edition(), table, hash)?;
    let reconnect = read_secret(welcome.reconnect())?;
    (welcome.tick_hz() > 0).then(|| Welcome {
        client: ClientId(welcome.client()),
        tick: Tick(welcome.tick()),
        tick_hz: welcome.tick_hz(),
        mode: welcome.mode().to_owned(),
        map: welcome.map().to_owned(),
        map_hash: welcome.map_hash(),
        declarations,
        reconnect,
        reconnect_grace_s: welcome.reconnect_grace_s(),
        resumed: welcome.resumed(),
        spectator: welcome.spectator(),
    })
}

/// The table is sound, and both ends read the same.
fn read_declarations(
    edition: u8,
    table: fields::FieldTable<'_>,
    hash: u64,
) -> Option<Declarations> {
    let edition = Edition::of_number(edition)?;
    let table = Arc::new(read_table(table)?);
    (table.hash() == hash && table.check().is_ok()).then_some(Declarations { edition, table })
}

fn write_event<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    tick: Tick,
    name: &str,
    args: &[Value],
) -> WIPOffset<events::Event<'b>> {
    let arguments: Vec<_> = args
        .iter()
        .map(|arg| write_argument(builder, arg))
        .collect();
    let args = events::EventArgs {
        tick: tick.0,
        name: Some(builder.create_string(name)),
        arguments: Some(builder.create_vector(&arguments)),
    };
    events::Event::create(builder, &args)
}

fn write_argument<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    value: &Value,
) -> WIPOffset<events::Argument<'b>> {
    use events::{BoolArgs, EntityArgs, FloatArgs, IntArgs, StrArgs};
    let (value_type, value) = match *value {
        Value::None => (events::Value::NONE, None),
        Value::Bool(value) => {
            let table = events::Bool::create(builder, &BoolArgs { value });
            (events::Value::Bool, Some(table.as_union_value()))
        }
        Value::Int(value) => {
            let table = events::Int::create(builder, &IntArgs { value });
            (events::Value::Int, Some(table.as_union_value()))
        }
        Value::Float(value) => {
            let table = events::Float::create(builder, &FloatArgs { value });
            (events::Value::Float, Some(table.as_union_value()))
        }
        Value::Str(ref value) => {
            let value = Some(builder.create_string(value));
            let table = events::Str::create(builder, &StrArgs { value });
            (events::Value::Str, Some(table.as_union_value()))
        }
        Value::Entity(EntityId(id)) => {
            let table = events::Entity::create(builder, &EntityArgs { id });
            (events::Value::Entity, Some(table.as_union_value()))
        }
    };
    events::Argument::create(builder, &events::ArgumentArgs { value_type, value })
}

fn read_event(event: events::Event<'_>) -> Option<ServerEvent> {
    Some(ServerEvent {
        tick: Tick(event.tick()),
        name: event.name().to_owned(),
        args: event
            .arguments()
            .iter()
            .map(read_argument)
            .collect::<Option<_>>()?,
    })
}

fn read_argument(argument: events::Argument<'_>) -> Option<Value> {
    Some(match argument.value_type() {
        events::Value::NONE => Value::None,
        events::Value::Bool => Value::Bool(argument.value_as_bool()?.value()),
        events::Value::Int => Value::Int(argument.value_as_int()?.value()),
        events::Value::Float => Value::Float(argument.value_as_float()?.value()),
        events::Value::Str => Value::Str(argument.value_as_str()?.value().to_owned()),
        events::Value::Entity => Value::Entity(EntityId(argument.value_as_entity()?.id())),
        _ => return None,
    })
}

fn finish_server(
    mut builder: FlatBufferBuilder<'_>,
    body_type: fb::ServerBody,
    body: WIPOffset<UnionWIPOffset>,
) -> Vec<u8> {
    let args = fb::ServerMessageArgs {
        body_type,
        body: Some(body),
    };
    let message = fb::ServerMessage::create(&mut builder, &args);
    builder.finish(message, None);
    builder.finished_data().to_vec()
}
