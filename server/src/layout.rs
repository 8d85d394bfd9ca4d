//! How a match's map is cut into zones, as a user says it: a number, columns × rows, or borders.

use std::fmt;
use std::str::FromStr;

use tessera_sim::{Grid, GridError, ZONES_MAX};
use thiserror::Error;

/// The zones as configured, before the size of the map is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// Equal rectangles.
    Even {
        /// Zones along x.
        columns: usize,
        /// Zones along z.
        rows: usize,
    },
    /// Inner borders in metres, each list ascending. An empty list is one column or one row.
    Cuts {
        /// Borders along x.
        x: Vec<f64>,
        /// Borders along z.
        z: Vec<f64>,
    },
}

/// What a user gave is no layout.
#[derive(Debug, Error, PartialEq)]
pub enum LayoutError {
    /// A number of zones outside the permitted range.
    #[error("{0} zones are not possible: give 1 to {ZONES_MAX}")]
    Count(usize),
    /// Not of the form `COLUMNSxROWS`.
    #[error("`{0}` is no grid: write columns x rows, like `2x2`")]
    Grid(String),
    /// Borders that are none.
    #[error(transparent)]
    Borders(#[from] GridError),
    /// A border that is not on the map.
    #[error(
        "a border at {cut} m along {axis} (--cuts-{axis}) is not on the map: that goes from 0 to {size} m"
    )]
    Outside {
        /// `x` or `z`.
        axis: char,
        /// The border.
        cut: f64,
        /// How wide the map is.
        size: f64,
    },
}

impl Layout {
    /// The grid of `zones` equal rectangles that is nearest to a square, wider than deep: 2 is 2 × 1,
    /// 4 is 2 × 2, 6 is 3 × 2.
    ///
    /// # Errors
    /// Zero, or more than [`ZONES_MAX`].
    pub fn of_count(zones: usize) -> Result<Layout, LayoutError> {
        if !(1..=ZONES_MAX).contains(&zones) {
            return Err(LayoutError::Count(zones));
        }
        let rows = (1..=zones)
            .take_while(|rows| rows * rows <= zones)
            .filter(|rows| zones.is_multiple_of(*rows))
            .last()
            .expect("one row divides everything");
        Ok(Layout::Even {
            columns: zones / rows,
            rows,
        })
    }

    /// The grid over a square map `size` metres wide.
    ///
    /// # Errors
    /// Borders that do not ascend or are not on the map, or too many zones.
    pub fn grid(&self, size: f64) -> Result<Grid, LayoutError> {
        let (x, z) = match self {
            Layout::Even { columns, rows } => return Ok(Grid::even(*columns, *rows, size)?),
            Layout::Cuts { x, z } => (x, z),
        };
        let grid = Grid::new(x.clone(), z.clone())?;
        for (axis, cuts) in [('x', x), ('z', z)] {
            if let Some(&cut) = cuts.iter().find(|cut| !(0.0 < **cut && **cut < size)) {
                return Err(LayoutError::Outside { axis, cut, size });
            }
        }
        Ok(grid)
    }
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Layout, LayoutError> {
        let parsed = text
            .split_once(['x', 'X', '×'])
            .and_then(|(c, r)| Some((c.trim().parse().ok()?, r.trim().parse().ok()?)));
        let (columns, rows): (usize, usize) =
            parsed.ok_or_else(|| LayoutError::Grid(text.to_owned()))?;
        match columns.saturating_mul(rows) {
            1..=ZONES_MAX => Ok(Layout::Even { columns, rows }),
            zones => Err(LayoutError::Count(zones)),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Even { columns, rows } => write!(f, "{columns}x{rows}"),
            Layout::Cuts { x, z } => write!(f, "cut at x {x:?}, z {z:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zones: usize, columns: usize, rows: usize) {
        assert_eq!(Layout::of_count(zones), Ok(Layout::Even { columns, rows }));
    }

    #[test]
    fn counts_become_grids_near_a_square() {
        check(1, 1, 1);
        check(2, 2, 1);
        check(4, 2, 2);
        check(6, 3, 2);
        check(7, 7, 1);
        check(9, 3, 3);
        check(16, 4, 4);
        check(64, 8, 8);
        assert_eq!(Layout::of_count(0), Err(LayoutError::Count(0)));
        assert_eq!(Layout::of_count(65), Err(LayoutError::Count(65)));
    }

    #[test]
    fn borders_lie_on_the_map() {
        let grid = |x: &[f64], z: &[f64]| {
            let (x, z) = (x.to_vec(), z.to_vec());
            Layout::Cuts { x, z }.grid(1000.0)
        };
        assert_eq!(grid(&[1.0, 999.0], &[]).map(|grid| grid.zones()), Ok(3));
        for (x, z, says) in [
            (
                &[0.0][..],
                &[][..],
                "a border at 0 m along x (--cuts-x) is not on the map",
            ),
            (
                &[500.0, 1000.0],
                &[],
                "at 1000 m along x (--cuts-x) is not on the map: that goes from 0 to 1000 m",
            ),
            (
                &[500.0],
                &[-3.5],
                "a border at -3.5 m along z (--cuts-z) is not on the map",
            ),
            (&[7.0, 5.0], &[], "along x"),
        ] {
            let error = grid(x, z).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn grids_are_read_as_columns_by_rows() {
        assert_eq!(
            "4x2".parse(),
            Ok(Layout::Even {
                columns: 4,
                rows: 2
            })
        );
        assert_eq!("9x9".parse::<Layout>(), Err(LayoutError::Count(81)));
        assert_eq!("0x2".parse::<Layout>(), Err(LayoutError::Count(0)));
        let error = "2by2".parse::<Layout>().unwrap_err();
        assert!(error.to_string().contains("2by2"), "{error}");
    }
}
