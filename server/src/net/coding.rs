//! How states are coded, and what clients have to be told to understand them.

use tessera_protocol::{
    ClientView, Declarations, FrameEncoder, SharedDeclarations, StateAck, StateConfig,
};

use super::Network;
use super::session::Player;

/// Ticks between two looks at what a client's path carries.
const PATH_LOOK_TICKS: u32 = 16;

/// The zones have loaded the same table, and the loader checks it.
const SOUND: &str = "a table that was loaded is sound";

/// An encoder, and the declarations by which it codes as clients are told them.
pub(super) struct Coding {
    pub(super) encoder: FrameEncoder,
    declarations: SharedDeclarations,
}

impl Coding {
    pub(super) fn new(declarations: &Declarations, state: StateConfig, tick_hz: u32) -> Coding {
        Coding {
            encoder: FrameEncoder::new(declarations.clone(), tick_hz, state).expect(SOUND),
            declarations: SharedDeclarations::new(declarations),
        }
    }

    /// Goes on with states of these declarations; returns whether they are others than before.
    pub(super) fn set_declarations(&mut self, declarations: &Declarations) -> bool {
        let others = self.encoder.set_declarations(declarations).expect(SOUND);
        if others {
            self.declarations = SharedDeclarations::new(declarations);
        }
        others
    }

    /// Whether a client's path takes this state; one whose path doesn't is left out. `turn` counts ticks: now and
    /// then what the path carries is looked at anew.
    pub(super) fn is_taken(
        &self,
        network: &Network,
        player: &Player,
        view: &mut ClientView,
        turn: u32,
    ) -> bool {
        if turn.is_multiple_of(PATH_LOOK_TICKS) {
            view.set_rate(player.look_at_path(network.rate_max));
        }
        let held_back = player.is_held_back();
        if held_back {
            network.counters.states_held_back.add(1);
            self.encoder.pass_over(view);
        }
        !held_back
    }

    /// Tells a client by which declarations the states to come are coded, unless it knows, and asks which
    /// states it has.
    pub(super) fn prepare(&self, player: &Player) -> StateAck {
        let (ack, told) = player.with(|session| {
            let told = session.declare(&self.declarations);
            (session.state_ack(), told)
        });
        if told {
            player.wake_writer();
        }
        ack
    }
}
