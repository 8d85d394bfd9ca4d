//! Which zone owns a place, and which zones must see it.
//!
//! The partition is a pure function of the position: an entity belongs to the zone that contains
//! its position in `S_t`, and every zone whose rectangle is within the halo radius of that position
//! holds a ghost of it. Nothing else about an entity decides where it runs.

use tessera_protocol::ids::ZoneId;
use thiserror::Error;

/// The most zones a match can be cut into: zone sets are 64-bit masks.
pub const ZONES_MAX: usize = ZoneId::COUNT_MAX;

/// A static grid of zones over the ground plane, given by its inner borders.
///
/// Zones are numbered row by row: zone `row * columns + column`, columns along x, rows along z. The
/// outer zones reach to infinity, so every position has exactly one owner; a border belongs to the
/// zone on its greater side.
///
/// # Invariants
/// Cuts are finite and strictly ascending, and there are at most [`ZONES_MAX`] zones.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    cuts_x: Vec<f64>,
    cuts_z: Vec<f64>,
}

/// Why a list of borders is no grid.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum GridError {
    /// Cuts must be finite and strictly ascending.
    #[error(
        "the borders along {axis} must be finite and strictly ascending metres, got {cuts:?}: list them from low to high, each once"
    )]
    Cuts {
        /// `x` or `z`.
        axis: char,
        /// The list as given.
        cuts: Vec<f64>,
    },
    /// More zones than a mask has bits.
    #[error("{zones} zones are more than the {ZONES_MAX} that a match can have: use fewer borders")]
    TooMany {
        /// How many zones the cuts would make.
        zones: usize,
    },
}

impl Grid {
    /// A grid cut at the given metres along x and along z.
    ///
    /// # Errors
    /// Cuts that are not finite and ascending, or more than [`ZONES_MAX`] zones.
    pub fn new(cuts_x: Vec<f64>, cuts_z: Vec<f64>) -> Result<Grid, GridError> {
        for (axis, cuts) in [('x', &cuts_x), ('z', &cuts_z)] {
            let ascending = cuts.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || cuts.iter().any(|cut| !cut.is_finite()) {
                return Err(GridError::Cuts {
                    axis,
                    cuts: cuts.clone(),
                });
            }
        }
        let zones = (cuts_x.len() + 1) * (cuts_z.len() + 1);
        if zones > ZONES_MAX {
            return Err(GridError::TooMany { zones });
        }
        Ok(Grid { cuts_x, cuts_z })
    }

    /// `columns` × `rows` zones of equal size over a square map `size` metres wide.
    ///
    /// # Errors
    /// More than [`ZONES_MAX`] zones, or none.
    pub fn even(columns: usize, rows: usize, size: f64) -> Result<Grid, GridError> {
        if columns == 0 || rows == 0 || columns.saturating_mul(rows) > ZONES_MAX {
            return Err(GridError::TooMany {
                zones: columns.saturating_mul(rows),
            });
        }
        let cuts = |parts: usize| {
            (1..parts)
                .map(|k| size * k as f64 / parts as f64)
                .collect::<Vec<_>>()
        };
        Grid::new(cuts(columns), cuts(rows))
    }

    /// How many zones there are.
    pub fn zones(&self) -> usize {
        (self.cuts_x.len() + 1) * (self.cuts_z.len() + 1)
    }

    /// Columns along x and rows along z.
    pub fn shape(&self) -> (usize, usize) {
        (self.cuts_x.len() + 1, self.cuts_z.len() + 1)
    }

    /// The owner of a position in metres.
    pub fn zone_of(&self, position: [f64; 3]) -> ZoneId {
        let column = cell_of(&self.cuts_x, position[0]);
        let row = cell_of(&self.cuts_z, position[2]);
        ZoneId((row * (self.cuts_x.len() + 1) + column) as u8)
    }

    /// The zones, as a bit mask, whose rectangle is within `halo` metres of a position along both
    /// axes. The owner is always among them. (The square around a point covers the circle.)
    pub fn zones_within(&self, position: [f64; 3], halo: f64) -> u64 {
        let columns = self.cuts_x.len() + 1;
        let (x_first, x_last) = cells_within(&self.cuts_x, position[0], halo);
        let (z_first, z_last) = cells_within(&self.cuts_z, position[2], halo);
        let across = (u64::MAX >> (63 - (x_last - x_first))) << x_first;
        (z_first..=z_last).fold(0, |mask, row| mask | across << (row * columns))
    }
}

/// The index of the interval between cuts that holds `at`.
fn cell_of(cuts: &[f64], at: f64) -> usize {
    cuts.iter().take_while(|cut| at >= **cut).count()
}

/// First and last interval within `halo` of `at`.
fn cells_within(cuts: &[f64], at: f64, halo: f64) -> (usize, usize) {
    (cell_of(cuts, at - halo), cell_of(cuts, at + halo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute_force(grid: &Grid, position: [f64; 3], halo: f64) -> u64 {
        let edges = |cuts: &[f64]| {
            let mut edges = vec![f64::NEG_INFINITY];
            edges.extend_from_slice(cuts);
            edges.push(f64::INFINITY);
            edges
        };
        let (xs, zs) = (edges(&grid.cuts_x), edges(&grid.cuts_z));
        let mut mask = 0;
        for row in 0..zs.len() - 1 {
            for column in 0..xs.len() - 1 {
                let near = |low: f64, high: f64, at: f64| at + halo >= low && at - halo < high;
                if near(xs[column], xs[column + 1], position[0])
                    && near(zs[row], zs[row + 1], position[2])
                {
                    mask |= 1 << (row * (xs.len() - 1) + column);
                }
            }
        }
        mask
    }

    proptest! {
        #[test]
        fn halo_masks_equal_brute_force(
            columns in 1usize..=8, rows in 1usize..=8,
            x in -200.0f64..1200.0, z in -200.0f64..1200.0, halo in 0.0f64..300.0,
        ) {
            let grid = Grid::even(columns, rows, 1000.0).unwrap();
            let position = [x, 7.0, z];
            let mask = grid.zones_within(position, halo);
            prop_assert_eq!(mask, brute_force(&grid, position, halo));
            prop_assert!(mask & 1 << grid.zone_of(position).0 != 0);
        }
    }

    #[test]
    fn a_border_belongs_to_its_greater_side() {
        let grid = Grid::even(2, 2, 1000.0).unwrap();
        assert_eq!(grid.zone_of([499.9, 0.0, 0.0]), ZoneId(0));
        assert_eq!(grid.zone_of([500.0, 0.0, 0.0]), ZoneId(1));
        assert_eq!(grid.zone_of([0.0, 0.0, 500.0]), ZoneId(2));
    }

    #[test]
    fn bad_borders_are_refused_with_the_axis() {
        let error = Grid::new(vec![], vec![5.0, 5.0]).unwrap_err();
        assert!(error.to_string().contains("along z"), "{error}");
        assert!(Grid::new(vec![f64::NAN], vec![]).is_err());
        assert!(Grid::even(9, 8, 1000.0).is_err());
    }
}
