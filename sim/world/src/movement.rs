//! How a character moves: a kinematic slide of an upright cylinder. It walks up slopes and steps,
//! slides along walls and down cliffs, and never ends inside anything it did not start in. Gravity
//! and jumps are the caller's: they are velocity.
//!
//! The scheme is Quake's (`SV_FlyMove`, `PM_StepSlideMove`): move, and at each contact take the
//! part of the motion away that goes into the surface; a walker blocked by a box tries again from a
//! step higher and takes what gets further.

use glam::{DVec2, DVec3};

use crate::boxes::Contact;
use crate::geometry::Geometry;
use crate::sweep::{Cylinder, SKIN_M, Surface};

/// Ground is walkable up to 50°: this is the cosine.
pub(crate) const WALKABLE_COS: f64 = 0.642_787_609_686_539_4;

/// Contacts handled in one move; whatever motion is left after them is given up.
const CONTACTS_MAX: usize = 8;

/// Support no further below the feet than this is stood upon, metres.
const SUPPORT_M: f64 = 0.02;

/// Faster is cut to this, metres per second.
const SPEED_MAX: f64 = 300.0;

/// Higher is cut to this, metres.
const ALTITUDE_MAX: f64 = 10_000.0;

/// Longer moves are cut to this, seconds.
const DT_MAX: f64 = 0.25;

/// A fall blocked to less than this, metres, between surfaces too steep to stand on counts as
/// standing: or else someone in a crevice could neither walk nor jump.
const WEDGED_M: f64 = 1e-6;

/// Rounds of pushing a character out of boxes that it starts in.
const ESCAPES_MAX: usize = 8;

/// The upright cylinder that a character occupies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Character {
    /// Metres, 0.05 to 5; values outside are taken to the nearest.
    pub radius: f64,
    /// Metres from the feet to the top of the head, 0.1 to 10.
    pub height: f64,
    /// The highest ledge that is walked up without a jump, metres, 0 to 2.
    pub step: f64,
}

/// A character after a move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// The feet.
    pub position: DVec3,
    /// Metres per second: the velocity given, without what contacts took away. Its y is 0 on
    /// walkable ground.
    pub velocity: DVec3,
    /// Whether the character stands on something walkable.
    pub grounded: bool,
}

/// What is left of a motion while it meets one surface after the other.
struct Slide {
    feet: DVec3,
    /// The displacement still to go.
    d: DVec3,
    velocity: DVec3,
    /// The normal of the walkable surface underfoot, once met.
    floor: Option<DVec3>,
    /// Level normals of the walls met, to notice corners.
    walls: [DVec2; CONTACTS_MAX],
    walls_len: usize,
    hit_box_side: bool,
    hit_cliff: bool,
}

impl Geometry {
    /// Moves a character for `dt` seconds. Anything that is not finite counts as 0, in each
    /// component.
    pub(crate) fn move_character(
        &self,
        character: &Character,
        position: DVec3,
        velocity: DVec3,
        dt: f64,
    ) -> Moved {
        let body = Cylinder {
            radius: bounded(character.radius, 0.05, 5.0).min(self.terrain().size() / 4.0),
            height: bounded(character.height, 0.1, 10.0),
        };
        let step = bounded(character.step, 0.0, 2.0);
        let velocity = finite(velocity).clamp(DVec3::splat(-SPEED_MAX), DVec3::splat(SPEED_MAX));
        let dt = bounded(dt, 0.0, DT_MAX);
        let feet = self.freed(body, finite(position));

        let standing = velocity.y <= 0.0 && self.support(body, feet, SUPPORT_M).is_some();
        let mut moved = if standing {
            self.walk(body, step, feet, velocity, dt)
        } else {
            self.fly(body, feet, velocity, dt)
        };
        // Contacts are exact but for rounding, and this takes care of that.
        moved.position = self.onto_map(body, moved.position);
        moved
    }

