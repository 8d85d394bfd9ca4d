//! A cache of short strings: the names that messages and dicts repeat.

use std::ptr::null_mut;
use std::slice;

use pyo3_ffi::*;

use super::wire::SHORT_TEXT;

const _: () = assert!(
    SHORT_TEXT == 2 * size_of::<u64>(),
    "a key holds a text whole"
);

/// Sets of entries; a power of two.
const SETS: usize = 256;
/// Entries of a set, which are searched one after another: a set fills a cache line.
const WAYS: usize = 2;

/// A text of at most [`SHORT_TEXT`] bytes, whole, in a form that is compared at once.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key {
    head: u64,
    tail: u64,
    len: usize,
}

impl Key {
    /// For a given length the bytes can be told from head and tail: these overlap, but miss nothing.
    #[inline]
    pub(super) fn new(text: &[u8]) -> Self {
        let len = text.len();
        let (head, tail) = if let (Some(head), Some(tail)) =
            (text.first_chunk::<8>(), text.last_chunk::<8>())
        {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
            (u64::from(head), u64::from(tail))
        } else if let (Some(first), Some(last)) = (text.first(), text.last()) {
            (
                u64::from_le_bytes([*first, text[len / 2], *last, 0, 0, 0, 0, 0]),
                0,
            )
        } else {
            (0, 0)
        };
        Self { head, tail, len }
    }

    /// A number below a power of two: by Fibonacci hashing, in which the high bits of the product
    /// depend on all bits.
    #[inline]
    pub(super) fn hash(&self, below: usize) -> usize {
        let bits = self.head ^ self.tail.rotate_left(29) ^ self.len as u64;
        (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - below.trailing_zeros())) as usize
    }
}

/// A text and its string.
#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    /// Null while the entry is free.
    string: *mut PyObject,
}

/// Short ASCII strings of one interpreter, found by their bytes.
///
/// # Invariants
/// Strings are null or owned references. Used and dropped while the thread is attached to the
/// interpreter.
pub(super) struct Strings {
    sets: Box<[[Entry; WAYS]; SETS]>,
}

impl Strings {
    pub(super) fn new() -> Self {
        let free = Entry {
            key: Key::default(),
            string: null_mut(),
        };
        Self {
            sets: Box::new([[free; WAYS]; SETS]),
        }
    }

    /// A new reference to a `str`, or null with an exception set where the bytes aren't UTF-8.
    ///
    /// # Safety
    /// This thread is attached to the cache's interpreter.
    #[inline]
    pub(super) unsafe fn get(&mut self, text: &[u8]) -> *mut PyObject {
        if text.len() > SHORT_TEXT {
            // SAFETY: attached, by the caller's promise.
            return unsafe { decode(text) };
        }
        let key = Key::new(text);
        let set = &mut self.sets[key.hash(SETS)];
        for entry in set.iter() {
            if entry.key == key && !entry.string.is_null() {
                // SAFETY: the entry's reference keeps it alive.
                return unsafe { Py_NewRef(entry.string) };
            }
        }
        // SAFETY: attached, by the caller's promise.
        unsafe { replace(set, key, text) }
    }
}

/// The bytes of a `str` that is ASCII; others may be in another form.
///
/// # Safety
/// `string` is a `str` of the attached interpreter, and outlives the use of its bytes.
#[inline]
pub(super) unsafe fn ascii<'a>(string: *mut PyObject) -> Option<&'a [u8]> {
    // SAFETY: a compact ASCII string's characters, a byte each, come right after its head.
    unsafe {
        (PyUnicode_IS_COMPACT_ASCII(string) != 0).then(|| {
            let len = PyUnicode_GET_LENGTH(string) as usize;
            slice::from_raw_parts(string.cast::<PyASCIIObject>().add(1).cast(), len)
        })
    }
}

/// Decodes `text` and keeps it in place of the set's oldest if it is ASCII.
///
/// # Safety
/// As for [`Strings::get`].
#[cold]
unsafe fn replace(set: &mut [Entry; WAYS], key: Key, text: &[u8]) -> *mut PyObject {
    // SAFETY: the oldest string is released after its place was taken. Interning makes the string the
    // same object as the constants in scripts, which look-ups compare first.
    unsafe {
        let mut string = decode(text);
        if !string.is_null() && PyUnicode_IS_COMPACT_ASCII(string) != 0 {
            PyUnicode_InternInPlace(&mut string);
            let oldest = set[WAYS - 1].string;
            set.copy_within(..WAYS - 1, 1);
            set[0] = Entry {
                key,
                string: Py_NewRef(string),
            };
            Py_XDECREF(oldest);
        }
        string
    }
}

unsafe fn decode(text: &[u8]) -> *mut PyObject {
    // SAFETY: attached, by the callers' promise; the pointer and length are one slice.
    unsafe {
        PyUnicode_DecodeUTF8(
            text.as_ptr().cast(),
            text.len() as Py_ssize_t,
            c"strict".as_ptr(),
        )
    }
}

impl Drop for Strings {
    fn drop(&mut self) {
        for entry in self.sets.as_flattened_mut() {
            // SAFETY: our reference, released on the interpreter's thread by the invariant.
            unsafe { Py_XDECREF(std::mem::replace(&mut entry.string, null_mut())) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_tell_texts_apart() {
        let text = b"abcdefghijklmnop";
        for len in 0..=text.len() {
            let key = Key::new(&text[..len]);
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(key != Key::new(&other), "byte {at} of {len}");
            }
            assert!(key != Key::new(&[&text[..len], b"\0"].concat()), "{len}");
        }
    }
}
