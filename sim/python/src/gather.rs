//! Slots become columns: what hooks wrote is checked, compared and stored.
//!
//! A slot whose pointer is the view's is unchanged: that is one comparison. Of any other the value is
//! checked and compared with the column; an equal one gets the view's pointer back. An entity's changes
//! are staged and committed together, so that a bad value leaves no half of them.
//!
//! No script runs in between. Releasing an object may run one (`__del__` of a subclass of `float`, the
//! callback of a weak reference to a frozenset), which could delete what is being looked at: objects
//! that leave their slots wait in [`Gather::released`] until they are buried.

use std::ops::Range;

use pyo3_ffi::*;
use tessera_protocol::columns::{Column, KindTable};
use tessera_protocol::{FieldType, ValueRef};

use crate::clone::{Containers, is_immutable};
use crate::context::Context;
use crate::entity;
use crate::kinds::KindInfo;
use crate::native::TypeId;
use crate::population::{self, Pair};
use crate::py::Owned;
use crate::value::{self, Fault};
use crate::vec3;

/// Buffers of the gather, kept from tick to tick.
#[derive(Default)]
pub(crate) struct Gather {
    /// What changed in the entity that is looked at, and the bytes of it.
    staged: Vec<(usize, Staged)>,
    bytes: Vec<u8>,
    /// Objects that have left their slots; for the graveyard.
    pub(crate) released: Vec<Owned>,
}

/// A changed value on its way into its column.
#[derive(Clone, Debug)]
enum Staged {
    Int(i64),
    F32(f32),
    F64(f64),
    Vec3([f64; 3]),
    /// Bytes of [`Gather::bytes`].
    Var(Range<usize>),
}

/// A value that doesn't fit, and in which field.
#[derive(Debug)]
pub(crate) struct BadField {
    pub(crate) field: usize,
    pub(crate) fault: Fault,
    /// The value; `None` where it was deleted.
    pub(crate) value: Option<Owned>,
}

impl Gather {
    /// Reads one entity's slots into its row, brings its view up to date, and returns which fields
    /// changed.
    ///
    /// # Errors
    /// Where a value doesn't fit its field: row and view are as they were, slots are not.
    ///
    /// # Safety
    /// Attached to the interpreter of `context`, outside hooks; `pair` and `row` belong together. The
    /// caller empties [`Self::released`] when it is done with the zone's entities.
    #[inline]
    pub(crate) unsafe fn entity(
        &mut self,
        context: &Context,
        info: &KindInfo,
        pair: &Pair,
        table: &mut KindTable,
        row: usize,
    ) -> Result<u64, BadField> {
        let (live, view) = (pair.live.as_ptr(), pair.view.as_ptr());
        self.staged.clear();
        self.bytes.clear();
        // SAFETY: both objects are of the kind; their slots are at its offsets.
        unsafe {
            let mutable = *entity::mutable(live);
            for (field, &offset) in info.offsets.iter().enumerate() {
                let new = *entity::field(live, offset);
                let mut old = *entity::field(view, offset);
                if new == old && mutable & 1 << field == 0 {
                    continue;
                }
                if old.is_null() {
                    old = refill(context, info, pair, table, row, field);
                }
                self.stage(context, info, table, row, field, live, new, old)
                    .map_err(|fault| bad(field, fault, new))?;
            }
            if self.staged.is_empty() {
                return Ok(0);
            }
            Ok(self.commit(context, info, pair, table, row))
        }
    }

