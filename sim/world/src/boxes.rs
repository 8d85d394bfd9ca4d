//! Boxes: walls, roofs, rocks and crates. Upright, turned about the vertical axis only, so that
//! every face is either level or plumb and what a moving cylinder has to avoid is again a simple
//! shape, a [`Prism`].

use glam::{DVec2, DVec3};
use serde::Deserialize;

/// What a box stands for. The rules are the same for all; it is for those who draw the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxKind {
    /// Part of a building's wall.
    Wall,
    /// A roof or a ceiling.
    Roof,
    /// A step of a stair.
    Stair,
    /// A wooden crate.
    Crate,
    /// A boulder.
    Rock,
    /// The trunk of a tree.
    Tree,
}

/// A solid box, turned about the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solid {
    /// What it stands for.
    pub kind: BoxKind,
    /// Its middle, metres.
    pub centre: DVec3,
    /// Half its extent along its own x, y and z, metres, > 0.
    pub half: DVec3,
    /// Turn about +y, radians; 0 leaves its axes along the world's.
    pub yaw: f64,
    /// Cosine and sine of `yaw`.
    turn: DVec2,
}

/// Where something met a box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contact {
    /// In units of the displacement (or metres, for a ray of unit length).
    pub(crate) t: f64,
    /// The outward unit normal of the face.
    pub(crate) normal: DVec3,
}

/// The positions of an upright cylinder's feet at which it would overlap a box: the box's
/// rectangle, rounded by the cylinder's radius, from the cylinder's height below the box to the
/// box's top.
pub(crate) struct Prism<'a> {
    solid: &'a Solid,
    radius: f64,
    bottom: f64,
    top: f64,
}

/// The part of a line that is inside something convex, and the outward normal at its beginning.
#[derive(Clone, Copy)]
struct Span {
    enter: f64,
    exit: f64,
    normal: DVec3,
}

impl Solid {
    /// A box from its middle, half extents and turn.
    pub fn new(kind: BoxKind, centre: DVec3, half: DVec3, yaw: f64) -> Solid {
        // Not f64::sin_cos: the platform's differs in the last bit from one machine to the next.
        let turn = DVec2::new(libm::cos(yaw), libm::sin(yaw));
        Solid {
            kind,
            centre,
            half,
            yaw,
            turn,
        }
    }

    /// The smallest axis-aligned rectangle around it, seen from above: (least, greatest), as (x,
    /// z).
    pub fn footprint(&self) -> (DVec2, DVec2) {
        let (cos, sin) = (self.turn.x.abs(), self.turn.y.abs());
        let reach = DVec2::new(
            cos * self.half.x + sin * self.half.z,
            sin * self.half.x + cos * self.half.z,
        );
        let centre = DVec2::new(self.centre.x, self.centre.z);
        (centre - reach, centre + reach)
    }

    /// The height of its upper face.
    pub fn top(&self) -> f64 {
        self.centre.y + self.half.y
    }

    /// The first point of it on a ray; distance 0 with the normal against the ray where the origin
    /// is inside.
    pub(crate) fn raycast(&self, origin: DVec3, dir: DVec3, max: f64) -> Option<Contact> {
        let (p, d) = (self.local(origin - self.centre), self.local(dir));
        let span = slab(p.x, d.x, self.half.x, DVec3::X)?
            .meet(slab(p.y, d.y, self.half.y, DVec3::Y)?)?
            .meet(slab(p.z, d.z, self.half.z, DVec3::Z)?)?;
        if span.exit <= 0.0 || span.enter > max {
            return None;
        }
        if span.enter < 0.0 {
            return Some(Contact {
                t: 0.0,
                normal: -dir,
            });
        }
        Some(Contact {
            t: span.enter,
            normal: self.global(span.normal),
        })
    }

