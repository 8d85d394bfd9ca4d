//! Messages between interpreters.

use bytes::{Bytes, BytesMut};
use tessera_protocol::value::Value;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::BUFFERS_MAX;
use super::wire::{self, Reader};
use crate::buffer::SharedBytes;

/// A message's name and arguments, independent of any interpreter.
#[derive(Clone, Debug)]
pub struct Cloned {
    /// The name, then a tuple of the arguments.
    bytes: Bytes,
    /// What crosses without a copy, in order of appearance.
    buffers: Vec<SharedBytes>,
}

impl Cloned {
    /// `bytes` begins with the name, a str.
    pub(super) fn from_parts(bytes: Bytes, buffers: Vec<SharedBytes>) -> Self {
        Self { bytes, buffers }
    }

    /// A message of the engine's own making. Entities arrive as their ids.
    ///
    /// # Panics
    /// If a text has 4 GiB.
    pub fn from_values(name: &str, args: &[Value]) -> Self {
        let mut out = BytesMut::new();
        wire::write_str(&mut out, name.as_bytes());
        wire::write_head(&mut out, wire::TUPLE, args.len());
        for arg in args {
            match arg {
                Value::None => wire::write(&mut out, [wire::NONE]),
                Value::Bool(false) => wire::write(&mut out, [wire::FALSE]),
                Value::Bool(true) => wire::write(&mut out, [wire::TRUE]),
                Value::Int(value) => wire::write_int(&mut out, *value),
                Value::Float(value) => {
                    wire::write_eight(&mut out, wire::FLOAT, value.to_le_bytes());
                }
                Value::Str(text) => wire::write_str(&mut out, text.as_bytes()),
                Value::Entity(id) => wire::write_int(&mut out, id.0.into()),
            }
        }
        Self::from_parts(out.freeze(), Vec::new())
    }

    /// The name of the message, which is UTF-8; empty where the bytes are damaged.
    pub fn name(&self) -> &[u8] {
        self.split().map_or(&[], |(name, _)| name)
    }

    /// Size in bytes, large buffers included.
    pub fn len(&self) -> usize {
        let buffers = self.buffers.iter().map(|buffer| buffer.as_slice().len());
        self.bytes.len() + buffers.sum::<usize>()
    }

    /// Whether there is nothing in it. Never so for a message that was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A hash of the name and all arguments, equal for equal messages on every host.
    pub fn digest(&self) -> u64 {
        if self.buffers.is_empty() {
            return xxh3_64(&self.bytes); // the same, at once
        }
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.bytes);
        for buffer in &self.buffers {
            hasher.update(&(buffer.as_slice().len() as u64).to_le_bytes());
            hasher.update(buffer.as_slice());
        }
        hasher.digest()
    }

    /// Appends what [`Cloned::read`] reads, large buffers included.
    pub fn write(&self, out: &mut Vec<u8>) {
        let parts = 1 + self.buffers.len();
        out.extend_from_slice(&(parts as u32).to_le_bytes());
        let buffers = self.buffers.iter().map(SharedBytes::as_slice);
        for part in std::iter::once(&*self.bytes).chain(buffers) {
            // No clone of 4 GiB is ever made.
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }

    /// Splits off `bytes` what [`Cloned::write`] wrote, with a copy of large buffers; `None` where it
    /// ends too early or has no name. Arguments that are damaged are found when they are decoded.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        fn word(bytes: &mut &[u8]) -> Option<usize> {
            let (word, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Some(u32::from_le_bytes(*word) as usize)
        }
        fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
            let length = word(bytes)?;
            bytes.split_off(..length)
        }
        let buffers = word(bytes)?.checked_sub(1)?;
        if buffers > BUFFERS_MAX {
            return None;
        }
        let own = part(bytes)?;
        let buffers = (0..buffers).map(|_| part(bytes).map(SharedBytes::copied));
        let read = Self {
            bytes: Bytes::copy_from_slice(own),
            buffers: buffers.collect::<Option<_>>()?,
        };
        let (name, _) = read.split()?;
        std::str::from_utf8(name).ok()?;
        Some(read)
    }

    /// The bytes of the tuple of arguments.
    pub(super) fn args(&self) -> &[u8] {
        self.split().map_or(&[], |(_, args)| args)
    }

    pub(super) fn buffers(&self) -> &[SharedBytes] {
        &self.buffers
    }

    fn split(&self) -> Option<(&[u8], &[u8])> {
        let mut reader = Reader::new(&self.bytes);
        if reader.byte() != Some(wire::STR) {
            return None;
        }
        let len = reader.length()?;
        let name = reader.take(len)?;
        Some((name, reader.mark()))
    }
}
