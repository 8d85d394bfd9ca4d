//! The first frame each way: what a child is made of, and what it loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tessera_protocol::ids::ZoneId;
use tessera_python::{ModeSource, OptionValue, ScriptConfig, ScriptError};

use super::wire::{Malformed, Put, Read, Reader};
use crate::config::{Map, ProcessConfig};

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
