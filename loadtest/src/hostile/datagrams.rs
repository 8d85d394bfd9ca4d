//! Application datagrams that are no commands, over sessions that are in the match.

use std::time::Duration;

use anyhow::Result;
use tessera_protocol::{ClientSession, Command};

use super::Behaviour;
use super::storm::{PeerId, Stage};

/// Connections that do it.
pub(super) const PEERS: usize = 3;
/// Time between two datagrams of each: a few more than an honest client sends.
const EVERY: Duration = Duration::from_millis(10);

/// Throws mangled datagrams at the session machine.
#[derive(Default)]
pub(super) struct Mangled {
    peers: [Option<PeerId>; PEERS],
}

impl Behaviour for Mangled {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        for place in &mut self.peers {
            let now = stage.now;
            stage.join(place, "mangler")?;
            let peer = stage.fill(place)?;
            if !peer.is_connected() {
                continue;
            }
            let len_max = peer.datagram_len_max();
            let commands = peer.playing().and_then(|session| honest(session, now));
            let (what, datagram) = mangle(stage, commands, len_max);
            let peer = stage.fill(place)?;
            if peer.send(datagram) {
                stage.threw(what, 1);
            }
        }
        Ok(EVERY)
    }
}

/// The datagram of commands that an honest client would send now.
fn honest(session: &mut ClientSession, now: Duration) -> Option<Vec<u8>> {
    let entity = session.own_entity();
    while let Some(tick) = session.poll_command_tick(now) {
        session.send_command(Command {
            tick,
            entity,
            ..Command::default()
        });
    }
    session.poll_datagram()
}

/// Something that isn't what `commands` was; before there are any, noise.
fn mangle(stage: &mut Stage, commands: Option<Vec<u8>>, len_max: usize) -> (&'static str, Vec<u8>) {
    match (stage.pick(0, 4), commands) {
        (0, Some(mut commands)) => {
            commands.truncate(stage.pick(0, commands.len()));
            ("session datagrams: cut short", commands)
        }
        (1, Some(mut commands)) => {
            let bit = stage.pick(0, commands.len() * 8);
            commands[bit / 8] ^= 1 << (bit % 8);
            ("session datagrams: a bit flipped", commands)
        }
        (2, _) => ("session datagrams: as long as fits", stage.noise(len_max)),
        _ => {
            let len = stage.pick(0, len_max.max(1));
            ("session datagrams: random bytes", stage.noise(len))
        }
    }
}
