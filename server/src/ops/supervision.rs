//! What supervision tells of a zone: restarts, budgets, memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tessera_sim::{RestartReason, ZoneReport};

/// What is known of how a zone was supervised since the start; `None` where nothing measures it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Supervision {
    /// Times that its interpreter was started anew, by reason.
    pub(crate) restarts: Option<BTreeMap<String, u64>>,
    /// Hooks that took longer than their budget.
    pub(crate) budget_overruns: Option<u64>,
    /// Hooks that were ended for it.
    pub(crate) preemptions: Option<u64>,
    /// What its interpreter has allocated, bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// The most that it had.
    pub(crate) memory_peak_bytes: Option<u64>,
    /// The most that it may have.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Allocations that were denied for it.
    pub(crate) memory_denied: Option<u64>,
}

impl Supervision {
    /// The one place that reads it out of the simulation's report.
    pub(crate) fn of(zone: &ZoneReport) -> Supervision {
        let restarts = RestartReason::ALL.into_iter().zip(zone.restarts);
        let restarts = restarts.map(|(reason, count)| (reason.name().to_owned(), count));
        Supervision {
            restarts: Some(restarts.collect()),
            budget_overruns: Some(zone.hooks.overruns),
            preemptions: Some(zone.hooks.preemptions),
            memory_bytes: Some(zone.memory.used),
            memory_peak_bytes: Some(zone.memory.peak),
            memory_limit_bytes: zone.memory.cap,
            memory_denied: Some(zone.memory_denied),
        }
    }

    /// Restarts for whatever reason.
    pub(crate) fn restarts_total(&self) -> Option<u64> {
        Some(self.restarts.as_ref()?.values().sum())
    }
}
