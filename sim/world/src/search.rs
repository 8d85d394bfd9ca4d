//! A* over the navigation grid. Deterministic: costs are integers, and equal candidates are taken
//! by their cell's number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Cost of a step along an axis and of a diagonal one: 99/70 is √2 to 5e-5.
const STRAIGHT: u32 = 70;
const DIAGONAL: u32 = 99;

/// The estimate of the way left counts 3/2: far fewer cells are looked at on the way round an
/// obstacle. Paths could be that much longer than the shortest; on the island, over 100 m, they are
/// 1 % longer than with 9/8, and 4096 cells are too few for 0.2 % of them rather than for 8 %.
const GREED: (u32, u32) = (3, 2);

/// Cells along a side of a page.
const PAGE: usize = 16;

/// The eight neighbours of a cell as (x, z), in turn: k and (k + 4) % 8 are opposite, odd ones
/// diagonal.
pub(crate) const NEIGHBOURS: [(i32, i32); 8] = [
    (1, 0),
    (1, 1),
    (0, 1),
    (-1, 1),
    (-1, 0),
    (-1, -1),
    (0, -1),
    (1, -1),
];

/// The memory of a search, kept for the next one.
///
/// What is known of a cell lives in pages of 16 × 16 cells that are taken into use as the search
/// reaches them: a search costs what it looks at, not what the map holds.
#[derive(Default)]
pub(crate) struct Search {
    open: BinaryHeap<Reverse<Candidate>>,
    /// For each page of the map: 1 + its index in `pages`, or 0 while untouched.
    table: Vec<u32>,
    /// The entries of `table` in use.
    touched: Vec<u32>,
    pages: Vec<[Known; PAGE * PAGE]>,
    pages_per_row: usize,
    trail: Vec<u32>,
}

/// What is known of a cell.
#[derive(Clone, Copy)]
struct Known {
    /// The cheapest way found from the start.
    cost: u32,
    /// The neighbour it came from, as an index in `NEIGHBOURS`.
    from: u8,
}

/// A cell to look at. The derived order is the order in which they are taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Cost so far plus the estimate.
    total: u32,
    /// The estimate alone: of equal totals the one nearer to the goal goes first.
    estimate: u32,
    cell: u32,
}

const UNKNOWN: Known = Known {
    cost: u32::MAX,
    from: u8::MAX,
};

impl Search {
    /// The cells from `start` to `goal`, both included, on a square grid with `cells` cells along
    /// each side; `None` if the goal was not among the first `nodes_max` cells looked at. `edges`
    /// says where one can go from a cell: bit k is set for neighbour k, and never leads out of the
    /// grid.
    pub(crate) fn run(
        &mut self,
        cells: usize,
        edges: impl Fn(u32) -> u8,
        (start, goal): (u32, u32),
        nodes_max: usize,
    ) -> Option<&[u32]> {
        self.reset(cells);
        let width = cells as u32;
        let estimate = |cell: u32| {
            let (dx, dz) = (
                (cell % width).abs_diff(goal % width),
                (cell / width).abs_diff(goal / width),
            );
            (dx.min(dz) * DIAGONAL + dx.abs_diff(dz) * STRAIGHT) * GREED.0 / GREED.1
        };
        self.known(cells, start).cost = 0;
        self.open.push(Reverse(Candidate {
            total: estimate(start),
            estimate: estimate(start),
            cell: start,
        }));
        let mut nodes = 0;
        while let Some(Reverse(Candidate {
            total,
            estimate: left,
            cell,
        })) = self.open.pop()
        {
            let cost = total - left;
            if cost > self.known(cells, cell).cost {
                continue;
            }
            if cell == goal {
                return Some(self.retrace(cells, start, goal));
            }
            nodes += 1;
            if nodes > nodes_max {
                return None;
            }
            let ways = edges(cell);
            for (k, &step) in NEIGHBOURS
                .iter()
                .enumerate()
                .filter(|(k, _)| ways & (1 << k) != 0)
            {
                let next = neighbour(cell, width, step);
                let cost = cost + if k % 2 == 0 { STRAIGHT } else { DIAGONAL };
                let known = self.known(cells, next);
                if cost < known.cost {
                    *known = Known {
                        cost,
                        from: ((k + 4) % 8) as u8,
                    };
                    let estimate = estimate(next);
                    self.open.push(Reverse(Candidate {
                        total: cost + estimate,
                        estimate,
                        cell: next,
                    }));
                }
            }
        }
        None
    }

