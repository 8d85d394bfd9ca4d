//! What a bot does: a few errands, chosen a few times a second by what it sees.
//!
//! It has to load the server as players do (walk across borders, turn, meet, shoot, pick up), and to cost little, since a
//! hundred of them share the machine with the server. So thinking (search for enemies, lines of sight, routes) happens
//! [`THINK_HZ`] times a second, and a tick in between only walks and turns.

use glam::DVec3;
use tessera_protocol::{EntityId, buttons};
use tessera_world::World;

use super::chance::Chance;
use super::feet::{Feet, in_body_frame};
use super::hands::{Hands, lead};
use super::senses::{Body, CHEST, EYES, Item, Other, Senses, wants};

/// How often a bot thinks.
pub const THINK_HZ: f64 = 8.0;
/// Nobody farther than this is worth a shot, metres.
const SIGHT_M: f64 = 80.0;
/// Items are noticed this near, metres.
const LOOT_M: f64 = 35.0;
/// Lines of sight that one thought may check.
const LOOKS_MAX: usize = 3;
/// The inside of the circle's edge that one keeps away from, metres.
const EDGE_M: f64 = 8.0;
/// Whoever is this near is fought in any mood, metres.
const THREAT_M: f64 = 6.0;
/// Fights are kept at this distance at least, and nobody is followed nearer than [`HUNT_M`]; metres.
const APART_M: f64 = 9.0;
const HUNT_M: f64 = 25.0;
/// How long a bot looks for a fight, and how long it minds its own business; seconds. A hundred players who all shoot at
/// all they see are thirty after a minute, and a load test wants its players alive.
const EAGER_S: (f64, f64) = (3.0, 7.0);
const CALM_S: (f64, f64) = (8.0, 20.0);
/// Slowest and fastest reaction to somebody who appears, seconds.
const REACTION_S: (f64, f64) = (0.18, 0.45);

/// Numbers of weapons in the mode's table that are used differently.
const SHOTGUN: u8 = 2;
const LAUNCHER: u8 = 3;
const ROCKET_SPEED: f64 = 42.0;

/// What a bot wants in one tick: a command without its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Intent {
    /// To the right, [-1, 1].
    pub move_x: f32,
    /// Backwards, [-1, 1].
    pub move_z: f32,
    /// Radians.
    pub yaw: f32,
    /// Radians.
    pub pitch: f32,
    /// Bits of [`buttons`].
    pub buttons: u16,
    /// 0, or the chosen weapon + 1.
    pub slot: u8,
}

/// Why a bot goes where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Errand {
    /// To see what is there.
    #[default]
    Roam,
    /// Into the circle.
    Flee,
    /// To something on the ground.
    Loot,
    /// To where an enemy was seen.
    Hunt,
}

/// An enemy that one has an eye on.
#[derive(Clone, Copy, Debug)]
struct Target {
    id: EntityId,
    /// From when on the hands follow.
    react_s: f64,
    /// Last seen without anything in between.
    seen_s: f64,
}

/// One bot's head.
#[derive(Clone, Debug)]
pub struct Mind {
    chance: Chance,
    feet: Feet,
    hands: Hands,
    errand: Errand,
    errand_until_s: f64,
    target: Option<Target>,
    /// Whether it looks for a fight, and until when.
    mood: (bool, f64),
    /// Sideways in a fight: -1, 0 or 1, and until when.
    strafe: (f64, f64),
    /// Until when to jump and dodge, being stuck.
    dodge_until_s: f64,
    wounded: bool,
    /// What it wants in hand: weapon + 1, 0 before the first thought.
    slot: u8,
    /// 0.5 to 1.5: how steady the hands are.
    skill: f64,
}

impl Mind {
    /// A new head; bots of one run differ by their number.
    pub fn new(seed: u64, bot: u64) -> Mind {
        let mut chance = Chance::new(seed, bot);
        let skill = chance.between(0.5, 1.5);
        let calm_until_s = chance.between(0.0, CALM_S.1);
        let hands = Hands::looking(chance.between(-3.0, 3.0));
        Mind {
            chance,
            feet: Feet::default(),
            hands,
            errand: Errand::Roam,
            errand_until_s: 0.0,
            target: None,
            mood: (false, calm_until_s),
            strafe: (0.0, 0.0),
            dodge_until_s: 0.0,
            wounded: false,
            slot: 0,
            skill,
        }
    }

