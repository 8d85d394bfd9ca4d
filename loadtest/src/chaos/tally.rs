//! What came of the faults, from what the server tells.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::report::detail::ChaosDetail;
use crate::report::schema::{ChaosReport, Percentiles};
use crate::server::OpsReport;

use super::plan::{IN_PROCESSES, IN_SCRIPTS, Plan};

/// The fault that leaves no line behind, since its interpreter is given up: it is counted by restarts.
const STUCK: &str = "huge_regex";
/// What follows from one: whoever was stuck raises once more when it hears of the restart. It isn't planned.
pub const AFTERMATH: &str = "raise_in_restart";
/// Where the faults are counted that end a process: which of them did, nobody is left to tell.
pub const PROCESS_ENDED: &str = "process_ended";

/// What the server tells of its supervision.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Supervision {
    /// Interpreters replaced, by reason, since its start.
    pub restarts: BTreeMap<String, u64>,
    /// Ticks for which a zone's entities coasted until it had an interpreter again.
    pub restart_ticks: Percentiles,
    /// Times that a zone had more restarts than it may.
    pub exhausted: u64,
    /// Hooks preempted since its start.
    pub preemptions: u64,
    /// Entity ticks without hooks since its start.
    pub coasted: u64,
    /// Rests of entities since its start.
    pub rests: u64,
    /// Allocations refused since its start.
    pub memory_denied: u64,
    /// Entities that were in no zone when all were counted.
    pub lost: u64,
    /// Those that were in two.
    pub doubled: u64,
}

/// What was planned, and how the server was before it.
#[derive(Clone, Debug)]
pub struct Before {
    /// The faults.
    pub plan: Plan,
    /// The saboteurs' code.
    pub code: String,
    /// The server's resident set right before the storm, MiB.
    pub rss_mib: f64,
}

/// Counts what happened. `dropped` are the bots that were lost.
pub fn tally(before: Before, told: &OpsReport, dropped: usize) -> (ChaosReport, ChaosDetail) {
    let supervision = &told.supervision;
    let tick_us = 1e6 / f64::from(told.run.tick_hz.max(1));
    let late = |duration_us: &u32| (f64::from(*duration_us) / tick_us - 1.0).max(0.0);
    let late: Vec<f64> = told.ticks.duration_us.iter().map(late).collect();
    let report = ChaosReport {
        faults: committed(&before.code, told),
        dropped,
        lost: supervision.lost,
        doubled: supervision.doubled,
        restart_ticks: whole(supervision.restart_ticks),
        others_late_ticks_max: late.iter().copied().fold(0.0, f64::max),
        rss_growth: growth(before.rss_mib, told.server.rss_mib_end),
    };
    let detail = ChaosDetail {
        planned: planned(&before.plan),
        restarts: supervision.restarts.clone(),
        exhausted: supervision.exhausted,
        preemptions: supervision.preemptions,
        coasted: supervision.coasted,
        rests: supervision.rests,
        memory_denied: supervision.memory_denied,
        late_ticks: late.iter().filter(|late| **late > 0.0).count(),
        rss_mib_before: before.rss_mib,
    };
    (report, detail)
}

/// Ticks are whole: what the server's buckets add to them goes.
fn whole(ticks: Percentiles) -> Percentiles {
    Percentiles {
        p50: ticks.p50.round(),
        p90: ticks.p90.round(),
        p99: ticks.p99.round(),
        p999: ticks.p999.round(),
        max: ticks.max.round(),
        mean: ticks.mean,
    }
}

/// What was planned, by the kinds that can be told apart afterwards.
fn planned(plan: &Plan) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (kind, n) in plan.by_kind() {
        let told_apart = !IN_PROCESSES.contains(&kind.as_str());
        let kind = if told_apart {
            kind
        } else {
            PROCESS_ENDED.into()
        };
        *counts.entry(kind).or_insert(0) += n;
    }
    counts
}

/// By how large a share something grew; nothing where it wasn't known before.
fn growth(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        after / before - 1.0
    } else {
        0.0
    }
}

