//! The ground: a height at each point of a square grid, and two triangles in each cell.
//!
//! Every question (height, ray, sweep) uses the same triangles, so that a shot, a foot and a path
//! agree on where the ground is. Cell (0, 0) starts at the origin; each cell is split along its
//! diagonal from (0, 0) to (1, 1).

use glam::DVec3;

/// The terrain of a map: a height field over `[0, size]` × `[0, size]` metres.
///
/// # Invariants
/// `heights` holds `(cells + 1)²` finite values, row by row: x runs fastest.
#[derive(Debug)]
pub(crate) struct Terrain {
    /// Cells along each side.
    cells: usize,
    /// Side of a cell in metres.
    cell: f64,
    /// Metres; f32 halves the memory walked by rays, and each value is exact in f64.
    heights: Vec<f32>,
}

/// Where a moving point went below the ground.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crossing {
    /// In units of the point's displacement.
    pub(crate) t: f64,
    /// Upward unit normal of the triangle.
    pub(crate) normal: DVec3,
}

/// One of a cell's two triangles as a plane: its height is `base + slope_u·u + slope_v·v`, with u
/// and v in cells.
struct Plane {
    base: f64,
    slope_u: f64,
    slope_v: f64,
}

impl Terrain {
    /// A terrain of `cells`² cells, each `cell` metres wide.
    ///
    /// # Panics
    /// If the number of heights is not `(cells + 1)²`.
    pub(crate) fn new(cells: usize, cell: f64, heights: Vec<f32>) -> Terrain {
        assert_eq!(
            heights.len(),
            (cells + 1) * (cells + 1),
            "one height per corner of a cell"
        );
        Terrain {
            cells,
            cell,
            heights,
        }
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    pub(crate) fn cell(&self) -> f64 {
        self.cell
    }

    pub(crate) fn heights(&self) -> &[f32] {
        &self.heights
    }

    pub(crate) fn size(&self) -> f64 {
        self.cells as f64 * self.cell
    }

    /// The cell on one axis that holds a coordinate; the nearest one for coordinates outside, 0 for
    /// NaN.
    pub(crate) fn cell_of(&self, coordinate: f64) -> usize {
        // A float cast saturates and takes NaN to 0.
        ((coordinate / self.cell) as usize).min(self.cells - 1)
    }

    /// The ground's height; outside the terrain that of the nearest point on it.
    pub(crate) fn height(&self, x: f64, z: f64) -> f64 {
        let (x, z) = (self.clamp(x), self.clamp(z));
        let (ix, iz) = (self.cell_of(x), self.cell_of(z));
        let (u, v) = self.local(ix, iz, x, z);
        let plane = self.plane(ix, iz, u >= v);
        plane.height(u, v)
    }

    /// The ground's upward unit normal; outside the terrain that of the nearest point on it.
    pub(crate) fn normal(&self, x: f64, z: f64) -> DVec3 {
        let (x, z) = (self.clamp(x), self.clamp(z));
        let (ix, iz) = (self.cell_of(x), self.cell_of(z));
        let (u, v) = self.local(ix, iz, x, z);
        self.plane(ix, iz, u >= v).normal(self.cell)
    }

    /// The normals of a cell's two triangles.
    pub(crate) fn cell_normals(&self, ix: usize, iz: usize) -> [DVec3; 2] {
        [true, false].map(|lower| self.plane(ix, iz, lower).normal(self.cell))
    }

    /// The highest point of a cell.
    pub(crate) fn cell_top(&self, ix: usize, iz: usize) -> f64 {
        let [h00, h10, h01, h11] = self.corners(ix, iz);
        h00.max(h10).max(h01.max(h11))
    }

    /// Where the point `origin + d·t`, for t in `[t0, t1]` inside cell (`ix`, `iz`), first is
    /// `tolerance` or more below the ground, traced back to the ground itself.
    ///
    /// The two pieces of the segment on either side of the diagonal are tested in turn by their
    /// ends, and the end of one is the start of the next, so that no ray slips through a seam.
    pub(crate) fn cross(
        &self,
        (ix, iz): (usize, usize),
        origin: DVec3,
        d: DVec3,
        (t0, t1): (f64, f64),
        tolerance: f64,
    ) -> Option<Crossing> {
        let at = |t: f64| self.local(ix, iz, origin.x + d.x * t, origin.z + d.z * t);
        let (start, end) = (at(t0), at(t1));
        let (side0, side1) = (start.0 - start.1, end.0 - end.1);
        let piece = |lower: bool, t0: f64, t1: f64| {
            let plane = self.plane(ix, iz, lower);
            let clearance = |t: f64| {
                let (u, v) = at(t);
                origin.y + d.y * t - plane.height(u, v)
            };
            let (above0, above1) = (clearance(t0), clearance(t1));
            if above1 >= -tolerance {
                return None;
            }
            let t = if above0 <= 0.0 {
                t0
            } else {
                t0 + (t1 - t0) * (above0 / (above0 - above1))
            };
            Some(Crossing {
                t,
                normal: plane.normal(self.cell),
            })
        };
        if (side0 >= 0.0) == (side1 >= 0.0) {
            return piece(side0 >= 0.0, t0, t1);
        }
        let middle = t0 + (t1 - t0) * (side0 / (side0 - side1));
        piece(side0 >= 0.0, t0, middle).or_else(|| piece(side1 >= 0.0, middle, t1))
    }

    fn clamp(&self, coordinate: f64) -> f64 {
        // `max` first: it takes NaN to 0.
        coordinate.max(0.0).min(self.size())
    }

    /// Coordinates in the cell, in cells.
    fn local(&self, ix: usize, iz: usize, x: f64, z: f64) -> (f64, f64) {
        (x / self.cell - ix as f64, z / self.cell - iz as f64)
    }

    fn corners(&self, ix: usize, iz: usize) -> [f64; 4] {
        let row = self.cells + 1;
        let at = iz * row + ix;
        [at, at + 1, at + row, at + row + 1].map(|i| f64::from(self.heights[i]))
    }

    /// The plane of the triangle with u ≥ v (`lower`) or u < v.
    fn plane(&self, ix: usize, iz: usize, lower: bool) -> Plane {
        let [h00, h10, h01, h11] = self.corners(ix, iz);
        if lower {
            Plane {
                base: h00,
                slope_u: h10 - h00,
                slope_v: h11 - h10,
            }
        } else {
            Plane {
                base: h00,
                slope_u: h11 - h01,
                slope_v: h01 - h00,
            }
        }
    }
}

impl Plane {
    fn height(&self, u: f64, v: f64) -> f64 {
        self.base + self.slope_u * u + self.slope_v * v
    }

