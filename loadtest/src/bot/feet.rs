//! Where to go: routes over the map, steps along them, and noticing that one is stuck.

use glam::DVec3;
use tessera_world::World;

/// A waypoint counts as reached this near, in metres on the ground plane.
const REACHED_M: f64 = 1.2;
/// Nodes that one search may look at; what is farther than that is approached in stages.
const PATH_NODES_MAX: usize = 1_500;
/// One stage of a way, metres.
const STAGE_M: f64 = 60.0;
/// Who wanted to walk and is still within this of where it was a second ago is stuck.
const STUCK_M: f64 = 0.7;

/// A route under way.
#[derive(Clone, Debug, Default)]
pub struct Feet {
    route: Vec<DVec3>,
    next: usize,
    goal: Option<DVec3>,
    mark: DVec3,
    marked_s: f64,
    /// Seconds in a row without getting anywhere.
    stuck_s: u32,
}

impl Feet {
    /// Whether there is nowhere left to go.
    pub fn idle(&self) -> bool {
        self.goal.is_none()
    }

    /// Stays here.
    pub fn stop(&mut self) {
        self.route.clear();
        self.next = 0;
        self.goal = None;
        self.stuck_s = 0;
    }

    /// Sets out to a place.
    pub fn go(&mut self, world: Option<&World>, here: DVec3, goal: DVec3) {
        self.stop();
        self.goal = Some(goal);
        self.plan(world, here, goal);
    }

    fn plan(&mut self, world: Option<&World>, here: DVec3, goal: DVec3) {
        let stage = stage_towards(here, goal);
        let found =
            world.and_then(|world| world.path(here, on_ground(world, stage), PATH_NODES_MAX));
        // Without a map or a way, straight ahead is what a stranger would try too.
        self.route = found.unwrap_or_else(|| vec![stage]);
        self.next = 0;
    }

    /// Which way to walk now, as a unit vector on the ground plane; none when there or without a goal.
    pub fn step(&mut self, world: Option<&World>, here: DVec3) -> Option<DVec3> {
        let goal = self.goal?;
        while let Some(&way) = self.route.get(self.next) {
            if let Some(direction) = flat_direction(here, way, REACHED_M) {
                return Some(direction);
            }
            self.next += 1;
        }
        if flat_direction(here, goal, REACHED_M * 2.0).is_none() {
            self.stop();
            return None;
        }
        // A stage is done, not the way.
        self.plan(world, here, goal);
        self.route
            .first()
            .and_then(|way| flat_direction(here, *way, REACHED_M))
    }

    /// Looks once a second whether walking gets anywhere. Gives for how many seconds it hasn't.
    pub fn notice(&mut self, here: DVec3, now_s: f64) -> u32 {
        if self.idle() {
            (self.mark, self.marked_s, self.stuck_s) = (here, now_s, 0);
        } else if now_s - self.marked_s >= 1.0 {
            let moved = flat(here - self.mark).length();
            self.stuck_s = if moved < STUCK_M { self.stuck_s + 1 } else { 0 };
            (self.mark, self.marked_s) = (here, now_s);
        }
        self.stuck_s
    }
}

/// The goal itself, or a point on the way to it that one search can reach.
fn stage_towards(here: DVec3, goal: DVec3) -> DVec3 {
    let way = flat(goal - here);
    match way.length() {
        far if far > STAGE_M => here + way * (STAGE_M / far),
        _ => goal,
    }
}

fn on_ground(world: &World, at: DVec3) -> DVec3 {
    let inside = |v: f64| v.clamp(1.0, world.size() - 1.0);
    let (x, z) = (inside(at.x), inside(at.z));
    DVec3::new(x, world.ground(x, z), z)
}

fn flat(v: DVec3) -> DVec3 {
    DVec3::new(v.x, 0.0, v.z)
}

/// Unit vector on the ground plane; none when nearer than `reached` metres.
fn flat_direction(from: DVec3, to: DVec3, reached: f64) -> Option<DVec3> {
    let way = flat(to - from);
    let length = way.length();
    (length > reached).then(|| way / length)
}

/// A direction on the ground plane as `(move_x, move_z)` of a command of someone who looks along `yaw`.
pub fn in_body_frame(direction: DVec3, yaw: f64) -> (f64, f64) {
    let (s, c) = yaw.sin_cos();
    (
        direction.x * c - direction.z * s,
        direction.x * s + direction.z * c,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    fn close(a: (f64, f64), b: (f64, f64)) {
        assert!(
            (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9,
            "{a:?} for {b:?}"
        );
    }

    #[test]
    fn ahead_is_minus_z_of_the_body() {
        close(in_body_frame(DVec3::NEG_Z, 0.0), (0.0, -1.0));
        close(in_body_frame(DVec3::X, 0.0), (1.0, 0.0));
        // Turned left by a quarter, one looks along -x.
        close(in_body_frame(DVec3::NEG_X, FRAC_PI_2), (0.0, -1.0));
        close(in_body_frame(DVec3::NEG_Z, PI), (0.0, 1.0));
    }

    #[test]
    fn a_way_is_walked_to_its_end() {
        let mut feet = Feet::default();
        let mut here = DVec3::new(10.0, 0.0, 10.0);
        let goal = DVec3::new(200.0, 5.0, 40.0);
        feet.go(None, here, goal);
        let mut steps = 0;
        while let Some(direction) = feet.step(None, here) {
            assert!((direction.length() - 1.0).abs() < 1e-9);
            here += direction * 0.1;
            steps += 1;
            assert!(steps < 3_000, "never arrives, stands at {here}");
        }
        assert!(feet.idle());
        assert!((here - goal).with_y(0.0).length() < 2.5);
    }

    #[test]
    fn who_runs_against_a_wall_notices_within_seconds() {
        let mut feet = Feet::default();
        let here = DVec3::new(5.0, 0.0, 5.0);
        feet.notice(here, 0.0);
        feet.go(None, here, DVec3::new(50.0, 0.0, 5.0));
        let stuck: Vec<u32> = (1..=30)
            .map(|i| feet.notice(here, f64::from(i) * 0.1))
            .collect();
        assert_eq!((stuck[8], stuck[9], stuck[19], stuck[29]), (0, 1, 2, 3));
        assert_eq!(feet.notice(here + DVec3::X * 5.0, 4.1), 0);
    }
}
