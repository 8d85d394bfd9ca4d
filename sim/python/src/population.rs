//! The entities that a zone knows: its own, with rows and objects, and the ghosts within its halo.

use std::cell::Cell;
use std::ptr::null_mut;

use glam::DVec3;
use pyo3_ffi::{Py_DECREF, Py_REFCNT, PyErr_Clear, PyObject};
use tessera_protocol::columns::{Column, KindTable, RowError, bits};
use tessera_protocol::ids::{EntityId, KindId};
use tessera_protocol::{ValueRef, base};

use crate::clone::Containers;
use crate::context::Context;
use crate::entity;
use crate::graveyard::Graveyard;
use crate::kinds::{KindInfo, Kinds};
use crate::py::{Owned, PyResult, Raised};
use crate::value;

/// The two objects of an own entity.
pub(crate) struct Pair {
    /// What its hooks see and write.
    pub(crate) live: Owned,
    /// What everybody else sees: `S_t`.
    pub(crate) view: Owned,
}

/// A ghost's view, made and brought up to date only when somebody looks.
pub(crate) struct Ghost {
    /// Owned; null until first looked at.
    view: Cell<*mut PyObject>,
    /// Bit f set where field f has changed since the view was last brought up to date.
    stale: Cell<u64>,
}

/// All entities of a zone.
///
/// # Invariants
/// `order` lists the ids of all `own` tables, ascending; `objects[k]` is parallel to `own[k]`. Likewise
/// for ghosts. No id is both own and a ghost. Released (see [`Population::release`]) before its
/// interpreter ends.
#[derive(Default)]
pub(crate) struct Population {
    /// Rows of own entities, by kind.
    pub(crate) own: Vec<KindTable>,
    /// Their objects.
    pub(crate) objects: Vec<Vec<Pair>>,
    /// All own entities, ascending.
    pub(crate) order: Vec<(EntityId, KindId)>,
    /// Rows of ghosts, by kind.
    pub(crate) ghosts: Vec<KindTable>,
    /// Their views.
    views: Vec<Vec<Ghost>>,
    /// All ghosts, ascending.
    pub(crate) ghost_order: Vec<(EntityId, KindId)>,
    /// What entities and ghosts held that are gone, or have changed.
    pub(crate) graveyard: Graveyard,
}

fn find(order: &[(EntityId, KindId)], id: EntityId) -> Result<usize, usize> {
    order.binary_search_by_key(&id, |(id, _)| *id)
}

/// A row's position, metres.
pub(crate) fn position(table: &KindTable, row: usize) -> DVec3 {
    match &table.columns[base::POSITION] {
        Column::Vec3(positions) => positions[row].into(),
        _ => unreachable!("the first field of every kind is its position"),
    }
}

impl Population {
    /// No entities yet, of these kinds.
    pub(crate) fn new(kinds: &Kinds) -> Self {
        let tables = || kinds.table.kinds.iter().map(KindTable::new).collect();
        let count = kinds.infos.len();
        Self {
            own: tables(),
            objects: (0..count).map(|_| Vec::new()).collect(),
            order: Vec::new(),
            ghosts: tables(),
            views: (0..count).map(|_| Vec::new()).collect(),
            ghost_order: Vec::new(),
            graveyard: Graveyard::default(),
        }
    }

    /// Adds an own entity, whose objects are made from its row. A ghost of that id becomes it.
    ///
    /// # Errors
    /// Where the row doesn't fit or the entity is own already; then nothing has changed. An `object`
    /// field whose bytes are damaged counts as truncated.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, outside hooks.
    pub(crate) unsafe fn insert(
        &mut self,
        context: &Context,
        info: &KindInfo,
        kind: KindId,
        id: EntityId,
        row: &[u8],
    ) -> Result<(), RowError> {
        let Err(place) = find(&self.order, id) else {
            return Err(RowError::Duplicate(id));
        };
        let table = &mut self.own[kind.index()];
        let at = table.insert_row(id, row)?;
        // SAFETY: by the caller's promise.
        let (pair, made) = unsafe { make(context, info, table, at) };
        if let Err(damaged) = made {
            table.remove(at);
            self.bury(pair);
            return Err(damaged);
        }
        self.ghost_remove(id);
        self.objects[kind.index()].insert(at, pair);
        self.order.insert(place, (id, kind));
        Ok(())
    }