    fn normal(&self, cell: f64) -> DVec3 {
        DVec3::new(-self.slope_u, cell, -self.slope_v).normalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two by two cells of 4 m with one raised corner in the middle.
    fn pyramid() -> Terrain {
        Terrain::new(2, 4.0, vec![0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0])
    }

    #[test]
    fn heights_are_exact_at_corners_and_continuous_on_edges() {
        let terrain = pyramid();
        assert_eq!(terrain.height(4.0, 4.0), 4.0);
        assert_eq!(terrain.height(2.0, 2.0), 2.0);
        assert_eq!(terrain.height(8.0, 8.0), 0.0);
        for k in 0..=64 {
            let along = f64::from(k) / 8.0;
            for edge in [along, 4.0] {
                let (a, b) = (
                    terrain.height(edge - 1e-9, along),
                    terrain.height(edge + 1e-9, along),
                );
                assert!(
                    (a - b).abs() < 1e-8,
                    "a seam at {edge}, {along}: {a} and {b}"
                );
            }
        }
    }

    #[test]
    fn outside_and_nan_take_the_nearest_point() {
        let terrain = Terrain::new(1, 4.0, vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(terrain.height(-5.0, -5.0), 1.0);
        assert_eq!(terrain.height(50.0, -5.0), 2.0);
        assert_eq!(terrain.height(f64::NAN, f64::INFINITY), 3.0);
    }

    #[test]
    fn normals_point_up_the_slope_they_stand_on() {
        let terrain = Terrain::new(1, 4.0, vec![0.0, 4.0, 0.0, 4.0]);
        let normal = terrain.normal(1.0, 1.0);
        let expect = DVec3::new(-1.0, 1.0, 0.0).normalize();
        assert!((normal - expect).length() < 1e-12, "{normal}");
        assert_eq!(terrain.cell_normals(0, 0)[0], normal);
    }

    #[test]
    fn a_falling_point_meets_the_triangle_it_is_over() {
        let terrain = pyramid();
        let hit = terrain
            .cross(
                (0, 0),
                DVec3::new(3.0, 10.0, 1.0),
                DVec3::NEG_Y,
                (0.0, 100.0),
                0.0,
            )
            .expect("it falls from above");
        assert!((hit.t - (10.0 - terrain.height(3.0, 1.0))).abs() < 1e-12);
        assert_eq!(hit.normal, terrain.normal(3.0, 1.0));
    }
}
