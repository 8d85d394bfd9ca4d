//! Who is near whom: a grid over the ground plane, filled anew each tick.

use super::slots::SlotSet;

/// Side of a cell, metres.
const CELL_M: f32 = 64.0;

/// The entities by cells. All clients in one cell look through the same set, which is put together when
/// the first of them asks.
#[derive(Debug, Default)]
pub(super) struct InterestGrid {
    /// Farthest that anybody looks, metres.
    reach_m: f32,
    /// Entities that are in everyone's sight.
    anywhere: SlotSet,
    /// Entities as (cell, slot); sorted when the first client looks.
    placed: Vec<(Cell, u32)>,
    is_sorted: bool,
    /// What was put together in this tick: a set for each of these cells, and spare ones.
    cells: Vec<Cell>,
    sets: Vec<SlotSet>,
}

/// Column and row of a cell; the row first, so that a row of cells is a run of the sorted entities.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Cell {
    row: i32,
    column: i32,
}

impl Cell {
    fn of(position: [f32; 3]) -> Self {
        let index = |axis: f32| (axis / CELL_M).floor() as i32;
        Self {
            row: index(position[2]),
            column: index(position[0]),
        }
    }
}

impl InterestGrid {
    /// A grid for clients that look at most `reach_m` metres far.
    pub(super) fn new(reach_m: f32) -> Self {
        Self {
            reach_m,
            ..Self::default()
        }
    }

    /// Forgets all entities.
    pub(super) fn clear(&mut self) {
        self.anywhere.clear();
        self.placed.clear();
        self.is_sorted = false;
        self.cells.clear();
    }

    /// Puts an entity where it is, or before everyone's eyes.
    pub(super) fn insert(&mut self, slot: u32, position: [f32; 3], anywhere: bool) {
        match anywhere {
            true => self.anywhere.insert(slot),
            false => self.placed.push((Cell::of(position), slot)),
        }
    }

    /// All entities that may be in sight from a place: those within the reach are among them.
    /// From nowhere, those that are in everyone's sight.
    pub(super) fn around(&mut self, viewpoint: Option<[f32; 3]>) -> &SlotSet {
        let Some(viewpoint) = viewpoint else {
            return &self.anywhere;
        };
        let centre = Cell::of(viewpoint);
        let known = self.cells.iter().position(|cell| *cell == centre);
        let at = known.unwrap_or_else(|| self.put_together(centre));
        &self.sets[at]
    }

    fn put_together(&mut self, centre: Cell) -> usize {
        if !self.is_sorted {
            self.placed.sort_unstable();
            self.is_sorted = true;
        }
        let at = self.cells.len();
        self.cells.push(centre);
        if at == self.sets.len() {
            self.sets.push(SlotSet::default());
        }
        let near = &mut self.sets[at];
        near.clone_from(&self.anywhere);
        // Cells are small beside any map, so this many of them are no large number.
        let cells = (self.reach_m / CELL_M).ceil().min(1e6) as i32;
        let first = self
            .placed
            .partition_point(|(cell, _)| cell.row < centre.row.saturating_sub(cells));
        let rows = self.placed[first..].chunk_by(|a, b| a.0.row == b.0.row);
        for row in rows.take_while(|row| row[0].0.row <= centre.row.saturating_add(cells)) {
            let west = centre.column.saturating_sub(cells);
            let east = centre.column.saturating_add(cells);
            let from = row.partition_point(|(cell, _)| cell.column < west);
            let to = row.partition_point(|(cell, _)| cell.column <= east);
            near.extend(row[from..to].iter().map(|(_, slot)| *slot));
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slots(set: &SlotSet) -> Vec<u32> {
        set.iter().collect()
    }

    proptest! {
        #[test]
        fn whoever_is_within_reach_is_found(
            places in prop::collection::vec((-300.0..1300.0_f32, -300.0..1300.0_f32), 0..60),
            (x, z) in (-300.0..1300.0_f32, -300.0..1300.0_f32), reach in 1.0..500.0_f32,
        ) {
            let mut grid = InterestGrid::new(reach);
            grid.insert(900, [0.0; 3], true);
            for (&(x, z), slot) in places.iter().zip(0..) {
                grid.insert(slot, [x, 0.0, z], false);
            }
            let found = slots(grid.around(Some([x, 50.0, z])));
            prop_assert_eq!(slots(grid.around(Some([x, 9.0, z]))), found.clone());
            for (&(px, pz), slot) in places.iter().zip(0..) {
                if (px - x).hypot(pz - z) <= reach {
                    prop_assert!(found.contains(&slot));
                }
            }
            prop_assert!(found.contains(&900));
            prop_assert_eq!(slots(grid.around(None)), [900]);
        }
    }
}
