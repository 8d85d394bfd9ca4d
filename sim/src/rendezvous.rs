//! Where the simulation waits for its workers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tessera_protocol::columns::bits;

use crate::worker::{Reply, WorkerId};

/// Collects one reply from each worker that was asked, and wakes the simulation once: when the last
/// has come. (A queue would wake it at each, and on few cores every wake takes a zone's core away.)
#[derive(Default)]
pub(crate) struct Rendezvous {
    state: Mutex<State>,
    complete: Condvar,
}

#[derive(Default)]
struct State {
    /// By place: who was asked, and what it said.
    places: Vec<Place>,
    /// Places whose reply is still to come, as a mask.
    missing: u64,
}

#[derive(Default)]
struct Place {
    asked: Option<WorkerId>,
    reply: Option<Reply>,
}

impl Rendezvous {
    /// Announces that these workers are about to be asked, each for its place (a zone).
    pub(crate) fn expect(&self, asked: impl Iterator<Item = (usize, WorkerId)>) {
        let mut state = self.lock();
        assert!(state.missing == 0, "one question at a time");
        for (place, worker) in asked {
            if state.places.len() <= place {
                state.places.resize_with(place + 1, Place::default);
            }
            state.places[place] = Place {
                asked: Some(worker),
                reply: None,
            };
            state.missing |= 1 << place;
        }
    }

    /// A worker's answer. That of one which nobody waits for any more is dropped.
    pub(crate) fn reply(&self, worker: WorkerId, reply: Reply) {
        let mut state = self.lock();
        let asked = |place: &Place| place.asked == Some(worker);
        let Some(place) = state.places.iter().position(asked) else {
            return;
        };
        state.places[place] = Place {
            asked: None,
            reply: Some(reply),
        };
        state.missing &= !(1 << place);
        if state.missing == 0 {
            self.complete.notify_one();
        }
    }

    /// Waits for all that were asked, at most so long. Returns the places still missing, as a mask.
    pub(crate) fn wait(&self, patience: Duration) -> u64 {
        let waited = self
            .complete
            .wait_timeout_while(self.lock(), patience, |state| state.missing != 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.missing
    }

    /// Waits for all that were asked.
    pub(crate) fn wait_for_all(&self) {
        let waited = self
            .complete
            .wait_while(self.lock(), |state| state.missing != 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits no more for these places, and drops what may just have been said for them.
    pub(crate) fn forget(&self, places: u64) {
        let mut state = self.lock();
        for place in bits(places) {
            state.places[place] = Place::default();
        }
        state.missing &= !places;
    }

    /// What was said for a place, once.
    pub(crate) fn take(&self, place: usize) -> Option<Reply> {
        self.lock().places.get_mut(place)?.reply.take()
    }

    /// The state is a few plain fields: a panic elsewhere leaves nothing half done in it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