/// Faults that were committed, by kind: of most the failed hook's line tells which it was.
fn committed(code: &str, told: &OpsReport) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |kind: &str, n: u64| {
        if n > 0 && !kind.is_empty() {
            *counts.entry(kind.to_owned()).or_insert(0) += n;
        }
    };
    let errors = told.hook_errors.iter();
    for error in errors.filter(|error| error.file.ends_with("saboteur.py")) {
        // An honest line of a saboteur can meet `Preempted` too, where the machine is busy.
        let kind = function_at(code, error.line);
        let kind = kind.filter(|kind| IN_SCRIPTS.contains(kind) || *kind == AFTERMATH);
        count(kind.unwrap_or_default(), error.count);
    }
    let restarts = |reason: &str| told.supervision.restarts.get(reason).copied().unwrap_or(0);
    count(STUCK, restarts("stuck"));
    count(PROCESS_ENDED, restarts("gone"));
    counts
}

/// The function of a module that a line (from 1) lies in.
fn function_at(code: &str, line: u32) -> Option<&str> {
    let before: Vec<&str> = code.lines().take(line as usize).collect();
    let outer = before
        .iter()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with(' '));
    let (name, _) = outer?.strip_prefix("def ")?.split_once('(')?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::HookError;

    const CODE: &str = "\
import re


def endless_loop() -> None:
    while True:
        pass


def deep_recursion() -> None:

    deep_recursion()


TABLE = 3
";

    #[test]
    fn a_line_tells_its_function() {
        let at = |line| function_at(CODE, line);
        assert_eq!(
            [1, 4, 5, 6].map(at),
            [
                None,
                Some("endless_loop"),
                Some("endless_loop"),
                Some("endless_loop")
            ]
        );
        assert_eq!(at(11), Some("deep_recursion"));
        assert_eq!(at(14), None);
    }

    #[test]
    fn faults_are_counted_by_line_or_by_restart() {
        let error = |file: &str, line, count| HookError {
            file: file.into(),
            line,
            count,
            ..HookError::default()
        };
        let mut told = OpsReport {
            hook_errors: vec![
                error("out/royale/saboteur.py", 5, 2),
                error("out/royale/saboteur.py", 6, 3),
                error("out/royale/saboteur.py", 11, 1),
                error("out/royale/saboteur.py", 1, 7),
                error("out/royale/player.py", 5, 9),
            ],
            ..OpsReport::default()
        };
        told.run.tick_hz = 100;
        told.supervision.restarts = BTreeMap::from([("stuck".into(), 4), ("gone".into(), 0)]);
        told.ticks.duration_us = vec![3_000, 25_000, 10_001];
        told.server.rss_mib_end = 102.0;
        let before = Before {
            plan: Plan { faults: Vec::new() },
            code: CODE.into(),
            rss_mib: 100.0,
        };
        let (report, detail) = tally(before, &told, 1);
        let counts = [
            ("deep_recursion", 1),
            ("endless_loop", 5),
            ("huge_regex", 4),
        ];
        assert_eq!(
            report.faults,
            counts.map(|(kind, n)| (kind.to_owned(), n)).into()
        );
        assert_eq!((report.dropped, report.others_late_ticks_max), (1, 1.5));
        assert!((report.rss_growth - 0.02).abs() < 1e-12);
        assert_eq!(detail.late_ticks, 2);
    }

    #[test]
    fn ends_of_processes_are_counted_together() {
        let plan = Plan::draw(1, true, 64, 3.0, 20.0);
        let all = planned(&plan);
        assert_eq!(all.values().sum::<u64>(), plan.faults.len() as u64);
        assert!(all[PROCESS_ENDED] > 0 && !all.contains_key("sigkill"));
    }

    #[test]
    fn what_was_not_measured_did_not_grow() {
        assert_eq!(growth(0.0, 80.0), 0.0);
        assert_eq!(growth(80.0, 40.0), -0.5);
    }
}
