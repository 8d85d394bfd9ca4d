//! Questions about the map, and rays against the hitboxes of the tick's start.

use glam::DVec3;
use pyo3_ffi::*;
use tessera_protocol::command::rewind_ticks_max;
use tessera_protocol::ids::EntityId;
use tessera_world::{Character, RayHit};

use super::{Part, TypeId, hit};
use crate::args::{self, Arguments};
use crate::context::{self, Context};
use crate::hitbox::Ray;
use crate::py::{Owned, PyResult, Table, raise, returned};
use crate::value::{self, bad_argument};
use crate::vec3;

pub(super) const PART: Part = Part {
    types: &[],
    functions: Some(FUNCTIONS.first()),
};

/// Highest ledge that `move` walks up without a jump, metres, unless told.
const STEP: f64 = 0.4;
/// Nodes that `path` looks at, unless told.
const PATH_NODES: usize = 4096;
/// Most nodes that `path` may be told to look at.
const PATH_NODES_MAX: i64 = 1 << 20;

const fn function(
    name: &'static std::ffi::CStr,
    function: PyCFunctionFastWithKeywords,
    doc: &'static std::ffi::CStr,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFastWithKeywords: function,
        },
        ml_flags: METH_FASTCALL | METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }
}

static FUNCTIONS: Table<[PyMethodDef; 9]> = Table::new([
    function(
        c"raycast",
        raycast,
        c"raycast($module, origin, direction, max_distance, hit=None, ignore=0, rewind=0.0)\n--\n\nThe first thing a ray meets.",
    ),
    function(c"ground", ground, c"ground($module, x, z)\n--\n\nHeight of the terrain, metres."),
    function(
        c"move",
        move_character,
        c"move($module, position, velocity, dt, radius, height, step=0.4)\n--\n\nMove a character and slide along what it meets.",
    ),
    function(
        c"path",
        path,
        c"path($module, start, goal, max_nodes=4096)\n--\n\nPoints to walk to, one after another.",
    ),
    function(
        c"is_free",
        is_free,
        c"is_free($module, position, radius, height)\n--\n\nWhether a character fits there.",
    ),
    function(c"spawn_points", spawn_points, c"spawn_points($module)\n--\n\nWhere players may start."),
    function(c"loot_points", loot_points, c"loot_points($module)\n--\n\nWhere loot may lie."),
    function(c"map_size", map_size, c"map_size($module)\n--\n\nSide of the map, metres."),
    PyMethodDef::zeroed(),
]);

/// A function of the module: what it was called with, and the zone.
type Body = unsafe fn(&Context, Arguments<'_>) -> PyResult<Owned>;

/// Calls `body` for CPython.
unsafe fn call(
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    body: Body,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with these arguments.
        returned(unsafe { body(context, Arguments::new(arguments, count, names)) })
    })
}

macro_rules! functions {
    ($($name:ident => $body:ident),* $(,)?) => {$(
        unsafe extern "C" fn $name(
            _module: *mut PyObject,
            arguments: *const *mut PyObject,
            count: Py_ssize_t,
            names: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: called by CPython, attached, with these arguments.
            unsafe { call(arguments, count, names, $body) }
        }
    )*};
}

functions! {
    raycast => raycast_body,
    ground => ground_body,
    move_character => move_body,
    path => path_body,
    is_free => is_free_body,
    spawn_points => spawn_points_body,
    loot_points => loot_points_body,
    map_size => map_size_body,
}

/// A new `Vec3`.
pub(crate) unsafe fn vector(context: &Context, vector: DVec3) -> PyResult<Owned> {
    let class = context.types.get()[TypeId::Vec3 as usize];
    // SAFETY: attached by the callers; the type is this interpreter's.
    unsafe { Owned::from_new(vec3::new(class, vector.to_array())) }
}

/// A new tuple that takes over its items.
unsafe fn tuple(items: impl ExactSizeIterator<Item = PyResult<Owned>>) -> PyResult<Owned> {
    // SAFETY: attached by the callers; each place of the new tuple is filled once.
    unsafe {
        let tuple = Owned::from_new(PyTuple_New(items.len() as Py_ssize_t))?;
        for (at, item) in items.enumerate() {
            PyTuple_SET_ITEM(tuple.as_ptr(), at as Py_ssize_t, item?.into_ptr());
        }
        Ok(tuple)
    }
}

unsafe fn raycast_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `call`.
    unsafe {
        let names = [
            "origin",
            "direction",
            "max_distance",
            "hit",
            "ignore",
            "rewind",
        ];
        let [origin, direction, max, kinds, ignore, rewind] =
            arguments.bind("raycast", names, 3)?;
        let origin = args::vector("raycast", "origin", origin)?;
        let Some(direction) = args::vector("raycast", "direction", direction)?.try_normalize()
        else {
            return Err(raise(
                PyExc_ValueError,
                "raycast: direction must not be zero",
            ));
        };
        let max = args::length("raycast", "max_distance", max)?;
        let ignore = match ignore.is_null() {
            true => EntityId::NONE,
            false => args::entity("raycast", "ignore", ignore)?,
        };
        let family = match kinds.is_null() || kinds == Py_None() {
            true => 0,
            false => args::family("raycast", "hit", context.kinds()?, kinds)?,
        };
        let rewind = match rewind.is_null() {
            true => 0.0,
            false => rewind_ticks(context, rewind)?,
        };
        let wall = context.world.raycast(origin, direction, max);
        let reach = wall.map_or(max, |wall| wall.distance);
        let body = match family {
            0 => None,
            kinds => {
                context.population()?;
                let ray = Ray {
                    origin,
                    direction,
                    max: reach,
                    kinds,
                    ignore,
                };
                let hitboxes = context.hitboxes.borrow();
                hitboxes
                    .as_ref()
                    .and_then(|hitboxes| hitboxes.cast(&ray, rewind))
            }
        };
        let (distance, position, normal, id, base) = match (body, wall) {
            (Some(body), _) => {
                let position = origin + direction * body.distance;
                let normal = body.normal(position);
                (body.distance, position, normal, body.id, body.base())
            }
            (None, Some(wall)) => {
                let RayHit {
                    distance,
                    position,
                    normal,
                } = wall;
                (distance, position, normal, EntityId::NONE, position)
            }
            (None, None) => return Ok(Owned::from_borrowed(Py_None())),
        };
        let values = [
            Owned::from_new(PyFloat_FromDouble(distance))?,
            vector(context, position)?,
            vector(context, normal)?,
            Owned::from_new(PyLong_FromUnsignedLong(id.0.into()))?,
            vector(context, base)?,
        ];
        hit::new(context, values)
    }
}

