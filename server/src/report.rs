//! What the ops endpoint tells about the match since the last reset, in the shape of the load
//! tester's report.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tessera_python::{HookError, HookStats};
use tessera_sim::SimReport;

use crate::overseer::Supervised;
use crate::series::{Second, SingleTicks};
use crate::stats::Percentiles;

/// The whole answer to `GET /report.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What ran, and on what.
    pub run: Run,
    /// The ticks.
    pub tick: Ticks,
    /// The zones, in order.
    pub zones: Vec<Zone>,
    /// The coding of the state for clients.
    pub wire: Wire,
    /// Where hooks failed since the start, most often first.
    pub hook_errors: Vec<HookErrors>,
    /// What became of zones whose scripts did harm.
    pub supervision: Supervised,
    /// The process.
    pub server: Process,
    /// Things that happened and should be rare, by name: garbage from peers, commands that came too
    /// late, hooks that raised. Since the start, not since the reset.
    pub counters: BTreeMap<&'static str, u64>,
    /// How ticks and time relate.
    pub clock: Clock,
    /// The last ticks one by one.
    pub ticks: SingleTicks,
    /// The same ticks by the second.
    pub series: Vec<Second>,
}

/// When a tick was due, for those on the same machine who measure how old a state is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clock {
    /// The boundary that the newest tick made: the number under which clients receive it.
    pub tick: u32,
    /// When that tick was due, nanoseconds of `CLOCK_MONOTONIC`.
    pub due_ns: u64,
}

/// What ran, and on what.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The commit of the checkout that the assets are in, or `unknown`.
    pub commit: String,
    /// The processor's name.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Version of Python.
    pub python: String,
    /// Clients that are in the match now.
    pub players: usize,
    /// Number of zones.
    pub zones: usize,
    /// Ticks a second.
    pub tick_hz: u32,
    /// Seconds since the last reset.
    pub duration_s: f64,
    /// The match's seed.
    pub seed: u64,
    /// The mode.
    pub mode: String,
    /// The map.
    pub map: String,
}

/// The ticks since the last reset.
#[derive(Clone, Debug, Serialize)]
pub struct Ticks {
    /// Ticks run.
    pub run: u64,
    /// Ticks that ended after the next was due, and slots of the schedule that were skipped.
    pub missed: u64,
    /// From when a tick was due to its end.
    pub duration_us: Percentiles,
    /// From when a tick was due to its start.
    pub start_jitter_us: Percentiles,
    /// The parts of a tick.
    pub stages_us: Stages,
}

/// The parts of a tick.
#[derive(Clone, Debug, Serialize)]
pub struct Stages {
    /// Collecting and routing commands.
    pub commands: Percentiles,
    /// The slowest zone's drain, hooks and gather.
    pub zones: Percentiles,
    /// Ids for the newborn, and the exchange between zones.
    pub barrier: Percentiles,
    /// Sealing the snapshot.
    pub snapshot: Percentiles,
    /// Encoding and sending the tick to all clients; beside the next tick, on a thread of its own.
    pub network: Percentiles,
}

/// One zone since the last reset.
#[derive(Clone, Debug, Serialize)]
pub struct Zone {
    /// Its number.
    pub zone: u8,
    /// The most entities it ran in one tick since the start.
    pub entities_max: u64,
    /// Hooks, processor time a tick.
    pub script_us: Percentiles,
    /// Python slots into columns.
    pub gather_us: Percentiles,
    /// Channels, arrivals, ghosts.
    pub exchange_us: Percentiles,
    /// Garbage collection in the slack.
    pub gc_us: Percentiles,
    /// Entities that came.
    pub handoffs_in: u64,
    /// Entities that went.
    pub handoffs_out: u64,
    /// Bytes that its interpreter has now.
    pub memory_bytes: u64,
    /// The most that this interpreter had.
    pub memory_peak_bytes: u64,
    /// Interpreters that it lost.
    pub restarts: u64,
    /// To each other zone.
    pub channels: Vec<Channel>,
}

