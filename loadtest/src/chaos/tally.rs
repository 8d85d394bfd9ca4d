//! What came of the faults, from what the server tells.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::report::detail::ChaosDetail;
use crate::report::schema::{ChaosReport, Percentiles};
use crate::server::OpsReport;

use super::plan::{IN_SCRIPTS, Plan};

/// The fault that leaves no line behind, since its interpreter is given up: it is counted by restarts.
const STUCK: &str = "huge_regex";
/// What follows from one: whoever was stuck raises once more when it hears of the restart. It isn't planned, and no fault
/// that was asked for.
const AFTERMATH: &str = "raise_in_restart";
/// How processes end by the faults of [`super::plan::IN_PROCESSES`], in the server's words.
const ENDS: [(&str, &str); 3] = [
    ("its process was ended by signal 9 (SIGKILL)", "sigkill"),
    (
        "its process was ended by signal 11 (SIGSEGV, a segmentation fault)",
        "segfault",
    ),
    ("its process exited with code 1", "exit_at_once"),
];

/// What the server tells of its supervision.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Supervision {
    /// Interpreters replaced, by reason, since its start.
    pub restarts: BTreeMap<String, u64>,
    /// Zones that were lost with their process, by how that ended.
    pub ends: BTreeMap<String, u64>,
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
    /// Interpreters that had been replaced since they were stuck.
    pub stuck: u64,
}

/// Counts what happened. `dropped` are the bots that were lost.
pub fn tally(before: Before, told: &OpsReport, dropped: usize) -> (ChaosReport, ChaosDetail) {
    let supervision = &told.supervision;
    let tick_us = 1e6 / f64::from(told.run.tick_hz.max(1));
    let late = |duration_us: &u32| (f64::from(*duration_us) / tick_us - 1.0).max(0.0);
    let late: Vec<f64> = told.ticks.duration_us.iter().map(late).collect();
    let report = ChaosReport {
        faults: committed(&before, told),
        aftermath: by_function(&before.code, told)
            .get(AFTERMATH)
            .copied()
            .unwrap_or(0),
        dropped,
        lost: supervision.lost,
        doubled: supervision.doubled,
        restart_ticks: whole(supervision.restart_ticks),
        others_late_ticks_max: late.iter().copied().fold(0.0, f64::max),
        rss_growth: growth(before.rss_mib, told.server.rss_mib_end),
    };
    let detail = ChaosDetail {
        planned: before.plan.by_kind(),
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

/// By how large a share something grew; nothing where it wasn't known before.
fn growth(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        after / before - 1.0
    } else {
        0.0
    }
}

/// Faults that were committed, by kind: of most the failed hook's line tells which it was, of some how the process
/// ended.
fn committed(before: &Before, told: &OpsReport) -> BTreeMap<String, u64> {
    let planned = before.plan.by_kind();
    let mut counts = BTreeMap::new();
    let mut count = |kind: &str, n: u64| {
        if n > 0 {
            *counts.entry(kind.to_owned()).or_insert(0) += n;
        }
    };
    for (function, n) in by_function(&before.code, told) {
        if IN_SCRIPTS.contains(&function) {
            count(function, n);
        }
    }
    let supervision = &told.supervision;
    // On a machine that stands still others may look stuck, too.
    let stuck = supervision.restarts.get("stuck").copied().unwrap_or(0);
    let stuck = stuck.saturating_sub(before.stuck);
    count(STUCK, stuck.min(planned.get(STUCK).copied().unwrap_or(0)));
    for (how, n) in &supervision.ends {
        let of = ENDS.iter().find(|(words, _)| how == words);
        if let Some((_, kind)) = of {
            count(kind, *n);
        }
    }
    counts
}

/// Errors of hooks by the saboteurs' function that raised them. An honest line can meet `Preempted` too, where the
/// machine is busy.
fn by_function<'a>(code: &'a str, told: &OpsReport) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    let errors = told.hook_errors.iter();
    for error in errors.filter(|error| error.file.ends_with("saboteur.py")) {
        if let Some(function) = function_at(code, error.line) {
            *counts.entry(function).or_insert(0) += error.count;
        }
    }
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
    use crate::chaos::{Fault, IN_PROCESSES};
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

    fn before(code: &str) -> Before {
        Before {
            plan: Plan { faults: Vec::new() },
            code: code.into(),
            rss_mib: 100.0,
            stuck: 1,
        }
    }

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
        told.supervision.restarts = BTreeMap::from([("stuck".into(), 9), ("gone".into(), 0)]);
        told.ticks.duration_us = vec![3_000, 25_000, 10_001];
        told.server.rss_mib_end = 102.0;
        let stuck = |tick| Fault { tick, kind: STUCK };
        let before = Before {
            plan: Plan {
                faults: [1, 4, 7, 10].map(stuck).into(),
            },
            ..before(CODE)
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
    fn ends_of_processes_are_told_apart_and_others_are_no_faults() {
        let mut told = OpsReport::default();
        let ends = [
            ("its process was ended by signal 9 (SIGKILL)", 3),
            (
                "its process was ended by signal 11 (SIGSEGV, a segmentation fault)",
                2,
            ),
            ("its process exited with code 1", 4),
            ("its process exited with code 137", 8),
            ("its process was ended by signal 6 (SIGABRT)", 16),
        ];
        told.supervision.ends = ends.map(|(how, n)| (how.to_owned(), n)).into();
        let counts = [("exit_at_once", 4), ("segfault", 2), ("sigkill", 3)];
        assert_eq!(
            committed(&before(CODE), &told),
            counts.map(|(kind, n)| (kind.to_owned(), n)).into()
        );
        let kinds = ENDS.map(|(_, kind)| kind);
        assert!(IN_PROCESSES.iter().all(|kind| kinds.contains(kind)));
    }

    #[test]
    fn what_follows_from_a_fault_is_none() {
        let code = "def raise_in_restart() -> None:\n    raise ValueError\n";
        let mut told = OpsReport::default();
        told.hook_errors.push(HookError {
            file: "out/royale/saboteur.py".into(),
            line: 2,
            count: 5,
            ..HookError::default()
        });
        let (report, _) = tally(before(code), &told, 0);
        assert_eq!((report.faults.len(), report.aftermath), (0, 5));
    }

    #[test]
    fn what_was_not_measured_did_not_grow() {
        assert_eq!(growth(0.0, 80.0), 0.0);
        assert_eq!(growth(80.0, 40.0), -0.5);
    }
}