    /// The nearest position on the map and not in the ground.
    fn onto_map(&self, body: Cylinder, feet: DVec3) -> DVec3 {
        let (low, high) = (body.radius, self.terrain().size() - body.radius);
        let (x, z) = (bounded(feet.x, low, high), bounded(feet.z, low, high));
        DVec3::new(
            x,
            bounded(feet.y, self.terrain().height(x, z), ALTITUDE_MAX),
            z,
        )
    }

    /// Along the floor, up and down its slopes and steps; off a ledge the fall begins.
    fn walk(&self, body: Cylinder, step: f64, feet: DVec3, velocity: DVec3, dt: f64) -> Moved {
        let level = velocity.with_y(0.0);
        let mut slide = self.slide(body, feet, level * dt, level);
        if slide.hit_box_side && step > 0.0 {
            let raised = self.slide_over_step(body, step, feet, level * dt, level);
            let covered = |slide: &Slide| feet.distance_squared(slide.feet.with_y(feet.y));
            if covered(&raised) > covered(&slide) {
                slide = raised;
            }
        }
        if let Some(landed) = self.support(body, slide.feet, step.max(SUPPORT_M)) {
            return Moved {
                position: landed,
                velocity: slide.velocity.with_y(0.0),
                grounded: true,
            };
        }
        let velocity = slide.velocity.with_y(velocity.y);
        let fall = self.slide(body, slide.feet, DVec3::Y * (velocity.y * dt), velocity);
        Moved {
            position: fall.feet,
            velocity: fall.velocity,
            grounded: fall.floor.is_some(),
        }
    }

    /// Through the air, or down something too steep to stand on.
    fn fly(&self, body: Cylinder, feet: DVec3, velocity: DVec3, dt: f64) -> Moved {
        let slide = self.slide(body, feet, velocity * dt, velocity);
        let wedged = slide.hit_cliff && velocity.y < 0.0 && feet.y - slide.feet.y < WEDGED_M;
        if slide.floor.is_some() || wedged {
            let velocity = slide.velocity.with_y(slide.velocity.y.max(0.0));
            return Moved {
                position: slide.feet,
                velocity,
                grounded: velocity.y <= 0.0,
            };
        }
        Moved {
            position: slide.feet,
            velocity: slide.velocity,
            grounded: false,
        }
    }

    /// The same motion from a step higher, put down again.
    fn slide_over_step(
        &self,
        body: Cylinder,
        step: f64,
        feet: DVec3,
        d: DVec3,
        velocity: DVec3,
    ) -> Slide {
        let up = self.slide(body, feet, DVec3::Y * step, DVec3::ZERO).feet;
        let mut raised = self.slide(body, up, d, velocity);
        let down = feet.y - raised.feet.y;
        let touch = self.sweep(body, raised.feet, DVec3::Y * down);
        raised.feet.y += down * touch.map_or(1.0, |touch| touch.contact.t);
        raised
    }

    /// Where the feet come to stand if put down by at most `depth` metres; `None` over nothing
    /// walkable.
    fn support(&self, body: Cylinder, feet: DVec3, depth: f64) -> Option<DVec3> {
        let touch = self.sweep(body, feet, DVec3::Y * -depth)?;
        let landed = feet - DVec3::Y * (depth * touch.contact.t);
        (touch.contact.normal.y >= WALKABLE_COS).then_some(landed)
    }

    /// Moves until nothing is left of the displacement.
    fn slide(&self, body: Cylinder, feet: DVec3, d: DVec3, velocity: DVec3) -> Slide {
        let mut slide = Slide::new(feet, d, velocity);
        for _ in 0..CONTACTS_MAX {
            let Some(touch) = self.sweep(body, slide.feet, slide.d) else {
                slide.feet += slide.d;
                break;
            };
            slide.feet += slide.d * touch.contact.t;
            slide.d *= 1.0 - touch.contact.t;
            slide.meet(touch.contact, touch.surface);
        }
        slide
    }

