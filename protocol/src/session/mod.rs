//! The session between one client and the server: both ends as machines without sockets or clocks.
//!
//! The transport is a QUIC (or WebTransport) connection: one bidirectional **control stream** that
//! the client opens, unreliable **datagrams** in both directions, and a **close** with a code and a
//! text. The caller moves bytes; the machines say what they mean. Their methods come in families:
//!
//! - `handle_*`: something arrived, or time passed. Times are since any moment the caller likes.
//! - `poll_*`: what to do next. Call them until they return `None`, after each `handle_*`.
//! - The rest are requests and getters.

mod client;
mod clock;
mod close;
mod commands;
mod framing;
mod messages;
mod name;
mod queue;
mod rate;
mod seats;
mod server;
mod table;

pub use client::{ClientCounters, ClientEvent, ClientSession, JoinRequest};
pub use close::{Close, CloseReason};
pub use messages::{
    EventError, Hello, ServerEvent, SharedDeclarations, SharedEvent, Watch, Welcome,
};
pub use name::{NAME_LEN_MAX, NameError, checked_name};
pub use rate::{AddressLimiter, Bucket, RateLimit, network_of};
pub use seats::{Parting, ReconnectSecret, Resumed, Seats, Sitting};
pub use server::{DATAGRAM_LIMIT, ServerCounters, ServerSession};

use std::sync::OnceLock;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

/// ALPN protocol of the QUIC connection.
pub const ALPN: &[u8] = b"tessera/1";

/// Version of what the schemas don't say: state datagrams, framing, meaning. Raise it with each
/// change to those.
const WIRE_VERSION: u32 = 3;

/// How long either end waits for the other in the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may say nothing in a match, unless the server has it otherwise.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Identifies the protocol: only equal ones can talk.
pub fn protocol_hash() -> u64 {
    static HASH: OnceLock<u64> = OnceLock::new();
    *HASH.get_or_init(|| {
        let schemas = concat!(
            include_str!("../../schemas/commands.fbs"),
            include_str!("../../schemas/events.fbs"),
            include_str!("../../schemas/field_table.fbs"),
            include_str!("../../schemas/handshake.fbs"),
        );
        // Git may check the schemas out with other line ends.
        let schemas = schemas.replace("\r\n", "\n");
        xxh3_64(format!("{WIRE_VERSION}\n{schemas}").as_bytes())
    })
}