    /// Checks one slot and compares it with the column. A changed value is staged; of an unchanged one
    /// the slot gets the view's pointer back.
    #[expect(clippy::too_many_arguments, reason = "the innermost loop's state")]
    unsafe fn stage(
        &mut self,
        context: &Context,
        info: &KindInfo,
        table: &KindTable,
        row: usize,
        field: usize,
        live: *mut PyObject,
        new: *mut PyObject,
        old: *mut PyObject,
    ) -> Result<(), Fault> {
        if new.is_null() {
            return Err(Fault::Deleted);
        }
        let ty = info.types[field];
        let offset = info.offsets[field];
        let released = &mut self.released;
        // SAFETY: attached, all pointers are alive, by the caller.
        let staged = unsafe {
            match &table.columns[field] {
                Column::F32(column) => {
                    let single = value::single(value::float(new)?)?;
                    let exact = f64::from(single);
                    if PyFloat_CheckExact(new) == 0
                        || PyFloat_AS_DOUBLE(new).to_bits() != exact.to_bits()
                    {
                        round(live, offset, new, exact, released);
                    }
                    (column[row].to_bits() != single.to_bits()).then_some(Staged::F32(single))
                }
                Column::F64(column) => {
                    let number = value::float(new)?;
                    if PyFloat_CheckExact(new) == 0 {
                        replace(live, offset, PyFloat_FromDouble(number), released);
                    }
                    (column[row].to_bits() != number.to_bits()).then_some(Staged::F64(number))
                }
                Column::Vec3(column) => {
                    let vector = value::vector(new)?;
                    let vec3 = context.types.get()[TypeId::Vec3 as usize];
                    if Py_TYPE(new) != vec3 {
                        replace(live, offset, vec3::new(vec3, vector), released);
                    }
                    let changed = column[row].map(f64::to_bits) != vector.map(f64::to_bits);
                    changed.then_some(Staged::Vec3(vector))
                }
                Column::Bool(column) => {
                    let truth = new == Py_True();
                    if !truth && new != Py_False() {
                        return Err(Fault::Type);
                    }
                    (column[row] != u8::from(truth)).then_some(Staged::Int(truth.into()))
                }
                Column::Var(column) => {
                    return self.stage_var(context, info, column.get(row), field, live, new, old);
                }
                integers => {
                    let (min, max) = value::int_range(ty);
                    let number = value::int(new, min, max)?;
                    if PyLong_CheckExact(new) == 0 {
                        replace(live, offset, PyLong_FromLongLong(number), released);
                    }
                    (stored_int(integers, row) != number).then_some(Staged::Int(number))
                }
            }
        };
        match staged {
            Some(staged) => self.staged.push((field, staged)),
            // SAFETY: as above; the view keeps `old` alive.
            None => unsafe { replace(live, offset, Py_NewRef(old), released) },
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "as for `stage`")]
    unsafe fn stage_var(
        &mut self,
        context: &Context,
        info: &KindInfo,
        stored: &[u8],
        field: usize,
        live: *mut PyObject,
        new: *mut PyObject,
        old: *mut PyObject,
    ) -> Result<(), Fault> {
        let offset = info.offsets[field];
        let start = self.bytes.len();
        let released = &mut self.released;
        // SAFETY: attached, all pointers are alive, by the caller.
        unsafe {
            match info.types[field] {
                FieldType::Str { max } => {
                    let text = value::text(new, max.into())?;
                    self.bytes.extend_from_slice(text);
                    if PyUnicode_CheckExact(new) == 0 {
                        let (data, length) = (text.as_ptr().cast(), text.len() as Py_ssize_t);
                        replace(
                            live,
                            offset,
                            PyUnicode_DecodeUTF8(data, length, std::ptr::null()),
                            released,
                        );
                    }
                }
                FieldType::Bytes { max } => {
                    let data = value::bytes(new, max.into())?;
                    self.bytes.extend_from_slice(data);
                    if PyBytes_CheckExact(new) == 0 {
                        let (data, length) = (data.as_ptr().cast(), data.len() as Py_ssize_t);
                        replace(
                            live,
                            offset,
                            PyBytes_FromStringAndSize(data, length),
                            released,
                        );
                    }
                }
                _ => {
                    let name = || value::str_lossy(info.names[field].as_ptr());
                    let mut codec = context.codec().borrow_mut();
                    let encoded = codec.encode_value(new, name, &mut self.bytes);
                    encoded.map_err(|_| Fault::Raised)?;
                }
            }
            let changed = self.bytes[start..] != *stored;
            if changed {
                self.staged
                    .push((field, Staged::Var(start..self.bytes.len())));
            } else if *entity::mutable(live) & 1 << field == 0 {
                replace(live, offset, Py_NewRef(old), released);
            } else {
                // Somebody may hold on to what the slot held: the next tick starts from a clone, as it
                // would after a handoff.
                let ty = info.types[field];
                let bytes = ValueRef::Var(stored);
                let fresh = value::read(context, ty, bytes, Containers::Live);
                put(live, offset, fresh.map_err(|_| Fault::Raised)?, released);
            }
        }
        Ok(())
    }

    /// Stores what was staged, shows it in the view, returns the mask of it.
    unsafe fn commit(
        &mut self,
        context: &Context,
        info: &KindInfo,
        pair: &Pair,
        table: &mut KindTable,
        row: usize,
    ) -> u64 {
        let mut mask = 0;
        for (field, staged) in &self.staged {
            let field = *field;
            mask |= 1 << field;
            store(&mut table.columns[field], row, staged, &self.bytes);
            let offset = info.offsets[field];
            // SAFETY: attached; the pair is of the kind; `stage` found the slot full.
            unsafe {
                let live = Owned::from_borrowed(*entity::field(pair.live.as_ptr(), offset));
                let shown = if info.objects & 1 << field == 0 {
                    live
                } else {
                    commit_object(
                        context,
                        info,
                        pair,
                        field,
                        table.columns[field].get(row),
                        live,
                        &mut self.released,
                    )
                };
                put(pair.view.as_ptr(), offset, shown, &mut self.released);
            }
        }
        mask
    }
}

/// A value that doesn't fit, which the caller may look at for as long as it likes.
#[cold]
fn bad(field: usize, fault: Fault, value: *mut PyObject) -> BadField {
    // SAFETY: attached, the value is in its slot or null, by the only caller.
    let value = (!value.is_null()).then(|| unsafe { Owned::from_borrowed(value) });
    BadField {
        field,
        fault,
        value,
    }
}