    /// Gives an own entity a fresh live object, as of its row: the old one is left to whoever keeps it,
    /// and is nobody's any more.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, outside hooks; the row exists.
    pub(crate) unsafe fn renew(
        &mut self,
        context: &Context,
        info: &KindInfo,
        kind: KindId,
        row: usize,
    ) {
        let table = &self.own[kind.index()];
        let pair = &mut self.objects[kind.index()][row];
        // SAFETY: by the caller's promise; the class is the kind's.
        unsafe {
            let live = born(entity::alloc(info.class.as_ptr().cast(), table.ids[row]));
            *entity::mutable(live.as_ptr()) = *entity::mutable(pair.live.as_ptr());
            self.graveyard.bury(std::mem::replace(&mut pair.live, live));
            revert(context, info, pair, table, row, &self.graveyard);
        }
    }

    /// Leaves views that scripts have kept to them, for ever as they are, and shows everybody fresh ones
    /// from now on. What a kept view shows, and whether it is the one that a later query returns, is then
    /// the same for own entities, ghosts and all others.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, after the hooks and before views are brought up to date.
    pub(crate) unsafe fn leave_views(&mut self, kinds: &Kinds) {
        // SAFETY: attached; objects are of their kinds. Nobody's last reference is released.
        unsafe {
            for (info, pairs) in kinds.infos.iter().zip(&mut self.objects) {
                for pair in pairs {
                    if Py_REFCNT(pair.view.as_ptr()) != 1 {
                        pair.view = copy_view(info, &pair.view);
                    }
                }
            }
            for ghost in self.views.iter().flatten() {
                let view = ghost.view.get();
                if !view.is_null() && Py_REFCNT(view) != 1 {
                    ghost.view.set(null_mut());
                    ghost.stale.set(u64::MAX);
                    Py_DECREF(view);
                }
            }
        }
    }

    /// Removes an own entity and returns its kind, row and objects.
    fn take_own(&mut self, id: EntityId) -> Option<(KindId, Vec<u8>, Pair)> {
        let place = find(&self.order, id).ok()?;
        let (_, kind) = self.order.remove(place);
        let table = &mut self.own[kind.index()];
        let at = table
            .row_of(id)
            .expect("`order` lists the ids of the tables");
        let mut row = Vec::new();
        table.write_row(at, &mut row);
        table.remove(at);
        Some((kind, row, self.objects[kind.index()].remove(at)))
    }

    /// Removes an own entity. Unknown ids are ignored.
    pub(crate) fn remove(&mut self, id: EntityId) {
        if let Some((_, _, pair)) = self.take_own(id) {
            self.bury(pair);
        }
    }

    fn bury(&self, pair: Pair) {
        self.graveyard.bury(pair.live);
        self.graveyard.bury(pair.view);
    }

    /// Makes an own entity a ghost that keeps its view. Unknown ids are ignored.
    pub(crate) fn demote(&mut self, id: EntityId) {
        let Some((kind, row, pair)) = self.take_own(id) else {
            return;
        };
        if self.ghost_row(kind, id, &row).is_ok()
            && let Some(ghost) = self.ghost(id)
        {
            ghost.view.set(pair.view.into_ptr());
            ghost.stale.set(0);
            self.graveyard.bury(pair.live);
        } else {
            self.bury(pair);
        }
    }

