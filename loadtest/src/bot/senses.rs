//! What a bot knows: what a player would see on the screen.

use glam::DVec3;
use tessera_protocol::EntityId;

/// Height of the eyes over the feet, metres.
pub const EYES: f64 = 1.62;
/// Height that one aims at over the feet, metres.
pub const CHEST: f64 = 1.1;

/// The bot's own player.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Body {
    /// Its entity.
    pub id: EntityId,
    /// The feet, metres.
    pub position: DVec3,
    /// Metres per second.
    pub velocity: DVec3,
    /// Whether it plays; the dead watch.
    pub alive: bool,
    /// Whether it hangs from a canopy.
    pub gliding: bool,
    /// 0 to 100.
    pub health: f64,
    /// 0 to 100.
    pub armour: f64,
    /// What is in hand.
    pub weapon: u8,
    /// Bit w is set for each weapon it has.
    pub owned: u8,
    /// Rounds in each weapon.
    pub magazines: [u8; WEAPONS],
    /// Rounds beside each weapon.
    pub reserves: [u8; WEAPONS],
    /// How many medkits.
    pub medkits: u8,
    /// Whether a reload is under way.
    pub reloading: bool,
}

/// Weapons that a bot tells apart; in the order of the mode's table.
pub const WEAPONS: usize = 4;

impl Default for Body {
    fn default() -> Body {
        Body {
            id: EntityId::NONE,
            position: DVec3::ZERO,
            velocity: DVec3::ZERO,
            // A mode that doesn't know death has no field for it.
            alive: true,
            gliding: false,
            health: 100.0,
            armour: 0.0,
            weapon: 0,
            owned: 1,
            magazines: [1; WEAPONS],
            reserves: [1; WEAPONS],
            medkits: 0,
            reloading: false,
        }
    }
}

/// Somebody else who is alive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Other {
    /// Its entity.
    pub id: EntityId,
    /// The feet, metres.
    pub position: DVec3,
    /// Metres per second.
    pub velocity: DVec3,
}

/// Something on the ground.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Its entity.
    pub id: EntityId,
    /// Metres.
    pub position: DVec3,
    /// What it is, by the mode's table.
    pub item: u8,
}

/// A circle on the ground plane, metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// Its middle along x.
    pub x: f64,
    /// Its middle along z.
    pub z: f64,
    /// Its radius.
    pub radius: f64,
}

impl Circle {
    /// How far a point lies outside; negative inside.
    pub fn outside(&self, at: DVec3) -> f64 {
        (at.x - self.x).hypot(at.z - self.z) - self.radius
    }
}

/// All of it. The vectors are reused from state to state.
#[derive(Clone, Debug, Default)]
pub struct Senses {
    /// The own player; none before its first state.
    pub body: Option<Body>,
    /// The others in sight, alive.
    pub others: Vec<Other>,
    /// Things on the ground.
    pub items: Vec<Item>,
    /// Where one has to be in the end, once that is known.
    pub safe: Option<Circle>,
}

impl Senses {
    /// Another player by its entity.
    pub fn other(&self, id: EntityId) -> Option<&Other> {
        self.others.iter().find(|other| other.id == id)
    }
}

/// Whether picking this up is worth a walk, by what the body carries. The numbers are the mode's table of items.
pub fn wants(body: &Body, item: u8) -> bool {
    match item {
        1..=3 => body.owned >> item & 1 == 0 || body.reserves[usize::from(item)] < 60,
        4..=6 => {
            let weapon = usize::from(item - 3);
            body.owned >> weapon & 1 == 1 && body.reserves[weapon] < 90
        }
        7 => body.armour < 60.0,
        8 => body.medkits < 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wants_what_is_of_use() {
        let pistol = Body {
            reserves: [0; WEAPONS],
            ..Body::default()
        };
        assert!(wants(&pistol, 1), "a rifle");
        assert!(!wants(&pistol, 4), "ammunition without the rifle");
        let rifle = Body {
            owned: 0b11,
            ..pistol
        };
        assert!(wants(&rifle, 4));
        assert!(!wants(
            &Body {
                reserves: [0, 120, 0, 0],
                ..rifle
            },
            4
        ));
        assert!(
            wants(&rifle, 7)
                && !wants(
                    &Body {
                        armour: 100.0,
                        ..rifle
                    },
                    7
                )
        );
        assert!(!wants(&rifle, 99), "what one doesn't know");
    }
}
