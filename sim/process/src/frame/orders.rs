//! What the parent wants done.

use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId, Tick, ZoneId};
use tessera_python::Message;

use super::wire::{
    Malformed, Put, Read, Reader, read_message, write_id, write_ids, write_messages,
};
use crate::snapshots::Stored;

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
