//! What parent and child tell each other, as bytes.
//!
//! A frame to the child is a sequence of orders; one with [`Order::RunStart`] or [`Order::Run`] in it is
//! answered by one frame. Rows and deltas are those of [`tessera_protocol::columns`], messages those of
//! [`Payload`]; numbers are little-endian, lists and texts begin with their length as a `u32`.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tessera_protocol::columns::KindTable;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{ClientId, EntityId, KindId, Tick, ZoneId};
use tessera_protocol::value::Value;
use tessera_python::{
    Event, FailureKind, HookError, HookOverrun, HookSpan, HookStats, MemoryUse, Message,
    ModeSource, OptionValue, Outbox, Payload, ScriptConfig, ScriptError, ScriptZone, SpawnRequest,
};

use crate::config::{Map, ProcessConfig};
use crate::snapshots::Stored;

/// Bytes that the other side can't have sent by the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed(pub(crate) &'static str);

type Read<T> = Result<T, Malformed>;

/// A frame being read. Nothing it says is believed.
pub(crate) struct Reader<'a>(&'a [u8]);

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

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Malformed("a frame ends too early"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Read<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn bool(&mut self) -> Read<bool> {
        self.u8().map(|byte| byte != 0)
    }

    fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Read<f32> {
        self.array().map(f32::from_le_bytes)
    }

    fn f64(&mut self) -> Read<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.u32()? as usize;
        self.0
            .split_off(..length)
            .ok_or(Malformed("a frame ends too early"))
    }

    fn text(&mut self) -> Read<String> {
        let text = str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| Malformed("a text is not UTF-8"))
    }

    fn path(&mut self) -> Read<PathBuf> {
        Ok(std::ffi::OsString::from_vec(self.bytes()?.to_vec()).into())
    }

    pub(crate) fn id(&mut self) -> Read<EntityId> {
        self.u32().map(EntityId)
    }

    pub(crate) fn kind(&mut self) -> Read<KindId> {
        self.u8().map(KindId)
    }

    fn tick(&mut self) -> Read<Tick> {
        self.u32().map(Tick)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
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

    fn payload(&mut self) -> Read<Payload> {
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

/// The first frame to the child: what it is made of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Start {
    /// The parent's process, whose end is the child's too.
    pub(crate) parent: u32,
    /// Whether to make children that run the zones, rather than to run one.
    pub(crate) forks: bool,
    pub(crate) zone: ZoneId,
    pub(crate) seed: u64,
    pub(crate) tick_hz: u32,
    pub(crate) halo_m: f64,
    pub(crate) mode: Arc<ModeSource>,
    pub(crate) options: BTreeMap<String, OptionValue>,
    pub(crate) map: Map,
    pub(crate) map_hash: u64,
    /// What is worked out from the map.
    pub(crate) prepared: Arc<[u8]>,
    pub(crate) packages: Vec<PathBuf>,
    pub(crate) memory_cap: Option<u64>,
}

impl Start {
    /// For a child that this process starts to run a zone.
    pub(crate) fn new(scripts: &ScriptConfig, config: &ProcessConfig) -> Self {
        Self {
            parent: std::process::id(),
            forks: false,
            zone: scripts.zone,
            seed: scripts.seed,
            tick_hz: scripts.tick_hz,
            halo_m: scripts.halo_m,
            mode: scripts.mode.clone(),
            options: scripts.options.clone(),
            map: config.map.clone(),
            map_hash: scripts.world.hash(),
            prepared: config.prepared.clone(),
            packages: config.packages.clone(),
            memory_cap: scripts.memory_cap,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.u32(self.parent);
        out.u8(self.forks.into());
        out.u8(self.zone.0);
        out.u64(self.seed);
        out.u32(self.tick_hz);
        out.f64(self.halo_m);
        self.mode.write(out);
        out.length(self.options.len());
        for (name, value) in &self.options {
            out.bytes(name.as_bytes());
            match value {
                OptionValue::Bool(value) => out.raw(&[0, u8::from(*value)]),
                OptionValue::Int(value) => {
                    out.u8(1);
                    out.raw(&value.to_le_bytes());
                }
                OptionValue::Float(value) => {
                    out.u8(2);
                    out.f64(*value);
                }
                OptionValue::Str(value) => {
                    out.u8(3);
                    out.bytes(value.as_bytes());
                }
            }
        }
        match &self.map {
            Map::File(path) => {
                out.u8(0);
                out.path(path);
            }
            Map::Flat(size) => {
                out.u8(1);
                out.f64(*size);
            }
        }
        out.u64(self.map_hash);
        out.bytes(&self.prepared);
        out.length(self.packages.len());
        for folder in &self.packages {
            out.path(folder);
        }
        out.option(self.memory_cap, Put::u64);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let (parent, forks, zone) = (reader.u32()?, reader.bool()?, ZoneId(reader.u8()?));
        let (seed, tick_hz, halo_m) = (reader.u64()?, reader.u32()?, reader.f64()?);
        let mode = ModeSource::from_bytes(&mut reader.0);
        let mode = Arc::new(mode.ok_or(Malformed("the mode's code is damaged"))?);
        let mut options = Vec::new();
        reader.list(&mut options, |reader| {
            let name = reader.text()?;
            let value = match reader.u8()? {
                0 => OptionValue::Bool(reader.bool()?),
                1 => OptionValue::Int(reader.u64()? as i64),
                2 => OptionValue::Float(reader.f64()?),
                3 => OptionValue::Str(reader.text()?),
                _ => return Err(Malformed("an option of an unknown type")),
            };
            Ok((name, value))
        })?;
        let map = match reader.u8()? {
            0 => Map::File(reader.path()?),
            1 => Map::Flat(reader.f64()?),
            _ => return Err(Malformed("a map of an unknown kind")),
        };
        let map_hash = reader.u64()?;
        let prepared = reader.bytes()?.into();
        let mut packages = Vec::new();
        reader.list(&mut packages, Reader::path)?;
        Ok(Self {
            parent,
            forks,
            zone,
            seed,
            tick_hz,
            halo_m,
            mode,
            options: options.into_iter().collect(),
            map,
            map_hash,
            prepared,
            packages,
            memory_cap: reader.option(Reader::u64)?,
        })
    }
}

/// The child's first answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Started {
    /// The mode has loaded.
    Loaded {
        /// The field table's bytes.
        table: Vec<u8>,
        /// By kind, the row of an entity that says nothing about itself.
        default_rows: Vec<Vec<u8>>,
        /// Messages that entities hear, by kind.
        handlers: Vec<Vec<String>>,
        /// The thread that runs the scripts, as the system numbers it.
        thread: i32,
    },
    /// The mode does not load.
    Failed(ScriptError),
    /// The system does not let the child confine itself.
    Unconfined(String),
    /// All is there but the mode: it forks on request.
    Forks,
}

impl Started {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Loaded {
                table,
                default_rows,
                handlers,
                thread,
            } => {
                out.u8(0);
                out.bytes(table);
                out.u32(*thread as u32);
                out.length(default_rows.len());
                for row in default_rows {
                    out.bytes(row);
                }
                out.length(handlers.len());
                for names in handlers {
                    out.length(names.len());
                    for name in names {
                        out.bytes(name.as_bytes());
                    }
                }
            }
            Self::Failed(error) => {
                out.u8(1);
                write_error(out, error);
            }
            Self::Unconfined(reason) => {
                out.u8(2);
                out.bytes(reason.as_bytes());
            }
            Self::Forks => out.u8(3),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let started = match reader.u8()? {
            0 => {
                let table = reader.bytes()?.to_vec();
                let thread = reader.u32()? as i32;
                let mut default_rows = Vec::new();
                reader.list(&mut default_rows, |reader| {
                    reader.bytes().map(<[u8]>::to_vec)
                })?;
                let mut handlers = Vec::new();
                reader.list(&mut handlers, |reader| {
                    let mut names = Vec::new();
                    reader.list(&mut names, Reader::text)?;
                    Ok(names)
                })?;
                Self::Loaded {
                    table,
                    default_rows,
                    handlers,
                    thread,
                }
            }
            1 => Self::Failed(read_error(reader)?),
            2 => Self::Unconfined(reader.text()?),
            3 => Self::Forks,
            _ => return Err(Malformed("an unknown answer to the start")),
        };
        reader.end()?;
        Ok(started)
    }
}