    /// Looks around and chooses. To be called [`THINK_HZ`] times a second.
    pub fn think(&mut self, senses: &Senses, world: Option<&World>, now_s: f64) {
        let Some(body) = &senses.body else { return };
        if !body.alive {
            self.target = None;
            self.feet.stop();
            return;
        }
        if now_s >= self.mood.1 {
            let eager = !self.mood.0;
            let (shortest, longest) = if eager { EAGER_S } else { CALM_S };
            self.mood = (eager, now_s + self.chance.between(shortest, longest));
        }
        self.wounded = body.health < 60.0 && body.medkits > 0;
        self.watch(body, &senses.others, world, now_s);
        self.slot = self.choose_weapon(body, senses);
        match self.feet.notice(body.position, now_s) {
            0 => {}
            1 => self.dodge_until_s = now_s + 0.6,
            _ => self.feet.stop(),
        }
        self.choose_errand(body, senses, world, now_s);
    }

    /// Whom the hands follow.
    pub fn target(&self) -> Option<EntityId> {
        self.target.map(|target| target.id)
    }

    /// What to do in this tick.
    pub fn act(&mut self, senses: &Senses, world: Option<&World>, now_s: f64, dt: f64) -> Intent {
        let Some(body) = &senses.body else {
            return self.intent(0.0, 0.0, 0);
        };
        if !body.alive {
            // The dead press a button now and then, to watch somebody else.
            let pressed = self.chance.about_every(4.0, dt);
            return self.intent(0.0, 0.0, if pressed { buttons::FIRE } else { 0 });
        }
        let mut pressed = 0;
        let way = self.feet.step(world, body.position);
        let fight = self.fight(body, senses, now_s, dt);
        let mut direction = way.unwrap_or(DVec3::ZERO);
        if let Some((step, fire)) = fight {
            if fire {
                pressed |= buttons::FIRE;
            }
            // Who flees keeps running; others dodge on the spot.
            if self.errand != Errand::Flee {
                direction = direction * 0.3 + step;
            }
        } else {
            if let Some(way) = way {
                self.hands.look_along(way, dt);
            }
            pressed |= self.leisure(body, way.is_some());
        }
        if now_s < self.dodge_until_s {
            pressed |= buttons::JUMP;
            direction += DVec3::new(-direction.z, 0.0, direction.x) * 0.8;
        } else if way.is_some() && self.chance.about_every(6.0, dt) {
            pressed |= buttons::JUMP;
        }
        let (x, z) = in_body_frame(direction.clamp_length_max(1.0), self.hands.yaw);
        self.intent(x, z, pressed)
    }

    /// What one does while nobody shoots: reload, heal, run.
    fn leisure(&mut self, body: &Body, walking: bool) -> u16 {
        let weapon = usize::from(body.weapon).min(body.magazines.len() - 1);
        if self.wounded {
            return buttons::USE;
        }
        let reload = body.magazines[weapon] < 5 && body.reserves[weapon] > 0 && !body.reloading;
        let run = if walking { buttons::SPRINT } else { 0 };
        run | if reload { buttons::RELOAD } else { 0 }
    }

    /// Follows the target with the hands. Gives which way to step and whether to shoot; none without a target in sight.
    fn fight(
        &mut self,
        body: &Body,
        senses: &Senses,
        now_s: f64,
        dt: f64,
    ) -> Option<(DVec3, bool)> {
        let target = self
            .target
            .filter(|t| now_s >= t.react_s && now_s - t.seen_s < 0.5)?;
        let other = senses.other(target.id)?;
        let eyes = body.position + DVec3::Y * EYES;
        let mut point = other.position + DVec3::Y * CHEST;
        if body.weapon == LAUNCHER {
            point = lead(eyes, other.position, other.velocity, ROCKET_SPEED);
        }
        let on_target = self
            .hands
            .aim(eyes, point, self.skill, &mut self.chance, dt);
        let fire = self.hands.trigger(on_target, now_s, &mut self.chance);
        let to = point - eyes;
        let across = DVec3::new(-to.z, 0.0, to.x).normalize_or_zero();
        // Nobody stands in another's lap, though bodies don't stop each other.
        let back = if to.length() < APART_M {
            -DVec3::new(to.x, 0.0, to.z).normalize_or(DVec3::X)
        } else {
            DVec3::ZERO
        };
        Some((across * self.dodge(now_s) + back, fire))
    }

