//! All that is solid: terrain and boxes, with the boxes sorted into the terrain's cells.

use glam::{DVec2, DVec3};

use crate::boxes::Solid;
use crate::terrain::Terrain;

/// What rays and characters meet.
#[derive(Debug)]
pub(crate) struct Geometry {
    terrain: Terrain,
    boxes: Vec<Solid>,
    /// The boxes of cell c are `cell_boxes[cell_ends[c - 1]..cell_ends[c]]`, ascending.
    cell_ends: Vec<u32>,
    /// Indices into `boxes`; a box is listed in every cell that its footprint touches.
    cell_boxes: Vec<u32>,
    /// The highest point of each cell, terrain or box: what passes above meets nothing there.
    cell_tops: Vec<f64>,
}

impl Geometry {
    pub(crate) fn new(terrain: Terrain, boxes: Vec<Solid>) -> Geometry {
        let cells = terrain.cells();
        let mut cell_tops = Vec::with_capacity(cells * cells);
        for iz in 0..cells {
            cell_tops.extend((0..cells).map(|ix| terrain.cell_top(ix, iz)));
        }
        let mut cell_ends = vec![0u32; cells * cells];
        for solid in &boxes {
            let (low, high) = solid.footprint();
            for cell in cells_of(&terrain, low, high) {
                cell_ends[cell] += 1;
                cell_tops[cell] = cell_tops[cell].max(solid.top());
            }
        }
        let mut total = 0;
        for end in &mut cell_ends {
            total += *end;
            *end = total - *end;
        }
        // Each cell's end starts at its beginning and is moved up by each box that is written
        // there.
        let mut cell_boxes = vec![0; total as usize];
        for (index, solid) in (0u32..).zip(&boxes) {
            let (low, high) = solid.footprint();
            for cell in cells_of(&terrain, low, high) {
                cell_boxes[cell_ends[cell] as usize] = index;
                cell_ends[cell] += 1;
            }
        }
        Geometry {
            terrain,
            boxes,
            cell_ends,
            cell_boxes,
            cell_tops,
        }
    }

    pub(crate) fn terrain(&self) -> &Terrain {
        &self.terrain
    }

    pub(crate) fn boxes(&self) -> &[Solid] {
        &self.boxes
    }

    /// The highest point of a cell of the terrain, boxes included.
    pub(crate) fn cell_top(&self, (ix, iz): (usize, usize)) -> f64 {
        self.cell_tops[iz * self.terrain.cells() + ix]
    }

    /// The boxes whose footprint touches a cell of the terrain.
    pub(crate) fn boxes_in_cell(&self, (ix, iz): (usize, usize)) -> impl Iterator<Item = &Solid> {
        self.listed(iz * self.terrain.cells() + ix)
    }

    /// The boxes near a rectangle (x and z); some may come twice, some may not touch it.
    pub(crate) fn boxes_near(&self, low: DVec2, high: DVec2) -> impl Iterator<Item = &Solid> {
        cells_of(&self.terrain, low, high).flat_map(|cell| self.listed(cell))
    }

    /// Whether an upright cylinder overlaps a box. One that only touches does not.
    pub(crate) fn overlaps_box(&self, feet: DVec3, radius: f64, height: f64) -> bool {
        let (low, high) = (
            DVec2::new(feet.x, feet.z) - radius,
            DVec2::new(feet.x, feet.z) + radius,
        );
        self.boxes_near(low, high)
            .any(|solid| solid.prism(radius, height, 0.0).escape(feet).is_some())
    }

    /// Whether an upright cylinder is on the map, not below the ground and free of boxes.
    pub(crate) fn is_free(&self, feet: DVec3, radius: f64, height: f64) -> bool {
        /// Metres by which the feet may be in the ground, for positions that were rounded on their
        /// way here.
        const SUNK_MAX: f64 = 0.01;
        let inside = radius..=self.terrain.size() - radius;
        inside.contains(&feet.x)
            && inside.contains(&feet.z)
            && feet.y >= self.terrain.height(feet.x, feet.z) - SUNK_MAX
            && !self.overlaps_box(feet, radius, height)
    }

    fn listed(&self, cell: usize) -> impl Iterator<Item = &Solid> {
        let begin = if cell == 0 {
            0
        } else {
            self.cell_ends[cell - 1]
        };
        let listed = &self.cell_boxes[begin as usize..self.cell_ends[cell] as usize];
        listed.iter().map(|&index| &self.boxes[index as usize])
    }
}

/// The terrain's cells that a rectangle touches, row by row.
fn cells_of(terrain: &Terrain, low: DVec2, high: DVec2) -> impl Iterator<Item = usize> + use<> {
    let cells = terrain.cells();
    let (x0, x1) = (terrain.cell_of(low.x), terrain.cell_of(high.x));
    let (z0, z1) = (terrain.cell_of(low.y), terrain.cell_of(high.y));
    (z0..=z1).flat_map(move |iz| (x0..=x1).map(move |ix| iz * cells + ix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::BoxKind;

    #[test]
    fn each_cell_lists_the_boxes_that_touch_it() {
        let terrain = Terrain::new(4, 4.0, vec![0.0; 25]);
        let solid = |x, z, half| {
            Solid::new(
                BoxKind::Rock,
                DVec3::new(x, 1.0, z),
                DVec3::splat(half),
                0.0,
            )
        };
        let geometry = Geometry::new(
            terrain,
            vec![
                solid(2.0, 2.0, 1.0),
                solid(4.0, 4.0, 1.0),
                solid(13.0, 14.0, 0.5),
            ],
        );
        let tops = |x, z| -> Vec<f64> { geometry.boxes_in_cell((x, z)).map(Solid::top).collect() };
        assert_eq!(tops(0, 0), [2.0, 2.0]);
        assert_eq!(tops(1, 1), [2.0]);
        assert_eq!(tops(3, 3), [1.5]);
        assert!(tops(2, 2).is_empty());
        assert_eq!(
            (geometry.cell_top((3, 3)), geometry.cell_top((2, 2))),
            (1.5, 0.0)
        );
    }

    #[test]
    fn free_means_on_the_map_above_the_ground_and_off_the_boxes() {
        let terrain = Terrain::new(4, 4.0, vec![1.0; 25]);
        let roof = Solid::new(
            BoxKind::Roof,
            DVec3::new(8.0, 4.0, 8.0),
            DVec3::new(2.0, 0.5, 2.0),
            0.0,
        );
        let geometry = Geometry::new(terrain, vec![roof]);
        let free = |x, y, z| geometry.is_free(DVec3::new(x, y, z), 0.4, 1.8);
        assert!(free(4.0, 1.0, 4.0));
        assert!(!free(4.0, 0.9, 4.0), "in the ground");
        assert!(!free(0.3, 1.0, 4.0), "over the border");
        assert!(free(8.0, 1.0, 8.0), "under the roof");
        assert!(free(8.0, 4.5, 8.0), "on the roof");
        assert!(!free(8.0, 2.0, 8.0), "the head in the roof");
        assert!(!free(f64::NAN, 1.0, 4.0) && !free(4.0, f64::NAN, 4.0));
    }
}