    /// The positions that a cylinder of this radius and height can't have because of this box.
    pub(crate) fn prism(&self, radius: f64, height: f64, skin: f64) -> Prism<'_> {
        Prism {
            solid: self,
            radius: radius + skin,
            bottom: -self.half.y - height - skin,
            top: self.half.y + skin,
        }
    }

    /// From the world's axes to the box's.
    fn local(&self, v: DVec3) -> DVec3 {
        let DVec2 { x: cos, y: sin } = self.turn;
        DVec3::new(v.x * cos - v.z * sin, v.y, v.x * sin + v.z * cos)
    }

    /// From the box's axes to the world's.
    fn global(&self, v: DVec3) -> DVec3 {
        let DVec2 { x: cos, y: sin } = self.turn;
        DVec3::new(v.x * cos + v.z * sin, v.y, v.z * cos - v.x * sin)
    }
}

impl Prism<'_> {
    /// Where feet that move from `origin` by `d` first touch the prism. Feet that start inside (by
    /// a rounding error, or because someone put them there) touch at once, at the nearest face,
    /// unless they are on their way out. A motion that goes no deeper into the face than
    /// `tolerance` is one along it.
    pub(crate) fn sweep(&self, origin: DVec3, d: DVec3, tolerance: f64) -> Option<Contact> {
        let (p, d) = (
            self.solid.local(origin - self.solid.centre),
            self.solid.local(d),
        );
        let middle = (self.top + self.bottom) / 2.0;
        let span = slab(p.y - middle, d.y, self.top - middle, DVec3::Y)?;
        if span.exit <= 0.0 || span.enter >= 1.0 {
            return None;
        }
        let span = span.meet(self.outline(p, d)?)?;
        if span.exit <= 0.0 || span.enter >= 1.0 {
            return None;
        }
        let (t, normal) = if span.enter >= 0.0 {
            (span.enter, span.normal)
        } else if let Some(out) = self.way_out(p) {
            (0.0, out.normalize())
        } else if -span.enter < span.exit {
            // On the surface but for rounding, on the way in.
            (0.0, span.normal)
        } else {
            return None;
        };
        (normal.dot(d) < -tolerance).then(|| Contact {
            t,
            normal: self.solid.global(normal),
        })
    }

    /// The shortest way out for feet inside the prism, in the world's axes; `None` if they are
    /// outside.
    pub(crate) fn escape(&self, feet: DVec3) -> Option<DVec3> {
        let p = self.solid.local(feet - self.solid.centre);
        self.way_out(p).map(|out| self.solid.global(out))
    }

    /// The shortest way out in the box's axes.
    fn way_out(&self, p: DVec3) -> Option<DVec3> {
        let (up, down) = (self.top - p.y, p.y - self.bottom);
        if up <= 0.0 || down <= 0.0 {
            return None;
        }
        let level = self.way_out_level(p)?;
        let plumb = if up <= down {
            DVec3::Y * up
        } else {
            DVec3::NEG_Y * down
        };
        Some(if plumb.length_squared() <= level.length_squared() {
            plumb
        } else {
            level
        })
    }

    /// The shortest way out of the rounded rectangle, in the box's axes.
    fn way_out_level(&self, p: DVec3) -> Option<DVec3> {
        let half = self.solid.half;
        let beyond = DVec3::new(p.x.abs() - half.x, 0.0, p.z.abs() - half.z);
        let sign = DVec3::new(1f64.copysign(p.x), 0.0, 1f64.copysign(p.z));
        let corner = beyond.max(DVec3::ZERO);
        let distance = corner.length();
        if distance >= self.radius {
            return None;
        }
        if distance > 0.0 {
            return Some(sign * corner * ((self.radius - distance) / distance));
        }
        Some(if beyond.x >= beyond.z {
            DVec3::X * (sign.x * (self.radius - beyond.x))
        } else {
            DVec3::Z * (sign.z * (self.radius - beyond.z))
        })
    }

    /// The part of the line `p + d·t` over the rounded rectangle.
    fn outline(&self, p: DVec3, d: DVec3) -> Option<Span> {
        let half = self.solid.half;
        let mut span = slab(p.x, d.x, half.x + self.radius, DVec3::X)?.meet(slab(
            p.z,
            d.z,
            half.z + self.radius,
            DVec3::Z,
        )?)?;
        if d.x == 0.0 && d.z == 0.0 {
            return self.way_out_level(p).map(|_| span);
        }
        // The line enters (or leaves) the rectangle around the rounded one. Where it does so beside
        // a corner it meets the corner's circle or misses everything, since the circle covers all
        // of the corner's inner edges.
        if let Some(circle) = self.corner(p, d, span.enter)? {
            span.enter = circle.enter;
            span.normal = circle.normal;
        }
        if let Some(circle) = self.corner(p, d, span.exit)? {
            span.exit = circle.exit;
        }
        Some(span)
    }

    /// If the line is beside a corner at `t`: its part in the corner's circle. `None` if it misses
    /// that, and `Some(None)` if it is beside none.
    #[allow(clippy::option_option)] // three outcomes; an enum would only rename them
    fn corner(&self, p: DVec3, d: DVec3, t: f64) -> Option<Option<Span>> {
        let (half, at) = (self.solid.half, p + d * t);
        if at.x.abs() <= half.x || at.z.abs() <= half.z {
            return Some(None);
        }
        let corner = DVec2::new(half.x.copysign(at.x), half.z.copysign(at.z));
        let (from, along) = (DVec2::new(p.x, p.z) - corner, DVec2::new(d.x, d.z));
        let (a, b, c) = (
            along.dot(along),
            from.dot(along),
            from.dot(from) - self.radius * self.radius,
        );
        let discriminant = b * b - a * c;
        if discriminant <= 0.0 {
            return None;
        }
        let root = discriminant.sqrt();
        let enter = (-b - root) / a;
        let out = (from + along * enter) / self.radius;
        Some(Some(Span {
            enter,
            exit: (-b + root) / a,
            normal: DVec3::new(out.x, 0.0, out.y),
        }))
    }
}

