//! Bytes to objects.

use std::ptr::null_mut;

use pyo3_ffi::*;

use super::strings::Strings;
use super::wire::{self, Damaged, Reader};
use super::{Cloned, Codec, Containers, DEPTH_MAX, INT_BYTES_MAX, Types};
use crate::buffer::{self, SharedBytes};
use crate::py::{Owned, PyResult, Raised, raise};
use crate::vec3;

/// [`Codec::decode_value`].
///
/// # Safety
/// As there.
pub(super) unsafe fn value(
    codec: &mut Codec,
    bytes: &[u8],
    containers: Containers,
) -> PyResult<Owned> {
    let mut decoder = Decoder::new(codec, bytes, &[], containers);
    // SAFETY: by the caller's promise.
    unsafe {
        let value = decoder.owned();
        value
            .and_then(|value| decoder.end().map(|()| value))
            .map_err(Failed::raise)
    }
}

/// [`Codec::decode_args`].
///
/// # Safety
/// As there.
pub(super) unsafe fn args(
    codec: &mut Codec,
    message: &Cloned,
    args: &mut Vec<Owned>,
) -> PyResult<()> {
    let before = args.len();
    let bytes = message.args();
    let mut decoder = Decoder::new(codec, bytes, message.buffers(), Containers::Live);
    // SAFETY: by the caller's promise.
    unsafe {
        decoder.args(args).map_err(|failed| {
            args.truncate(before);
            failed.raise()
        })
    }
}

/// Why decoding stopped.
enum Failed {
    /// The bytes are no clone.
    Damaged(Damaged),
    /// Python raised.
    Raised,
}

impl Failed {
    #[cold]
    fn raise(self) -> Raised {
        match self {
            Self::Raised => Raised,
            // SAFETY: decoding is done on an attached thread.
            Self::Damaged(Damaged(why)) => unsafe {
                raise(PyExc_ValueError, &format!("a clone is damaged: {why}"))
            },
        }
    }
}

impl From<Damaged> for Failed {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

type Decoded = Result<*mut PyObject, Failed>;

/// A new reference from CPython, null meaning that it raised.
#[inline]
fn new(object: *mut PyObject) -> Decoded {
    if object.is_null() {
        Err(Failed::Raised)
    } else {
        Ok(object)
    }
}

fn damaged<T>(why: &'static str) -> Result<T, Failed> {
    Err(Failed::Damaged(Damaged(why)))
}

/// One value being read. The methods return new references.
struct Decoder<'a> {
    reader: Reader<'a>,
    strings: &'a mut Strings,
    types: &'a Types,
    /// Lists, dicts and sets by number, borrowed from where they are; null for what can't be referred
    /// to yet.
    seen: &'a mut Vec<*mut PyObject>,
    buffers: std::slice::Iter<'a, SharedBytes>,
    containers: Containers,
    /// Items that containers may still claim to have: no more than bytes, or a small clone could ask
    /// for much memory.
    budget: usize,
    depth: u32,
    /// Whether the value is part of a key or of an element of a set, and so has to be hashable.
    hashed: bool,
}

impl<'a> Decoder<'a> {
    fn new(
        codec: &'a mut Codec,
        bytes: &'a [u8],
        buffers: &'a [SharedBytes],
        containers: Containers,
    ) -> Self {
        codec.seen.clear();
        Self {
            reader: Reader::new(bytes),
            strings: &mut codec.strings,
            types: &codec.types,
            seen: &mut codec.seen,
            buffers: buffers.iter(),
            containers,
            budget: bytes.len(),
            depth: 0,
            hashed: false,
        }
    }

    unsafe fn owned(&mut self) -> Result<Owned, Failed> {
        // SAFETY: `value` returns a new reference.
        unsafe { Owned::from_new(self.value()?).map_err(|Raised| Failed::Raised) }
    }

    fn end(&mut self) -> Result<(), Failed> {
        if self.reader.remaining() > 0 || self.buffers.len() > 0 {
            return damaged("something follows its end");
        }
        Ok(())
    }

