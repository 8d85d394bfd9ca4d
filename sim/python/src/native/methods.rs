//! Methods of entities, and of the `world` that the mode's `start` gets.

use pyo3_ffi::*;

use super::{query, random, requests};
use crate::py::Table;

/// A method with positional and keyword arguments.
const fn with_keywords(
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

/// A method with positional arguments.
const fn positional(
    name: &'static std::ffi::CStr,
    function: PyCFunctionFast,
    doc: &'static std::ffi::CStr,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFast: function,
        },
        ml_flags: METH_FASTCALL,
        ml_doc: doc.as_ptr(),
    }
}

/// A method without arguments.
const fn plain(
    name: &'static std::ffi::CStr,
    function: PyCFunction,
    doc: &'static std::ffi::CStr,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunction: function,
        },
        ml_flags: METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

const SPAWN: PyMethodDef = with_keywords(
    c"spawn",
    requests::spawn,
    c"spawn($self, kind, /, **fields)\n--\n\nAsk for an entity, born at the end of this tick.",
);
const RANDOM: PyMethodDef = plain(
    c"random",
    random::random,
    c"random($self, /)\n--\n\nA float in [0, 1).",
);
const UNIFORM: PyMethodDef = positional(
    c"uniform",
    random::uniform,
    c"uniform($self, a, b, /)\n--\n\nA float from a to b.",
);
const RANDRANGE: PyMethodDef = positional(
    c"randrange",
    random::randrange,
    c"randrange($self, n, /)\n--\n\nAn int in [0, n).",
);

/// Methods of `_tessera.Entity`.
pub(crate) static ENTITY: Table<[PyMethodDef; 10]> = Table::new([
    with_keywords(
        c"near",
        query::near,
        c"near($self, radius, kind=None, at=None)\n--\n\nViews within radius metres, ascending id.",
    ),
    positional(
        c"send",
        requests::send,
        c"send($self, target, name, /, *args)\n--\n\nCall on_<name>(sender, *args) of an entity in the next tick.",
    ),
    SPAWN,
    plain(
        c"despawn",
        requests::despawn,
        c"despawn($self, /)\n--\n\nEnd this entity when the tick ends.",
    ),
    positional(
        c"broadcast",
        requests::broadcast,
        c"broadcast($self, name, /, *args)\n--\n\nTell all clients of an event.",
    ),
    positional(
        c"tell",
        requests::tell,
        c"tell($self, client, name, /, *args)\n--\n\nTell one client of an event.",
    ),
    RANDOM,
    UNIFORM,
    RANDRANGE,
    PyMethodDef::zeroed(),
]);

/// Methods of the `world` that `start` gets.
pub(crate) static WORLD: Table<[PyMethodDef; 5]> =
    Table::new([SPAWN, RANDOM, UNIFORM, RANDRANGE, PyMethodDef::zeroed()]);
