//! Numbers, lists and texts, and what orders and answers have in common.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use tessera_protocol::ids::{EntityId, KindId, Tick};
use tessera_python::{Message, Payload};

/// Bytes that the other side can't have sent by the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(super) type Read<T> = Result<T, Malformed>;

/// A frame being read. Nothing it says is believed.
pub(crate) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(frame: &'a [u8]) -> Self {
        Self(frame)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All has been read.
    pub(crate) fn end(&self) -> Read<()> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Malformed("a frame is too long")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Malformed("a frame ends too early"))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn bool(&mut self) -> Read<bool> {
        self.u8().map(|byte| byte != 0)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Read<f32> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Read<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.u32()? as usize;
        self.0
            .split_off(..length)
            .ok_or(Malformed("a frame ends too early"))
    }

    pub(super) fn text(&mut self) -> Read<String> {
        let text = str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(super) fn path(&mut self) -> Read<PathBuf> {
        Ok(std::ffi::OsString::from_vec(self.bytes()?.to_vec()).into())
    }

    pub(crate) fn id(&mut self) -> Read<EntityId> {
        self.u32().map(EntityId)
    }

    pub(crate) fn kind(&mut self) -> Read<KindId> {
        self.u8().map(KindId)
    }

    pub(super) fn tick(&mut self) -> Read<Tick> {
        self.u32().map(Tick)
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.bool()? {
            true => read(self).map(Some),
            false => Ok(None),
        }
    }

    /// Reads a list into `list`, whose memory grows with what there is and not with what is claimed.
    pub(crate) fn list<T>(
        &mut self,
        list: &mut Vec<T>,
        read: impl Fn(&mut Self) -> Read<T>,
    ) -> Read<()> {
        for _ in 0..self.u32()? {
            list.push(read(self)?);
        }
        Ok(())
    }

    pub(super) fn payload(&mut self) -> Read<Payload> {
        Payload::read(&mut self.0).ok_or(Malformed("a message is damaged"))
    }
}

/// Writing, the counterpart of [`Reader`].
pub(crate) trait Put {
    fn raw(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }
    fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    fn f32(&mut self, value: f32) {
        self.raw(&value.to_le_bytes());
    }
    fn f64(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }
    /// # Panics
    /// With 4 GiB or more, which nobody makes.
    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).expect("frames are shorter than 4 GiB"));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }
    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
    }
    fn id(&mut self, id: EntityId) {
        self.u32(id.0);
    }
    fn kind(&mut self, kind: KindId) {
        self.u8(kind.0);
    }
    fn option<T>(&mut self, option: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.u8(option.is_some().into());
        if let Some(value) = option {
            put(self, value);
        }
    }
}

impl Put for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

pub(super) fn write_ids(out: &mut Vec<u8>, ids: &[EntityId]) {
    out.length(ids.len());
    for id in ids {
        out.id(*id);
    }
}

pub(super) fn write_messages(out: &mut Vec<u8>, messages: &[Message]) {
    out.length(messages.len());
    for message in messages {
        out.id(message.target);
        out.id(message.sender);
        out.u32(message.seq);
        message.payload.write(out);
    }
}

pub(super) fn read_message(reader: &mut Reader<'_>) -> Read<Message> {
    Ok(Message {
        target: reader.id()?,
        sender: reader.id()?,
        seq: reader.u32()?,
        payload: reader.payload()?,
    })
}

pub(super) fn write_id(out: &mut Vec<u8>, order: u8, id: EntityId) {
    out.u8(order);
    out.id(id);
}
