//! State on the wire: what clients in a match are told of its entities, in unreliable datagrams.
//!
//! This is one seam. The server makes a [`FrameEncoder`] and a [`ClientView`] per client, a client
//! a [`FrameDecoder`]; how the state is coded in between is nobody else's business.
//!
//! ```text
//!  snapshot ─▶ frame.rs    each entity rounded once into lanes (quantize.rs, plan.rs),
//!                          its last 32 versions kept (history.rs)
//!              interest.rs who may be in sight of whom, as sets of bits (slots.rs)
//!  ack ──────▶ view.rs     what this client has: per entity the newest version that arrived
//!              pack.rs     what presses most (urgency.rs) and fits its bandwidth; a piece is coded
//!                          once for all clients that have the same baseline
//!  datagram ─▶ decode.rs   versions by tick (entities.rs), the baselines of what comes next
//! ```
//!
//! A record says how an entity differs from what the client is known to have of it, or the whole of it
//! where that is nothing. Nothing is repeated for safety: what is lost is noticed by its absence among
//! the acknowledged datagrams, and told again as it is by then.

mod bits;
mod datagram;
mod decode;
mod entities;
mod frame;
mod history;
mod interest;
mod pack;
mod plan;
mod quantize;
mod slots;
mod urgency;
mod value;
mod view;

pub use datagram::{CommandAck, StateAck, StateError, StateHeader};
pub use decode::FrameDecoder;
pub use entities::EntityRef;
pub use frame::FrameEncoder;
pub use pack::Packed;
pub use view::{ClientView, FullReason};

/// Most bytes of a state datagram: what passes QUIC before it has discovered the path's MTU.
pub const DATAGRAM_LEN_MAX: usize = 1100;

/// Ticks after which a record goes before all that are less stale, however near those are: so nothing
/// in sight starves.
pub const STALE_TICKS_MAX: i32 = 16;

/// What the server may vary about state on the wire.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StateConfig {
    /// Metres within which a client gets to see entities.
    pub sight_m: f32,
    /// Metres beyond which a client is told that an entity it saw is gone; more than `sight_m`, so
    /// that one at the edge doesn't come and go.
    pub forget_m: f32,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            sight_m: 400.0,
            forget_m: 440.0,
        }
    }
}
