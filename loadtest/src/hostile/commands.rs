//! Commands that no honest client makes, well-formed and over sessions in the match.

use std::time::Duration;

use anyhow::Result;
use tessera_protocol::{ClientSession, Command, EntityId, Tick, buttons};

use super::Behaviour;
use super::storm::{PeerId, Stage};

/// Connections that do it, one for each lie.
pub(super) const PEERS: usize = 4;
/// How often they act: at least once a tick at 64 Hz.
const EVERY: Duration = Duration::from_millis(12);
/// Datagrams a tick of the one who sends too many.
const FLOOD: usize = 10;
/// Ticks by which the one from another time is off; far more than the server waits for, either way.
const FAR_TICKS: [i32; 4] = [-100_000, -200, 200, 1_000_000_000];

/// What is wrong with a client's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Aims and moves that are no numbers.
    NotFinite,
    /// Somebody else's player.
    Foreign,
    /// Ticks long past or far ahead.
    FarAway,
    /// Ten times as many as there are ticks.
    Flood,
}

const LIES: [Lie; PEERS] = [Lie::NotFinite, Lie::Foreign, Lie::FarAway, Lie::Flood];

/// Joins and sends impossible commands.
#[derive(Default)]
pub(super) struct Liars {
    peers: [Option<PeerId>; PEERS],
}

impl Behaviour for Liars {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        for (place, lie) in self.peers.iter_mut().zip(LIES) {
            let (now, pick) = (stage.now, stage.pick(0, 4));
            stage.join(place, lie.player())?;
            let peer = stage.fill(place)?;
            let Some(session) = peer.playing() else {
                continue;
            };
            let datagrams = tell(session, lie, pick, now);
            let sent = datagrams.into_iter().filter(|d| peer.send(d.clone()));
            let sent = sent.count() as u64;
            stage.threw(lie.name(), sent);
        }
        Ok(EVERY)
    }
}

impl Lie {
    fn player(self) -> &'static str {
        match self {
            Self::NotFinite => "not a number",
            Self::Foreign => "puppeteer",
            Self::FarAway => "time traveller",
            Self::Flood => "ten hands",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::NotFinite => "commands: not finite",
            Self::Foreign => "commands: for somebody else's player",
            Self::FarAway => "commands: for ticks far away",
            Self::Flood => "commands: ten times too many",
        }
    }

    /// The lie instead of an honest command; `pick` below 4 chooses among its sorts.
    fn forge(self, honest: Command, pick: usize) -> Command {
        match self {
            Self::NotFinite => {
                let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN][pick % 4];
                match pick % 2 {
                    0 => Command { yaw: bad, ..honest },
                    _ => Command {
                        move_x: bad,
                        ..honest
                    },
                }
            }
            Self::Foreign => Command {
                // Players are among the first entities of a match.
                entity: EntityId(honest.entity.0.wrapping_sub(1 + pick as u32).max(1)),
                ..honest
            },
            Self::FarAway => Command {
                tick: honest.tick.offset(FAR_TICKS[pick % 4]),
                ..honest
            },
            Self::Flood => honest,
        }
    }
}

/// The datagrams for the ticks that are due.
fn tell(session: &mut ClientSession, lie: Lie, pick: usize, now: Duration) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let entity = session.own_entity();
    while let Some(tick) = session.poll_command_tick(now) {
        let honest = wild(tick, entity);
        let times = if lie == Lie::Flood { FLOOD } else { 1 };
        for _ in 0..times {
            session.send_command(lie.forge(honest, pick));
            datagrams.extend(session.poll_datagram());
        }
    }
    datagrams
}

/// A command that asks for everything at once.
fn wild(tick: Tick, entity: EntityId) -> Command {
    Command {
        tick,
        entity,
        move_x: 1e30,
        move_z: -1.0,
        yaw: 1e9,
        pitch: -1e9,
        buttons: !buttons::FIRE,
        slot: u8::MAX,
        view: u16::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lie_is_about_what_it_says() {
        let honest = wild(Tick(1_000), EntityId(50));
        for pick in 0..4 {
            let forged = LIES.map(|lie| lie.forge(honest, pick));
            assert!(forged[0].validate().is_err());
            assert!(forged[1].entity != honest.entity && !forged[1].entity.is_none());
            assert!(forged[2].tick.wrapping_sub(honest.tick).abs() >= 200);
            assert_eq!(forged[3], honest);
        }
    }
}
