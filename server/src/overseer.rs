//! What the tick thread does about incidents: it says them in the log, keeps account of them, and stops
//! the match where that was asked for.

use std::collections::BTreeMap;

use serde::Serialize;
use tessera_protocol::Tick;
use tessera_sim::{
    IncidentKind, ReloadError, Reloaded, RestartReason, SimError, SimReport, Simulation, TickOutput,
};

use crate::config::OnExhausted;
use crate::recorder::TickTimes;
use crate::stats::{Durations, Percentiles};

/// Ticks from one audit of who lives to the next.
const AUDIT_TICKS: u32 = 64;

/// Ways of ending that are told apart.
const ENDS_MAX: usize = 32;

/// Since the last reset, but for what the simulation counts, which is since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Supervised {
    /// Interpreters replaced, by reason.
    pub restarts: BTreeMap<&'static str, u64>,
    /// Zones that were lost with their process or thread, by how that ended, in the words of the log. Of more than
    /// 32 ways only the first are told.
    pub ends: BTreeMap<String, u64>,
    /// Ticks for which a zone's entities coasted until it had an interpreter again.
    pub restart_ticks: Percentiles,
    /// Times that a zone had more restarts than it may.
    pub exhausted: u64,
    /// Hooks over their soft budget.
    pub overruns: u64,
    /// Hooks preempted.
    pub preemptions: u64,
    /// Entity ticks without hooks, since the entity rested or its zone was broken off.
    pub coasted: u64,
    /// Rests of entities whose hooks kept failing.
    pub rests: u64,
    /// Allocations refused beyond a zone's cap.
    pub memory_denied: u64,
    /// Entities that were in no zone, or in two, when all were counted.
    pub lost: u64,
    /// See `lost`.
    pub doubled: u64,
    /// The latest that a tick ended, in ticks after it was due.
    pub late_ticks_max: f64,
}

/// Keeps account of incidents.
#[derive(Clone)]
pub(crate) struct Overseer {
    on_exhausted: OnExhausted,
    tick_ns: u64,
    restart_ticks: Durations,
    ends: BTreeMap<String, u64>,
    exhausted: u64,
    lost: u64,
    doubled: u64,
    late_ns_max: u64,
}

impl Overseer {
    pub(crate) fn new(on_exhausted: OnExhausted, tick_hz: u32) -> Overseer {
        Overseer {
            on_exhausted,
            tick_ns: 1_000_000_000 / u64::from(tick_hz),
            restart_ticks: Durations::new(),
            ends: BTreeMap::new(),
            exhausted: 0,
            lost: 0,
            doubled: 0,
            late_ns_max: 0,
        }
    }

    /// Forgets what was before the reset.
    pub(crate) fn reset(&mut self) {
        *self = Overseer {
            restart_ticks: Durations::new(),
            ends: BTreeMap::new(),
            exhausted: 0,
            lost: 0,
            doubled: 0,
            late_ns_max: 0,
            ..*self
        };
    }

    /// Looks at what a tick brought.
    ///
    /// # Errors
    /// A zone has had more restarts than it may, and the match is to end then.
    pub(crate) fn look(
        &mut self,
        output: &TickOutput,
        simulation: &Simulation,
    ) -> Result<(), SimError> {
        for incident in &output.incidents {
            let (zone, tick) = (incident.zone.0, incident.tick.0);
            match &incident.what {
                IncidentKind::Lost { reason, why } => {
                    if *reason == RestartReason::Gone {
                        self.note_end(why);
                    }
                    let reason = reason.name();
                    tracing::warn!(
                        zone,
                        tick,
                        reason,
                        "the zone's interpreter is given up: {why}"
                    );
                }
                IncidentKind::Restarted { ticks } => {
                    self.restart_ticks.record_ns(1000 * u64::from(*ticks));
                    tracing::info!(zone, tick, ticks, "the zone has an interpreter again");
                }
                IncidentKind::Exhausted { until } => {
                    self.exhausted += 1;
                    say_exhausted(self.on_exhausted, zone, tick, *until);
                    if self.on_exhausted == OnExhausted::Drain {
                        let zone = incident.zone;
                        return Err(SimError::Exhausted { zone });
                    }
                }
            }
        }
        if let Some(told) = output.reload.as_deref() {
            say_reload(told);
        }
        if output.snapshot.tick().0.is_multiple_of(AUDIT_TICKS) {
            let audit = simulation.audit();
            self.lost += audit.lost;
            self.doubled += audit.doubled;
        }
        Ok(())
    }

    /// Notes how late a tick was.
    pub(crate) fn time(&mut self, times: &TickTimes) {
        self.late_ns_max = self.late_ns_max.max(times.duration_ns());
    }

    fn note_end(&mut self, how: &str) {
        if let Some(count) = self.ends.get_mut(how) {
            *count += 1;
        } else if self.ends.len() < ENDS_MAX {
            self.ends.insert(how.to_owned(), 1);
        }
    }

    /// The account.
    pub(crate) fn tell(&self, totals: &SimReport) -> Supervised {
        let sum = |of: fn(&tessera_sim::ZoneReport) -> u64| totals.zones.iter().map(of).sum();
        let restarts = RestartReason::ALL.into_iter().map(|reason| {
            let zones = totals.zones.iter();
            let count = zones.map(|zone| zone.restarts[reason as usize]).sum();
            (reason.name(), count)
        });
        Supervised {
            restarts: restarts.collect(),
            ends: self.ends.clone(),
            restart_ticks: self.restart_ticks.percentiles_us(),
            exhausted: self.exhausted,
            overruns: sum(|zone| zone.hooks.overruns),
            preemptions: sum(|zone| zone.hooks.preemptions),
            coasted: sum(|zone| zone.hooks.coasted),
            rests: sum(|zone| zone.rests),
            memory_denied: sum(|zone| zone.memory_denied),
            lost: self.lost,
            doubled: self.doubled,
            late_ticks_max: self.late_ns_max as f64 / self.tick_ns as f64,
        }
    }
}

fn say_exhausted(on_exhausted: OnExhausted, zone: u8, tick: u32, until: Tick) {
    match on_exhausted {
        OnExhausted::Coast => tracing::error!(
            zone,
            tick,
            until = until.0,
            "the zone has been restarted more often than supervision.restart_intensity allows; its \
             entities coast until it is tried again"
        ),
        OnExhausted::Drain => tracing::error!(
            zone,
            tick,
            "the zone has been restarted more often than supervision.restart_intensity allows; the server \
             drains, since supervision.on_exhausted is \"drain\""
        ),
    }
}

fn say_reload(told: &Result<Reloaded, ReloadError>) {
    match told {
        Ok(reloaded) => tracing::info!(added = ?reloaded.added, "new code runs"),
        Err(error) => tracing::error!("the match stays on its code: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_how_they_were_and_their_names_are_bounded() {
        let mut overseer = Overseer::new(OnExhausted::Coast, 64);
        for how in 0..2 * ENDS_MAX {
            overseer.note_end(&format!("way {how}"));
            overseer.note_end("way 0");
        }
        let ends = overseer.tell(&SimReport::default()).ends;
        assert_eq!(ends.len(), ENDS_MAX);
        assert_eq!((ends["way 0"], ends["way 1"]), (2 * ENDS_MAX as u64 + 1, 1));
        overseer.reset();
        assert!(overseer.tell(&SimReport::default()).ends.is_empty());
    }
}
