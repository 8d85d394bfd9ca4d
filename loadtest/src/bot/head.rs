//! Which mind a bot has: the scenario says.

use tessera_protocol::EntityId;
use tessera_world::World;

use super::mind::{Intent, Mind};
use super::senses::Senses;
use super::stroll::Stroll;
use crate::args::Scenario;

/// A bot's mind.
#[derive(Clone, Debug)]
pub enum Head {
    /// Plays the match.
    Player(Box<Mind>),
    /// Walks about in a crowd.
    Stroller(Stroll),
}

impl Head {
    /// The mind of bot number `bot`; bots of one run differ by their number.
    pub fn new(scenario: Scenario, seed: u64, bot: u64) -> Head {
        match scenario {
            Scenario::Match | Scenario::Hostile => Head::Player(Box::new(Mind::new(seed, bot))),
            Scenario::Crowd => Head::Stroller(Stroll::new(seed, bot)),
        }
    }

    /// Looks around and chooses.
    pub fn think(&mut self, senses: &Senses, world: Option<&World>, now_s: f64) {
        if let Head::Player(mind) = self {
            mind.think(senses, world, now_s);
        }
    }

    /// Whom the eyes follow between two thoughts.
    pub fn target(&self) -> Option<EntityId> {
        match self {
            Head::Player(mind) => mind.target(),
            Head::Stroller(_) => None,
        }
    }

    /// What to do in one tick of `dt` seconds.
    pub fn act(&mut self, senses: &Senses, world: Option<&World>, now_s: f64, dt: f64) -> Intent {
        match self {
            Head::Player(mind) => mind.act(senses, world, now_s, dt),
            Head::Stroller(stroll) => stroll.act(now_s, dt),
        }
    }
}
