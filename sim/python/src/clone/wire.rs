//! The format of clones.
//!
//! A value is a tag and what the tag says. Numbers are little-endian. A *length* is one byte below
//! 255, or the byte 255 and four bytes. Each value has exactly one form, the shortest: equal values
//! give equal bytes, and what decodes encodes to the same bytes again.

use bytes::BytesMut;

/// `None`.
pub(super) const NONE: u8 = 0;
/// `False`.
pub(super) const FALSE: u8 = 1;
/// `True`.
pub(super) const TRUE: u8 = 2;
/// An `int` in one byte, signed.
pub(super) const INT8: u8 = 3;
/// An `int` in eight bytes, signed.
pub(super) const INT64: u8 = 4;
/// Any other `int`: a length and so many bytes, signed.
pub(super) const INT_BIG: u8 = 5;
/// A `float`: eight bytes.
pub(super) const FLOAT: u8 = 6;
/// A `str`: a length and UTF-8.
pub(super) const STR: u8 = 7;
/// A `bytes`: a length and the bytes.
pub(super) const BYTES: u8 = 8;
/// A `Vec3`: three floats.
pub(super) const VEC3: u8 = 9;
/// A `tuple`: a length and so many values.
pub(super) const TUPLE: u8 = 10;
/// A `frozenset`: a length and so many values, in ascending order of their bytes.
pub(super) const FROZENSET: u8 = 11;
/// A `list`: like a tuple. Lists, dicts and sets are numbered in order of appearance.
pub(super) const LIST: u8 = 12;
/// A `dict`: a length; the size of its keys in bytes, as a length; so many keys, in the dict's order, and as
/// many values. Dicts of the same keys have these bytes in common.
pub(super) const DICT: u8 = 13;
/// A `set`: like a frozenset.
pub(super) const SET: u8 = 14;
/// A list, dict or set that has appeared before: its number as a length.
pub(super) const REFERENCE: u8 = 15;
/// The next of the buffers beside the bytes; only in messages.
pub(super) const BUFFER: u8 = 16;

/// Texts up to here are written without calls, and kept by those that read them.
pub(super) const SHORT_TEXT: usize = 16;

/// Lengths from here on take five bytes.
const LONG: usize = 255;

/// Writes so many bytes, with no call where there is room.
#[inline]
pub(super) fn write<const N: usize>(out: &mut BytesMut, bytes: [u8; N]) {
    out.reserve(N);
    // SAFETY: there is room for `N` bytes, which are written before they count.
    unsafe {
        let end = out.as_mut_ptr().add(out.len());
        end.cast::<[u8; N]>().write(bytes);
        out.set_len(out.len() + N);
    }
}

/// Writes a tag and a length.
#[inline]
pub(super) fn write_head(out: &mut BytesMut, tag: u8, length: usize) {
    if length < LONG {
        write(out, [tag, length as u8]);
    } else {
        write(out, [tag]);
        write_length(out, length);
    }
}

/// Writes a length. Values that long were refused before they got here.
#[inline(never)]
fn write_length(out: &mut BytesMut, length: usize) {
    if length < LONG {
        write(out, [length as u8]);
    } else {
        let length = u32::try_from(length).expect("longer values are refused");
        write(out, [LONG as u8]);
        write(out, length.to_le_bytes());
    }
}

/// Puts a length in front of what was written from `start` on.
pub(super) fn insert_length(out: &mut BytesMut, start: usize) {
    let end = out.len();
    write_length(out, end - start);
    let size = out.len() - end;
    out[start..].rotate_right(size);
}

/// Writes a `str`.
#[inline]
pub(super) fn write_str(out: &mut BytesMut, text: &[u8]) {
    let len = text.len();
    if len > SHORT_TEXT {
        write_head(out, STR, len);
        out.extend_from_slice(text);
        return;
    }
    out.reserve(2 + SHORT_TEXT);
    // SAFETY: there is room for `2 + len` bytes, which are all written before they count: from either
    // end eight at a time, or four, or one, so that no call is needed.
    unsafe {
        let end = out.as_mut_ptr().add(out.len());
        end.write(STR);
        end.add(1).write(len as u8);
        let to = end.add(2);
        if let (Some(head), Some(tail)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            to.cast::<[u8; 8]>().write(*head);
            to.add(len - 8).cast::<[u8; 8]>().write(*tail);
        } else if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            to.cast::<[u8; 4]>().write(*head);
            to.add(len - 4).cast::<[u8; 4]>().write(*tail);
        } else if let (Some(first), Some(last)) = (text.first(), text.last()) {
            to.write(*first);
            to.add(len / 2).write(text[len / 2]);
            to.add(len - 1).write(*last);
        }
        out.set_len(out.len() + 2 + len);
    }
}

/// Writes an `int` of 64 bits.
#[inline]
pub(super) fn write_int(out: &mut BytesMut, value: i64) {
    if let Ok(small) = i8::try_from(value) {
        write(out, [INT8, small as u8]);
    } else {
        write_eight(out, INT64, value.to_le_bytes());
    }
}

/// Writes a tag and eight bytes.
#[inline]
pub(super) fn write_eight(out: &mut BytesMut, tag: u8, bytes: [u8; 8]) {
    let mut all = [tag; 9];
    all[1..].copy_from_slice(&bytes);
    write(out, all);
}

/// Bytes being read. `None` says that they end too early, or that a length is too long.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        self.rest.split_off(..count)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.rest.split_off_first().copied()
    }

    #[inline]
    pub(super) fn eight(&mut self) -> Option<[u8; 8]> {
        let (&bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length; `None` also where it isn't in its short form.
    #[inline]
    pub(super) fn length(&mut self) -> Option<usize> {
        let short = usize::from(self.byte()?);
        if short < LONG {
            return Some(short);
        }
        let (&bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        let long = u32::from_le_bytes(bytes) as usize;
        (long >= LONG).then_some(long)
    }

    /// Where this reader stands, to name a part that was read: see [`Self::since`].
    pub(super) fn mark(&self) -> &'a [u8] {
        self.rest
    }

    /// What was read since `mark`.
    pub(super) fn since(&self, mark: &'a [u8]) -> &'a [u8] {
        &mark[..mark.len() - self.rest.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for length in [0, 1, 254, 255, 256, 70_000] {
            let mut bytes = BytesMut::new();
            write_length(&mut bytes, length);
            assert_eq!(bytes.len(), if length < 255 { 1 } else { 5 });
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.length(), Some(length));
            assert_eq!(reader.remaining(), 0);
        }
        let long_form_of_a_short_one = [255, 254, 0, 0, 0];
        assert!(Reader::new(&long_form_of_a_short_one).length().is_none());
        assert!(Reader::new(&[255, 0]).length().is_none());
        assert!(Reader::new(&[]).length().is_none());
    }
}
