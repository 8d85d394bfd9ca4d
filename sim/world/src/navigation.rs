//! Where a character can walk, and the way from here to there.
//!
//! A grid of 1 m cells is computed when the map is loaded. A cell that one can stand in has an
//! anchor, a point that is free of boxes, and a bit for each neighbour whose anchor can be reached
//! by a straight walk from its own. A path is an A* over the anchors, shortened where there is a
//! straight walk. There is one level: roofs, and what stands on boxes higher than a step, are no
//! part of it.
//!
//! Cells of 2 m, which would do in the open, lose the doors: an opening of 1.8 m leaves 0.9 m to
//! the middle of a character.

use std::cell::RefCell;

use glam::{DVec2, DVec3};

use crate::geometry::Geometry;
use crate::grid::CellWalk;
use crate::search::{NEIGHBOURS, Search, neighbour};
use crate::sweep::{Cylinder, SKIN_M};

/// Side of a cell, metres.
pub(crate) const CELL_M: f64 = 1.0;

/// The character that paths are for: a player (0.4 m, 1.8 m, step 0.4 m) with some room to err.
const WALKER: Cylinder = Cylinder {
    radius: 0.45,
    height: 1.85,
};
const STEP_M: f64 = 0.35;

/// Terrain is taken for walkable up to 45°, less than what movement can climb. The cosine.
const GENTLE_COS: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// A path may start and end this many cells from the nearest anchor.
const ANCHOR_REACH: i32 = 2;

/// Where in a cell an anchor may be, in the order tried: the middle, then the thirds around it.
const ANCHORS: [(f64, f64); 9] = [
    (0.0, 0.0),
    (1.0, 0.0),
    (0.0, 1.0),
    (-1.0, 0.0),
    (0.0, -1.0),
    (1.0, 1.0),
    (-1.0, 1.0),
    (-1.0, -1.0),
    (1.0, -1.0),
];

/// The navigation grid of a map.
#[derive(Debug)]
pub(crate) struct Navigation {
    /// Cells along each side.
    cells: usize,
    ground: Vec<Ground>,
    /// For each cell: bit k is set if its neighbour k can be walked to.
    edges: Vec<u8>,
    /// Cells with equal numbers are connected, those with different ones are not; 0 where one can't
    /// stand.
    regions: Vec<u16>,
}

/// What a cell is to a walker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// Too steep, at least in part.
    Steep,
    /// Boxes leave no room.
    Blocked,
    /// Free everywhere: straight lines may pass without a closer look.
    Open,
    /// Boxes are near; free at this anchor.
    Tight(u8),
}

thread_local! {
    /// One search's memory a thread, so that looking for a path allocates nothing but the path.
    static SEARCH: RefCell<Search> = RefCell::default();
}

impl Navigation {
    pub(crate) fn new(geometry: &Geometry) -> Navigation {
        let cells = (geometry.terrain().size() / CELL_M) as usize;
        let mut navigation = Navigation {
            cells,
            ground: vec![Ground::Open; cells * cells],
            edges: Vec::new(),
            regions: Vec::new(),
        };
        navigation.mark_steep(geometry);
        navigation.mark_boxes(geometry);
        navigation.connect(geometry);
        navigation.number_regions();
        navigation
    }

