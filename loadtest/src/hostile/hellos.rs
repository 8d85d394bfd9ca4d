//! Hellos that must not be accepted, and some that must not be accepted twice.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use tessera_protocol::{JoinRequest, protocol_hash};

use super::Behaviour;
use super::storm::{PeerId, Stage};
use crate::tokens::Flaw;

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
    /// Byte for byte the hello of an earlier connection: of an honest bot's where the server asks for tokens.
    Replay,
    /// No token.
    NoToken,
    /// The token of an honest bot, in a hello of one's own.
    UsedToken,
    /// A token whose time is over.
    ExpiredToken,
    /// A token for another match.
    TokenOfAnotherMatch,
    /// A token with a bit flipped.
    FlippedToken,
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

/// Those that only a server refuses that asks for tokens.
const OF_TOKENS: [Forgery; 5] = [
    Forgery::NoToken,
    Forgery::UsedToken,
    Forgery::ExpiredToken,
    Forgery::TokenOfAnotherMatch,
    Forgery::FlippedToken,
];

/// Says false hellos, one connection each.
#[derive(Default)]
pub(super) struct Hellos {
    next: usize,
    /// Oldest first.
    held: VecDeque<Held>,
}

/// A connection, and where it is with what it is for.
struct Held {
    id: PeerId,
    forgery: Forgery,
    said: bool,
    /// Whether it is in the match and must not be, which is counted once.
    let_in: bool,
}

impl Behaviour for Hellos {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        let now = stage.now;
        for held in &mut self.held {
            held.go_on(stage)?;
        }
        let old = |stage: &mut Stage, id| stage.peer(id).is_none_or(|p| p.began + HELD < now);
        while let Some(held) = self.held.front().filter(|held| old(stage, held.id)) {
            stage.leave(held.id);
            self.held.pop_front();
        }
        // Only where a token is asked for is one wrong.
        let of_tokens = &OF_TOKENS[..if stage.purse.is_some() {
            OF_TOKENS.len()
        } else {
            0
        }];
        let forgeries = [&FORGERIES[..], of_tokens].concat();
        let forgery = forgeries[self.next % forgeries.len()];
        self.next += 1;
        self.held.push_back(Held {
            id: stage.connect()?,
            forgery,
            said: false,
            let_in: false,
        });
        Ok(EVERY)
    }
}

impl Held {
    /// Says the hello once the connection stands, and then looks what came of it.
    fn go_on(&mut self, stage: &mut Stage) -> Result<()> {
        let connected = |stage: &mut Stage, id| stage.peer(id).is_some_and(|p| p.is_connected());
        if !connected(stage, self.id) {
            return Ok(());
        }
        if !self.said {
            say(stage, self.id, self.forgery)?;
            stage.threw(self.forgery.name(), 1);
            self.said = true;
        }
        let playing = stage.peer(self.id).is_some_and(|p| p.playing().is_some());
        if playing && !self.let_in && self.forgery.must_stay_out(stage.purse.is_some()) {
            stage.let_in(self.forgery.name());
            self.let_in = true;
        }
        Ok(())
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
            Self::NoToken => "tokens: none",
            Self::UsedToken => "tokens: replayed",
            Self::ExpiredToken => "tokens: expired",
            Self::TokenOfAnotherMatch => "tokens: of another match",
            Self::FlippedToken => "tokens: a bit flipped",
        }
    }

    /// Whether no server may let it in. Without tokens nothing is wrong with a hello that was said before; the first
    /// of two on one stream is good.
    fn must_stay_out(self, tokens: bool) -> bool {
        match self {
            Self::Twice => false,
            Self::Replay => tokens,
            _ => true,
        }
    }
}

fn say(stage: &mut Stage, id: PeerId, forgery: Forgery) -> Result<()> {
    let request = request(stage, forgery)?;
    let (now, noise) = (stage.now, stage.noise(64));
    if let Some(peer) = stage.peer(id) {
        peer.say(now, request, |hello| forge(forgery, hello, &noise));
        if forgery == Forgery::CutShort {
            peer.finish();
        }
    }
    Ok(())
}