    /// -1, 0 or 1 for a while: which way to step in a fight.
    fn dodge(&mut self, now_s: f64) -> f64 {
        if now_s >= self.strafe.1 {
            let side = [-1.0, 1.0, 0.0][(self.chance.unit() * 3.0) as usize];
            self.strafe = (side, now_s + self.chance.between(0.3, 1.2));
        }
        self.strafe.0
    }

    /// Keeps or chooses the enemy to watch: the nearest one that can be seen, with some loyalty.
    fn watch(&mut self, body: &Body, others: &[Other], world: Option<&World>, now_s: f64) {
        let eyes = body.position + DVec3::Y * EYES;
        let current = self.target.map(|t| t.id);
        let reach = if self.mood.0 { SIGHT_M } else { THREAT_M };
        for other in nearest(body, others, current, reach) {
            if !sees(world, eyes, other.position + DVec3::Y * CHEST) {
                continue;
            }
            match &mut self.target {
                Some(target) if target.id == other.id => target.seen_s = now_s,
                _ => {
                    let react_s = now_s + self.chance.between(REACTION_S.0, REACTION_S.1);
                    self.target = Some(Target {
                        id: other.id,
                        react_s,
                        seen_s: now_s,
                    });
                }
            }
            return;
        }
        if self.target.is_some_and(|t| now_s - t.seen_s > 4.0) {
            self.target = None;
        }
    }

    fn choose_errand(&mut self, body: &Body, senses: &Senses, world: Option<&World>, now_s: f64) {
        let here = body.position;
        if let Some(circle) = senses
            .safe
            .filter(|c| c.outside(here) > -EDGE_M.min(c.radius * 0.2))
        {
            if self.errand != Errand::Flee || self.feet.idle() {
                let (angle, part) = (
                    self.chance.between(0.0, std::f64::consts::TAU),
                    self.chance.unit() * 0.6,
                );
                let away = circle.radius * part;
                let goal = DVec3::new(
                    circle.x + away * angle.cos(),
                    here.y,
                    circle.z + away * angle.sin(),
                );
                self.set_out(Errand::Flee, world, here, goal, now_s + 20.0);
            }
            return;
        }
        if !self.feet.idle() && now_s < self.errand_until_s && self.errand != Errand::Roam {
            return;
        }
        if let Some(item) = nearest_item(body, &senses.items) {
            self.set_out(Errand::Loot, world, here, item.position, now_s + 9.0);
        } else if let Some(prey) = self
            .target
            .and_then(|t| senses.other(t.id))
            .filter(|prey| !self.wounded && prey.position.distance(here) > HUNT_M)
        {
            let to = prey.position - here;
            let goal = here + to * (1.0 - HUNT_M / to.length());
            self.set_out(Errand::Hunt, world, here, goal, now_s + 4.0);
        } else if self.feet.idle() || now_s >= self.errand_until_s {
            let (angle, away) = (
                self.chance.between(0.0, std::f64::consts::TAU),
                self.chance.between(20.0, 90.0),
            );
            let size = world.map_or(1_000.0, World::size);
            let inside = |v: f64| v.clamp(10.0, size - 10.0);
            let goal = DVec3::new(
                inside(here.x + away * angle.cos()),
                here.y,
                inside(here.z + away * angle.sin()),
            );
            self.set_out(Errand::Roam, world, here, goal, now_s + 25.0);
        }
    }

    fn set_out(
        &mut self,
        errand: Errand,
        world: Option<&World>,
        here: DVec3,
        goal: DVec3,
        until_s: f64,
    ) {
        (self.errand, self.errand_until_s) = (errand, until_s);
        self.feet.go(world, here, goal);
    }

