//! Clients that keep the server waiting: a hello that drips in, and a stream that nobody reads.

use std::time::Duration;

use anyhow::Result;
use tessera_protocol::ClientSession;

use super::Behaviour;
use super::storm::{PeerId, Stage};

/// Connections that drip.
const DRIPPING_PEERS: usize = 3;
/// Time between two bytes of a hello. It has more bytes than fit into the handshake's ten seconds.
const DRIP_EVERY: Duration = Duration::from_millis(250);
/// Connections that don't read.
pub(super) const DEAF_PEERS: usize = 2;
/// How often those that don't read are looked after.
const DEAF_EVERY: Duration = Duration::from_millis(200);

/// Says hello a byte at a time.
#[derive(Default)]
pub(super) struct Drip {
    /// Connections, and how many bytes of the hello each has said.
    peers: [(Option<PeerId>, usize); DRIPPING_PEERS],
}

impl Behaviour for Drip {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        let hello = ClientSession::new(Duration::ZERO, "drip").poll_stream();
        let hello = hello.unwrap_or_default();
        for (place, said) in &mut self.peers {
            let before = *place;
            let peer = stage.fill(place)?;
            let connected = peer.is_connected();
            if *place != before {
                *said = 0;
            }
            // The last byte is never said.
            if connected && *said + 1 < hello.len() {
                let byte = [hello[*said]];
                stage.fill(place)?.write(&byte);
                *said += 1;
                stage.threw("hellos: bytes that drip", 1);
            }
        }
        Ok(DRIP_EVERY)
    }
}

/// Joins and never reads what the server says on the control stream.
#[derive(Default)]
pub(super) struct Deaf {
    peers: [Option<PeerId>; DEAF_PEERS],
}

impl Behaviour for Deaf {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        for place in &mut self.peers {
            stage.fill(place)?.reads = false;
            if stage.join(place, "deaf")? {
                stage.threw("streams never read", 1);
            }
        }
        Ok(DEAF_EVERY)
    }
}