    /// Adds a ghost, or overwrites all of one.
    ///
    /// # Errors
    /// Where the row doesn't fit its kind: then it is no ghost any more. Where the entity is own.
    pub(crate) fn ghost_row(
        &mut self,
        kind: KindId,
        id: EntityId,
        row: &[u8],
    ) -> Result<(), RowError> {
        if find(&self.order, id).is_ok() {
            return Err(RowError::Duplicate(id));
        }
        let kept = self.take_ghost(id, kind);
        let at = match self.ghosts[kind.index()].insert_row(id, row) {
            Ok(at) => at,
            Err(error) => {
                kept.into_iter().for_each(|view| self.graveyard.bury(view));
                return Err(error);
            }
        };
        let view = kept.map_or(null_mut(), Owned::into_ptr);
        let ghost = Ghost {
            view: Cell::new(view),
            stale: Cell::new(u64::MAX),
        };
        self.views[kind.index()].insert(at, ghost);
        let place = find(&self.ghost_order, id).unwrap_or_else(|place| place);
        self.ghost_order.insert(place, (id, kind));
        Ok(())
    }

    /// Changes fields of a ghost. Unknown ids are ignored.
    ///
    /// # Errors
    /// Where the delta doesn't fit the ghost's kind.
    pub(crate) fn ghost_delta(&mut self, id: EntityId, delta: &[u8]) -> Result<(), RowError> {
        let Ok(place) = find(&self.ghost_order, id) else {
            return Ok(());
        };
        let kind = self.ghost_order[place].1.index();
        let table = &mut self.ghosts[kind];
        let at = table
            .row_of(id)
            .expect("`ghost_order` lists the ids of the tables");
        let mask = table.apply_delta(at, delta)?;
        let stale = &self.views[kind][at].stale;
        stale.set(stale.get() | mask);
        Ok(())
    }

    /// Removes a ghost. Unknown ids are ignored.
    pub(crate) fn ghost_remove(&mut self, id: EntityId) {
        if let Ok(place) = find(&self.ghost_order, id) {
            let kind = self.ghost_order[place].1;
            let view = self.take_ghost(id, kind);
            view.into_iter().for_each(|view| self.graveyard.bury(view));
        }
    }

    /// Removes a ghost; returns its view if it has one and is of this kind.
    fn take_ghost(&mut self, id: EntityId, kind: KindId) -> Option<Owned> {
        let place = find(&self.ghost_order, id).ok()?;
        let (_, was) = self.ghost_order.remove(place);
        let table = &mut self.ghosts[was.index()];
        let at = table
            .row_of(id)
            .expect("`ghost_order` lists the ids of the tables");
        table.remove(at);
        let view = self.views[was.index()].remove(at).view.into_inner();
        // SAFETY: the ghost owned the reference to its view.
        let view = unsafe { Owned::from_new(view) }.ok()?;
        if was == kind {
            return Some(view);
        }
        self.graveyard.bury(view);
        None
    }

    fn ghost(&self, id: EntityId) -> Option<&Ghost> {
        let place = find(&self.ghost_order, id).ok()?;
        let kind = self.ghost_order[place].1.index();
        Some(&self.views[kind][self.ghosts[kind].row_of(id)?])
    }

    /// The view of an own entity, borrowed.
    pub(crate) fn own_view(&self, kind: KindId, row: usize) -> *mut PyObject {
        self.objects[kind.index()][row].view.as_ptr()
    }