    unsafe fn args(&mut self, args: &mut Vec<Owned>) -> Result<(), Failed> {
        if self.reader.byte()? != wire::TUPLE {
            return damaged("the arguments are no tuple");
        }
        self.depth = 1;
        for _ in 0..self.items(1)? {
            // SAFETY: by the caller's promise.
            args.push(unsafe { self.owned()? });
        }
        self.end()
    }

    /// Reads any value.
    ///
    /// # Safety
    /// The invariant of [`Codec`].
    unsafe fn value(&mut self) -> Decoded {
        // SAFETY: the thread is attached; slices are passed by pointer and length.
        unsafe {
            match self.reader.byte()? {
                wire::FLOAT => self.float(),
                wire::STR => {
                    let len = self.reader.length()?;
                    let text = self.reader.take(len)?;
                    new(self.strings.get(text)).or_else(|_| self.no_text())
                }
                wire::INT8 => new(PyLong_FromLong(
                    i8::from_le_bytes([self.reader.byte()?]).into(),
                )),
                wire::INT64 => self.int64(),
                wire::NONE => Ok(Py_NewRef(Py_None())),
                wire::FALSE => Ok(Py_NewRef(Py_False())),
                wire::TRUE => Ok(Py_NewRef(Py_True())),
                wire::VEC3 => self.vector(),
                wire::TUPLE => {
                    let count = self.open(1)?;
                    let tuple = self.tuple(count)?;
                    self.close();
                    Ok(tuple)
                }
                wire::DICT => self.dict(),
                wire::LIST => self.list(),
                wire::REFERENCE => self.reference(),
                wire::BYTES => {
                    let len = self.reader.length()?;
                    let bytes = self.reader.take(len)?;
                    new(PyBytes_FromStringAndSize(
                        bytes.as_ptr().cast(),
                        len as Py_ssize_t,
                    ))
                }
                wire::SET => self.set(),
                wire::FROZENSET => {
                    let set = new(PyFrozenSet_New(null_mut()))?;
                    self.fill_set(set)
                }
                wire::INT_BIG => self.big_int(),
                wire::BUFFER => self.buffer(),
                _ => damaged("an unknown tag"),
            }
        }
    }

    /// The cache of strings raised: by the text's fault it is damage.
    #[cold]
    unsafe fn no_text(&self) -> Decoded {
        // SAFETY: an exception is set.
        unsafe {
            if PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0 {
                return Err(Failed::Raised);
            }
            PyErr_Clear();
        }
        damaged("a str isn't UTF-8")
    }

    unsafe fn float(&mut self) -> Decoded {
        let value = f64::from_le_bytes(self.reader.eight()?);
        if self.hashed && value.is_nan() {
            return damaged("NaN as a key");
        }
        // SAFETY: attached.
        new(unsafe { PyFloat_FromDouble(value) })
    }

    unsafe fn vector(&mut self) -> Decoded {
        let mut v = [0.0; 3];
        for c in &mut v {
            *c = f64::from_le_bytes(self.reader.eight()?);
        }
        if self.hashed && v.iter().any(|c| c.is_nan()) {
            return damaged("NaN as a key");
        }
        // SAFETY: the type is of the attached interpreter.
        new(unsafe { vec3::new(self.types.vec3, v) })
    }

    unsafe fn int64(&mut self) -> Decoded {
        let value = i64::from_le_bytes(self.reader.eight()?);
        if i8::try_from(value).is_ok() {
            return damaged("an int isn't in its short form");
        }
        // SAFETY: attached.
        new(unsafe { PyLong_FromLongLong(value) })
    }

