//! Which faults happen when: drawn from a seed.

use std::collections::BTreeMap;

use crate::bot::chance::Chance;

/// Faults that a script can commit wherever it runs: functions of `assets/chaos/saboteur.py`.
pub const IN_SCRIPTS: [&str; 10] = [
    "endless_loop",
    "loop_that_catches_everything",
    "deep_recursion",
    "ten_gigabytes",
    "huge_regex",
    "raise_in_tick",
    "raise_in_message",
    "raise_in_command",
    "raise_in_spawn",
    "raise_in_despawn",
];
/// Those that end a process, for zones that have one of their own.
pub const IN_PROCESSES: [&str; 3] = ["sigkill", "segfault", "exit_at_once"];

/// Ticks from one fault to the next: 1,024 in the storm of a run of 60 s. With one in each tick nobody could say which
/// of them made a tick late.
const TICKS_A_FAULT: u32 = 3;
/// Share of the window that the storm takes. What it leaves behind shows in the rest.
const STORM_SHARE: f64 = 0.8;
/// Seconds from the server's start, before the warm-up, in which all bots must have joined.
const JOIN_S: f64 = 12.0;

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The tick in whose hooks it happens.
    pub tick: u32,
    /// What happens: one of [`IN_SCRIPTS`] or [`IN_PROCESSES`].
    pub kind: &'static str,
}

/// All faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// Draws the faults of a run whose window comes `warmup_s` after the joining and is `window_s` long.
    pub fn draw(seed: u64, processes: bool, tick_hz: u32, warmup_s: f64, window_s: f64) -> Plan {
        let ticks = |seconds: f64| (seconds * f64::from(tick_hz)) as u32;
        let begin = ticks(JOIN_S + warmup_s);
        let (scripts, processes) = (
            &IN_SCRIPTS[..],
            &IN_PROCESSES[..if processes { 3 } else { 0 }],
        );
        let kinds = [scripts, processes].concat();
        let mut chance = Chance::new(seed, 0);
        let faults = (begin..begin + ticks(window_s * STORM_SHARE)).step_by(TICKS_A_FAULT as usize);
        let faults = faults.map(|tick| Fault {
            tick,
            kind: kinds[(chance.unit() * kinds.len() as f64) as usize],
        });
        Plan {
            faults: faults.collect(),
        }
    }

    /// The tick of the first fault.
    pub fn begin(&self) -> u32 {
        self.faults.first().map_or(0, |fault| fault.tick)
    }

    /// How many are planned of each kind.
    pub fn by_kind(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for fault in &self.faults {
            *counts.entry(fault.kind.to_owned()).or_insert(0) += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_a_thousand_faults_of_all_kinds_and_a_calm_end() {
        let plan = Plan::draw(1, false, 64, 3.0, 60.0);
        assert_eq!((plan.begin(), plan.faults.len()), (15 * 64, 1024));
        assert!(plan.faults.last().expect("many").tick < (15 + 48) * 64);
        let counts = plan.by_kind();
        assert!(
            IN_SCRIPTS.iter().all(|kind| counts[*kind] > 70),
            "{counts:?}"
        );
        assert_eq!(counts.len(), IN_SCRIPTS.len());
        let with_processes = Plan::draw(1, true, 64, 3.0, 60.0).by_kind();
        assert!(IN_PROCESSES.iter().all(|kind| with_processes[*kind] > 60));
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let draw = |seed| Plan::draw(seed, false, 64, 3.0, 20.0);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn each_kind_is_a_function_of_the_saboteur() {
        let code = include_str!("../../../assets/chaos/saboteur.py");
        for kind in IN_SCRIPTS.iter().chain(&IN_PROCESSES) {
            assert!(code.contains(&format!("\ndef {kind}() -> None:")), "{kind}");
        }
    }
}
