//! Structured clone: values of one interpreter as bytes, and bytes as values of another.
//!
//! Skeleton: signatures only.

use pyo3_ffi::{PyObject, PyTypeObject};

use crate::buffer::{Exports, SharedBytes};

/// A Python exception is set in the interpreter that this thread is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raised;

/// What containers a clone is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Containers {
    /// `list`, `dict`, `set`: for the hooks of the entity that owns the value.
    Live,
    /// `tuple`, `mappingproxy`, `frozenset`: for views.
    Frozen,
}

/// The types of one interpreter that clones contain or refuse. Borrowed from the module's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    /// [`crate::vec3::create_type`].
    pub vec3: *mut PyTypeObject,
    /// [`crate::buffer::create_type`].
    pub shared_buffer: *mut PyTypeObject,
    /// Base type of entities, live and views: refused with a text of their own.
    pub entity: *mut PyTypeObject,
}

/// A cloned message: independent of any interpreter.
#[derive(Clone, Default, Debug)]
pub struct Cloned {
    /// The canonical bytes: the name, then the tuple of arguments.
    pub bytes: Vec<u8>,
    /// What crosses without a copy, in order of appearance.
    pub buffers: Vec<SharedBytes>,
}

impl Cloned {
    /// Size in bytes, buffers included.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// A hash of the bytes and of the buffers' contents.
    pub fn digest(&self) -> u64 {
        todo!()
    }
    /// A message of the engine: needs no interpreter.
    pub fn from_values(_name: &str, _args: &[tessera_protocol::value::Value]) -> Self {
        todo!()
    }
    /// The name of the message.
    pub fn name(&self) -> &str {
        todo!()
    }
}

/// Encodes and decodes for one interpreter; keeps the buffers and the cache of short strings.
pub(crate) struct Codec {
    types: Types,
}

impl Codec {
    /// # Safety
    /// The types belong to the interpreter that this thread is attached to, now and whenever the codec
    /// is used or dropped.
    pub(crate) unsafe fn new(types: Types) -> Self {
        Self { types }
    }

    /// Appends the canonical bytes of a value of the state (an `object` field). `what` begins the path
    /// in errors, such as `brain`.
    ///
    /// # Safety
    /// This thread is attached to the codec's interpreter; `value` is one of its objects.
    pub(crate) unsafe fn encode_value(
        &mut self,
        _value: *mut PyObject,
        _what: &str,
        _out: &mut Vec<u8>,
    ) -> Result<(), Raised> {
        let _ = self.types;
        todo!()
    }

    /// Clones a message's name (a `str`) and arguments; large bytes are exported without a copy.
    ///
    /// # Safety
    /// This thread is attached to the codec's interpreter; all are its objects.
    pub(crate) unsafe fn encode_message(
        &mut self,
        _name: *mut PyObject,
        _args: &[*mut PyObject],
        _exports: &mut Exports,
    ) -> Result<Cloned, Raised> {
        todo!()
    }

    /// A new reference to the value that [`Self::encode_value`] wrote. All of `bytes` is one value.
    ///
    /// # Safety
    /// This thread is attached to the codec's interpreter. The bytes may be anything.
    pub(crate) unsafe fn decode_value(
        &mut self,
        _bytes: &[u8],
        _containers: Containers,
    ) -> Result<*mut PyObject, Raised> {
        todo!()
    }

    /// Appends new references to the message's arguments to `args`; on an error `args` is as before.
    /// The name is [`Cloned::name`].
    ///
    /// # Safety
    /// This thread is attached to the codec's interpreter. The message may be anything.
    pub(crate) unsafe fn decode_args(
        &mut self,
        _message: &Cloned,
        _args: &mut Vec<*mut PyObject>,
    ) -> Result<(), Raised> {
        todo!()
    }
}

/// Whether a value and all that it holds never change and look alike after a clone, so that the object
/// itself may stay where its clone would do.
///
/// # Safety
/// This thread is attached to the interpreter of `value`.
pub(crate) unsafe fn is_immutable(_value: *mut PyObject) -> bool {
    todo!()
}