    /// The position taken onto the map, out of the ground and out of boxes, as far as possible.
    fn freed(&self, body: Cylinder, position: DVec3) -> DVec3 {
        let mut feet = self.onto_map(body, position);
        for _ in 0..ESCAPES_MAX {
            let level = DVec2::new(feet.x, feet.z);
            let out = self
                .boxes_near(level - body.radius, level + body.radius)
                .find_map(|solid| solid.prism(body.radius, body.height, 0.0).escape(feet));
            let Some(out) = out else { break };
            feet = self.onto_map(body, feet + out + out.normalize() * SKIN_M);
        }
        feet
    }
}

impl Slide {
    fn new(feet: DVec3, d: DVec3, velocity: DVec3) -> Slide {
        Slide {
            feet,
            d,
            velocity,
            floor: None,
            walls: [DVec2::ZERO; CONTACTS_MAX],
            walls_len: 0,
            hit_box_side: false,
            hit_cliff: false,
        }
    }

    /// Takes from the motion what goes into the surface.
    fn meet(&mut self, contact: Contact, surface: Surface) {
        let normal = contact.normal;
        if normal.y >= WALKABLE_COS {
            self.floor = Some(normal);
            self.velocity.y = self.velocity.y.max(0.0);
            self.d.y = self.d.y.max(self.climb());
        } else if normal.y < -0.5 {
            self.meet_ceiling();
        } else {
            self.hit_box_side |= surface == Surface::Box;
            self.meet_wall(DVec2::new(normal.x, normal.z).normalize());
            if normal.y > 0.0 {
                self.hit_cliff = true;
                self.slide_down(normal);
            }
        }
    }

    /// The rise that keeps the motion on the floor: level speed is kept on slopes.
    fn climb(&self) -> f64 {
        self.floor.map_or(f64::NEG_INFINITY, |n| {
            -(n.x * self.d.x + n.z * self.d.z) / n.y
        })
    }

    fn meet_ceiling(&mut self) {
        self.velocity.y = self.velocity.y.min(0.0);
        self.d.y = self.d.y.min(0.0);
    }

    fn meet_wall(&mut self, wall: DVec2) {
        self.velocity = without(self.velocity, wall);
        self.d = without(self.d, wall);
        let into = |other: &DVec2| other.dot(DVec2::new(self.d.x, self.d.z)) < -1e-12;
        if self.walls[..self.walls_len].iter().any(into) {
            // In the corner between two walls.
            self.d = DVec3::new(0.0, self.d.y, 0.0);
            self.velocity = DVec3::new(0.0, self.velocity.y, 0.0);
        }
        self.walls[self.walls_len] = wall;
        self.walls_len += 1;
        if self.floor.is_some() {
            self.d.y = self.climb();
        }
    }

    /// Turns a fall away from a cliff. The fall itself is kept: callers set the level velocity anew
    /// each tick, and a projection would then slow the slide to a crawl.
    fn slide_down(&mut self, cliff: DVec3) {
        let away = DVec3::new(cliff.x, 0.0, cliff.z) / (cliff.x * cliff.x + cliff.z * cliff.z);
        self.d -= away * self.d.dot(cliff).min(0.0);
        self.velocity -= away * self.velocity.dot(cliff).min(0.0);
    }
}

/// The vector without its level part into a wall.
fn without(v: DVec3, wall: DVec2) -> DVec3 {
    let into = (v.x * wall.x + v.z * wall.y).min(0.0);
    DVec3::new(v.x - wall.x * into, v.y, v.z - wall.y * into)
}

/// The value taken into the range; NaN to its beginning.
fn bounded(value: f64, low: f64, high: f64) -> f64 {
    value.max(low).min(high)
}

/// The vector with 0 for each component that is not finite.
fn finite(v: DVec3) -> DVec3 {
    let or_zero = |c: f64| if c.is_finite() { c } else { 0.0 };
    DVec3::new(or_zero(v.x), or_zero(v.y), or_zero(v.z))
}