pub(crate) fn write_error(out: &mut Vec<u8>, error: &ScriptError) {
    out.option(error.file.as_deref(), |out, file| {
        out.bytes(file.as_bytes())
    });
    out.option(error.line, Put::u32);
    out.bytes(error.message.as_bytes());
    out.bytes(error.traceback.as_bytes());
}

pub(crate) fn read_error(reader: &mut Reader<'_>) -> Read<ScriptError> {
    Ok(ScriptError {
        file: reader.option(Reader::text)?,
        line: reader.option(Reader::u32)?,
        message: reader.text()?,
        traceback: reader.text()?,
    })
}

/// An order to the child, but for the lists of [`Order::Run`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Order<'a> {
    Assign(ZoneId),
    /// Note from now on when hooks run, by a clock that shows so many nanoseconds now; or don't.
    Trace(Option<u64>),
    Insert(KindId, EntityId, &'a [u8]),
    Demote(EntityId),
    Remove(EntityId),
    GhostRow(KindId, EntityId, &'a [u8]),
    GhostDelta(EntityId, &'a [u8]),
    GhostRemove(EntityId),
    /// Begin the tick of this snapshot; `past` are those before it, where the child has not seen them.
    Begin {
        newest: Stored,
        past: Vec<Stored>,
    },
    /// Run the mode's `start`, and answer.
    RunStart,
    /// Run the hooks, gather, and answer. What they run with follows: [`read_run`].
    Run,
    Collect(Tick),
}

impl Order<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Insert(kind, id, row) => write_row(out, 0, *kind, *id, row),
            Self::Demote(id) => write_id(out, 1, *id),
            Self::Remove(id) => write_id(out, 2, *id),
            Self::GhostRow(kind, id, row) => write_row(out, 3, *kind, *id, row),
            Self::GhostDelta(id, delta) => {
                write_id(out, 4, *id);
                out.bytes(delta);
            }
            Self::GhostRemove(id) => write_id(out, 5, *id),
            Self::Begin { newest, past } => {
                out.u8(6);
                out.length(past.len() + 1);
                for stored in past.iter().chain([newest]) {
                    out.u32(stored.tick.0);
                    out.u32(stored.bytes);
                    out.u32(stored.layout_bytes);
                }
            }
            Self::RunStart => out.u8(7),
            Self::Run => out.u8(8),
            Self::Collect(tick) => {
                out.u8(9);
                out.u32(tick.0);
            }
            Self::Assign(zone) => out.raw(&[10, zone.0]),
            Self::Trace(now_ns) => {
                out.u8(11);
                out.option(*now_ns, Put::u64);
            }
        }
    }
}