    /// What to hold: by the enemy's distance, among what is loaded.
    fn choose_weapon(&self, body: &Body, senses: &Senses) -> u8 {
        let enemy = self.target.and_then(|t| senses.other(t.id));
        let away = enemy.map_or(40.0, |other| other.position.distance(body.position));
        let usable = |w: u8| {
            let i = usize::from(w);
            body.owned >> w & 1 == 1 && (w == 0 || body.magazines[i] > 0 || body.reserves[i] > 0)
        };
        let order = match away {
            a if a < 12.0 => [SHOTGUN, 1, 0, LAUNCHER],
            a if a < 45.0 => [LAUNCHER, 1, SHOTGUN, 0],
            _ => [1, LAUNCHER, 0, SHOTGUN],
        };
        order.into_iter().find(|w| usable(*w)).map_or(0, |w| w + 1)
    }

    fn intent(&self, x: f64, z: f64, pressed: u16) -> Intent {
        Intent {
            move_x: x as f32,
            move_z: z as f32,
            yaw: self.hands.yaw as f32,
            pitch: self.hands.pitch as f32,
            buttons: pressed,
            slot: self.slot,
        }
    }
}

/// The few nearest enemies within reach, nearest first; the current target counts as nearer than it is.
fn nearest<'a>(
    body: &Body,
    others: &'a [Other],
    current: Option<EntityId>,
    reach: f64,
) -> impl Iterator<Item = &'a Other> {
    let mut found: [Option<(f64, &Other)>; LOOKS_MAX] = [None; LOOKS_MAX];
    for other in others {
        let loyalty = if Some(other.id) == current { 0.6 } else { 1.0 };
        let mut entry = (other.position.distance(body.position) * loyalty, other);
        if entry.0 > reach {
            continue;
        }
        // Insertion into a list of three, sorted by distance.
        for slot in &mut found {
            match slot {
                Some(held) if held.0 <= entry.0 => {}
                Some(held) => std::mem::swap(held, &mut entry),
                None => {
                    *slot = Some(entry);
                    break;
                }
            }
        }
    }
    found.into_iter().flatten().map(|(_, other)| other)
}

fn nearest_item<'a>(body: &Body, items: &'a [Item]) -> Option<&'a Item> {
    let near =
        |item: &&Item| item.position.distance(body.position) < LOOT_M && wants(body, item.item);
    let distance = |item: &Item| item.position.distance_squared(body.position);
    items
        .iter()
        .filter(near)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// Whether nothing of the map lies between two points.
