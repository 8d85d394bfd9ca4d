//! Bytes to objects.

use std::ptr::{NonNull, null_mut};

use pyo3_ffi::*;

use super::shapes::Shapes;
use super::strings::Strings;
use super::table;
use super::wire::{self, Reader};
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
    // SAFETY: by the caller's promise; the value is a new reference.
    unsafe {
        let value = decoder.value().ok_or_else(|| decoder.raise())?;
        let value = Owned::from_new(value.as_ptr())?;
        decoder.end().ok_or_else(|| decoder.raise())?;
        Ok(value)
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
    let (bytes, buffers) = (message.args(), message.buffers());
    let mut decoder = Decoder::new(codec, bytes, buffers, Containers::Live);
    // SAFETY: by the caller's promise.
    unsafe {
        decoder.args(args).ok_or_else(|| {
            args.truncate(before);
            decoder.raise()
        })
    }
}

/// A new reference; or decoding stopped, and [`Decoder::raise`] says why. It fits a register, which a
/// `Result` with the reason doesn't.
type Decoded = Option<NonNull<PyObject>>;

/// A new reference from CPython, null meaning that it raised.
#[inline]
fn new(object: *mut PyObject) -> Decoded {
    NonNull::new(object)
}

/// One value being read.
struct Decoder<'a> {
    reader: Reader<'a>,
    strings: &'a mut Strings,
    shapes: &'a mut Shapes,
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
    /// What is wrong with the bytes, once decoding stopped for another reason than their end.
    damage: Option<&'static str>,
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
            shapes: &mut codec.received,
            types: &codec.types,
            seen: &mut codec.seen,
            buffers: buffers.iter(),
            containers,
            budget: bytes.len(),
            depth: 0,
            hashed: false,
            damage: None,
        }
    }

    /// Stops: the bytes are no clone.
    #[cold]
    fn damaged<T>(&mut self, why: &'static str) -> Option<T> {
        self.damage = Some(why);
        None
    }

    /// After decoding stopped: raises what is wrong with the bytes, unless Python has raised.
    #[cold]
    fn raise(&self) -> Raised {
        // SAFETY: decoding is done on an attached thread.
        unsafe {
            if !PyErr_Occurred().is_null() {
                return Raised;
            }
            let why = self
                .damage
                .unwrap_or("it ends too early, or a length is too long");
            raise(PyExc_ValueError, &format!("a clone is damaged: {why}"))
        }
    }

    fn end(&mut self) -> Option<()> {
        if self.reader.remaining() > 0 || self.buffers.len() > 0 {
            return self.damaged("something follows its end");
        }
        Some(())
    }

    unsafe fn args(&mut self, args: &mut Vec<Owned>) -> Option<()> {
        if self.reader.byte()? != wire::TUPLE {
            return self.damaged("the arguments are no tuple");
        }
        self.depth = 1;
        for _ in 0..self.items(1)? {
            // SAFETY: by the caller's promise; each value is a new reference.
            args.push(unsafe { Owned::from_new(self.value()?.as_ptr()) }.ok()?);
        }
        self.end()
    }

    /// Reads any value.
    ///
    /// # Safety
    /// The invariant of [`Codec`].
    #[inline(always)]
    unsafe fn value(&mut self) -> Decoded {
        // SAFETY: the thread is attached.
        unsafe {
            match self.reader.byte()? {
                wire::FLOAT => self.float(),
                wire::STR => {
                    let len = self.reader.length()?;
                    let text = self.reader.take(len)?;
                    new(self.strings.get(text)).or_else(|| self.no_text())
                }
                wire::INT8 => new(PyLong_FromLong(
                    i8::from_le_bytes([self.reader.byte()?]).into(),
                )),
                wire::INT64 => self.int64(),
                wire::NONE => new(Py_NewRef(Py_None())),
                wire::FALSE => new(Py_NewRef(Py_False())),
                wire::TRUE => new(Py_NewRef(Py_True())),
                tag => self.larger(tag),
            }
        }
    }

    /// Reads what is more than a number or a text. Apart from [`Self::value`], which then needs few
    /// registers.
    #[inline(never)]
    unsafe fn larger(&mut self, tag: u8) -> Decoded {
        // SAFETY: the thread is attached; slices are passed by pointer and length.
        unsafe {
            match tag {
                wire::VEC3 => self.vector(),
                wire::TUPLE => {
                    let count = self.open(1)?;
                    let tuple = self.tuple(count)?;
                    self.close();
                    Some(tuple)
                }
                wire::DICT => self.dict(),
                wire::LIST => self.list(),
                wire::REFERENCE => self.reference(),
                wire::BYTES => {
                    let len = self.reader.length()?;
                    let bytes = self.reader.take(len)?;
                    let len = len as Py_ssize_t;
                    new(PyBytes_FromStringAndSize(bytes.as_ptr().cast(), len))
                }
                wire::SET => self.set(),
                wire::FROZENSET => self.fill_set(PyFrozenSet_New(null_mut())),
                wire::INT_BIG => self.big_int(),
                wire::BUFFER => self.buffer(),
                _ => self.damaged("an unknown tag"),
            }
        }
    }

    /// The cache of strings raised: by the text's fault it is damage.
    #[cold]
    unsafe fn no_text(&mut self) -> Decoded {
        // SAFETY: an exception is set.
        unsafe {
            if PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0 {
                return None;
            }
            PyErr_Clear();
        }
        self.damaged("a str isn't UTF-8")
    }

    #[inline]
    unsafe fn float(&mut self) -> Decoded {
        let value = f64::from_le_bytes(self.reader.eight()?);
        if self.hashed && value.is_nan() {
            return self.damaged("NaN as a key");
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
            return self.damaged("NaN as a key");
        }
        // SAFETY: the type is of the attached interpreter.
        new(unsafe { vec3::new(self.types.vec3, v) })
    }

    unsafe fn int64(&mut self) -> Decoded {
        let value = i64::from_le_bytes(self.reader.eight()?);
        if i8::try_from(value).is_ok() {
            return self.damaged("an int isn't in its short form");
        }
        // SAFETY: attached.
        new(unsafe { PyLong_FromLongLong(value) })
    }

    unsafe fn big_int(&mut self) -> Decoded {
        let len = self.reader.length()?;
        if len <= size_of::<i64>() || len > INT_BYTES_MAX {
            return self.damaged("an int isn't in its short form");
        }
        let bytes = self.reader.take(len)?;
        if let [.., below, last] = bytes
            && *last == if below & 0x80 == 0 { 0x00 } else { 0xff }
        {
            return self.damaged("an int isn't in its short form");
        }
        let flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
        // SAFETY: the pointer and length are one slice; CPython reads it only.
        new(unsafe { PyLong_FromNativeBytes(bytes.as_ptr().cast(), len, flags) })
    }

    unsafe fn buffer(&mut self) -> Decoded {
        if self.hashed {
            return self.damaged("a buffer as a key");
        }
        let Some(bytes) = self.buffers.next() else {
            return self.damaged("a buffer is missing");
        };
        // SAFETY: the type is of the attached interpreter.
        let view = unsafe { buffer::memoryview(self.types.shared_buffer, bytes.clone()) };
        new(view.ok()?)
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
                self.seen[number] = tuple.as_ptr();
                self.close();
                return Some(tuple);
            }
            let list = new(PyList_New(count as Py_ssize_t))?;
            self.seen.push(list.as_ptr());
            for at in 0..count {
                let Some(item) = self.value() else {
                    for at in at..count {
                        let none = Py_NewRef(Py_None());
                        PyList_SET_ITEM(list.as_ptr(), at as Py_ssize_t, none);
                    }
                    Py_DECREF(list.as_ptr());
                    return None;
                };
                PyList_SET_ITEM(list.as_ptr(), at as Py_ssize_t, item.as_ptr());
            }
            self.close();
            Some(list)
        }
    }

    /// A tuple of so many values; nothing refers to it before it is whole.
    unsafe fn tuple(&mut self, count: usize) -> Decoded {
        // SAFETY: `PyTuple_SET_ITEM` takes over each item; the release of a tuple skips those missing.
        unsafe {
            let tuple = new(PyTuple_New(count as Py_ssize_t))?;
            for at in 0..count {
                let Some(item) = self.value() else {
                    Py_DECREF(tuple.as_ptr());
                    return None;
                };
                PyTuple_SET_ITEM(tuple.as_ptr(), at as Py_ssize_t, item.as_ptr());
            }
            Some(tuple)
        }
    }

    unsafe fn dict(&mut self) -> Decoded {
        let count = self.open(2)?;
        // SAFETY: `dict` is held by `known`: it is that, or its proxy.
        unsafe {
            self.mutable()?;
            let dict = self.keys(count)?.as_ptr();
            let known = match self.containers {
                Containers::Live => NonNull::new(dict)?,
                Containers::Frozen => {
                    let proxy = PyDictProxy_New(dict);
                    Py_DECREF(dict);
                    new(proxy)?
                }
            };
            self.seen.push(known.as_ptr());
            if self.fill(dict).is_none() {
                Py_DECREF(known.as_ptr());
                return None;
            }
            self.close();
            Some(known)
        }
    }

    /// Reads so many keys: a dict that has them, with `None` each.
    #[inline]
    unsafe fn keys(&mut self, count: usize) -> Decoded {
        let len = self.reader.length()?;
        let bytes = self.reader.take(len)?;
        // SAFETY: by the caller's promise; a copy is a dict.
        unsafe {
            let copy = self.shapes.copy(bytes);
            if copy.is_null() {
                return self.new_keys(bytes, count);
            }
            if PyDict_Size(copy) as usize != count {
                Py_DECREF(copy);
                return self.damaged("a dict has another number of keys");
            }
            new(copy)
        }
    }

    /// The same where the keys weren't met before.
    #[inline(never)]
    unsafe fn new_keys(&mut self, bytes: &'a [u8], count: usize) -> Decoded {
        let values = std::mem::replace(&mut self.reader, Reader::new(bytes));
        // SAFETY: the dict is released where it doesn't come to be whole.
        unsafe {
            // Not presized: CPython can do that only for keys of any type, whose dicts are slower
            // than those of str ever after.
            let dict = Owned::from_new(PyDict_New()).ok()?;
            for at in 0..count {
                let key = Owned::from_new(self.hashed()?.as_ptr()).ok()?;
                if PyDict_SetItem(dict.as_ptr(), key.as_ptr(), Py_None()) != 0 {
                    return None;
                }
                if PyDict_Size(dict.as_ptr()) as usize == at {
                    return self.damaged("a key comes twice");
                }
            }
            if self.reader.remaining() > 0 {
                return self.damaged("a dict has another number of keys");
            }
            self.reader = values;
            self.shapes.learn(bytes, dict.as_ptr());
            new(dict.into_ptr())
        }
    }

    /// Reads the values of a dict, which has its keys.
    unsafe fn fill(&mut self, dict: *mut PyObject) -> Option<()> {
        // SAFETY: while values are read nothing else changes the dict, which no script knows; a key's value
        // may be replaced while its entries are gone through. Each value is a new reference, and what was
        // there is `None`.
        unsafe {
            if PyObject_GC_IsTracked(dict) == 0 {
                PyObject_GC_Track(dict.cast());
            }
            if let Some(entries) = table::entries(dict) {
                for entry in entries {
                    let value = self.value()?;
                    Py_DECREF(entry.value.replace(value.as_ptr()));
                }
                return Some(());
            }
            let (mut at, mut key) = (0, null_mut());
            while PyDict_Next(dict, &mut at, &mut key, null_mut()) != 0 {
                let value = Owned::from_new(self.value()?.as_ptr()).ok()?;
                if PyDict_SetItem(dict, key, value.as_ptr()) != 0 {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Reads a key or an element.
    #[inline]
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
            self.fill_set(set)
        }
    }

    /// Reads the elements of a set or frozenset that nobody else knows, or null where Python raised.
    unsafe fn fill_set(&mut self, set: *mut PyObject) -> Decoded {
        let set = new(set)?;
        // SAFETY: `PySet_Add` takes a reference of its own, and may fill a frozenset that is new.
        unsafe {
            if self.elements(set.as_ptr()).is_none() {
                Py_DECREF(set.as_ptr());
                return None;
            }
        }
        Some(set)
    }

    unsafe fn elements(&mut self, set: *mut PyObject) -> Option<()> {
        let count = self.open(1)?;
        let mut before: &[u8] = &[];
        for _ in 0..count {
            let mark = self.reader.mark();
            // SAFETY: by the caller's promise; our reference to the element is released.
            unsafe {
                let element = self.hashed()?.as_ptr();
                let result = PySet_Add(set, element);
                Py_DECREF(element);
                if result != 0 {
                    return None;
                }
            }
            let bytes = self.reader.since(mark);
            if bytes <= before {
                return self.damaged("a set isn't in order");
            }
            before = bytes;
        }
        // SAFETY: `set` is a set.
        if unsafe { PySet_GET_SIZE(set) } as usize != count {
            return self.damaged("an element comes twice");
        }
        self.close();
        Some(())
    }

    unsafe fn reference(&mut self) -> Decoded {
        self.mutable()?;
        let number = self.reader.length()?;
        match self.seen.get(number) {
            // SAFETY: what was seen is alive: it is in the value that is being made.
            Some(seen) if !seen.is_null() => new(unsafe { Py_NewRef(*seen) }),
            _ => self.damaged("a reference to nothing"),
        }
    }

    /// Lists, dicts and sets can't be in a key.
    fn mutable(&mut self) -> Option<()> {
        if self.hashed {
            return self.damaged("a container that can change as a key");
        }
        Some(())
    }

    /// Begins a container; the number of its items, which are `values` values each.
    fn open(&mut self, values: usize) -> Option<usize> {
        if self.depth == DEPTH_MAX {
            return self.damaged("it is nested too deeply");
        }
        self.depth += 1;
        self.items(values)
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    fn items(&mut self, values: usize) -> Option<usize> {
        let count = self.reader.length()?;
        match self.budget.checked_sub(count * values) {
            Some(rest) => {
                self.budget = rest;
                Some(count)
            }
            None => self.damaged("more items than bytes"),
        }
    }
}