fn write_id(out: &mut Vec<u8>, order: u8, id: EntityId) {
    out.u8(order);
    out.id(id);
}

fn write_row(out: &mut Vec<u8>, order: u8, kind: KindId, id: EntityId, row: &[u8]) {
    out.u8(order);
    out.kind(kind);
    out.id(id);
    out.bytes(row);
}

impl<'a> Order<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Read<Self> {
        Ok(match reader.u8()? {
            0 => Self::Insert(reader.kind()?, reader.id()?, reader.bytes()?),
            1 => Self::Demote(reader.id()?),
            2 => Self::Remove(reader.id()?),
            3 => Self::GhostRow(reader.kind()?, reader.id()?, reader.bytes()?),
            4 => Self::GhostDelta(reader.id()?, reader.bytes()?),
            5 => Self::GhostRemove(reader.id()?),
            6 => {
                let mut past = Vec::new();
                reader.list(&mut past, |reader| {
                    Ok(Stored {
                        tick: reader.tick()?,
                        bytes: reader.u32()?,
                        layout_bytes: reader.u32()?,
                    })
                })?;
                let newest = past.pop().ok_or(Malformed("a tick without a snapshot"))?;
                Self::Begin { newest, past }
            }
            7 => Self::RunStart,
            8 => Self::Run,
            9 => Self::Collect(reader.tick()?),
            10 => Self::Assign(ZoneId(reader.u8()?)),
            11 => Self::Trace(reader.option(Reader::u64)?),
            _ => return Err(Malformed("an unknown order")),
        })
    }
}

