//! Wire and snapshot formats of Tessera, and the session machines of both ends.
//!
//! No sockets, no clocks, no Python: bytes and times come in as arguments.

pub mod columns;
pub mod command;
pub mod fields;
mod generated;
pub mod ids;
pub mod session;
pub mod snapshot;
pub mod state;
pub mod token;
pub mod value;

pub use columns::{Column, KindTable, RowError, VarColumn};
pub use command::{Command, CommandError, buttons};
pub use fields::{
    Audience, Declarations, Edition, Field, FieldTable, FieldType, Hitbox, Kind, Projectile,
    Quantization, WalkRules, Walker, base,
};
pub use ids::{ClientId, EntityId, KindId, Tick, ZoneId};
pub use session::{
    ClientCounters, ClientEvent, ClientSession, Close, CloseReason, EventError, Hello, JoinRequest,
    ReconnectSecret, ServerCounters, ServerEvent, ServerSession, SharedDeclarations, SharedEvent,
    Watch, Welcome, protocol_hash,
};
pub use snapshot::{BatchRef, RowRef, Snapshot, SnapshotError, SnapshotHeader, ZoneBatch};
pub use state::{
    ClientView, CommandAck, EntityRef, FrameDecoder, FrameEncoder, FullReason, Packed, StateAck,
    StateConfig, StateError, StateHeader,
};
pub use token::{SignedToken, Token, TokenGate, TokenKey};
pub use value::{Value, ValueRef};
