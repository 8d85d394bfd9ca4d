//! Views of entities anywhere in the world, read from the snapshot when a script asks for them.

use std::collections::HashMap;

use pyo3_ffi::*;
use tessera_protocol::ids::EntityId;
use tessera_protocol::snapshot::RowRef;

use crate::clone::Containers;
use crate::context::Context;
use crate::entity;
use crate::kinds::{KindInfo, Kinds};
use crate::population::Population;
use crate::py::{Owned, PyResult, Raised};
use crate::value;

/// What a tick's queries have read from the snapshot, so that each entity is read once.
#[derive(Default)]
pub(crate) struct FarViews {
    views: HashMap<EntityId, Owned>,
    /// Results of `find`, by the family of kinds asked for.
    lists: Vec<(u64, Owned)>,
}

impl FarViews {
    /// Takes everything out, for the caller to release outside the borrow.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// The view of an entity of `S_t`, or `None` where there is none of that id.
///
/// # Errors
/// Raises where there is no memory.
///
/// # Safety
/// Attached to the interpreter of `context`, in a hook.
pub(crate) unsafe fn get(
    context: &Context,
    population: &Population,
    kinds: &Kinds,
    id: EntityId,
) -> PyResult<Option<Owned>> {
    // SAFETY: by the caller's promise; a borrowed view is alive while its entity is in the population.
    unsafe {
        if let Some(view) = population.near_view(context, kinds, id)? {
            return Ok(Some(Owned::from_borrowed(view)));
        }
        if let Some(view) = context.far.borrow().views.get(&id) {
            return Ok(Some(view.clone()));
        }
        let snapshot = context.snapshot.borrow();
        let Some(row) = snapshot.as_ref().and_then(|snapshot| snapshot.find(id)) else {
            return Ok(None);
        };
        let view = view_of(context, kinds.info(row.kind()), row)?;
        context.far.borrow_mut().views.insert(id, view.clone());
        Ok(Some(view))
    }
}

/// A new list of the views of all entities of `S_t` whose kind is in `family`, by ascending id.
///
/// # Errors
/// Raises where there is no memory.
///
/// # Safety
/// Attached to the interpreter of `context`, in a hook.
pub(crate) unsafe fn find(
    context: &Context,
    population: &Population,
    kinds: &Kinds,
    family: u64,
) -> PyResult<Owned> {
    // SAFETY: by the caller's promise.
    unsafe {
        let known = context
            .far
            .borrow()
            .lists
            .iter()
            .find(|(f, _)| *f == family)
            .map(|l| l.1.clone());
        let list = match known {
            Some(list) => list,
            None => {
                let list = build_list(context, population, kinds, family)?;
                context.far.borrow_mut().lists.push((family, list.clone()));
                list
            }
        };
        Owned::from_new(PyList_GetSlice(list.as_ptr(), 0, PY_SSIZE_T_MAX))
    }
}

unsafe fn build_list(
    context: &Context,
    population: &Population,
    kinds: &Kinds,
    family: u64,
) -> PyResult<Owned> {
    let snapshot = context.snapshot.borrow().clone();
    let mut ids = Vec::new();
    if let Some(snapshot) = &snapshot {
        for kind in tessera_protocol::columns::bits(family) {
            let rows = snapshot.rows_of(tessera_protocol::ids::KindId(kind as u8));
            ids.extend(rows.map(|row| row.id()));
        }
    }
    ids.sort_unstable();
    // SAFETY: by the caller's promise; the list takes its own reference.
    unsafe {
        let list = Owned::from_new(PyList_New(0))?;
        for id in ids {
            if let Some(view) = get(context, population, kinds, id)?
                && PyList_Append(list.as_ptr(), view.as_ptr()) != 0
            {
                return Err(Raised);
            }
        }
        Ok(list)
    }
}

unsafe fn view_of(context: &Context, info: &KindInfo, row: RowRef<'_>) -> PyResult<Owned> {
    // SAFETY: attached by the caller; the class and offsets are the kind's.
    unsafe {
        let view = entity::alloc_view(info.view.as_ptr().cast(), row.id())?;
        for (field, &offset) in info.offsets.iter().enumerate() {
            let ty = info.types[field];
            let value = value::read(context, ty, row.field(field), Containers::Frozen)?;
            entity::set_field(view.as_ptr(), offset, value);
        }
        Ok(view)
    }
}
