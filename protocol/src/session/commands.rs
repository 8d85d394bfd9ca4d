//! The client's datagram: its last few commands, and what it has seen.

use flatbuffers::FlatBufferBuilder;

use crate::command::Command;
use crate::generated::commands as fb;
use crate::ids::{EntityId, Tick};
use crate::state::StateAck;

/// Datagrams that hold a command, at least, and one more for each tick of the clock's reserve: as many
/// in a row, less one, can be lost without the server missing it, if the last one is still in time.
pub(super) const REDUNDANCY: usize = 4;
/// Most commands in a datagram.
pub(super) const COMMANDS_MAX: usize = 16;
/// Most bytes of a datagram from a client.
pub(super) const COMMANDS_LEN_MAX: usize = 1100;

/// Writes the datagram; commands oldest first.
pub(super) fn write_commands(
    state: StateAck,
    commands: impl ExactSizeIterator<Item = Command> + DoubleEndedIterator,
) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(512);
    let commands = builder.create_vector_from_iter(commands.map(|c| {
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
        } = c;
        fb::Command::new(
            tick.0, entity.0, move_x, move_z, yaw, pitch, buttons, slot, view,
        )
    }));
    let args = fb::CommandsArgs {
        state_tick: state.newest.map(|tick| tick.0),
        state_mask: state.mask,
        state_epoch: state.epoch,
        state_lost: state.lost,
        commands: Some(commands),
    };
    let datagram = fb::Commands::create(&mut builder, &args);
    builder.finish(datagram, None);
    builder.finished_data().to_vec()
}

/// A datagram of commands, checked for structure; the commands may still be anything.
pub(super) struct CommandsRef<'a>(fb::Commands<'a>);

impl<'a> CommandsRef<'a> {
    /// `None` where the bytes are none.
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        if datagram.len() > COMMANDS_LEN_MAX {
            return None;
        }
        let commands = flatbuffers::root::<fb::Commands<'_>>(datagram).ok()?;
        (commands.commands().len() <= COMMANDS_MAX).then_some(Self(commands))
    }

    /// Which states the client has.
    pub(super) fn state(&self) -> StateAck {
        StateAck {
            newest: self.0.state_tick().map(Tick),
            mask: self.0.state_mask(),
            epoch: self.0.state_epoch(),
            lost: self.0.state_lost(),
        }
    }

    /// The commands, oldest first if the client is honest.
    pub(super) fn commands(&self) -> impl Iterator<Item = Command> + 'a {
        self.0.commands().iter().map(|c| Command {
            tick: Tick(c.tick()),
            entity: EntityId(c.entity()),
            move_x: c.move_x(),
            move_z: c.move_z(),
            yaw: c.yaw(),
            pitch: c.pitch(),
            buttons: c.buttons(),
            slot: c.slot(),
            view: c.view(),
        })
    }
}
