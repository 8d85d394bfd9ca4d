//! State on the wire: what clients in a match are told of its entities, in unreliable datagrams.
//!
//! This is one seam. The server makes a [`FrameEncoder`] and a [`ClientView`] per client, a client
//! a [`FrameDecoder`]; how the state is coded in between is nobody else's business.
//!
//! The coding here is self-contained records: each says all fields of one entity, so that any
//! datagram can be lost. A record is coded once per tick and copied to whoever is to get it. A
//! client has a budget of datagrams a tick; records press for room by distance, change and
//! staleness. The client forgets what it hasn't heard of for [`EXPIRY_TICKS`].

mod bits;
mod datagram;
mod decode;
mod entities;
mod frame;
mod pack;
mod plan;
mod quantize;
mod value;

pub use datagram::{CommandAck, StateError, StateHeader};
pub use decode::FrameDecoder;
pub use entities::EntityRef;
pub use frame::FrameEncoder;
pub use pack::{ClientView, Packed};

/// Most bytes of a state datagram: what passes QUIC before it has discovered the path's MTU.
pub const DATAGRAM_LEN_MAX: usize = 1100;

/// Ticks after which a client forgets an entity that it hasn't heard of.
pub const EXPIRY_TICKS: i32 = 192;
/// Ticks after which a record goes before all others, so that no client forgets what it has in
/// sight: in the ticks left until then, one datagram a tick tells over 4,000 entities of 25 bytes.
const URGENT_TICKS: i32 = 96;
/// Ticks after which an entity is told again that has not changed.
const REFRESH_TICKS: i32 = 64;
/// Ticks after an entity's last change after which it is told once more.
const ECHO_TICKS: i32 = 4;

const _: () = assert!(ECHO_TICKS < REFRESH_TICKS);
const _: () = assert!(REFRESH_TICKS < URGENT_TICKS);
const _: () = assert!(2 * URGENT_TICKS <= EXPIRY_TICKS);

/// What the server may vary about state on the wire.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StateConfig {
    /// Metres within which a client gets to see entities.
    pub sight_m: f32,
    /// Metres beyond which a client is told that an entity it saw is gone; more than `sight_m`, so
    /// that one at the edge doesn't come and go.
    pub forget_m: f32,
    /// Most datagrams per client and tick, at least 1: the cap on bandwidth.
    pub datagrams_max: usize,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            sight_m: 400.0,
            forget_m: 440.0,
            datagrams_max: 1,
        }
    }
}