    unsafe fn big_int(&mut self) -> Decoded {
        let len = self.reader.length()?;
        if len <= size_of::<i64>() || len > INT_BYTES_MAX {
            return damaged("an int isn't in its short form");
        }
        let bytes = self.reader.take(len)?;
        if let [.., below, last] = bytes
            && *last == if below & 0x80 == 0 { 0x00 } else { 0xff }
        {
            return damaged("an int isn't in its short form");
        }
        let flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
        // SAFETY: the pointer and length are one slice; CPython reads it only.
        new(unsafe { PyLong_FromNativeBytes(bytes.as_ptr().cast(), len, flags) })
    }

    unsafe fn buffer(&mut self) -> Decoded {
        if self.hashed {
            return damaged("a buffer as a key");
        }
        let Some(bytes) = self.buffers.next() else {
            return damaged("a buffer is missing");
        };
        // SAFETY: the type is of the attached interpreter.
        unsafe { buffer::memoryview(self.types.shared_buffer, bytes.clone()) }
            .map_err(|Raised| Failed::Raised)
    }

    unsafe fn list(&mut self) -> Decoded {
        let count = self.open(1)?;
        // SAFETY: a list that can't be filled is made whole before it is released, since a cycle may
        // keep it. `PyList_SET_ITEM` takes over each item.
        unsafe {
            self.mutable()?;
            if self.containers == Containers::Frozen {
                // What it contains can't refer to it: a tuple that contains itself can't be hashed.
                let number = self.seen.len();
                self.seen.push(null_mut());
                let tuple = self.tuple(count)?;
                self.seen[number] = tuple;
                self.close();
                return Ok(tuple);
            }
            let list = new(PyList_New(count as Py_ssize_t))?;
            self.seen.push(list);
            for at in 0..count {
                match self.value() {
                    Ok(item) => PyList_SET_ITEM(list, at as Py_ssize_t, item),
                    Err(failed) => {
                        for at in at..count {
                            PyList_SET_ITEM(list, at as Py_ssize_t, Py_NewRef(Py_None()));
                        }
                        Py_DECREF(list);
                        return Err(failed);
                    }
                }
            }
            self.close();
            Ok(list)
        }
    }

    /// A tuple of so many values; nothing refers to it before it is whole.
    unsafe fn tuple(&mut self, count: usize) -> Decoded {
        // SAFETY: `PyTuple_SET_ITEM` takes over each item; the release of a tuple skips those missing.
        unsafe {
            let tuple = new(PyTuple_New(count as Py_ssize_t))?;
            for at in 0..count {
                match self.value() {
                    Ok(item) => PyTuple_SET_ITEM(tuple, at as Py_ssize_t, item),
                    Err(failed) => {
                        Py_DECREF(tuple);
                        return Err(failed);
                    }
                }
            }
            Ok(tuple)
        }
    }

    unsafe fn dict(&mut self) -> Decoded {
        let count = self.open(2)?;
        // SAFETY: `dict` is held by `known`: it is that, or its proxy.
        unsafe {
            self.mutable()?;
            let dict = new(new_dict(count))?;
            let known = match self.containers {
                Containers::Live => dict,
                Containers::Frozen => {
                    let proxy = PyDictProxy_New(dict);
                    Py_DECREF(dict);
                    new(proxy)?
                }
            };
            self.seen.push(known);
            for at in 0..count {
                if let Err(failed) = self.pair(dict, at) {
                    Py_DECREF(known);
                    return Err(failed);
                }
            }
            self.close();
            Ok(known)
        }
    }

    /// Reads a key and its value into a dict that has `count`.
    unsafe fn pair(&mut self, dict: *mut PyObject, count: usize) -> Result<(), Failed> {
        // SAFETY: `PyDict_SetItem` takes references of its own; ours are released.
        unsafe {
            let key = self.hashed()?;
            let value = match self.value() {
                Ok(value) => value,
                Err(failed) => {
                    Py_DECREF(key);
                    return Err(failed);
                }
            };
            let result = PyDict_SetItem(dict, key, value);
            Py_DECREF(key);
            Py_DECREF(value);
            if result != 0 {
                return Err(Failed::Raised);
            }
            // The value that was there is gone, and may be among those seen: nothing more may be read.
            if PyDict_Size(dict) as usize == count {
                return damaged("a key comes twice");
            }
            Ok(())
        }
    }

