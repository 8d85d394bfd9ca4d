//! Objects to bytes.

use std::ffi::c_int;
use std::mem::replace;
use std::ptr::null_mut;
use std::slice;

use bytes::BytesMut;
use pyo3_ffi::*;

use super::integer;
use super::memo::Memo;
use super::refusal::{self, Purpose, Refusal};
use super::shapes::Shapes;
use super::strings;
use super::table;
use super::wire::{self, write_head};
use super::{BUFFERS_MAX, CLONE_BYTES_MAX, Cloned, Codec, DEPTH_MAX, INT_BYTES_MAX, Types};
use crate::buffer::{self, Exports, SHARED_BYTES_MIN, SharedBytes};
use crate::py::{PyResult, raise};
use crate::vec3;

type Encoded = Result<(), Box<Refusal>>;

/// [`Codec::encode_value`].
///
/// # Safety
/// As there.
pub(super) unsafe fn value(
    codec: &mut Codec,
    value: *mut PyObject,
    what: impl FnOnce() -> String,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let mut encoder = Encoder::new(codec, None);
    // SAFETY: by the caller's promise.
    let encoded = unsafe { encoder.value(value, true) }.and_then(|()| encoder.check_room(0));
    encoded.map_err(|refusal| refusal.raise(&what()))?;
    out.extend_from_slice(&codec.block);
    Ok(())
}

/// [`Codec::encode_message`].
///
/// # Safety
/// As there.
pub(super) unsafe fn message(
    codec: &mut Codec,
    name: *mut PyObject,
    args: &[*mut PyObject],
    exports: &mut Exports,
) -> PyResult<Cloned> {
    let mut buffers = Vec::new();
    let lending = Lending {
        exports,
        buffers: &mut buffers,
    };
    let mut encoder = Encoder::new(codec, Some(lending));
    encoder.depth = 1;
    // SAFETY: by the caller's promise; the name's type is checked.
    unsafe {
        if PyUnicode_CheckExact(name) == 0 {
            return Err(raise(
                PyExc_TypeError,
                "the name of a message must be a str",
            ));
        }
        encoder
            .text(name)
            .map_err(|refusal| refusal.raise("name"))?;
        write_head(encoder.out, wire::TUPLE, args.len());
        encoder
            .items(args, true)
            .and_then(|()| encoder.check_room(0))
            .map_err(|refusal| refusal.raise("args"))?;
    }
    let bytes = codec.block.split().freeze();
    Ok(Cloned::from_parts(bytes, buffers))
}

/// Where large bytes of a message go.
struct Lending<'a> {
    exports: &'a mut Exports,
    buffers: &'a mut Vec<SharedBytes>,
}

/// One value being written.
struct Encoder<'a> {
    /// [`Codec::block`].
    out: &'a mut BytesMut,
    memo: &'a mut Memo,
    shapes: &'a mut Shapes,
    types: &'a Types,
    /// For messages; the state holds its bytes itself.
    lending: Option<Lending<'a>>,
    /// Lists around the value, for the state: a list can't contain itself there.
    open: Vec<*mut PyObject>,
    depth: u32,
    /// Whether the value is part of a key or of an element of a set.
    hashed: bool,
    /// Whether the value is in a tuple that may be met again: then so may what it holds, whatever the
    /// count of references to that.
    shared: bool,
}

impl<'a> Encoder<'a> {
    fn new(codec: &'a mut Codec, lending: Option<Lending<'a>>) -> Self {
        codec.block.clear();
        codec.memo.clear();
        Self {
            out: &mut codec.block,
            memo: &mut codec.memo,
            shapes: &mut codec.sent,
            types: &codec.types,
            lending,
            open: Vec::new(),
            depth: 0,
            hashed: false,
            shared: false,
        }
    }

    fn purpose(&self) -> Purpose {
        if self.lending.is_some() {
            Purpose::Send
        } else {
            Purpose::Keep
        }
    }

