//! Messages between interpreters.

use bytes::{Bytes, BytesMut};
use tessera_protocol::value::Value;
use xxhash_rust::xxh3::Xxh3Default;

use super::BUFFERS_MAX;
use super::wire::{self, Reader};
use crate::buffer::SharedBytes;

/// Memory of a block that messages share.
const BLOCK_BYTES: usize = 16 << 10;

/// Memory of messages. They are parts of blocks, each of which is freed, or used anew, when the last of its
/// messages has gone: a message has no allocation of its own.
#[derive(Default)]
pub(super) struct Blocks(BytesMut);

impl Blocks {
    /// Bytes to keep.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() < bytes.len() {
            self.0.reserve(bytes.len().max(BLOCK_BYTES));
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

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
        let mut out = Vec::new();
        wire::write_str(&mut out, name.as_bytes());
        out.push(wire::TUPLE);
        wire::write_length(&mut out, args.len());
        for arg in args {
            match arg {
                Value::None => out.push(wire::NONE),
                Value::Bool(false) => out.push(wire::FALSE),
                Value::Bool(true) => out.push(wire::TRUE),
                Value::Int(value) => wire::write_int(&mut out, *value),
                Value::Float(value) => {
                    wire::write_eight(&mut out, wire::FLOAT, value.to_le_bytes());
                }
                Value::Str(text) => wire::write_str(&mut out, text.as_bytes()),
                Value::Entity(id) => wire::write_int(&mut out, id.0.into()),
            }
        }
        Self::from_parts(out.into(), Vec::new())
    }

    /// The name of the message; empty where the bytes are damaged.
    pub fn name(&self) -> &str {
        let name = self.split().map_or(&[][..], |(name, _)| name);
        std::str::from_utf8(name).unwrap_or_default()
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