    /// The view of a ghost, up to date, borrowed.
    ///
    /// # Errors
    /// Raises `MemoryError`.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`.
    pub(crate) unsafe fn ghost_view(
        &self,
        context: &Context,
        info: &KindInfo,
        kind: KindId,
        row: usize,
    ) -> PyResult<*mut PyObject> {
        let ghost = &self.views[kind.index()][row];
        let table = &self.ghosts[kind.index()];
        if ghost.view.get().is_null() {
            // SAFETY: attached; the class is the kind's.
            let view = unsafe { entity::alloc_view(info.view.as_ptr().cast(), table.ids[row])? };
            ghost.view.set(view.into_ptr());
        }
        let view = ghost.view.get();
        let all = u64::MAX >> (64 - table.columns.len());
        for field in bits(ghost.stale.get() & all) {
            // SAFETY: attached; the slot is the kind's. During hooks only new views come here, whose
            // slots are empty, so that nothing is released.
            unsafe {
                let column = &table.columns[field];
                let ty = info.types[field];
                let value = value::read(context, ty, column.get(row), Containers::Frozen)?;
                entity::set_field(view, info.offsets[field], value);
            }
            // Only now: a value that can't be made leaves its field stale.
            ghost.stale.set(ghost.stale.get() & !(1 << field));
        }
        Ok(view)
    }

    /// Brings the views of ghosts up to date that scripts have seen, so that none changes during hooks:
    /// what a slot releases may have a weak reference, whose callback is a script.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, outside hooks.
    pub(crate) unsafe fn refresh_ghosts(&self, context: &Context, kinds: &Kinds) {
        for (kind, views) in (0..).map(KindId).zip(&self.views) {
            for (row, ghost) in views.iter().enumerate() {
                if ghost.view.get().is_null() || ghost.stale.get() == 0 {
                    continue;
                }
                // SAFETY: by the caller's promise. What fails stays stale, and the next who looks hears
                // of it.
                unsafe {
                    if self
                        .ghost_view(context, kinds.info(kind), kind, row)
                        .is_err()
                    {
                        PyErr_Clear();
                    }
                }
            }
        }
    }

    /// The view of an entity that is own or a ghost, borrowed.
    ///
    /// # Errors
    /// Raises `MemoryError`.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`.
    pub(crate) unsafe fn near_view(
        &self,
        context: &Context,
        kinds: &Kinds,
        id: EntityId,
    ) -> PyResult<Option<*mut PyObject>> {
        if let Ok(place) = find(&self.order, id) {
            let kind = self.order[place].1;
            let row = self.own[kind.index()].row_of(id);
            return Ok(row.map(|row| self.own_view(kind, row)));
        }
        let Ok(place) = find(&self.ghost_order, id) else {
            return Ok(None);
        };
        let kind = self.ghost_order[place].1;
        let Some(row) = self.ghosts[kind.index()].row_of(id) else {
            return Ok(None);
        };
        // SAFETY: by the caller's promise.
        unsafe {
            self.ghost_view(context, kinds.info(kind), kind, row)
                .map(Some)
        }
    }

    /// Lets go of all objects.
    ///
    /// # Safety
    /// Attached to their interpreter.
    pub(crate) unsafe fn release(&mut self) {
        self.objects.iter_mut().for_each(Vec::clear);
        for ghost in self.views.iter_mut().flat_map(|views| views.drain(..)) {
            let view = ghost.view.into_inner();
            if !view.is_null() {
                // SAFETY: the ghost owned the reference.
                unsafe { Py_DECREF(view) };
            }
        }
        self.graveyard.release();
    }
}

/// Makes the objects of a row; an error where the bytes of an `object` are damaged, of which the
/// objects are then half filled.
///
/// # Safety
/// Attached to the interpreter of `context`, outside hooks; the row is of the kind.
unsafe fn make(
    context: &Context,
    info: &KindInfo,
    table: &KindTable,
    row: usize,
) -> (Pair, Result<(), RowError>) {
    let id = table.ids[row];
    // SAFETY: by the caller's promise; objects and offsets belong to the kind.
    unsafe {
        let pair = Pair {
            live: born(entity::alloc(info.class.as_ptr().cast(), id)),
            view: born(entity::alloc_view(info.view.as_ptr().cast(), id)),
        };
        for (field, column) in table.columns.iter().enumerate() {
            let stored = column.get(row);
            let value = if info.objects & 1 << field == 0 {
                read(context, info, field, stored, Containers::Live)
            } else {
                match value::read(context, info.types[field], stored, Containers::Live) {
                    Ok(value) => value,
                    Err(Raised) => {
                        PyErr_Clear();
                        return (pair, Err(RowError::Truncated { field }));
                    }
                }
            };
            let frozen = freeze(context, info, field, &value, stored, &pair.live);
            entity::set_field(pair.view.as_ptr(), info.offsets[field], frozen);
            entity::set_field(pair.live.as_ptr(), info.offsets[field], value);
        }
        (pair, Ok(()))
    }
}