impl Span {
    /// The part inside both.
    fn meet(self, other: Span) -> Option<Span> {
        let (enter, normal) = if other.enter > self.enter {
            (other.enter, other.normal)
        } else {
            (self.enter, self.normal)
        };
        let exit = self.exit.min(other.exit);
        (enter < exit).then_some(Span {
            enter,
            exit,
            normal,
        })
    }
}

/// The part of the line `p + d·t` in `[-half, half]`, on one axis.
fn slab(p: f64, d: f64, half: f64, axis: DVec3) -> Option<Span> {
    if d == 0.0 {
        let everywhere = Span {
            enter: f64::NEG_INFINITY,
            exit: f64::INFINITY,
            normal: axis,
        };
        return (p.abs() < half).then_some(everywhere);
    }
    let towards = 1f64.copysign(d);
    Some(Span {
        enter: (-half * towards - p) / d,
        exit: (half * towards - p) / d,
        normal: axis * -towards,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_4;

    fn cube() -> Solid {
        Solid::new(BoxKind::Crate, DVec3::new(10.0, 1.0, 10.0), DVec3::ONE, 0.0)
    }

    fn diamond() -> Solid {
        Solid::new(
            BoxKind::Crate,
            DVec3::new(10.0, 1.0, 10.0),
            DVec3::ONE,
            FRAC_PI_4,
        )
    }

    #[test]
    fn a_ray_meets_the_near_face() {
        let hit = cube()
            .raycast(DVec3::new(0.0, 1.0, 10.0), DVec3::X, 100.0)
            .expect("straight ahead");
        assert_eq!((hit.t, hit.normal), (9.0, DVec3::NEG_X));
        assert!(
            cube()
                .raycast(DVec3::new(0.0, 1.0, 10.0), DVec3::X, 8.9)
                .is_none()
        );
        assert!(
            cube()
                .raycast(DVec3::new(0.0, 1.0, 10.0), DVec3::NEG_X, 100.0)
                .is_none()
        );
        assert!(
            cube()
                .raycast(DVec3::new(0.0, 2.1, 10.0), DVec3::X, 100.0)
                .is_none()
        );
    }

    #[test]
    fn a_ray_from_inside_is_stopped_at_once_and_one_from_a_face_is_not() {
        let inside = cube()
            .raycast(DVec3::new(10.0, 1.0, 10.0), DVec3::X, 100.0)
            .expect("inside");
        assert_eq!((inside.t, inside.normal), (0.0, DVec3::NEG_X));
        assert!(
            cube()
                .raycast(DVec3::new(11.0, 1.0, 10.0), DVec3::X, 100.0)
                .is_none()
        );
    }

    #[test]
    fn yaw_turns_a_box_as_it_turns_a_look() {
        let slab = Solid::new(BoxKind::Wall, DVec3::ZERO, DVec3::new(0.1, 1.0, 5.0), 0.3);
        let forward = DVec3::new(-libm::sin(0.3), 0.0, -libm::cos(0.3));
        let hit = slab
            .raycast(forward * 20.0, -forward, 100.0)
            .expect("its long side lies along its forward");
        assert!((hit.t - 15.0).abs() < 1e-12);
        assert!((hit.normal - forward).length() < 1e-12);
    }

    #[test]
    fn a_cylinder_touches_faces_edges_and_corners_where_its_side_does() {
        let (radius, height) = (0.5, 2.0);
        let sweep = |solid: Solid, from: DVec3, d: DVec3| {
            solid
                .prism(radius, height, 0.0)
                .sweep(from, d, 0.0)
                .map(|hit| (hit.t, hit.normal))
        };
        let close = |found: Option<(f64, DVec3)>, t: f64, normal: DVec3| {
            let (at, out) = found.expect("a contact");
            assert!(
                (at - t).abs() < 1e-12 && (out - normal).length() < 1e-12,
                "{at} {out}"
            );
        };
        close(
            sweep(cube(), DVec3::new(0.0, 0.0, 10.0), DVec3::X * 10.0),
            0.85,
            DVec3::NEG_X,
        );
        close(
            sweep(cube(), DVec3::new(10.0, 5.0, 10.0), DVec3::NEG_Y * 10.0),
            0.3,
            DVec3::Y,
        );
        close(
            sweep(cube(), DVec3::new(10.0, -9.0, 10.0), DVec3::Y * 10.0),
            0.7,
            DVec3::NEG_Y,
        );
        let edge = 10.0 - 2f64.sqrt() - radius;
        close(
            sweep(diamond(), DVec3::new(0.0, 0.0, 10.0), DVec3::X * 10.0),
            edge / 10.0,
            DVec3::NEG_X,
        );
        // Past the corner within the rectangle around the rounded one, but outside the circle.
        let past = DVec3::new(11.45, 0.0, 11.45);
        assert!(sweep(cube(), past, DVec3::Y * 3.0).is_none());
        assert!(
            sweep(
                cube(),
                past - DVec3::new(1.0, 0.0, -1.0),
                DVec3::new(2.0, 0.0, -2.0)
            )
            .is_none()
        );
    }

    #[test]
    fn feet_on_the_surface_are_let_out_however_it_rounds() {
        for k in 0..10_000 {
            let k = f64::from(k);
            let half = DVec3::new(1.0 + libm::sin(k), 1.5 + libm::cos(k), 0.7);
            let solid = Solid::new(BoxKind::Rock, DVec3::splat(500.0), half, k);
            let prism = solid.prism(0.4, 1.8, 0.001);
            let outwards = DVec3::new(libm::cos(k), libm::sin(3.0 * k), libm::sin(k)) * 9.0;
            let hit = prism
                .sweep(solid.centre + outwards, -outwards, 1e-9)
                .expect("towards the middle");
            let feet = solid.centre + outwards - outwards * hit.t;
            for out in [hit.normal, outwards * 0.01] {
                assert!(prism.sweep(feet, out, 1e-9).is_none(), "{k}: {out}");
            }
        }
    }

    #[test]
    fn feet_inside_are_stopped_inwards_and_let_out() {
        let prism_of = cube();
        let prism = prism_of.prism(0.5, 2.0, 0.0);
        let inside = DVec3::new(8.6, 0.5, 10.0);
        let hit = prism.sweep(inside, DVec3::X, 0.0).expect("going in");
        assert_eq!((hit.t, hit.normal), (0.0, DVec3::NEG_X));
        assert!(prism.sweep(inside, DVec3::NEG_X, 0.0).is_none());
        assert!(prism.sweep(inside, DVec3::Z, 0.0).is_none());
        let out = prism.escape(inside).expect("it is inside");
        assert!((out - DVec3::new(-0.1, 0.0, 0.0)).length() < 1e-12);
        assert!(prism.escape(DVec3::new(8.5, 0.5, 10.0)).is_none());
    }
}
