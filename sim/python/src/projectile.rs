//! Native motion of kinds that declare a `projectile`.
//!
//! After the hooks: gravity, then a step of `velocity * dt`. One that meets the map stays at the point
//! with no velocity and hears `on_impact(0, position, normal)` in the next tick. One without velocity is
//! at rest and is left alone.

use glam::DVec3;
use pyo3_ffi::*;
use tessera_protocol::base;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_world::RayHit;

use crate::FailureKind;
use crate::context::Context;
use crate::entity;
use crate::kinds::Kinds;
use crate::messages::{Message, Payload};
use crate::native::terrain;
use crate::population::Population;
use crate::py::{Owned, PyResult};
use crate::value;

/// Moves all projectiles of the zone but those in `failed` (ascending), `dt` seconds on.
///
/// # Safety
/// Attached to the interpreter of `context`, after the hooks and before the gather.
pub(crate) unsafe fn step(
    context: &Context,
    population: &Population,
    kinds: &Kinds,
    failed: &[(EntityId, FailureKind)],
    dt: f64,
) {
    for (at, kind) in kinds.table.kinds.iter().enumerate() {
        let Some(projectile) = kind.projectile else {
            continue;
        };
        let offsets = &kinds.info(KindId(at as u8)).offsets;
        let ids = &population.own[at].ids;
        for (pair, &id) in population.objects[at].iter().zip(ids) {
            if failed.binary_search_by_key(&id, |(id, _)| *id).is_ok() {
                continue;
            }
            let live = pair.live.as_ptr();
            // SAFETY: by the caller's promise; offsets are the kind's. A slot that holds no vector is
            // left to the gather to report.
            unsafe {
                let slots = [offsets[base::POSITION], offsets[base::VELOCITY]];
                let moved = fly(context, live, slots, projectile.gravity.into(), dt, id);
                if moved.is_err() {
                    PyErr_Clear();
                }
            }
        }
    }
}

unsafe fn fly(
    context: &Context,
    live: *mut PyObject,
    [position_at, velocity_at]: [usize; 2],
    gravity: f64,
    dt: f64,
    id: EntityId,
) -> PyResult<()> {
    // SAFETY: attached, the slots are the object's, by the caller.
    unsafe {
        let read = |offset| {
            let slot = *entity::field(live, offset);
            if slot.is_null() {
                None
            } else {
                value::vector(slot).ok().map(DVec3::from)
            }
        };
        let (Some(position), Some(velocity)) = (read(position_at), read(velocity_at)) else {
            return Ok(());
        };
        if velocity == DVec3::ZERO {
            return Ok(());
        }
        let velocity = velocity - DVec3::Y * gravity * dt;
        let step = velocity * dt;
        let length = step.length();
        let hit = match length > 0.0 && length.is_finite() {
            true => context.world.raycast(position, step / length, length),
            false => None,
        };
        let (position, velocity) = match hit {
            Some(hit) => (hit.position, DVec3::ZERO),
            None => (position + step, velocity),
        };
        entity::set_field(live, position_at, terrain::vector(context, position)?);
        entity::set_field(live, velocity_at, terrain::vector(context, velocity)?);
        hit.map_or(Ok(()), |hit| impact(context, id, hit))
    }
}

/// Posts `on_impact(0, position, normal)`.
unsafe fn impact(context: &Context, id: EntityId, hit: RayHit) -> PyResult<()> {
    // SAFETY: attached, by the caller.
    unsafe {
        let name = Owned::from_new(PyUnicode_InternFromString(c"impact".as_ptr()))?;
        let position = terrain::vector(context, hit.position)?;
        let normal = terrain::vector(context, hit.normal)?;
        let arguments = [position.as_ptr(), normal.as_ptr()];
        let mut exports = context.exports.borrow_mut();
        let mut codec = context.codec().borrow_mut();
        let payload: Payload = codec.encode_message(name.as_ptr(), &arguments, &mut exports)?;
        let message = Message {
            target: id,
            sender: EntityId::NONE,
            seq: 0,
            payload,
        };
        context.outbox.borrow_mut().messages.push(message);
        Ok(())
    }
}
