//! Where the simulation waits for its zones.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tessera_protocol::ids::ZoneId;

use crate::error::SimError;
use crate::zone::Reply;

/// Collects one reply from each zone that was asked, and wakes the simulation once: when the last
/// has come. (A queue would wake it at each, and on few cores every wake takes a zone's core away.)
pub(crate) struct Rendezvous {
    state: Mutex<State>,
    complete: Condvar,
}

struct State {
    /// By zone.
    replies: Vec<Option<Reply>>,
    /// Replies still to come.
    missing: usize,
    /// The first zone that stopped, and what its panic said. It never replies again.
    panicked: Option<(ZoneId, String)>,
}

impl Rendezvous {
    /// For this many zones, which all owe their first reply.
    pub(crate) fn new(zones: usize) -> Rendezvous {
        Rendezvous {
            state: Mutex::new(State {
                replies: (0..zones).map(|_| None).collect(),
                missing: zones,
                panicked: None,
            }),
            complete: Condvar::new(),
        }
    }

    /// Announces that `zones` zones are about to be asked.
    pub(crate) fn expect(&self, zones: usize) {
        let mut state = self.lock();
        // After a panic nobody waits any more, and `wait` says so.
        assert!(
            state.missing == 0 || state.panicked.is_some(),
            "one question at a time"
        );
        state.missing = zones;
    }

    /// A zone's answer.
    pub(crate) fn reply(&self, zone: ZoneId, reply: Reply) {
        let mut state = self.lock();
        let before = state.replies[zone.index()].replace(reply);
        assert!(before.is_none(), "a zone answers once");
        state.missing -= 1;
        if state.missing == 0 {
            self.complete.notify_one();
        }
    }

    /// A zone's end by a panic.
    pub(crate) fn panicked(&self, zone: ZoneId, message: String) {
        self.lock().panicked.get_or_insert((zone, message));
        self.complete.notify_one();
    }

    /// Waits for all that were asked, and gives their replies in zone order.
    ///
    /// # Errors
    /// A zone has stopped, now or earlier.
    pub(crate) fn wait<T>(&self, wanted: impl Fn(Reply) -> Option<T>) -> Result<Vec<T>, SimError> {
        let mut state = self
            .complete
            .wait_while(self.lock(), |state| {
                state.missing > 0 && state.panicked.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((zone, message)) = state.panicked.clone() {
            return Err(SimError::Zone { zone, message });
        }
        let replies = state.replies.iter_mut().filter_map(Option::take);
        Ok(replies
            .map(|reply| wanted(reply).expect("a zone answers what it was asked"))
            .collect())
    }

    /// The state is a few plain fields: a panic elsewhere leaves nothing half done in it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
