//! Hellos that must not be accepted, and some that must not be accepted twice.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use tessera_protocol::{ClientSession, protocol_hash};

use super::Behaviour;
use super::peer::Peer;
use super::storm::{PeerId, Stage};

/// Time between two connections.
const EVERY: Duration = Duration::from_millis(150);
/// How long one is held: time enough for the server to say what it thinks.
const HELD: Duration = Duration::from_millis(1_000);
/// Those of them that may be let into the match at once: one forgery of each round through the list, each held for less
/// than a round, and one that is on its way out.
pub(super) const LET_IN_MAX: usize = 4;

/// One way to lie in a hello. What a hello comes to hold in future is lied about by another variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgery {
    /// The hash of another protocol.
    OtherProtocol,
    /// No name.
    NoName,
    /// A name longer than any may be.
    LongName,
    /// A name that would break a terminal.
    UnprintableName,
    /// A message of the right length that is none.
    Noise,
    /// A length that nobody can have.
    Huge,
    /// The stream ends inside the message.
    CutShort,
    /// The same hello twice on one stream.
    Twice,
    /// Byte for byte the hello of an earlier connection.
    Replay,
}

const FORGERIES: [Forgery; 9] = [
    Forgery::OtherProtocol,
    Forgery::NoName,
    Forgery::LongName,
    Forgery::UnprintableName,
    Forgery::Noise,
    Forgery::Huge,
    Forgery::CutShort,
    Forgery::Twice,
    Forgery::Replay,
];

/// Says false hellos, one connection each.
#[derive(Default)]
pub(super) struct Hellos {
    next: usize,
    /// Connections and what they are to say; none once it is said. Oldest first.
    held: VecDeque<(PeerId, Option<Forgery>)>,
}

impl Behaviour for Hellos {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        let now = stage.now;
        for (id, forgery) in &mut self.held {
            let Some(said) = *forgery else { continue };
            let noise = stage.noise(64);
            let connected = stage.peer(*id).filter(|peer| peer.is_connected());
            if let Some(peer) = connected {
                say(peer, said, &noise);
                stage.threw(said.name(), 1);
                *forgery = None;
            }
        }
        let old = |stage: &mut Stage, id| stage.peer(id).is_none_or(|p| p.began + HELD < now);
        while let Some(&(id, _)) = self.held.front().filter(|(id, _)| old(stage, *id)) {
            stage.leave(id);
            self.held.pop_front();
        }
        let forgery = FORGERIES[self.next % FORGERIES.len()];
        self.next += 1;
        self.held.push_back((stage.connect()?, Some(forgery)));
        Ok(EVERY)
    }
}

impl Forgery {
    fn name(self) -> &'static str {
        match self {
            Self::OtherProtocol => "hellos: of another protocol",
            Self::NoName => "hellos: without a name",
            Self::LongName => "hellos: with a long name",
            Self::UnprintableName => "hellos: with an unprintable name",
            Self::Noise => "hellos: random bytes",
            Self::Huge => "hellos: of 4 GiB",
            Self::CutShort => "hellos: cut short",
            Self::Twice => "hellos: twice",
            Self::Replay => "hellos: replayed",
        }
    }
}

fn say(peer: &mut Peer, forgery: Forgery, noise: &[u8]) {
    match forgery {
        Forgery::OtherProtocol => {
            let mut bytes = hello("stranger");
            let ours = protocol_hash().to_le_bytes();
            let at = bytes.windows(8).position(|window| window == ours);
            if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1;
            }
            peer.write(&bytes);
        }
        Forgery::NoName => peer.write(&hello("")),
        Forgery::LongName => peer.write(&hello(&"long".repeat(100))),
        Forgery::UnprintableName => peer.write(&hello("\u{1b}[2J\u{7}")),
        Forgery::Noise => {
            peer.write(&(noise.len() as u32).to_le_bytes());
            peer.write(noise);
        }
        Forgery::Huge => peer.write(&u32::MAX.to_le_bytes()),
        Forgery::CutShort => {
            let bytes = hello("cut short");
            peer.write(&bytes[..bytes.len() / 2]);
            peer.finish();
        }
        Forgery::Twice => peer.write(&hello("twice").repeat(2)),
        Forgery::Replay => peer.write(&hello("replayed")),
    }
}

/// The bytes of a hello that the server may accept; for the same name always the same.
fn hello(name: &str) -> Vec<u8> {
    let mut session = ClientSession::new(Duration::ZERO, name);
    session.poll_stream().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::{CloseReason, ServerSession};

    fn answer(bytes: &[u8]) -> Option<CloseReason> {
        let mut server = ServerSession::new(Duration::ZERO);
        server.handle_stream(Duration::ZERO, bytes);
        server.poll_close().map(|close| close.reason)
    }

    #[test]
    fn the_plain_hello_is_one_that_a_server_would_take() {
        // Otherwise all forgeries would be refused for a reason that isn't theirs.
        assert_eq!(answer(&hello("replayed")), None);
        assert_eq!(answer(&hello("")), Some(CloseReason::BadName));
        assert_eq!(
            answer(&hello("twice").repeat(2)),
            Some(CloseReason::Garbage)
        );
    }

    #[test]
    fn what_may_be_let_in_fits_its_places() {
        let let_in = FORGERIES
            .iter()
            .filter(|f| matches!(f, Forgery::Replay | Forgery::Twice));
        let round = EVERY * FORGERIES.len() as u32;
        let rounds_held = HELD.as_secs_f64() / round.as_secs_f64();
        assert!(let_in.count() as f64 * (rounds_held.floor() + 1.0) <= LET_IN_MAX as f64);
    }
}
