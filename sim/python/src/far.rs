//! Views of entities anywhere in the world, read from the snapshot when a script asks for them.
//!
//! A far view is born with empty slots, and each is filled when a script first looks at it: whoever counts
//! the living among five hundred reads one field of each. (A view of an entity nearby is filled at once,
//! since it is kept from tick to tick.) Scripts can't tell, but by what the garbage collector shows: a slot
//! that CPython finds empty it asks its descriptor for, and that of views fills it
//! ([`crate::view::get_slot`]).

use std::collections::BTreeMap;

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

/// What a tick's queries have found in the snapshot, so that each entity has one view.
#[derive(Default)]
pub(crate) struct FarViews {
    views: BTreeMap<EntityId, Owned>,
    /// Results of `find`, by the family of kinds asked for.
    lists: Vec<(u64, Owned)>,
}

/// Releases what hooks have looked up in the snapshot, which is still there: views that a script keeps
/// show it whole from now on. Scripts may run.
///
/// # Safety
/// Attached to the interpreter of `context`, outside hooks.
pub(crate) unsafe fn forget(context: &Context) {
    let FarViews { views, lists } = context.far.take();
    drop(lists);
    for view in views.values() {
        // SAFETY: attached; views are objects of this interpreter.
        unsafe {
            let is_kept = Py_REFCNT(view.as_ptr()) > 1 || may_be_saved(view);
            if is_kept && fill(context, view.as_ptr()).is_err() {
                // There is no memory for it: the field looks as if it had been deleted, since no later state
                // fills it.
                PyErr_Clear();
            }
        }
    }
}

/// Whether a script can get hold of an object while its last reference is released: by a finalizer, or by
/// the callback of a weak reference.
unsafe fn may_be_saved(view: &Owned) -> bool {
    // SAFETY: attached, by the caller; every object has a type.
    unsafe {
        let class = &*Py_TYPE(view.as_ptr());
        class.tp_finalize.is_some() || class.tp_weaklistoffset != 0
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
        let class = kinds.info(row.kind()).view.as_ptr();
        let view = entity::alloc_far_view(class.cast(), id, context.tick.get())?;
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

/// Fills the slot of a view that is empty at this offset, as a script looks at it. It stays empty where
/// there is nothing to fill it with: the view shows another tick, or the slot is no field's.
///
/// # Errors
/// Raises where there is no memory.
///
/// # Safety
/// Attached to the interpreter of `context`; `view` is a view.
pub(crate) unsafe fn fill_slot(
    context: &Context,
    view: *mut PyObject,
    offset: usize,
) -> PyResult<()> {
    // SAFETY: by the caller's promise.
    unsafe {
        with_row(context, view, |info, row| {
            match info.offsets.iter().position(|&known| known == offset) {
                Some(field) => fill_field(context, view, info, row, field),
                None => Ok(()),
            }
        })
        .unwrap_or(Ok(()))
    }
}

/// Fills all slots of a view that are empty.
unsafe fn fill(context: &Context, view: *mut PyObject) -> PyResult<()> {
    // SAFETY: attached, by the caller; the offsets are those of the view's kind.
    unsafe {
        with_row(context, view, |info, row| {
            for (field, &offset) in info.offsets.iter().enumerate() {
                if (*entity::field(view, offset)).is_null() {
                    fill_field(context, view, info, row, field)?;
                }
            }
            Ok(())
        })
        .unwrap_or(Ok(()))
    }
}

/// Runs `body` with the row of a view's entity in `S_t`, if that is what the view shows.
unsafe fn with_row<R>(
    context: &Context,
    view: *mut PyObject,
    body: impl FnOnce(&KindInfo, RowRef<'_>) -> R,
) -> Option<R> {
    let kinds = context.kinds.get()?;
    let snapshot = context.snapshot.borrow();
    // SAFETY: attached, by the callers; every object has a type.
    let (id, tick, class) = unsafe {
        let id = entity::id_of(view)?;
        (id, entity::far_tick(view)?, Py_TYPE(view).cast())
    };
    if tick != context.tick.get() {
        return None;
    }
    let row = snapshot.as_ref()?.find(id)?;
    let is_of_kind = kinds.of_class(class) == Some(row.kind());
    is_of_kind.then(|| body(kinds.info(row.kind()), row))
}

unsafe fn fill_field(
    context: &Context,
    view: *mut PyObject,
    info: &KindInfo,
    row: RowRef<'_>,
    field: usize,
) -> PyResult<()> {
    // SAFETY: attached by the caller; the offset is the kind's, and the slot is empty, so that nothing is
    // released.
    unsafe {
        let ty = info.types[field];
        let value = value::read(context, ty, row.field(field), Containers::Frozen)?;
        entity::set_field(view, info.offsets[field], value);
    }
    Ok(())
}