fn sees(world: Option<&World>, from: DVec3, to: DVec3) -> bool {
    let way = to - from;
    let distance = way.length();
    distance < 1e-6
        || world.is_none_or(|world| world.raycast(from, way / distance, distance).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::senses::Circle;

    const DT: f64 = 1.0 / 64.0;

    fn body_at(x: f64, z: f64) -> Body {
        Body {
            id: EntityId(1),
            position: DVec3::new(x, 0.0, z),
            ..Body::default()
        }
    }

    fn other(id: u32, x: f64, z: f64) -> Other {
        Other {
            id: EntityId(id),
            position: DVec3::new(x, 0.0, z),
            velocity: DVec3::ZERO,
        }
    }

    /// Lets a bot live for some seconds on an empty plane. Gives all it wanted.
    fn live(mind: &mut Mind, senses: &mut Senses, seconds: f64) -> Vec<Intent> {
        live_from(mind, senses, 0.0, seconds)
    }

    fn live_from(mind: &mut Mind, senses: &mut Senses, from_s: f64, seconds: f64) -> Vec<Intent> {
        (0..(seconds / DT) as usize)
            .map(|i| {
                let now = from_s + i as f64 * DT;
                if i % 8 == 0 {
                    mind.think(senses, None, now);
                }
                let intent = mind.act(senses, None, now, DT);
                if let Some(body) = &mut senses.body {
                    let (s, c) = f64::from(intent.yaw).sin_cos();
                    let (x, z) = (f64::from(intent.move_x), f64::from(intent.move_z));
                    body.position += DVec3::new(x * c + z * s, 0.0, z * c - x * s) * 5.0 * DT;
                }
                intent
            })
            .collect()
    }

    fn senses(body: Body) -> Senses {
        Senses {
            body: Some(body),
            ..Senses::default()
        }
    }

    #[test]
    fn it_walks_about_and_stays_within_limits() {
        let mut senses = senses(body_at(500.0, 500.0));
        let intents = live(&mut Mind::new(3, 1), &mut senses, 20.0);
        let went = senses
            .body
            .expect("a body")
            .position
            .distance(DVec3::new(500.0, 0.0, 500.0));
        assert!(went > 5.0, "went {went} m in 20 s");
        assert!(intents.iter().all(|i| i.move_x.hypot(i.move_z) <= 1.001
            && i.yaw.is_finite()
            && i.pitch.abs() < 1.6));
        assert!(
            intents.iter().any(|i| i.buttons & buttons::JUMP != 0),
            "never jumped"
        );
        assert!(
            intents.iter().all(|i| i.buttons & buttons::FIRE == 0),
            "shot at nobody"
        );
    }

    #[test]
    fn it_shoots_whom_it_sees_but_not_at_once_and_not_always() {
        let mut senses = senses(body_at(500.0, 500.0));
        senses.others.push(other(9, 505.0, 500.0));
        let intents = live(&mut Mind::new(3, 2), &mut senses, 1.0);
        let fired = |i: &Intent| i.buttons & buttons::FIRE != 0;
        let first = intents
            .iter()
            .position(fired)
            .expect("never fired at somebody so near");
        assert!(
            first as f64 * DT > REACTION_S.0,
            "fired after {first} ticks"
        );

        let far = other(9, 560.0, 500.0);
        senses.others = vec![far];
        let mut mind = Mind::new(3, 3);
        let seconds: Vec<bool> = (0..60)
            .map(|second| {
                // Always as far away, wherever the bot walks.
                let body = senses.body.expect("a body");
                senses.others[0].position = body.position + DVec3::X * 60.0;
                live_from(&mut mind, &mut senses, f64::from(second), 1.0)
                    .iter()
                    .any(fired)
            })
            .collect();
        let eager = seconds.iter().filter(|fired| **fired).count();
        assert!((5..45).contains(&eager), "fired in {eager} of 60 seconds");
    }

    #[test]
    fn it_runs_into_the_circle() {
        let mut senses = senses(body_at(900.0, 500.0));
        senses.safe = Some(Circle {
            x: 500.0,
            z: 500.0,
            radius: 350.0,
        });
        live(&mut Mind::new(4, 1), &mut senses, 25.0);
        let circle = senses.safe.expect("set above");
        let outside = circle.outside(senses.body.expect("a body").position);
        assert!(outside < 0.0, "still {outside} m outside");
    }

    #[test]
    fn it_fetches_what_it_wants() {
        let mut senses = senses(body_at(500.0, 500.0));
        let rifle = Item {
            id: EntityId(7),
            position: DVec3::new(515.0, 0.0, 510.0),
            item: 1,
        };
        senses.items.push(rifle);
        let mut mind = Mind::new(5, 1);
        let mut nearest = f64::INFINITY;
        for _ in 0..40 {
            live(&mut mind, &mut senses, 0.25);
            nearest = nearest.min(
                senses
                    .body
                    .expect("a body")
                    .position
                    .distance(rifle.position),
            );
        }
        assert!(nearest < 1.4, "came within {nearest} m only");
    }

    #[test]
    fn the_dead_stand_still_and_change_whom_they_watch() {
        let mut senses = senses(Body {
            alive: false,
            ..body_at(1.0, 1.0)
        });
        let intents = live(&mut Mind::new(6, 1), &mut senses, 20.0);
        assert!(intents.iter().all(|i| i.move_x == 0.0 && i.move_z == 0.0));
        assert!(
            (1..40).contains(
                &intents
                    .iter()
                    .filter(|i| i.buttons == buttons::FIRE)
                    .count()
            )
        );
    }

    #[test]
    fn the_nearest_come_first_and_the_current_target_is_preferred() {
        let body = body_at(0.0, 0.0);
        let others = [
            other(2, 50.0, 0.0),
            other(3, 10.0, 0.0),
            other(4, 500.0, 0.0),
            other(5, 12.0, 0.0),
            other(6, 11.0, 0.0),
        ];
        let ids = |current| {
            nearest(&body, &others, current, SIGHT_M)
                .map(|o| o.id.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None), [3, 6, 5]);
        assert_eq!(ids(Some(EntityId(5))), [5, 3, 6]);
    }
}