/// A new view that shows what `view` does.
///
/// # Safety
/// Attached; `view` is of the kind.
#[cold]
unsafe fn copy_view(info: &KindInfo, view: &Owned) -> Owned {
    // SAFETY: by the caller's promise. The new slots are empty: nothing is released.
    unsafe {
        let id = entity::id_of(view.as_ptr()).unwrap_or_default();
        let copy = born(entity::alloc_view(info.view.as_ptr().cast(), id));
        for &offset in &info.offsets {
            let shown = *entity::field(view.as_ptr(), offset);
            if !shown.is_null() {
                entity::set_field(copy.as_ptr(), offset, Owned::from_borrowed(shown));
            }
        }
        copy
    }
}

/// Puts an own entity's slots back to `S_t`. No script runs: what was in them is buried.
///
/// # Safety
/// Attached to the interpreter of `context`, which is not in a hook; `row` is the entity's.
pub(crate) unsafe fn revert(
    context: &Context,
    info: &KindInfo,
    pair: &Pair,
    table: &KindTable,
    row: usize,
    graveyard: &Graveyard,
) {
    let (live, view) = (pair.live.as_ptr(), pair.view.as_ptr());
    // SAFETY: both objects are of the kind.
    unsafe {
        for (field, &offset) in info.offsets.iter().enumerate() {
            // A script may have emptied the view's slot by way of its descriptor.
            let shown = *entity::field(view, offset);
            let old = if *entity::mutable(live) & 1 << field != 0 || shown.is_null() {
                read(
                    context,
                    info,
                    field,
                    table.columns[field].get(row),
                    Containers::Live,
                )
            } else {
                Owned::from_borrowed(shown)
            };
            let new = std::mem::replace(&mut *entity::field(live, offset), old.into_ptr());
            if let Ok(new) = Owned::from_new(new) {
                graveyard.bury(new);
            }
        }
    }
}

/// A value of a row as an object.
///
/// # Safety
/// Attached to the interpreter of `context`.
pub(crate) unsafe fn read(
    context: &Context,
    info: &KindInfo,
    field: usize,
    value: ValueRef<'_>,
    containers: Containers,
) -> Owned {
    // SAFETY: by the caller's promise.
    born(unsafe { value::read(context, info.types[field], value, containers) })
}

/// What a view shows of a field: the live value itself unless it is mutable. Notes on the live object
/// which it is.
///
/// # Safety
/// As for [`read`]; `live` is an object of the kind.
pub(crate) unsafe fn freeze(
    context: &Context,
    info: &KindInfo,
    field: usize,
    value: &Owned,
    bytes: ValueRef<'_>,
    live: &Owned,
) -> Owned {
    if info.objects & 1 << field == 0 {
        return value.clone();
    }
    // SAFETY: by the caller's promise.
    unsafe {
        let mutable = entity::mutable(live.as_ptr());
        if crate::clone::is_immutable(value.as_ptr()) {
            *mutable &= !(1 << field);
            value.clone()
        } else {
            *mutable |= 1 << field;
            read(context, info, field, bytes, Containers::Frozen)
        }
    }
}

/// Objects of the state are as vital as its rows: without memory for one, the process ends as it does
/// when Rust runs out of memory.
fn born(object: PyResult<Owned>) -> Owned {
    object.unwrap_or_else(|_| {
        panic!(
            "an entity's objects can't be made: {}",
            crate::error::take_message()
        )
    })
}
