//! Structured clone: values of one interpreter as bytes, and the bytes as values of another.
//!
//! What can be cloned: `None`, `bool`, `int`, `float`, `str`, `bytes`, `tuple`, `list`, `dict`, `set`,
//! `frozenset` and `Vec3`, nested as one likes. Everything else is a `TypeError` that names the way to
//! it, such as `args[1]["inventory"][3]: Player can't be sent: send its .id`. It serves two ends:
//! arguments of messages ([`Codec::encode_message`]) and values of `object` fields
//! ([`Codec::encode_value`]), whose bytes are the state.
//!
//! # What is kept
//! Lists, dicts and sets that appear more than once stay one object, and may contain themselves.
//! Everything immutable is cloned by value: whether two tuples are one object depends on where an
//! entity has lived, and the bytes are the state, which must not.
//!
//! For the same reason sets are written in order of their elements' bytes: the order in which a set
//! iterates depends on its history, and a set that was cloned has a history that all zones share. And a
//! NaN can't be in a set or a key, since CPython hashes it by its address.
//!
//! # What can't happen
//! Encoding runs no script: types are compared exactly, and no method of a value is called. Decoding
//! damaged bytes is a `ValueError`, bounded in memory by a small multiple of their length.

mod check;
mod decode;
mod encode;
mod immutable;
mod integer;
mod memo;
mod message;
mod refusal;
mod shapes;
mod strings;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use bytes::BytesMut;
use pyo3_ffi::{PyObject, PyTypeObject};

use crate::buffer::Exports;
use crate::py::{Owned, PyResult};

pub use check::is_clone;
pub(crate) use immutable::is_immutable;
pub use message::Cloned;

/// Deepest nesting of containers.
pub(crate) const DEPTH_MAX: u32 = 64;
/// Most bytes of a clone, buffers that cross without a copy not included.
pub(crate) const CLONE_BYTES_MAX: usize = 1 << 20;
/// Largest `int`, bytes.
pub(crate) const INT_BYTES_MAX: usize = 1024;
/// Most buffers that cross without a copy in one message.
pub(crate) const BUFFERS_MAX: usize = 256;

/// Memory of a block that messages share.
const BLOCK_BYTES: usize = 16 << 10;

/// What containers a value is decoded into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Containers {
    /// `list`, `dict`, `set`: for the hooks of the entity that owns the value.
    Live,
    /// `tuple`, `mappingproxy`, `frozenset`: for views, which nobody may change.
    Frozen,
}

/// The types of one interpreter that clones contain or refuse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    /// [`crate::vec3::create_type`].
    pub(crate) vec3: *mut PyTypeObject,
    /// [`crate::buffer::create_type`].
    pub(crate) shared_buffer: *mut PyTypeObject,
    /// Base type of entities, live and views, or null: refused with a text of their own.
    pub(crate) entity: *mut PyTypeObject,
}

/// Encodes and decodes for one interpreter.
///
/// # Invariants
/// Used and dropped while this thread is attached to the interpreter that the types belong to.
pub(crate) struct Codec {
    types: Types,
    strings: strings::Strings,
    /// Keys of dicts that were encoded.
    sent: shapes::Shapes,
    /// Keys of dicts that were decoded.
    received: shapes::Shapes,
    memo: memo::Memo,
    /// Containers in order of appearance while decoding; kept for its memory.
    seen: Vec<*mut PyObject>,
    /// What is being encoded, at the end of a block of memory that messages share: a message has no
    /// allocation of its own. The block is freed, or used anew, when the last of them has gone.
    block: BytesMut,
}

impl Codec {
    /// A codec for the interpreter that this thread is attached to.
    ///
    /// # Safety
    /// The types belong to that interpreter and live as long as it does; the caller keeps the
    /// invariants of [`Codec`].
    pub(crate) unsafe fn new(types: Types) -> Self {
        Self {
            types,
            strings: strings::Strings::new(),
            sent: shapes::Shapes::default(),
            received: shapes::Shapes::default(),
            memo: memo::Memo::default(),
            seen: Vec::new(),
            block: BytesMut::with_capacity(BLOCK_BYTES),
        }
    }

    /// Appends the canonical bytes of a value of an `object` field to `out`. `what` begins the path in
    /// errors, such as `brain`. On an error `out` is as before.
    ///
    /// # Safety
    /// `value` is an object of the codec's interpreter.
    pub(crate) unsafe fn encode_value(
        &mut self,
        value: *mut PyObject,
        what: impl FnOnce() -> String,
        out: &mut Vec<u8>,
    ) -> PyResult<()> {
        // SAFETY: by the caller's promise and the invariant of `Codec`.
        unsafe { encode::value(self, value, what, out) }
    }

    /// Clones a message: its name, a `str`, and its arguments. Large `bytes` in it are lent, not copied.
    ///
    /// # Safety
    /// All are objects of the codec's interpreter, to which `exports` belongs too.
    pub(crate) unsafe fn encode_message(
        &mut self,
        name: *mut PyObject,
        args: &[*mut PyObject],
        exports: &mut Exports,
    ) -> PyResult<Cloned> {
        // SAFETY: by the caller's promise and the invariant of `Codec`.
        unsafe { encode::message(self, name, args, exports) }
    }

    /// The value that [`Self::encode_value`] wrote. `bytes` may be anything; all of it is one value.
    ///
    /// # Safety
    /// Only the invariant of [`Codec`].
    pub(crate) unsafe fn decode_value(
        &mut self,
        bytes: &[u8],
        containers: Containers,
    ) -> PyResult<Owned> {
        // SAFETY: by the invariant of `Codec`.
        unsafe { decode::value(self, bytes, containers) }
    }

    /// Appends a message's arguments to `args`; on an error `args` is as before. The name is
    /// [`Cloned::name`]. The message may be anything.
    ///
    /// # Safety
    /// Only the invariant of [`Codec`].
    pub(crate) unsafe fn decode_args(
        &mut self,
        message: &Cloned,
        args: &mut Vec<Owned>,
    ) -> PyResult<()> {
        // SAFETY: by the invariant of `Codec`.
        unsafe { decode::args(self, message, args) }
    }
}