/// What is asked for in the hello. All that the forgery isn't about is right, or it would be refused for a reason that
/// isn't its own.
fn request(stage: &mut Stage, forgery: Forgery) -> Result<JoinRequest> {
    let mut request = stage.request("stranger")?;
    let (which, share) = (stage.pick(0, usize::MAX), stage.chance.unit());
    match forgery {
        Forgery::NoName => request.name = String::new(),
        Forgery::LongName => request.name = "long".repeat(100),
        Forgery::UnprintableName => request.name = "\u{1b}[2J\u{7}".into(),
        _ => {}
    }
    let Some(purse) = &mut stage.purse else {
        return Ok(request);
    };
    let flaw = match forgery {
        Forgery::ExpiredToken => Flaw::Expired,
        Forgery::TokenOfAnotherMatch => Flaw::AnotherMatch,
        Forgery::FlippedToken => Flaw::BitFlipped(share),
        Forgery::NoToken => {
            request.token = None;
            return Ok(request);
        }
        Forgery::Replay | Forgery::UsedToken => {
            let honest = purse.used[which % purse.used.len()].clone();
            let name = match forgery {
                Forgery::Replay => honest.name,
                _ => request.name,
            };
            return Ok(JoinRequest { name, ..honest });
        }
        _ => return Ok(request),
    };
    request.token = Some(purse.mint.flawed(flaw, &request.name)?);
    Ok(request)
}

/// The bytes that are said instead of those of the hello.
fn forge(forgery: Forgery, mut hello: Vec<u8>, noise: &[u8]) -> Vec<u8> {
    match forgery {
        Forgery::OtherProtocol => {
            let ours = protocol_hash().to_le_bytes();
            let at = hello.windows(8).position(|window| window == ours);
            if let Some(byte) = at.and_then(|at| hello.get_mut(at)) {
                *byte ^= 1;
            }
            hello
        }
        Forgery::Noise => [&(noise.len() as u32).to_le_bytes(), noise].concat(),
        Forgery::Huge => u32::MAX.to_le_bytes().into(),
        Forgery::CutShort => hello[..hello.len() / 2].into(),
        Forgery::Twice => hello.repeat(2),
        _ => hello,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::{ClientSession, CloseReason, ServerSession};

    fn answer(name: &str, forgery: Forgery) -> Option<CloseReason> {
        let mut client = ClientSession::new(Duration::ZERO, name);
        let hello = client.poll_stream().unwrap_or_default();
        let mut server = ServerSession::new(Duration::ZERO);
        server.handle_stream(Duration::ZERO, &forge(forgery, hello, &[7; 64]));
        server.poll_close().map(|close| close.reason)
    }

    #[test]
    fn the_plain_hello_is_one_that_a_server_would_take() {
        // Otherwise all forgeries would be refused for a reason that isn't theirs.
        assert_eq!(answer("replayed", Forgery::Replay), None);
        assert_eq!(answer("", Forgery::NoName), Some(CloseReason::BadName));
        let garbage = Some(CloseReason::Garbage);
        assert_eq!(answer("twice", Forgery::Twice), garbage);
        assert_eq!(answer("noise", Forgery::Noise), garbage);
        let other = Some(CloseReason::ProtocolMismatch);
        assert_eq!(answer("stranger", Forgery::OtherProtocol), other);
    }

    #[test]
    fn what_may_be_let_in_fits_its_places() {
        let let_in = FORGERIES.iter().filter(|f| !f.must_stay_out(false));
        let round = EVERY * FORGERIES.len() as u32;
        let rounds_held = HELD.as_secs_f64() / round.as_secs_f64();
        assert!(let_in.count() as f64 * (rounds_held.floor() + 1.0) <= LET_IN_MAX as f64);
        assert!(OF_TOKENS.iter().all(|forgery| forgery.must_stay_out(true)));
    }
}