/// What follows [`Order::Run`].
pub(crate) fn write_run(
    out: &mut Vec<u8>,
    inbox: &[Message],
    commands: &[(EntityId, Command)],
    resting: &[EntityId],
) {
    write_ids(out, resting);
    write_messages(out, inbox);
    out.length(commands.len());
    for (id, command) in commands {
        let Command {
            tick,
            entity,
            move_x,
            move_z,
            yaw,
            pitch,
            buttons,
            slot,
            view,
        } = *command;
        out.id(*id);
        out.u32(tick.0);
        out.id(entity);
        for number in [move_x, move_z, yaw, pitch] {
            out.f32(number);
        }
        out.u16(buttons);
        out.u8(slot);
        out.u16(view);
    }
}

/// Reads what [`write_run`] wrote, in place of what is in the lists.
pub(crate) fn read_run(
    reader: &mut Reader<'_>,
    inbox: &mut Vec<Message>,
    commands: &mut Vec<(EntityId, Command)>,
    resting: &mut Vec<EntityId>,
) -> Read<()> {
    inbox.clear();
    commands.clear();
    resting.clear();
    reader.list(resting, Reader::id)?;
    reader.list(inbox, read_message)?;
    reader.list(commands, |reader| {
        let id = reader.id()?;
        Ok((
            id,
            Command {
                tick: reader.tick()?,
                entity: reader.id()?,
                move_x: reader.f32()?,
                move_z: reader.f32()?,
                yaw: reader.f32()?,
                pitch: reader.f32()?,
                buttons: reader.u16()?,
                slot: reader.u8()?,
                view: reader.u16()?,
            },
        ))
    })
}

fn write_ids(out: &mut Vec<u8>, ids: &[EntityId]) {
    out.length(ids.len());
    for id in ids {
        out.id(*id);
    }
}

fn write_messages(out: &mut Vec<u8>, messages: &[Message]) {
    out.length(messages.len());
    for message in messages {
        out.id(message.target);
        out.id(message.sender);
        out.u32(message.seq);
        message.payload.write(out);
    }
}

fn read_message(reader: &mut Reader<'_>) -> Read<Message> {
    Ok(Message {
        target: reader.id()?,
        sender: reader.id()?,
        seq: reader.u32()?,
        payload: reader.payload()?,
    })
}

/// What hooks asked for.
pub(crate) fn write_outbox(out: &mut Vec<u8>, outbox: &Outbox) {
    write_messages(out, &outbox.messages);
    out.length(outbox.spawns.len());
    for spawn in &outbox.spawns {
        out.id(spawn.parent);
        out.u32(spawn.seq);
        out.kind(spawn.kind);
        out.bytes(&spawn.row);
    }
    write_ids(out, &outbox.despawns);
    out.length(outbox.events.len());
    for event in &outbox.events {
        out.id(event.sender);
        out.u32(event.seq);
        out.option(event.to, |out, client| out.u16(client.0));
        out.bytes(event.name.as_bytes());
        out.length(event.args.len());
        for value in &event.args {
            write_value(out, value);
        }
    }
}