/// How far to go back, in ticks: at most what is kept.
unsafe fn rewind_ticks(context: &Context, rewind: *mut PyObject) -> PyResult<f64> {
    let most = rewind_ticks_max(context.tick_hz);
    // SAFETY: attached and alive, by the caller.
    unsafe {
        let ticks = args::length("raycast", "rewind", rewind)?;
        if ticks <= most {
            return Ok(ticks);
        }
        let message = format!(
            "raycast: a rewind of {ticks} ticks is too far back: at most {most}, which is 250 ms; \
             Command.rewind never says more"
        );
        Err(raise(PyExc_ValueError, &message))
    }
}

unsafe fn ground_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `call`.
    unsafe {
        let [x, z] = arguments.bind("ground", ["x", "z"], 2)?;
        let (x, z) = (
            args::number("ground", "x", x)?,
            args::number("ground", "z", z)?,
        );
        Owned::from_new(PyFloat_FromDouble(context.world.ground(x, z)))
    }
}

unsafe fn move_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `call`.
    unsafe {
        let names = ["position", "velocity", "dt", "radius", "height", "step"];
        let [position, velocity, dt, radius, height, step] = arguments.bind("move", names, 5)?;
        let position = args::vector("move", "position", position)?;
        let velocity = args::vector("move", "velocity", velocity)?;
        let dt = args::length("move", "dt", dt)?;
        let character = Character {
            radius: positive("move", "radius", radius)?,
            height: positive("move", "height", height)?,
            step: if step.is_null() {
                STEP
            } else {
                args::length("move", "step", step)?
            },
        };
        let moved = context
            .world
            .move_character(&character, position, velocity, dt);
        let grounded = if moved.grounded {
            Py_True()
        } else {
            Py_False()
        };
        let items = [
            vector(context, moved.position),
            vector(context, moved.velocity),
            Ok(Owned::from_borrowed(grounded)),
        ];
        tuple(items.into_iter())
    }
}

/// A finite number above 0.
unsafe fn positive(function: &str, argument: &str, value: *mut PyObject) -> PyResult<f64> {
    // SAFETY: attached and alive, by the callers.
    unsafe {
        match value::float(value) {
            Ok(number) if number > 0.0 => Ok(number),
            _ => Err(bad_argument(
                function,
                argument,
                "a finite number above 0",
                value,
            )),
        }
    }
}

unsafe fn path_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `call`.
    unsafe {
        let [start, goal, nodes] = arguments.bind("path", ["start", "goal", "max_nodes"], 2)?;
        let start = args::vector("path", "start", start)?;
        let goal = args::vector("path", "goal", goal)?;
        let nodes = match nodes.is_null() {
            true => PATH_NODES,
            false => value::int(nodes, 1, PATH_NODES_MAX).map_err(|_| {
                let takes = format!("an int from 1 to {PATH_NODES_MAX}");
                bad_argument("path", "max_nodes", &takes, nodes)
            })? as usize,
        };
        let points = context.world.path(start, goal, nodes).unwrap_or_default();
        tuple(points.into_iter().map(|point| vector(context, point)))
    }
}

unsafe fn is_free_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, arguments are alive for the call, by `call`.
    unsafe {
        let names = ["position", "radius", "height"];
        let [position, radius, height] = arguments.bind("is_free", names, 3)?;
        let position = args::vector("is_free", "position", position)?;
        let radius = positive("is_free", "radius", radius)?;
        let height = positive("is_free", "height", height)?;
        let free = context.world.is_free(position, radius, height);
        Ok(Owned::from_borrowed(if free {
            Py_True()
        } else {
            Py_False()
        }))
    }
}

unsafe fn points(context: &Context, points: &[DVec3]) -> PyResult<Owned> {
    // SAFETY: attached by the callers.
    unsafe { tuple(points.iter().map(|point| vector(context, *point))) }
}

unsafe fn spawn_points_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, by `call`.
    unsafe {
        arguments.bind::<0>("spawn_points", [], 0)?;
        points(context, context.world.spawn_points())
    }
}

unsafe fn loot_points_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, by `call`.
    unsafe {
        arguments.bind::<0>("loot_points", [], 0)?;
        points(context, context.world.loot_points())
    }
}

unsafe fn map_size_body(context: &Context, arguments: Arguments<'_>) -> PyResult<Owned> {
    // SAFETY: attached, by `call`.
    unsafe {
        arguments.bind::<0>("map_size", [], 0)?;
        Owned::from_new(PyFloat_FromDouble(context.world.size()))
    }
}