/// One channel since the last reset.
#[derive(Clone, Debug, Serialize)]
pub struct Channel {
    /// The receiving zone.
    pub to: u8,
    /// Records carried.
    pub messages: u64,
    /// Bytes carried.
    pub bytes: u64,
    /// The most that waited at once, since the start.
    pub depth_max: u64,
    /// Messages refused by a full channel.
    pub refused: u64,
}

/// What telling clients of the state took since the last reset.
#[derive(Clone, Debug, Serialize)]
pub struct Wire {
    /// Finding out what all clients have in sight and what presses, a tick.
    pub interest_us: Percentiles,
    /// Rounding the state and putting together all clients' datagrams, a tick.
    pub encode_us: Percentiles,
    /// Both in one, a tick.
    pub state_us: Percentiles,
    /// Times that a client was told everything anew, by reason.
    pub full_snapshots: BTreeMap<&'static str, u64>,
    /// Records of entities that a client knew, told as a whole all the same: the version that it has is
    /// not kept any more, or too different.
    pub rewritten: u64,
    /// Bits of a record, by the mean of each datagram.
    pub bits_per_entity: Percentiles,
}

/// One place in the scripts where hooks failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookErrors {
    /// `Kind.hook`.
    pub hook: String,
    /// The file; empty for a value that does not fit its field.
    pub file: String,
    /// The line, from 1; 0 where unknown.
    pub line: u32,
    /// What was said the first time.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// The places where hooks failed, over all zones, most often first.
pub(crate) fn hook_errors(totals: &SimReport) -> Vec<HookErrors> {
    let mut all = HookStats::default();
    for zone in &totals.zones {
        all.absorb(&zone.hooks);
    }
    let mut errors: Vec<_> = all.errors.into_iter().map(HookErrors::from).collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors
}

impl From<HookError> for HookErrors {
    fn from(error: HookError) -> Self {
        let HookError {
            hook,
            file,
            line,
            message,
            count,
        } = error;
        Self {
            hook,
            file,
            line,
            message,
            count,
        }
    }
}

/// The process since the last reset.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Processor seconds over all threads.
    pub cpu_s: f64,
    /// The most memory that was resident since its start, MiB: its own and that of the processes that
    /// zones run in. Pages that they share count once.
    pub rss_mib_max: f64,
}

/// The commit of the checkout around `folder`, without running git; `unknown` where there is none.
pub fn commit_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or(folder.to_owned());
    let git = folder.ancestors().map(|above| above.join(".git"));
    let commit = git
        .filter(|git| git.is_dir())
        .find_map(|git| head_commit(&git));
    commit.map_or("unknown".into(), |commit| commit.chars().take(12).collect())
}

/// `HEAD` is a commit, or names a reference that is a file of its own or a line of `packed-refs`.
fn head_commit(git: &Path) -> Option<String> {
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    if let Ok(commit) = std::fs::read_to_string(git.join(reference)) {
        return Some(commit.trim().to_owned());
    }
    let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
    let line = packed.lines().find(|line| line.ends_with(reference))?;
    Some(line.split_whitespace().next()?.to_owned())
}

/// The processor's name as the system tells it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Processors that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_loose_packed_or_detached() {
        let root = std::env::temp_dir().join(format!("tessera-commit-{}", std::process::id()));
        let git = root.join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::create_dir_all(root.join("assets")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(git.join(name), text).unwrap();
        write("HEAD", "ref: refs/heads/main\n");
        write(
            "packed-refs",
            "# pack-refs\n0123456789abcdef refs/heads/main\n",
        );
        assert_eq!(commit_of(&root.join("assets")), "0123456789ab");
        write("refs/heads/main", "fedcba9876543210\n");
        assert_eq!(commit_of(&root.join("assets")), "fedcba987654");
        write("HEAD", "aaaabbbbccccdddd\n");
        assert_eq!(commit_of(&root), "aaaabbbbcccc");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_processor_has_a_name() {
        assert!(!cpu_name().is_empty());
    }
}