    /// Writes any value. `root` says that a reference to it may exist that isn't counted: the
    /// interpreter borrows what it passes as arguments.
    ///
    /// # Safety
    /// `object` is an object of the codec's interpreter, to which this thread is attached.
    #[inline(always)]
    unsafe fn value(&mut self, object: *mut PyObject, root: bool) -> Encoded {
        // SAFETY: each type is checked before its objects are taken apart.
        unsafe {
            let ty = Py_TYPE(object);
            if ty == &raw mut PyFloat_Type {
                return self.float(PyFloat_AS_DOUBLE(object));
            }
            if ty == &raw mut PyUnicode_Type {
                return self.text(object);
            }
            if ty == &raw mut PyLong_Type {
                return self.int(object);
            }
            for (tag, singleton) in [
                (wire::NONE, Py_None()),
                (wire::TRUE, Py_True()),
                (wire::FALSE, Py_False()),
            ] {
                if object == singleton {
                    wire::write(self.out, [tag]);
                    return Ok(());
                }
            }
            self.larger(object, root)
        }
    }

    /// Writes what is more than a number or a text.
    ///
    /// # Safety
    /// As for [`Self::value`].
    #[inline(never)]
    unsafe fn larger(&mut self, object: *mut PyObject, root: bool) -> Encoded {
        // SAFETY: as in `value`; nothing here runs a script, so that no container changes while it is read.
        unsafe {
            let ty = Py_TYPE(object);
            if ty == self.types.vec3 {
                return self.vector(vec3::get(object).unwrap_or_default());
            }
            if ty == &raw mut PyTuple_Type {
                return self.tuple(object, root);
            }
            if ty == &raw mut PyDict_Type {
                return self.dict(object, object, root);
            }
            if ty == &raw mut PyList_Type {
                return self.list(object, root);
            }
            if ty == &raw mut PyBytes_Type {
                return self.bytes(object);
            }
            if ty == &raw mut PySet_Type {
                if self.hashed {
                    return Err(self.refused(object));
                }
                return match self.appeared(object, root) {
                    Some(number) => self.reference(number),
                    None => self.set(wire::SET, object),
                };
            }
            if ty == &raw mut PyFrozenSet_Type {
                return self.set(wire::FROZENSET, object);
            }
            if ty == &raw mut PyMemoryView_Type && !self.hashed {
                return self.view(object);
            }
            if ty == &raw mut PyDictProxy_Type {
                let mapping = (*object.cast::<MappingProxy>()).mapping;
                if Py_TYPE(mapping) == &raw mut PyDict_Type {
                    return self.dict(object, mapping, true);
                }
            }
            Err(self.refused(object))
        }
    }

    #[cold]
    unsafe fn refused(&self, object: *mut PyObject) -> Box<Refusal> {
        // SAFETY: as for `value`, which this is called from.
        unsafe { refusal::of_type(object, self.types, self.purpose()) }
    }

    fn float(&mut self, value: f64) -> Encoded {
        if value.is_nan() {
            self.check_nan()?;
        }
        wire::write_eight(self.out, wire::FLOAT, value.to_le_bytes());
        Ok(())
    }

    /// Where NaN can't be. A container that holds one equals itself, but not its clone: in the state that
    /// would tell where an entity has lived.
    #[cold]
    fn check_nan(&self) -> Encoded {
        if self.hashed {
            return Err(refusal::nan_hashed());
        }
        match self.purpose() {
            Purpose::Keep => Err(refusal::nan_kept()),
            Purpose::Send => Ok(()),
        }
    }

    fn vector(&mut self, v: [f64; 3]) -> Encoded {
        if v.iter().any(|c| c.is_nan()) {
            self.check_nan()?;
        }
        wire::write(self.out, [wire::VEC3]);
        for c in v {
            wire::write(self.out, c.to_le_bytes());
        }
        Ok(())
    }

    #[inline]
    unsafe fn text(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is a str; its bytes live as long as it.
        unsafe {
            match strings::ascii(object) {
                Some(text) if text.len() <= wire::SHORT_TEXT => {
                    wire::write_str(self.out, text);
                    Ok(())
                }
                _ => self.long_text(object),
            }
        }
    }

    #[inline(never)]
    unsafe fn long_text(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is a str; its UTF-8 lives as long as it.
        let text = unsafe { utf8(object)? };
        self.check_room(text.len())?;
        wire::write_str(self.out, text);
        Ok(())
    }

    #[inline]
    unsafe fn int(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is an int.
        unsafe {
            if let Some(value) = integer::compact(object) {
                wire::write_int(self.out, value);
                return Ok(());
            }
            self.long_int(object)
        }
    }