/// Reads what [`write_outbox`] wrote, in place of what is in `outbox`. Rows are not looked at.
pub(crate) fn read_outbox(reader: &mut Reader<'_>, outbox: &mut Outbox) -> Read<()> {
    outbox.clear();
    reader.list(&mut outbox.messages, read_message)?;
    reader.list(&mut outbox.spawns, |reader| {
        Ok(SpawnRequest {
            parent: reader.id()?,
            seq: reader.u32()?,
            kind: reader.kind()?,
            row: reader.bytes()?.to_vec(),
        })
    })?;
    reader.list(&mut outbox.despawns, Reader::id)?;
    reader.list(&mut outbox.events, |reader| {
        let (sender, seq) = (reader.id()?, reader.u32()?);
        let to = reader.option(|reader| reader.u16().map(ClientId))?;
        let name = reader.text()?;
        let mut args = Vec::new();
        reader.list(&mut args, read_value)?;
        Ok(Event {
            sender,
            seq,
            to,
            name,
            args,
        })
    })
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::None => out.u8(0),
        Value::Bool(value) => out.raw(&[1, u8::from(*value)]),
        Value::Int(value) => {
            out.u8(2);
            out.raw(&value.to_le_bytes());
        }
        Value::Float(value) => {
            out.u8(3);
            out.f64(*value);
        }
        Value::Str(text) => {
            out.u8(4);
            out.bytes(text.as_bytes());
        }
        Value::Entity(id) => write_id(out, 5, *id),
    }
}

fn read_value(reader: &mut Reader<'_>) -> Read<Value> {
    Ok(match reader.u8()? {
        0 => Value::None,
        1 => Value::Bool(reader.bool()?),
        2 => Value::Int(reader.u64()? as i64),
        3 => Value::Float(reader.f64()?),
        4 => Value::Str(reader.text()?),
        5 => Value::Entity(reader.id()?),
        _ => return Err(Malformed("a value of an unknown type")),
    })
}

/// Rows that changed, as deltas.
pub(crate) fn write_changed(
    out: &mut Vec<u8>,
    tables: &[KindTable],
    changed: &[(EntityId, KindId, u64)],
) {
    out.length(changed.len());
    for &(id, kind, mask) in changed {
        out.id(id);
        out.kind(kind);
        let table = &tables[kind.index()];
        let row = table.row_of(id).expect("changed entities have rows");
        // The length of the delta comes before it, and is known after it.
        let at = out.len();
        out.u32(0);
        table.write_delta(row, mask, out);
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Who lost the tick.
pub(crate) fn write_failed(out: &mut Vec<u8>, failed: &[(EntityId, FailureKind)]) {
    out.length(failed.len());
    for (id, failure) in failed {
        out.id(*id);
        out.u8(match failure {
            FailureKind::Raised => 0,
            FailureKind::Preempted => 1,
            FailureKind::BadField => 2,
        });
    }
}

/// Reads what [`write_failed`] wrote, in place of what is in the list.
pub(crate) fn read_failed(
    reader: &mut Reader<'_>,
    failed: &mut Vec<(EntityId, FailureKind)>,
) -> Read<()> {
    failed.clear();
    reader.list(failed, |reader| {
        let id = reader.id()?;
        let failure = match reader.u8()? {
            0 => FailureKind::Raised,
            1 => FailureKind::Preempted,
            2 => FailureKind::BadField,
            _ => return Err(Malformed("a failure of an unknown kind")),
        };
        Ok((id, failure))
    })
}

/// How many places of errors and of overruns the parent has been told of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Told {
    failures: u64,
    overruns: u64,
}

/// Counters, and the places of errors and overruns if there were any since the parent was `told`.
pub(crate) fn write_stats(out: &mut Vec<u8>, stats: &HookStats, told: &mut Told) {
    let counts = [
        stats.calls,
        stats.failures,
        stats.preemptions,
        stats.coasted,
        stats.overruns,
        stats.unhandled,
    ];
    for count in counts {
        out.u64(count);
    }
    let now = Told {
        failures: stats.failures,
        overruns: stats.overruns,
    };
    let news = now != std::mem::replace(told, now);
    out.option(news.then_some(stats), |out, stats| {
        out.length(stats.errors.len());
        for error in &stats.errors {
            out.bytes(error.hook.as_bytes());
            out.bytes(error.file.as_bytes());
            out.u32(error.line);
            out.bytes(error.message.as_bytes());
            out.u64(error.count);
        }
        out.length(stats.overrun_places.len());
        for overrun in &stats.overrun_places {
            out.bytes(overrun.hook.as_bytes());
            out.bytes(overrun.file.as_bytes());
            out.u32(overrun.line);
            out.u64(overrun.count);
        }
    });
}

/// Reads what [`write_stats`] wrote.
pub(crate) fn read_stats(reader: &mut Reader<'_>, stats: &mut HookStats) -> Read<()> {
    stats.calls = reader.u64()?;
    stats.failures = reader.u64()?;
    stats.preemptions = reader.u64()?;
    stats.coasted = reader.u64()?;
    stats.overruns = reader.u64()?;
    stats.unhandled = reader.u64()?;
    if !reader.bool()? {
        return Ok(());
    }
    stats.errors.clear();
    reader.list(&mut stats.errors, |reader| {
        Ok(HookError {
            hook: reader.text()?,
            file: reader.text()?,
            line: reader.u32()?,
            message: reader.text()?,
            count: reader.u64()?,
        })
    })?;
    stats.overrun_places.clear();
    reader.list(&mut stats.overrun_places, |reader| {
        Ok(HookOverrun {
            hook: reader.text()?,
            file: reader.text()?,
            line: reader.u32()?,
            count: reader.u64()?,
        })
    })
}

pub(crate) fn write_memory(out: &mut Vec<u8>, memory: MemoryUse) {
    let MemoryUse {
        used,
        peak,
        cap,
        denied,
    } = memory;
    for bytes in [used, peak, denied] {
        out.u64(bytes);
    }
    out.option(cap, Put::u64);
}

pub(crate) fn read_memory(reader: &mut Reader<'_>) -> Read<MemoryUse> {
    Ok(MemoryUse {
        used: reader.u64()?,
        peak: reader.u64()?,
        denied: reader.u64()?,
        cap: reader.option(Reader::u64)?,
    })
}

/// A call of a hook: its name, such as `Bot.tick`, the entity, and from when to when it ran,
/// nanoseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// `Kind.hook`.
    pub hook: String,
    /// Whose.
    pub entity: EntityId,
    /// By the clock that the trace was asked for with.
    pub start_ns: u64,
    /// Likewise.
    pub end_ns: u64,
}