/// Fills a view's slot that was found empty from the column, and returns what it holds now.
#[cold]
unsafe fn refill(
    context: &Context,
    info: &KindInfo,
    pair: &Pair,
    table: &KindTable,
    row: usize,
    field: usize,
) -> *mut PyObject {
    let stored = table.columns[field].get(row);
    // SAFETY: attached; the pair is of the kind, by the caller. The slot is empty: nothing is released.
    unsafe {
        let shown = population::read(context, info, field, stored, Containers::Frozen);
        let old = shown.as_ptr();
        entity::set_field(pair.view.as_ptr(), info.offsets[field], shown);
        old
    }
}

/// Replaces a stored `object` that is mutable by a clone, so that nobody holds on to it, and returns
/// what the view shows of it.
unsafe fn commit_object(
    context: &Context,
    info: &KindInfo,
    pair: &Pair,
    field: usize,
    stored: ValueRef<'_>,
    mut live: Owned,
    released: &mut Vec<Owned>,
) -> Owned {
    // SAFETY: attached; the pair is of the kind, by the caller.
    unsafe {
        if !is_immutable(live.as_ptr()) {
            live = population::read(context, info, field, stored, Containers::Live);
            let (object, offset) = (pair.live.as_ptr(), info.offsets[field]);
            put(object, offset, live.clone(), released);
        }
        population::freeze(context, info, field, &live, stored, &pair.live)
    }
}

/// Writes a rounded number into a slot: into the `float` itself where nobody else holds it.
unsafe fn round(
    object: *mut PyObject,
    offset: usize,
    float: *mut PyObject,
    rounded: f64,
    released: &mut Vec<Owned>,
) {
    // SAFETY: attached, `float` is in the slot, by the caller. With one reference, the slot's, a float
    // can change without anyone having seen what it was; cached and immortal ones have more.
    unsafe {
        if PyFloat_CheckExact(float) != 0 && Py_REFCNT(float) == 1 {
            (*float.cast::<PyFloatObject>()).ob_fval = rounded;
        } else {
            replace(object, offset, PyFloat_FromDouble(rounded), released);
        }
    }
}

/// Puts a new object into a slot; null, which is out of memory, leaves it as it is.
unsafe fn replace(
    object: *mut PyObject,
    offset: usize,
    value: *mut PyObject,
    released: &mut Vec<Owned>,
) {
    // SAFETY: attached, the slot is the object's, `value` is a new reference or null, by the callers.
    unsafe {
        match Owned::from_new(value) {
            Ok(value) => put(object, offset, value, released),
            Err(_) => PyErr_Clear(),
        }
    }
}

/// Puts an object into a slot and keeps what was there until no harm can come from its release.
#[inline]
unsafe fn put(object: *mut PyObject, offset: usize, value: Owned, released: &mut Vec<Owned>) {
    // SAFETY: attached, the slot is the object's, by the callers, and owns what is in it.
    unsafe {
        let old = std::mem::replace(&mut *entity::field(object, offset), value.into_ptr());
        if let Ok(old) = Owned::from_new(old)
            && !is_quiet(Py_TYPE(old.as_ptr()))
        {
            released.push(old);
        }
    }
}

/// Whether no script can hear of the end of an object of this type: it has no finalizer, no weak
/// references, and holds no objects. Numbers, texts and vectors, the bulk of it, are such.
#[inline]
unsafe fn is_quiet(ty: *mut PyTypeObject) -> bool {
    // SAFETY: a type of a live object, by the caller.
    unsafe {
        PyType_HasFeature(ty, Py_TPFLAGS_HAVE_GC) == 0
            && (*ty).tp_finalize.is_none()
            && (*ty).tp_weaklistoffset == 0
    }
}

fn stored_int(column: &Column, row: usize) -> i64 {
    match column {
        Column::U8(v) | Column::Bool(v) => v[row].into(),
        Column::U16(v) => v[row].into(),
        Column::U32(v) | Column::Entity(v) => v[row].into(),
        Column::I32(v) => v[row].into(),
        _ => unreachable!("only asked of integers"),
    }
}

fn store(column: &mut Column, row: usize, staged: &Staged, bytes: &[u8]) {
    match (column, staged) {
        (Column::Bool(v) | Column::U8(v), Staged::Int(n)) => v[row] = *n as u8,
        (Column::U16(v), Staged::Int(n)) => v[row] = *n as u16,
        (Column::U32(v) | Column::Entity(v), Staged::Int(n)) => v[row] = *n as u32,
        (Column::I32(v), Staged::Int(n)) => v[row] = *n as i32,
        (Column::F32(v), Staged::F32(n)) => v[row] = *n,
        (Column::F64(v), Staged::F64(n)) => v[row] = *n,
        (Column::Vec3(v), Staged::Vec3(n)) => v[row] = *n,
        (Column::Var(v), Staged::Var(at)) => v.set(row, &bytes[at.clone()]),
        _ => unreachable!("staged by the column's own type"),
    }
}
