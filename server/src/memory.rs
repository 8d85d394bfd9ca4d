//! How much memory is resident for the match: this process, and its children where zones run in
//! processes of their own.
//!
//! Where a process has children, each page counts for its proportional share (Pss), so one that several
//! of them share counts once. One without counts as its resident set, and so it does where `/proc`
//! does not tell of children or of shares.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most that was resident whenever somebody looked, KiB.
static MOST_KIB: AtomicU64 = AtomicU64::new(0);

/// What a process and its children have resident, bytes; 0 where the system does not tell. Takes about
/// a millisecond a child.
pub fn resident_bytes_of(process: u32) -> u64 {
    Resident::of(&process_folder(process)).whole_kib * 1024
}

/// The same of this process, away from the runtime's threads.
pub(crate) async fn resident_bytes() -> u64 {
    let looked = tokio::task::spawn_blocking(|| look().whole_kib * 1024);
    looked.await.unwrap_or(0)
}

/// As [`resident_mib_max`], away from the runtime's threads.
pub(crate) async fn resident_mib_max_async() -> f64 {
    tokio::task::spawn_blocking(resident_mib_max)
        .await
        .unwrap_or(0.0)
}

/// The most that this process and its children had resident, MiB; 0 where the system does not tell. The
/// system keeps the most of this process; that of the children is known from when somebody looked.
pub(crate) fn resident_mib_max() -> f64 {
    look();
    let mib = MOST_KIB.load(Relaxed) as f64 / 1024.0;
    (mib * 10.0).round() / 10.0
}

fn look() -> Resident {
    let now = Resident::of(&process_folder(std::process::id()));
    MOST_KIB.fetch_max(now.whole_kib + now.own_less_kib, Relaxed);
    now
}

fn process_folder(process: u32) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

/// What a process has at one moment.
struct Resident {
    /// With its children.
    whole_kib: u64,
    /// By how much its own was more when it was at its most.
    own_less_kib: u64,
}

impl Resident {
    fn of(process: &Path) -> Resident {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let [own, most] = ["VmRSS:", "VmHWM:"].map(|line| kib(&status, line).unwrap_or(0));
        let shares: Vec<u64> = children(process)
            .into_iter()
            .filter_map(|child| share_kib(&process_folder(child)))
            .collect();
        let whole_kib = match shares.is_empty() {
            true => own,
            false => share_kib(process).unwrap_or(own) + shares.iter().sum::<u64>(),
        };
        Resident {
            whole_kib,
            own_less_kib: most.saturating_sub(own),
        }
    }
}

/// The children that live, whichever thread started them.
fn children(process: &Path) -> Vec<u32> {
    let threads = fs::read_dir(process.join("task"));
    let lists = threads.into_iter().flatten().filter_map(|thread| {
        // A thread may end meanwhile.
        fs::read_to_string(thread.ok()?.path().join("children")).ok()
    });
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The proportional share of all its pages; none of a process that has ended.
fn share_kib(process: &Path) -> Option<u64> {
    kib(
        &fs::read_to_string(process.join("smaps_rollup")).ok()?,
        "Pss:",
    )
}

/// A number in kibibytes, by the beginning of its line.
fn kib(text: &str, line: &str) -> Option<u64> {
    let rest = text.lines().find_map(|told| told.strip_prefix(line))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_has_memory_and_a_child_counts() {
        assert!(resident_mib_max() > 1.0);
        // It waits for its input, so it lives until that is closed.
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        let own = process_folder(std::process::id());
        assert!(children(&own).contains(&child.id()));
        let share = share_kib(&process_folder(child.id())).expect("it lives");
        assert!(share > 0);
        let whole = resident_bytes_of(std::process::id());
        assert!(whole > 1 << 20, "{whole}");
        assert!(resident_mib_max() * f64::from(1 << 20) >= whole as f64 * 0.9);
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(!children(&own).contains(&child.id()));
    }

    #[test]
    fn where_there_is_no_such_process_nothing_is_resident() {
        assert_eq!(resident_bytes_of(u32::MAX), 0);
    }
}