pub(crate) fn write_spans(out: &mut Vec<u8>, zone: &ScriptZone, spans: &[HookSpan]) {
    out.length(spans.len());
    for span in spans {
        out.bytes(zone.hook_name(span.hook).as_bytes());
        out.id(span.entity);
        out.u64(span.start_ns);
        out.u64(span.end_ns);
    }
}

pub(crate) fn read_spans(reader: &mut Reader<'_>, spans: &mut Vec<Span>) -> Read<()> {
    spans.clear();
    reader.list(spans, |reader| {
        Ok(Span {
            hook: reader.text()?,
            entity: reader.id()?,
            start_ns: reader.u64()?,
            end_ns: reader.u64()?,
        })
    })
}

/// What a tick cost the child, in processor time of its scripts' thread, nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    /// Carrying out what the exchange says: rows become objects, ghosts follow.
    pub take_in_ns: u64,
    /// Reading everything, and what hooks need beside: snapshot, capsules, messages.
    pub prepare_ns: u64,
    /// Hooks.
    pub script_ns: u64,
    /// Objects become rows.
    pub gather_ns: u64,
    /// Writing the answer.
    pub answer_ns: u64,
    /// The collection of garbage in the slack before the tick.
    pub gc_ns: u64,
}

impl Cost {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self {
            take_in_ns,
            prepare_ns,
            script_ns,
            gather_ns,
            answer_ns,
            gc_ns,
        } = *self;
        for ns in [
            take_in_ns, prepare_ns, script_ns, gather_ns, answer_ns, gc_ns,
        ] {
            out.u64(ns);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self {
            take_in_ns: reader.u64()?,
            prepare_ns: reader.u64()?,
            script_ns: reader.u64()?,
            gather_ns: reader.u64()?,
            answer_ns: reader.u64()?,
            gc_ns: reader.u64()?,
        })
    }
}
