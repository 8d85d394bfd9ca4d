//! What a tick gave.

use tessera_protocol::columns::KindTable;
use tessera_protocol::ids::{ClientId, EntityId, KindId};
use tessera_protocol::value::Value;
use tessera_python::{
    Event, FailureKind, HookError, HookOverrun, HookSpan, HookStats, MemoryUse, Outbox, ScriptZone,
    SpawnRequest,
};

use super::wire::{
    Malformed, Put, Read, Reader, read_message, write_id, write_ids, write_messages,
};

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