    /// Reads a key or an element.
    unsafe fn hashed(&mut self) -> Decoded {
        let around = std::mem::replace(&mut self.hashed, true);
        // SAFETY: by the caller's promise.
        let value = unsafe { self.value() };
        self.hashed = around;
        value
    }

    unsafe fn set(&mut self) -> Decoded {
        // SAFETY: attached; `fill_set` takes over the new set.
        unsafe {
            self.mutable()?;
            let set = match self.containers {
                Containers::Live => PySet_New(null_mut()),
                Containers::Frozen => PyFrozenSet_New(null_mut()),
            };
            self.seen.push(set);
            self.fill_set(new(set)?)
        }
    }

    /// Reads the elements of a set or frozenset that nobody else knows; takes it over on an error.
    unsafe fn fill_set(&mut self, set: *mut PyObject) -> Decoded {
        // SAFETY: `PySet_Add` takes a reference of its own, and may fill a frozenset that is new.
        unsafe {
            match self.elements(set) {
                Ok(()) => Ok(set),
                Err(failed) => {
                    Py_DECREF(set);
                    Err(failed)
                }
            }
        }
    }

    unsafe fn elements(&mut self, set: *mut PyObject) -> Result<(), Failed> {
        let count = self.open(1)?;
        let mut before: &[u8] = &[];
        for _ in 0..count {
            let mark = self.reader.mark();
            // SAFETY: by the caller's promise; our reference to the element is released.
            unsafe {
                let element = self.hashed()?;
                let result = PySet_Add(set, element);
                Py_DECREF(element);
                if result != 0 {
                    return Err(Failed::Raised);
                }
            }
            let bytes = self.reader.since(mark);
            if bytes <= before {
                return damaged("a set isn't in order");
            }
            before = bytes;
        }
        // SAFETY: `set` is a set.
        if unsafe { PySet_GET_SIZE(set) } as usize != count {
            return damaged("an element comes twice");
        }
        self.close();
        Ok(())
    }

    unsafe fn reference(&mut self) -> Decoded {
        self.mutable()?;
        let number = self.reader.length()?;
        match self.seen.get(number) {
            // SAFETY: what was seen is alive: it is in the value that is being made.
            Some(seen) if !seen.is_null() => Ok(unsafe { Py_NewRef(*seen) }),
            _ => damaged("a reference to nothing"),
        }
    }

    /// Lists, dicts and sets can't be in a key.
    fn mutable(&self) -> Result<(), Failed> {
        if self.hashed {
            return damaged("a container that can change as a key");
        }
        Ok(())
    }

    /// Begins a container; the number of its items, which are `values` values each.
    fn open(&mut self, values: usize) -> Result<usize, Failed> {
        if self.depth == DEPTH_MAX {
            return damaged("it is nested too deeply");
        }
        self.depth += 1;
        self.items(values)
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    fn items(&mut self, values: usize) -> Result<usize, Failed> {
        let count = self.reader.length()?;
        match self.budget.checked_sub(count * values) {
            Some(rest) => {
                self.budget = rest;
                Ok(count)
            }
            None => damaged("more items than bytes"),
        }
    }
}

/// A dict with room for `count` keys.
unsafe fn new_dict(count: usize) -> *mut PyObject {
    // Exported without a prototype in later versions, and gone in 3.15.
    #[cfg(not(Py_3_15))]
    unsafe extern "C" {
        fn _PyDict_NewPresized(count: Py_ssize_t) -> *mut PyObject;
    }
    // SAFETY: attached. The count was checked against the bytes.
    unsafe {
        #[cfg(not(Py_3_15))]
        if count > DICT_SIZE_MIN {
            return _PyDict_NewPresized(count as Py_ssize_t);
        }
        PyDict_New()
    }
}

/// Keys that a new dict has room for.
#[cfg(not(Py_3_15))]
const DICT_SIZE_MIN: usize = 5;