    #[inline(never)]
    unsafe fn long_int(&mut self, object: *mut PyObject) -> Encoded {
        let mut overflow: c_int = 0;
        // SAFETY: `object` is an int.
        unsafe {
            let value = PyLong_AsLongLongAndOverflow(object, &mut overflow);
            if overflow != 0 {
                return self.big_int(object);
            }
            wire::write_int(self.out, value);
            Ok(())
        }
    }

    #[cold]
    unsafe fn big_int(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is an int; CPython writes at most the bytes that the array has.
        unsafe {
            let mut bytes = [0_u8; INT_BYTES_MAX];
            let flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
            let needed = PyLong_AsNativeBytes(
                object,
                bytes.as_mut_ptr().cast(),
                INT_BYTES_MAX as Py_ssize_t,
                flags,
            );
            let Some(bytes) = usize::try_from(needed).ok().and_then(|n| bytes.get(..n)) else {
                PyErr_Clear();
                return Err(refusal::int());
            };
            let bytes = shortest(bytes);
            write_head(self.out, wire::INT_BIG, bytes.len());
            self.out.extend_from_slice(bytes);
            Ok(())
        }
    }

    unsafe fn bytes(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is a bytes; its contents live as long as it.
        unsafe {
            let len = Py_SIZE(object) as usize;
            if len >= SHARED_BYTES_MIN
                && !self.hashed
                && let Some(lending) = &mut self.lending
            {
                let shared = lending.exports.lend(object);
                return self.share(shared);
            }
            let data = PyBytes_AS_STRING(object).cast::<u8>();
            self.copy(slice::from_raw_parts(data, len))
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Encoded {
        self.check_room(bytes.len())?;
        write_head(self.out, wire::BYTES, bytes.len());
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn share(&mut self, bytes: SharedBytes) -> Encoded {
        if let Some(lending) = &mut self.lending {
            if lending.buffers.len() == BUFFERS_MAX {
                let reason = format!("more than {BUFFERS_MAX} large bytes in one message");
                return Err(Refusal::new(reason));
            }
            lending.buffers.push(bytes);
            wire::write(self.out, [wire::BUFFER]);
        }
        Ok(())
    }

    /// A `memoryview`, such as the one in which large bytes arrive: goes on as bytes.
    unsafe fn view(&mut self, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is a memoryview. The buffer is released before anything else happens to the
        // view; its contents stay in place until then, and no script runs that could change them.
        unsafe {
            let mut view = Py_buffer::new();
            if PyObject_GetBuffer(object, &mut view, PyBUF_SIMPLE) != 0 {
                PyErr_Clear();
                let reason = "a memoryview that was released or has gaps: send bytes(...) of it";
                return Err(Refusal::new(reason));
            }
            let bytes = slice::from_raw_parts(view.buf.cast::<u8>(), view.len as usize);
            let encoded = match self.forwarded(object, bytes) {
                _ if view.itemsize != 1 => Err(Refusal::new(
                    "a memoryview of more than bytes: send bytes(...) of it",
                )),
                Some(shared) => self.share(shared),
                None => self.copy(bytes),
            };
            PyBuffer_Release(&mut view);
            encoded
        }
    }

    /// What a view shows of a buffer that another zone has lent, if it is to be lent on.
    unsafe fn forwarded(&self, view: *mut PyObject, bytes: &[u8]) -> Option<SharedBytes> {
        if self.lending.is_none() || bytes.len() < SHARED_BYTES_MIN {
            return None;
        }
        // SAFETY: `view` is a memoryview that isn't released; the base is released after its use.
        unsafe {
            let base = PyObject_GetAttrString(view, c"obj".as_ptr());
            if base.is_null() {
                PyErr_Clear();
                return None;
            }
            let shared = buffer::get(self.types.shared_buffer, base)
                .and_then(|shared| shared.part(bytes.as_ptr(), bytes.len()));
            Py_DECREF(base);
            shared
        }
    }

    /// Writes values one after the other.
    ///
    /// # Safety
    /// As for [`Self::value`], for each.
    unsafe fn items(&mut self, items: &[*mut PyObject], root: bool) -> Encoded {
        for (at, &item) in items.iter().enumerate() {
            // SAFETY: by the caller's promise.
            unsafe { self.value(item, root) }.map_err(|refusal| refusal.at(at))?;
        }
        Ok(())
    }

    unsafe fn tuple(&mut self, object: *mut PyObject, root: bool) -> Encoded {
        // SAFETY: `object` is a tuple and stays as it is.
        unsafe {
            let around = self.shared;
            self.shared |= root || Py_REFCNT(object) != 1;
            let items = &raw const (*object.cast::<PyTupleObject>()).ob_item;
            let items = slice::from_raw_parts(items.cast(), PyTuple_GET_SIZE(object) as usize);
            self.open(wire::TUPLE, items.len())?;
            self.items(items, false)?;
            self.shared = around;
        }
        self.close();
        Ok(())
    }

    unsafe fn list(&mut self, object: *mut PyObject, root: bool) -> Encoded {
        // SAFETY: `object` is a list, and no script runs that could change it.
        unsafe {
            if self.hashed {
                return Err(self.refused(object));
            }
            if let Some(number) = self.appeared(object, root) {
                if self.open.contains(&object) {
                    return Err(refusal::cycle());
                }
                return self.reference(number);
            }
            let items = list_items(object);
            self.open(wire::LIST, items.len())?;
            // Messages are decoded into lists, which may contain themselves.
            let watch = self.purpose() == Purpose::Keep;
            if watch {
                self.open.push(object);
            }
            self.items(items, false)?;
            if watch {
                self.open.pop();
            }
        }
        self.close();
        Ok(())
    }

    /// Writes the dict `mapping`, which is known as `object`: itself, or the proxy that freezes it.
    unsafe fn dict(
        &mut self,
        object: *mut PyObject,
        mapping: *mut PyObject,
        root: bool,
    ) -> Encoded {
        // SAFETY: `mapping` is a dict, and no script runs that could change it, so that its keys and values
        // are lent for as long as they are needed.
        unsafe {
            if self.hashed {
                return Err(self.refused(object));
            }
            if let Some(number) = self.appeared(mapping, root) {
                return self.reference(number);
            }
            self.open(wire::DICT, PyDict_Size(mapping) as usize)?;
            let Some(entries) = table::entries(mapping) else {
                return self.rare_dict(mapping);
            };
            if let Some(bytes) = self.shapes.bytes(entries) {
                self.out.extend_from_slice(bytes);
            } else {
                let start = self.out.len();
                for entry in entries {
                    self.key(entry.key)?;
                }
                wire::insert_length(self.out, start);
                self.shapes
                    .learn_bytes(entries, &self.out[start..], mapping);
            }
            for entry in entries {
                self.value(entry.value.get(), false)
                    .map_err(|refusal| refusal.under(entry.key))?;
            }
        }
        self.close();
        Ok(())
    }

    /// Writes the keys and values of a dict that has other keys than `str`, or had.
    unsafe fn rare_dict(&mut self, dict: *mut PyObject) -> Encoded {
        // SAFETY: as in `dict`.
        unsafe {
            let start = self.out.len();
            let (mut at, mut key, mut value) = (0, null_mut(), null_mut());
            while PyDict_Next(dict, &mut at, &mut key, null_mut()) != 0 {
                self.key(key)?;
            }
            wire::insert_length(self.out, start);
            at = 0;
            while PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
                self.value(value, false)
                    .map_err(|refusal| refusal.under(key))?;
            }
        }
        self.close();
        Ok(())
    }

    unsafe fn key(&mut self, key: *mut PyObject) -> Encoded {
        // SAFETY: as for `value`.
        unsafe { self.hashed(key) }.map_err(|refusal| refusal.within("a key"))
    }

    /// Writes a key or an element, of which nothing may change and no address be hashed.
    unsafe fn hashed(&mut self, object: *mut PyObject) -> Encoded {
        let around = replace(&mut self.hashed, true);
        // SAFETY: as for `value`.
        let encoded = unsafe { self.value(object, false) };
        self.hashed = around;
        encoded
    }

    unsafe fn set(&mut self, tag: u8, object: *mut PyObject) -> Encoded {
        // SAFETY: `object` is a set or frozenset, and no script runs that could change it. Each
        // element is released after it was written; the set keeps it.
        unsafe {
            let len = PySet_GET_SIZE(object) as usize;
            self.open(tag, len)?;
            let start = self.out.len();
            let mut ends = Vec::with_capacity(len);
            let elements = PyObject_GetIter(object);
            if elements.is_null() {
                PyErr_Clear();
                return Err(Refusal::new("out of memory"));
            }
            let mut encoded = Ok(());
            while encoded.is_ok() {
                let element = PyIter_Next(elements);
                if element.is_null() {
                    break;
                }
                encoded = self.hashed(element);
                Py_DECREF(element);
                ends.push(self.out.len());
            }
            Py_DECREF(elements);
            encoded.map_err(|refusal| refusal.within("an element"))?;
            sort(self.out, start, &ends);
        }
        self.close();
        Ok(())
    }

    /// The number of a container, if it has appeared.
    unsafe fn appeared(&mut self, object: *mut PyObject, root: bool) -> Option<usize> {
        // SAFETY: a live object. With one reference, from the container around it, which is met once, it
        // can't be found anywhere else.
        if !root && !self.shared && unsafe { Py_REFCNT(object) } == 1 {
            self.memo.skip();
            return None;
        }
        self.memo.find_or_add(object)
    }

    fn reference(&mut self, number: usize) -> Encoded {
        write_head(self.out, wire::REFERENCE, number);
        Ok(())
    }

    #[inline]
    fn open(&mut self, tag: u8, len: usize) -> Encoded {
        if self.depth == DEPTH_MAX {
            return Err(refusal::depth());
        }
        self.depth += 1;
        // An item takes a byte at least; that also bounds the time that a tuple of tuples of the same
        // tuples takes.
        self.check_room(len)?;
        write_head(self.out, tag, len);
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    fn check_room(&self, bytes: usize) -> Encoded {
        if self.out.len() + bytes > CLONE_BYTES_MAX {
            return Err(refusal::size(self.purpose()));
        }
        Ok(())
    }
}

/// The UTF-8 of a `str`, which CPython keeps with it.
unsafe fn utf8<'a>(object: *mut PyObject) -> Result<&'a [u8], Box<Refusal>> {
    let mut len = 0;
    // SAFETY: `object` is a str by the caller's promise, which outlives its bytes.
    unsafe {
        let utf8 = PyUnicode_AsUTF8AndSize(object, &mut len);
        if utf8.is_null() {
            PyErr_Clear();
            return Err(refusal::surrogates());
        }
        Ok(slice::from_raw_parts(utf8.cast(), len as usize))
    }
}

/// The items of a list, for as long as it isn't changed.
unsafe fn list_items<'a>(list: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: `list` is a list by the caller's promise; an empty one may have no array.
    unsafe {
        match PyList_GET_SIZE(list) as usize {
            0 => &[],
            len => slice::from_raw_parts((*list.cast::<PyListObject>()).ob_item, len),
        }
    }
}

/// CPython's `mappingproxyobject`, which has no accessor (`Objects/descrobject.c`).
#[repr(C)]
struct MappingProxy {
    head: PyObject,
    mapping: *mut PyObject,
}

/// The shortest little-endian two's complement of the same number.
fn shortest(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., below, last] = bytes {
        let sign = if below & 0x80 == 0 { 0x00 } else { 0xff };
        if *last != sign {
            break;
        }
        bytes = &bytes[..rest.len() + 1];
    }
    bytes
}

/// Sorts the values that begin at `start` and end at `ends` by their bytes.
fn sort(out: &mut [u8], start: usize, ends: &[usize]) {
    let unsorted = out[start..].to_vec();
    let mut from = 0;
    let mut values: Vec<&[u8]> = Vec::with_capacity(ends.len());
    for end in ends {
        values.push(&unsorted[from..end - start]);
        from = end - start;
    }
    values.sort_unstable();
    let mut at = start;
    for value in values {
        out[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_keeps_the_sign() {
        let cases: &[(&[u8], &[u8])] = &[
            (&[0, 0, 0], &[0]),
            (&[0x7f, 0], &[0x7f]),
            (&[0x80, 0], &[0x80, 0]),
            (&[0x80, 0xff], &[0x80]),
            (&[0x7f, 0xff], &[0x7f, 0xff]),
            (&[0xff, 0xff], &[0xff]),
        ];
        for (long, short) in cases {
            assert_eq!(shortest(long), *short, "{long:?}");
        }
    }

    #[test]
    fn sort_is_by_bytes() {
        let mut out = b"head-bb-a-ccc".to_vec();
        sort(&mut out, 4, &[7, 9, 13]);
        assert_eq!(out, b"head-a-bb-ccc");
    }
}
