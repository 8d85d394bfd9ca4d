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

/// A cell by its place in the grid.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    z: u16,
    x: u16,
}

/// A cell to look at, as one number, so that the heap compares fast: the cost so far plus the estimate,
/// the estimate alone (of equal totals the one nearer to the goal goes first), and the place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate(u128);

impl Candidate {
    fn new(cost: u32, estimate: u32, Place { z, x }: Place) -> Self {
        let place = u32::from(z) << 16 | u32::from(x);
        let low = u64::from(estimate) << 32 | u64::from(place);
        Self(u128::from(cost + estimate) << 64 | u128::from(low))
    }

    fn cost(self) -> u32 {
        (self.0 >> 64) as u32 - (self.0 >> 32) as u32
    }

    fn place(self) -> Place {
        Place {
            z: (self.0 >> 16) as u16,
            x: self.0 as u16,
        }
    }
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
        let width = u16::try_from(cells).expect("a grid has fewer than 65,536 cells along a side");
        let (start, goal) = (Place::of(start, width), Place::of(goal, width));
        self.known(start).cost = 0;
        let candidate = |cost, at| Reverse(Candidate::new(cost, estimate(at, goal), at));
        self.open.push(candidate(0, start));
        let mut nodes = 0;
        while let Some(Reverse(best)) = self.open.pop() {
            let (cost, at) = (best.cost(), best.place());
            if cost > self.known(at).cost {
                continue;
            }
            if at == goal {
                return Some(self.retrace(width, start, goal));
            }
            nodes += 1;
            if nodes > nodes_max {
                return None;
            }
            let ways = edges(at.cell(width));
            for (k, &step) in NEIGHBOURS
                .iter()
                .enumerate()
                .filter(|(k, _)| ways & (1 << k) != 0)
            {
                let next = at.step(step);
                let cost = cost + if k % 2 == 0 { STRAIGHT } else { DIAGONAL };
                let known = self.known(next);
                if cost < known.cost {
                    *known = Known {
                        cost,
                        from: ((k + 4) % 8) as u8,
                    };
                    self.open.push(candidate(cost, next));
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

    fn known(&mut self, Place { z, x }: Place) -> &mut Known {
        let (x, z) = (usize::from(x), usize::from(z));
        let slot = z / PAGE * self.pages_per_row + x / PAGE;
        if self.table[slot] == 0 {
            self.pages.push([UNKNOWN; PAGE * PAGE]);
            self.table[slot] = self.pages.len() as u32;
            self.touched.push(slot as u32);
        }
        &mut self.pages[self.table[slot] as usize - 1][z % PAGE * PAGE + x % PAGE]
    }

    fn retrace(&mut self, width: u16, start: Place, goal: Place) -> &[u32] {
        self.trail.clear();
        let mut at = goal;
        while at != start {
            self.trail.push(at.cell(width));
            let from = self.known(at).from;
            at = at.step(NEIGHBOURS[usize::from(from)]);
        }
        self.trail.push(start.cell(width));
        self.trail.reverse();
        &self.trail
    }
}

impl Place {
    fn of(cell: u32, width: u16) -> Self {
        let width = u32::from(width);
        Self {
            z: (cell / width) as u16,
            x: (cell % width) as u16,
        }
    }

    fn cell(self, width: u16) -> u32 {
        u32::from(self.z) * u32::from(width) + u32::from(self.x)
    }

    /// The place one step on. The step must not lead out of the grid.
    fn step(self, (dx, dz): (i32, i32)) -> Self {
        Self {
            z: self.z.wrapping_add_signed(dz as i16),
            x: self.x.wrapping_add_signed(dx as i16),
        }
    }
}

/// What the way is thought to cost at least, and half as much more.
fn estimate(from: Place, to: Place) -> u32 {
    let dx = u32::from(from.x.abs_diff(to.x));
    let dz = u32::from(from.z.abs_diff(to.z));
    (dx.min(dz) * DIAGONAL + dx.abs_diff(dz) * STRAIGHT) * GREED.0 / GREED.1
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
