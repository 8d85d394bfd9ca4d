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
        setup.scripts.logged = Arc::default(); // of the old code
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
                let (old, new) = (self.field_table(), &worker.field_table);
                let adaptation = Adaptation::between(&old, new, &worker.default_rows);
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

    /// How the state is to be carried over, once interpreters of new code are ready for all zones: then
    /// [`Self::swap`] has to follow.
    pub(crate) fn adaptation(&self) -> Option<Arc<Adaptation>> {
        let reload = self.reload.as_ref()?;
        let wanted = self.len() + self.supervision.spares;
        let is_ready = reload.ready.len() == wanted;
        is_ready.then(|| reload.adaptation.clone())?
    }

    /// Swaps all interpreters for those of new code. `state` is carried over already, by
    /// [`Self::adaptation`].
    ///
    /// # Errors
    /// A zone that a fault of the engine has broken.
    pub(crate) fn swap(&mut self, state: &State) -> Result<(), SimError> {
        let Some(Reload {
            setup,
            mut ready,
            adaptation: Some(adaptation),
            ..
        }) = self.reload.take()
        else {
            unreachable!("there is a reload whose interpreters are ready");
        };
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
        self.setup = setup;
        self.spares_failed = false;
        let orders = (0..self.len()).map(|at| Some(self.take(at, Some(state.refill()))));
        self.give(orders.collect())?;
        let added = adaptation.added.clone();
        self.reloaded = Some(Ok(Reloaded { added }));
        Ok(())
    }
}