    /// The grid as bytes, for another process: what [`Navigation::from_bytes`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let ground = self.ground.iter().map(|ground| match ground {
            Ground::Steep => 0,
            Ground::Blocked => 1,
            Ground::Open => 2,
            Ground::Tight(anchor) => 3 + anchor,
        });
        let regions = self.regions.iter().flat_map(|region| region.to_le_bytes());
        ground
            .chain(self.edges.iter().copied())
            .chain(regions)
            .collect()
    }

    /// The grid that [`Navigation::to_bytes`] wrote; `None` where the bytes are none for this map.
    pub(crate) fn from_bytes(geometry: &Geometry, bytes: &[u8]) -> Option<Navigation> {
        let cells = (geometry.terrain().size() / CELL_M) as usize;
        let count = cells * cells;
        if bytes.len() != 4 * count {
            return None;
        }
        let (ground, rest) = bytes.split_at(count);
        let (edges, regions) = rest.split_at(count);
        let ground = ground.iter().map(|ground| match *ground {
            0 => Some(Ground::Steep),
            1 => Some(Ground::Blocked),
            2 => Some(Ground::Open),
            tight => {
                let anchor = tight - 3;
                (usize::from(anchor) < ANCHORS.len()).then_some(Ground::Tight(anchor))
            }
        });
        let (regions, _) = regions.as_chunks();
        Some(Navigation {
            cells,
            ground: ground.collect::<Option<_>>()?,
            edges: edges.to_vec(),
            regions: regions.iter().copied().map(u16::from_le_bytes).collect(),
        })
    }

    /// The points to walk to from `start` (itself not included). The last is the goal on its floor,
    /// or the nearest place to it where one can stand.
    pub(crate) fn path(
        &self,
        geometry: &Geometry,
        start: DVec3,
        goal: DVec3,
        nodes_max: usize,
    ) -> Option<Vec<DVec3>> {
        if !(start.is_finite() && goal.is_finite()) {
            return None;
        }
        let (from, to) = (DVec2::new(start.x, start.z), DVec2::new(goal.x, goal.z));
        if self.walkable(geometry, from, to) {
            return Some(vec![self.on_floor(geometry, to)]);
        }
        let start_cell = self.anchored_near(geometry, from, None)?;
        let goal_cell =
            self.anchored_near(geometry, to, Some(self.regions[start_cell as usize]))?;
        SEARCH.with_borrow_mut(|search| {
            let edges = |cell: u32| self.edges[cell as usize];
            let trail = search.run(self.cells, edges, (start_cell, goal_cell), nodes_max)?;
            Some(self.straightened(geometry, from, trail, to))
        })
    }

    /// The way along the cells of a trail with as few turns as straight walks allow.
    fn straightened(
        &self,
        geometry: &Geometry,
        from: DVec2,
        trail: &[u32],
        to: DVec2,
    ) -> Vec<DVec3> {
        let mut points: Vec<DVec2> = trail.iter().filter_map(|&cell| self.anchor(cell)).collect();
        if points
            .last()
            .is_some_and(|&last| self.walkable(geometry, last, to))
        {
            points.push(to);
        }
        let mut path = Vec::new();
        let (mut at, mut next) = (from, 0);
        while next < points.len() {
            let furthest = furthest(next, points.len() - 1, |i| {
                self.walkable(geometry, at, points[i])
            });
            at = points[furthest];
            path.push(self.on_floor(geometry, at));
            next = furthest + 1;
        }
        path
    }

    /// Whether a walker gets straight from one point to another.
    fn walkable(&self, geometry: &Geometry, from: DVec2, to: DVec2) -> bool {
        let (origin, d) = (
            DVec3::new(from.x, 0.0, from.y),
            DVec3::new(to.x - from.x, 0.0, to.y - from.y),
        );
        let mut passed = 0.0;
        for ((ix, iz), (t0, t1)) in CellWalk::new(self.cells, CELL_M, origin, d, 1.0) {
            passed = t1;
            match self.ground[iz * self.cells + ix] {
                Ground::Steep => return false,
                Ground::Open => {}
                Ground::Blocked | Ground::Tight(_) => {
                    let feet = |t: f64| {
                        let at = origin + d * t;
                        at.with_y(geometry.terrain().height(at.x, at.z) + STEP_M)
                    };
                    if geometry
                        .sweep_boxes(WALKER, feet(t0), feet(t1) - feet(t0))
                        .is_some()
                    {
                        return false;
                    }
                }
            }
        }
        // A line that ends outside the grid is not walkable to its end.
        passed == 1.0
    }

    /// The nearest cell with an anchor, of the given region, preferring those that can be walked to
    /// straight.
    fn anchored_near(&self, geometry: &Geometry, point: DVec2, region: Option<u16>) -> Option<u32> {
        let home = (point / CELL_M).floor().as_ivec2();
        let mut near =
            Vec::with_capacity(((2 * ANCHOR_REACH + 1) * (2 * ANCHOR_REACH + 1)) as usize);
        for z in home.y - ANCHOR_REACH..=home.y + ANCHOR_REACH {
            for x in home.x - ANCHOR_REACH..=home.x + ANCHOR_REACH {
                if let Some(cell) = self.cell(x, z)
                    && let Some(anchor) = self.anchor(cell)
                    && region.is_none_or(|region| region == self.regions[cell as usize])
                {
                    near.push((anchor.distance_squared(point), cell, anchor));
                }
            }
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let straight = near
            .iter()
            .find(|(_, _, anchor)| self.walkable(geometry, point, *anchor));
        straight.or(near.first()).map(|&(_, cell, _)| cell)
    }

    /// The point on the floor at a place: on the terrain, or a skin above a box no higher than a
    /// step.
    fn on_floor(&self, geometry: &Geometry, at: DVec2) -> DVec3 {
        let ground = geometry.terrain().height(at.x, at.y);
        let above = DVec3::new(at.x, ground + STEP_M, at.y);
        let rise = geometry
            .sweep_boxes(WALKER, above, DVec3::Y * -STEP_M)
            .map_or(0.0, |contact| STEP_M * (1.0 - contact.t));
        above.with_y(ground + rise)
    }

    fn cell(&self, x: i32, z: i32) -> Option<u32> {
        let inside = 0..self.cells as i32;
        (inside.contains(&x) && inside.contains(&z)).then(|| (z * self.cells as i32 + x) as u32)
    }

    fn anchor(&self, cell: u32) -> Option<DVec2> {
        let index = match self.ground[cell as usize] {
            Ground::Steep | Ground::Blocked => return None,
            Ground::Open => 0,
            Ground::Tight(index) => index,
        };
        Some(self.middle(cell) + anchor_offset(index))
    }

    fn middle(&self, cell: u32) -> DVec2 {
        let (x, z) = (cell as usize % self.cells, cell as usize / self.cells);
        DVec2::new(x as f64 + 0.5, z as f64 + 0.5) * CELL_M
    }

    /// The cells that a rectangle touches.
    fn cells_in(&self, low: DVec2, high: DVec2) -> impl Iterator<Item = usize> + use<> {
        let cells = self.cells;
        let index = move |c: f64| ((c / CELL_M) as usize).min(cells - 1);
        let (x0, x1, z0, z1) = (index(low.x), index(high.x), index(low.y), index(high.y));
        (z0..=z1).flat_map(move |z| (x0..=x1).map(move |x| z * cells + x))
    }

    fn mark_steep(&mut self, geometry: &Geometry) {
        let terrain = geometry.terrain();
        for iz in 0..terrain.cells() {
            for ix in 0..terrain.cells() {
                if terrain
                    .cell_normals(ix, iz)
                    .iter()
                    .any(|normal| normal.y < GENTLE_COS)
                {
                    let low = DVec2::new(ix as f64, iz as f64) * terrain.cell();
                    for cell in self.cells_in(low, low + terrain.cell()) {
                        self.ground[cell] = Ground::Steep;
                    }
                }
            }
        }
    }

    /// Looks closely at the cells near boxes.
    fn mark_boxes(&mut self, geometry: &Geometry) {
        let mut near = vec![false; self.ground.len()];
        for solid in geometry.boxes() {
            let (low, high) = solid.footprint();
            let reach = WALKER.radius + SKIN_M;
            for cell in self.cells_in(low - reach, high + reach) {
                near[cell] = true;
            }
        }
        for (cell, _) in near.iter().enumerate().filter(|(_, near)| **near) {
            if self.ground[cell] != Ground::Steep {
                self.ground[cell] = self.look_closely(geometry, self.middle(cell as u32));
            }
        }
    }

    fn look_closely(&self, geometry: &Geometry, middle: DVec2) -> Ground {
        let terrain = geometry.terrain();
        let corners = [(0.5, 0.5), (0.5, -0.5), (-0.5, 0.5), (-0.5, -0.5)];
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (x, z) in corners {
            let height = terrain.height(middle.x + x * CELL_M, middle.y + z * CELL_M);
            (low, high) = (low.min(height), high.max(height));
        }
        let around = WALKER.radius + SKIN_M + CELL_M * std::f64::consts::FRAC_1_SQRT_2;
        let feet = DVec3::new(middle.x, low + STEP_M, middle.y);
        if !geometry.overlaps_box(feet, around, WALKER.height + high - low) {
            return Ground::Open;
        }
        let free = |index: &u8| {
            let at = middle + anchor_offset(*index);
            let feet = DVec3::new(at.x, terrain.height(at.x, at.y) + STEP_M, at.y);
            !geometry.overlaps_box(feet, WALKER.radius + SKIN_M, WALKER.height)
        };
        (0..ANCHORS.len() as u8)
            .find(free)
            .map_or(Ground::Blocked, Ground::Tight)
    }

    fn connect(&mut self, geometry: &Geometry) {
        self.edges = vec![0; self.ground.len()];
        for cell in 0..self.ground.len() {
            let (x, z) = ((cell % self.cells) as i32, (cell / self.cells) as i32);
            for (k, (dx, dz)) in NEIGHBOURS.iter().enumerate().take(4) {
                if let Some(next) = self.cell(x + dx, z + dz)
                    && self.joined(geometry, cell as u32, next)
                {
                    self.edges[cell] |= 1 << k;
                    self.edges[next as usize] |= 1 << (k + 4);
                }
            }
        }
    }

    /// Whether one can walk straight from the anchor of one cell to that of its neighbour.
    fn joined(&self, geometry: &Geometry, a: u32, b: u32) -> bool {
        match (self.ground[a as usize], self.ground[b as usize]) {
            (Ground::Open, Ground::Open) => true,
            _ => match (self.anchor(a), self.anchor(b)) {
                (Some(a), Some(b)) => self.walkable(geometry, a, b),
                _ => false,
            },
        }
    }

    fn number_regions(&mut self) {
        self.regions = vec![0; self.ground.len()];
        let (mut region, mut stack) = (0u16, Vec::new());
        for first in 0..self.ground.len() as u32 {
            if self.regions[first as usize] != 0 || self.anchor(first).is_none() {
                continue;
            }
            // Regions beyond the last number share it: a search between two of them finds out by
            // itself.
            region = region.saturating_add(1);
            self.regions[first as usize] = region;
            stack.push(first);
            while let Some(cell) = stack.pop() {
                for (k, &step) in NEIGHBOURS.iter().enumerate() {
                    if self.edges[cell as usize] & (1 << k) != 0 {
                        let next = neighbour(cell, self.cells as u32, step);
                        if self.regions[next as usize] == 0 {
                            self.regions[next as usize] = region;
                            stack.push(next);
                        }
                    }
                }
            }
        }
    }
}

/// The offset of an anchor from the middle of its cell.
fn anchor_offset(index: u8) -> DVec2 {
    let (x, z) = ANCHORS[usize::from(index)];
    DVec2::new(x, z) * (CELL_M / 3.0)
}

/// An index up to `last` that is reached, by leaps that double while they reach and then halve.
/// `next` itself counts as reached, since it is a neighbour.
fn furthest(next: usize, last: usize, reached: impl Fn(usize) -> bool) -> usize {
    let (mut at, mut leap) = (next, 1);
    while at < last && reached((at + leap).min(last)) {
        at = (at + leap).min(last);
        leap *= 2;
    }
    while leap > 1 && at < last {
        leap /= 2;
        if at + leap <= last && reached(at + leap) {
            at += leap;
        }
    }
    at
}