    fn reset(&mut self, cells: usize) {
        self.open.clear();
        for slot in self.touched.drain(..) {
            self.table[slot as usize] = 0;
        }
        self.pages.clear();
        self.pages_per_row = cells.div_ceil(PAGE);
        let pages = self.pages_per_row * self.pages_per_row;
        if self.table.len() < pages {
            self.table.resize(pages, 0);
        }
    }

    fn known(&mut self, cells: usize, cell: u32) -> &mut Known {
        let (x, z) = (cell as usize % cells, cell as usize / cells);
        let slot = z / PAGE * self.pages_per_row + x / PAGE;
        if self.table[slot] == 0 {
            self.pages.push([UNKNOWN; PAGE * PAGE]);
            self.table[slot] = self.pages.len() as u32;
            self.touched.push(slot as u32);
        }
        &mut self.pages[self.table[slot] as usize - 1][z % PAGE * PAGE + x % PAGE]
    }

    fn retrace(&mut self, cells: usize, start: u32, goal: u32) -> &[u32] {
        self.trail.clear();
        let mut cell = goal;
        while cell != start {
            self.trail.push(cell);
            let from = self.known(cells, cell).from;
            cell = neighbour(cell, cells as u32, NEIGHBOURS[usize::from(from)]);
        }
        self.trail.push(start);
        self.trail.reverse();
        &self.trail
    }
}

/// The cell one step on. The step must not lead out of the grid.
pub(crate) fn neighbour(cell: u32, width: u32, (dx, dz): (i32, i32)) -> u32 {
    cell.wrapping_add_signed(dx + dz * width as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches in a drawing: `#` is a wall, `S` the start, `G` the goal. Gives the cells on the
    /// way.
    fn search(drawing: &[&str], nodes_max: usize) -> Option<Vec<u32>> {
        let width = drawing.len();
        let cell_of = |wanted: u8| {
            drawing
                .iter()
                .flat_map(|row| row.bytes())
                .position(|c| c == wanted)
                .expect("it is in the drawing") as u32
        };
        let free = |x: i32, z: i32| {
            let row = usize::try_from(z).ok().and_then(|z| drawing.get(z));
            row.and_then(|row| row.as_bytes().get(usize::try_from(x).ok()?))
                .is_some_and(|&c| c != b'#')
        };
        let edges = |cell: u32| {
            let (x, z) = (
                (cell as usize % width) as i32,
                (cell as usize / width) as i32,
            );
            NEIGHBOURS
                .iter()
                .enumerate()
                .filter(|(_, (dx, dz))| free(x + dx, z + dz))
                .map(|(k, _)| 1 << k)
                .sum()
        };
        let mut search = Search::default();
        search
            .run(width, edges, (cell_of(b'S'), cell_of(b'G')), 1)
            .map(<[u32]>::len);
        // The second run on the same memory must not see the first.
        search
            .run(width, edges, (cell_of(b'S'), cell_of(b'G')), nodes_max)
            .map(<[u32]>::to_vec)
    }

    #[test]
    fn it_goes_straight_where_it_can() {
        assert_eq!(search(&["S..", "...", "..G"], 100), Some(vec![0, 4, 8]));
    }

    #[test]
    fn it_goes_round_a_wall() {
        let found =
            search(&["S.#..", "..#..", "..#.G", "..#..", "....."], 100).expect("there is a way");
        assert_eq!(found, [0, 6, 11, 16, 22, 18, 14]);
    }

    #[test]
    fn it_gives_up_where_there_is_no_way_and_at_its_limit() {
        assert_eq!(search(&["S.#.", "..#.", "..#.", "..#G"], 100), None);
        assert_eq!(
            search(&["S....", "####.", ".....", ".####", "....G"], 5),
            None
        );
        assert!(search(&["S....", "####.", ".....", ".####", "....G"], 25).is_some());
    }
}
