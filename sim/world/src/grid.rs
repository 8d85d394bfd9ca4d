//! Walking along a line through the cells of a square grid (Amanatides and Woo, "A Fast Voxel
//! Traversal Algorithm for Ray Tracing", 1987).

use glam::DVec3;

/// The cells of a grid over `[0, cells·cell]²` (x and z) that the line `origin + d·t` passes for t
/// in `[0, t_max]`, in order, each with its part of the line. Always ends: each step moves one cell
/// further along the line's direction.
pub(crate) struct CellWalk {
    axes: [Axis; 2],
    t: f64,
    t_end: f64,
    done: bool,
}

/// One of the two axes of a walk.
struct Axis {
    origin: f64,
    /// 1 / displacement; unused where the displacement is 0.
    inverse: f64,
    index: i64,
    /// -1, 0 or 1.
    step: i64,
    cells: i64,
    cell: f64,
}

/// A cell on the way: its indices on x and z, and the part of the line in it.
pub(crate) type Visit = ((usize, usize), (f64, f64));

impl CellWalk {
    /// A walk; empty if the line does not touch the grid. `origin`, `d` and `t_max` must be finite.
    pub(crate) fn new(cells: usize, cell: f64, origin: DVec3, d: DVec3, t_max: f64) -> CellWalk {
        let size = cells as f64 * cell;
        let (mut t, mut t_end, mut done) = (0f64, t_max, false);
        for (origin, d) in [(origin.x, d.x), (origin.z, d.z)] {
            if d == 0.0 {
                done |= !(0.0..=size).contains(&origin);
            } else {
                let (low, high) = ((0.0 - origin) / d, (size - origin) / d);
                t = t.max(low.min(high));
                t_end = t_end.min(low.max(high));
            }
        }
        done |= t > t_end;
        let axis = |origin: f64, d: f64| Axis {
            origin,
            inverse: 1.0 / d,
            index: (((origin + d * t) / cell) as i64).clamp(0, cells as i64 - 1),
            step: if d == 0.0 { 0 } else { d.signum() as i64 },
            cells: cells as i64,
            cell,
        };
        CellWalk {
            axes: [axis(origin.x, d.x), axis(origin.z, d.z)],
            t,
            t_end,
            done,
        }
    }
}

impl Iterator for CellWalk {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        if self.done {
            return None;
        }
        let cell = (self.axes[0].index as usize, self.axes[1].index as usize);
        let borders = [self.axes[0].border(), self.axes[1].border()];
        let nearer = usize::from(borders[1] < borders[0]);
        // A line that starts on a border may find it a rounding error behind itself.
        let t1 = borders[nearer].min(self.t_end).max(self.t);
        let part = (self.t, t1);
        self.t = t1;
        self.done = borders[nearer] >= self.t_end || !self.axes[nearer].advance();
        Some((cell, part))
    }
}

impl Axis {
    /// Where the line leaves the present cell on this axis.
    fn border(&self) -> f64 {
        if self.step == 0 {
            return f64::INFINITY;
        }
        let border = (self.index + i64::from(self.step > 0)) as f64 * self.cell;
        (border - self.origin) * self.inverse
    }

    /// To the next cell; false if there is none.
    fn advance(&mut self) -> bool {
        self.index += self.step;
        (0..self.cells).contains(&self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(origin: [f64; 2], d: [f64; 2], t_max: f64) -> Vec<Visit> {
        let vec = |[x, z]: [f64; 2]| DVec3::new(x, 0.0, z);
        CellWalk::new(4, 2.0, vec(origin), vec(d), t_max).collect()
    }

    #[test]
    fn a_straight_line_passes_its_row() {
        assert_eq!(
            cells([-1.0, 3.0], [1.0, 0.0], 6.0),
            [
                ((0, 1), (1.0, 3.0)),
                ((1, 1), (3.0, 5.0)),
                ((2, 1), (5.0, 6.0))
            ]
        );
    }

    #[test]
    fn a_line_beside_the_grid_passes_nothing() {
        assert!(cells([-1.0, -1.0], [0.0, 1.0], 100.0).is_empty());
        assert!(cells([9.0, 1.0], [1.0, 0.0], 100.0).is_empty());
        assert!(cells([-9.0, 1.0], [1.0, 0.0], 8.0).is_empty());
    }

    #[test]
    fn a_plumb_line_stays_in_its_cell() {
        assert_eq!(cells([3.0, 7.0], [0.0, 0.0], 50.0), [((1, 3), (0.0, 50.0))]);
    }

    proptest! {
        #[test]
        fn parts_are_contiguous_and_lie_in_their_cells(
            x in -3.0..11.0, z in -3.0..11.0, dx in -1.0..1.0, dz in -1.0..1.0, t_max in 0.0..40.0,
        ) {
            let visits = cells([x, z], [dx, dz], t_max);
            for pair in visits.windows(2) {
                prop_assert_eq!(pair[0].1.1, pair[1].1.0);
                let steps = pair[0].0.0.abs_diff(pair[1].0.0) + pair[0].0.1.abs_diff(pair[1].0.1);
                prop_assert_eq!(steps, 1);
            }
            for ((ix, iz), (t0, t1)) in visits {
                prop_assert!(t0 <= t1);
                let middle = (t0 + t1) / 2.0;
                for (index, at) in [(ix, x + dx * middle), (iz, z + dz * middle)] {
                    let low = index as f64 * 2.0;
                    prop_assert!((low - 1e-9..=low + 2.0 + 1e-9).contains(&at), "{at} is not in cell {index}");
                }
            }
        }
    }
}
