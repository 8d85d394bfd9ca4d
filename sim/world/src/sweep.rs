//! The first contact of a moving upright cylinder: with the ground under the middle of its feet,
//! with boxes all around, and with the borders of the map. Continuous, so that nothing is too fast
//! to be stopped by a thin wall.

use glam::{DVec2, DVec3};

use crate::boxes::Contact;
use crate::geometry::Geometry;
use crate::grid::CellWalk;

/// The gap that is kept to boxes, metres. Far more than rounding errors, far less than one can see.
pub(crate) const SKIN_M: f64 = 0.001;

/// The feet may sink this deep before the ground or a box stops them, metres: rounding, so that
/// walking along a slope or a wall is not contact after contact with it.
const SINK_MAX_M: f64 = 1e-9;

/// An upright cylinder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cylinder {
    pub(crate) radius: f64,
    pub(crate) height: f64,
}

/// What a cylinder touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Ground,
    Box,
    Border,
}

/// A contact and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) contact: Contact,
    pub(crate) surface: Surface,
}

impl Geometry {
    /// The first contact of a cylinder whose feet move from `feet` by `d`, if there is one for t <
    /// 1.
    pub(crate) fn sweep(&self, body: Cylinder, feet: DVec3, d: DVec3) -> Option<Touch> {
        if d == DVec3::ZERO {
            return None;
        }
        let mut first: Option<Touch> = None;
        let mut keep = |contact: Option<Contact>, surface: Surface| {
            if let Some(contact) = contact
                && first.is_none_or(|other| contact.t < other.contact.t)
            {
                first = Some(Touch { contact, surface });
            }
        };
        keep(self.sweep_ground(feet, d), Surface::Ground);
        keep(self.sweep_boxes(body, feet, d), Surface::Box);
        keep(self.sweep_borders(body.radius, feet, d), Surface::Border);
        first
    }

    /// The first contact with a box.
    pub(crate) fn sweep_boxes(&self, body: Cylinder, feet: DVec3, d: DVec3) -> Option<Contact> {
        let reach = body.radius + SKIN_M;
        let (from, to) = (
            DVec2::new(feet.x, feet.z),
            DVec2::new(feet.x + d.x, feet.z + d.z),
        );
        let mut first: Option<Contact> = None;
        for solid in self.boxes_near(from.min(to) - reach, from.max(to) + reach) {
            let prism = solid.prism(body.radius, body.height, SKIN_M);
            if let Some(contact) = prism.sweep(feet, d, SINK_MAX_M)
                && first.is_none_or(|other| contact.t < other.t)
            {
                first = Some(contact);
            }
        }
        first
    }

    fn sweep_ground(&self, feet: DVec3, d: DVec3) -> Option<Contact> {
        let terrain = self.terrain();
        for (cell, part) in CellWalk::new(terrain.cells(), terrain.cell(), feet, d, 1.0) {
            if let Some(crossing) = terrain.cross(cell, feet, d, part, SINK_MAX_M) {
                return Some(Contact {
                    t: crossing.t,
                    normal: crossing.normal,
                });
            }
        }
        None
    }

    fn sweep_borders(&self, radius: f64, feet: DVec3, d: DVec3) -> Option<Contact> {
        let (low, high) = (radius, self.terrain().size() - radius);
        let mut first: Option<Contact> = None;
        for (axis, from, d) in [(DVec3::X, feet.x, d.x), (DVec3::Z, feet.z, d.z)] {
            let (border, normal) = if d < 0.0 { (low, axis) } else { (high, -axis) };
            let beyond = if d < 0.0 {
                from + d < low
            } else {
                from + d > high
            };
            if beyond {
                let t = ((border - from) / d).max(0.0);
                if first.is_none_or(|other| t < other.t) {
                    first = Some(Contact { t, normal });
                }
            }
        }
        first
    }
}
