//! New code for all zones at once: loaded beside the running one, swapped at a boundary.

use std::sync::Arc;

use tessera_python::{ModeSource, ScriptError};

use super::{Held, State, ZonePool};
use crate::error::SimError;
use crate::reload::{Adaptation, ReloadError, Reloaded};
use crate::supervision::RestartReason;
use crate::worker::{Pace, Worker, WorkerId, WorkerSetup};

/// New code that is being loaded.
pub(super) struct Reload {
    pub(super) setup: WorkerSetup,
    pub(super) starting: WorkerId,
    pub(super) ready: Vec<Worker>,
    /// Known from the first that is ready.
    pub(super) adaptation: Option<Arc<Adaptation>>,
}

impl ZonePool {
    /// Begins to load new code beside the running one. Its end is told by [`Self::take_reload`].
    pub(crate) fn reload(&mut self, mode: ModeSource) -> Result<(), ReloadError> {
        if self.reload.is_some() {
            return Err(ReloadError::Busy);
        }
        let mut setup = self.setup.clone();
        setup.scripts.mode = Arc::new(mode);
        let starting = self.nursery.request(setup.clone(), Pace::Calm);
        self.reload = Some(Reload {
            setup,
            starting,
            ready: Vec::new(),
            adaptation: None,
        });
        Ok(())
    }

    /// How a reload went that has ended since the last call.
    pub(crate) fn take_reload(&mut self) -> Option<Result<Reloaded, ReloadError>> {
        self.reloaded.take()
    }

    /// One more interpreter has loaded the new code, or could not. They start one after the other, so
    /// that the match has all cores but one.
    pub(super) fn go_on_with(&mut self, mut reload: Reload, started: Result<Worker, ScriptError>) {
        let fits = started.map_err(ReloadError::from).and_then(|worker| {
            if reload.adaptation.is_none() {
                let adaptation = Adaptation::between(&self.field_table(), &worker.field_table);
                match adaptation {
                    Ok(adaptation) => reload.adaptation = Some(Arc::new(adaptation)),
                    Err(error) => {
                        self.nursery.retire(worker);
                        return Err(error.into());
                    }
                }
            }
            reload.ready.push(worker);
            Ok(())
        });
        match fits {
            Ok(()) => {
                if reload.ready.len() < self.len() + self.supervision.spares {
                    reload.starting = self.nursery.request(reload.setup.clone(), Pace::Calm);
                }
                self.reload = Some(reload);
            }
            Err(error) => {
                for worker in reload.ready {
                    self.nursery.retire(worker);
                }
                self.reloaded = Some(Err(error));
            }
        }
    }

    /// Swaps all interpreters, once all of the new code are ready. True where it did.
    pub(super) fn swap(&mut self, state: &State) -> Result<bool, SimError> {
        let wanted = self.len() + self.supervision.spares;
        let Some(reload) = self.reload.take_if(|reload| reload.ready.len() == wanted) else {
            return Ok(false);
        };
        let Some(adaptation) = reload.adaptation else {
            unreachable!("the first that was ready was compared");
        };
        let mut ready = reload.ready;
        for at in 0..self.len() {
            let worker = ready.remove(0);
            let place = &mut self.places[at];
            place
                .restarts
                .note(RestartReason::Reload, state.tick, self.supervision.restarts);
            place.restarts.pardon();
            if let Held::By(old) = place.seat_worker(worker) {
                self.nursery.retire(old);
            }
        }
        for old in std::mem::replace(&mut self.spares, ready) {
            self.nursery.retire(old);
        }
        self.setup = reload.setup;
        self.spares_failed = false;
        let added = adaptation.added.clone();
        let orders = (0..self.len()).map(|at| {
            let refill = state.refill(Some(adaptation.clone()));
            Some(self.take(at, Some(refill)))
        });
        self.give(orders.collect())?;
        self.reloaded = Some(Ok(Reloaded { added }));
        Ok(true)
    }
}
