//! Who is near: a uniform grid over the zone's own entities and ghosts at the tick's start.
//!
//! Built when a tick's first query asks; a counting sort over at most [`SIDE_MAX`]² cells, in buffers
//! that are kept.

use glam::DVec3;
use pyo3_ffi::*;
use tessera_protocol::ids::{EntityId, KindId};

use crate::context::Context;
use crate::kinds::Kinds;
use crate::population::{Population, position};
use crate::py::{Owned, PyResult};

/// Most cells along a side.
const SIDE_MAX: usize = 64;
/// Least side of a cell, metres.
const CELL_MIN: f64 = 16.0;

/// Where an entity is; entries are in ascending order of id.
#[derive(Clone, Copy)]
struct Entry {
    position: DVec3,
    id: EntityId,
    kind: KindId,
    row: u32,
    own: bool,
}

/// Who is asked for.
pub(crate) struct Query {
    /// Metres.
    pub(crate) center: DVec3,
    /// Metres, at least 0.
    pub(crate) radius: f64,
    /// Bit k set where kind k counts.
    pub(crate) family: u64,
    /// Who doesn't.
    pub(crate) except: EntityId,
}

/// The grid of one tick.
#[derive(Default)]
pub(crate) struct Grid {
    built: bool,
    entries: Vec<Entry>,
    /// The lowest corner, metres.
    corner: [f64; 2],
    /// Side of a cell, metres.
    cell: f64,
    /// Cells along x and z.
    sides: [usize; 2],
    /// Where each cell's entries end in `sorted`; one more in front.
    ends: Vec<u32>,
    /// Indices of entries by cell, ascending in each.
    sorted: Vec<u32>,
    /// Indices that a query found.
    found: Vec<u32>,
}

impl Grid {
    /// Forgets the tick before.
    pub(crate) fn clear(&mut self) {
        self.built = false;
    }

    /// A new list of the views of all entities within `radius` metres of `center` whose kind is in
    /// `family` and that aren't `except`, by ascending id.
    ///
    /// # Errors
    /// Raises where there is no memory.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, in a hook.
    pub(crate) unsafe fn query(
        &mut self,
        context: &Context,
        population: &Population,
        kinds: &Kinds,
        query: &Query,
    ) -> PyResult<Owned> {
        if !self.built {
            self.build(population);
        }
        self.find(query);
        // SAFETY: attached, by the caller; each place of the new list is filled once, and one that an
        // error leaves empty may be.
        unsafe {
            let list = Owned::from_new(PyList_New(self.found.len() as Py_ssize_t))?;
            for (place, &at) in self.found.iter().enumerate() {
                let Entry { kind, row, own, .. } = self.entries[at as usize];
                let row = row as usize;
                let view = if own {
                    population.own_view(kind, row)
                } else {
                    population.ghost_view(context, kinds.info(kind), kind, row)?
                };
                PyList_SET_ITEM(list.as_ptr(), place as Py_ssize_t, Py_NewRef(view));
            }
            Ok(list)
        }
    }

    fn find(&mut self, query: &Query) {
        let Query {
            center,
            radius,
            family,
            except,
        } = *query;
        self.found.clear();
        if self.entries.is_empty() {
            return;
        }
        let [x0, z0] = self.cell_of(center.x - radius, center.z - radius);
        let [x1, z1] = self.cell_of(center.x + radius, center.z + radius);
        for z in z0..=z1 {
            let start = self.ends[z * self.sides[0] + x0] as usize;
            let end = self.ends[z * self.sides[0] + x1 + 1] as usize;
            for &at in &self.sorted[start..end] {
                let entry = &self.entries[at as usize];
                if entry.position.distance_squared(center) <= radius * radius
                    && family & 1 << entry.kind.0 != 0
                    && entry.id != except
                {
                    self.found.push(at);
                }
            }
        }
        self.found.sort_unstable();
    }

    /// The cell of a point, or the nearest one.
    fn cell_of(&self, x: f64, z: f64) -> [usize; 2] {
        let index = |at: f64, axis: usize| {
            let cell = (at - self.corner[axis]) / self.cell;
            (cell.max(0.0) as usize).min(self.sides[axis] - 1)
        };
        [index(x, 0), index(z, 1)]
    }

    fn build(&mut self, population: &Population) {
        self.built = true;
        self.collect(population);
        if self.entries.is_empty() {
            return;
        }
        let (mut low, mut high) = (DVec3::INFINITY, DVec3::NEG_INFINITY);
        for entry in &self.entries {
            low = low.min(entry.position);
            high = high.max(entry.position);
        }
        let extent = (high - low).max(DVec3::ZERO);
        self.corner = [low.x, low.z];
        self.cell = CELL_MIN.max(extent.x.max(extent.z) / SIDE_MAX as f64);
        let side = |length: f64| ((length / self.cell) as usize + 1).min(SIDE_MAX);
        self.sides = [side(extent.x), side(extent.z)];
        self.sort();
    }

    /// Fills `entries` with own entities and ghosts, merged by ascending id.
    fn collect(&mut self, population: &Population) {
        self.entries.clear();
        let mut own_rows = [0; 64];
        let mut ghost_rows = [0; 64];
        let mut ghosts = population.ghost_order.iter().copied().peekable();
        let mut owns = population.order.iter().copied().peekable();
        loop {
            let own = match (owns.peek(), ghosts.peek()) {
                (None, None) => return,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((own, _)), Some((ghost, _))) => own < ghost,
            };
            let (next, rows, tables) = match own {
                true => (owns.next(), &mut own_rows, &population.own),
                false => (ghosts.next(), &mut ghost_rows, &population.ghosts),
            };
            let (id, kind) = next.expect("peeked");
            let row = rows[kind.index()];
            rows[kind.index()] += 1;
            let position = position(&tables[kind.index()], row);
            self.entries.push(Entry {
                position,
                id,
                kind,
                row: row as u32,
                own,
            });
        }
    }

    /// Counting sort of the entries by cell; stable, so that ids ascend in each cell.
    fn sort(&mut self) {
        let cells = self.sides[0] * self.sides[1];
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        ends.resize(cells + 2, 0);
        let cell_of = |grid: &Self, entry: &Entry| {
            let [x, z] = grid.cell_of(entry.position.x, entry.position.z);
            z * grid.sides[0] + x
        };
        // Counts two places on, so that filling turns starts into ends, one place on.
        for entry in &self.entries {
            ends[cell_of(self, entry) + 2] += 1;
        }
        for cell in 2..ends.len() {
            ends[cell] += ends[cell - 1];
        }
        self.sorted.clear();
        self.sorted.resize(self.entries.len(), 0);
        for at in 0..self.entries.len() {
            let end = &mut ends[cell_of(self, &self.entries[at]) + 1];
            self.sorted[*end as usize] = at as u32;
            *end += 1;
        }
        self.ends = ends;
    }
}
