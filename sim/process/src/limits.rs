//! What a zone's process may still do.
//!
//! It gives rights up in two steps. [`confine_host`] comes before CPython starts: what remains is for the
//! host's own code, which may have threads, confine itself further, and fork. [`confine_scripts`] comes
//! before the first script runs, in each fork for itself. Scripts compute, read files (modules are files)
//! and talk to the server through what is open already. Every system call that is not needed for that
//! fails with `EPERM`, which Python makes a `PermissionError` of. The limits of resources stand behind
//! it, and bound memory.

use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Files that may be open at once: a zone has a handful, and importing a module needs one.
const FILES_MAX: u64 = 64;

/// What the host's own code in a child may take beyond the cap of its scripts, bytes.
const HEADROOM_BYTES: u64 = 64 << 20;

/// Flags of `open` that write, make or empty a file.
const WRITING: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;

/// Calls that are allowed whatever their arguments.
const FREE: &[libc::c_long] = &[
    // What is open, and files to read.
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_dup,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fadvise64,
    libc::SYS_ppoll,
    // The bell.
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Signals to itself, waiting, ending.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Questions about itself and the machine.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    // The same by their old names.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Calls that only the host's own code needs, before any script runs.
const HOST: &[libc::c_long] = &[
    // Threads and forks.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_setpgid,
    // Requests for forks; a fork's own descriptors.
    libc::SYS_recvmsg,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    // To confine itself, and to end with the server.
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_seccomp,
    // To itself, whose number is another in each fork.
    libc::SYS_kill,
    libc::SYS_tgkill,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
];

/// Gives up, for all threads of this process and its forks and for good, what the host's own code doesn't
/// need. Returns what [`confine_scripts`] measures the scripts' memory from.
///
/// # Errors
/// What the system refused, in words.
pub(crate) fn confine_host() -> Result<DataBytes, String> {
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES_MAX)?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Msgqueue, 0)?;
    let host = HOST.iter().map(|call| (*call, Vec::new()));
    apply(filter(host.collect()))?;
    Ok(DataBytes(data_bytes()?))
}

/// What a process has mapped for data and stacks before CPython starts in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataBytes(u64);

/// Gives up, for all threads of this process and for good, everything that scripts don't need.
/// `memory_cap` is what scripts may make its data grow by, bytes. This is the wall behind the cap of the
/// interpreter: it holds for libraries too that allocate by themselves.
///
/// # Errors
/// What the system refused, in words.
pub(crate) fn confine_scripts(before: DataBytes, memory_cap: Option<u64>) -> Result<(), String> {
    if let Some(cap) = memory_cap {
        limit(
            Resource::Data,
            before.0.saturating_add(cap + HEADROOM_BYTES),
        )?;
    }
    limit(Resource::Nproc, 0)?;
    apply(own_rules().and_then(filter))
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).map_err(|error| format!("setrlimit({resource:?}): {error}"))
}

fn apply(filter: Result<BpfProgram, BackendError>) -> Result<(), String> {
    let filter = filter.map_err(|error| format!("a seccomp filter: {error}"))?;
    // This sets PR_SET_NO_NEW_PRIVS too.
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| format!("seccomp: {error}"))
}

/// Bytes that this process has mapped for data and stacks.
fn data_bytes() -> Result<u64, String> {
    let statm = std::fs::read_to_string("/proc/self/statm");
    let statm = statm.map_err(|error| format!("/proc/self/statm: {error}"))?;
    let pages = statm
        .split(' ')
        .nth(5)
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or("/proc/self/statm says nothing of data")?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Calls and, where they are allowed with some arguments only, the rules for those.
type Rules = Vec<(libc::c_long, Vec<SeccompRule>)>;

fn condition(at: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(at, SeccompCmpArgLen::Dword, op, value)?;
    SeccompRule::new(vec![condition])
}

/// What scripts may do to their own process only, or in a part only.
fn own_rules() -> Result<Rules, BackendError> {
    let itself = || condition(0, Eq, std::process::id().into());
    let one_of = |at, values: &[u64]| {
        let rules = values.iter().map(|value| condition(at, Eq, *value));
        rules.collect::<Result<Vec<_>, _>>()
    };
    // Its limits may be read, not set: the new ones are at no address.
    let no_pointer = SeccompCondition::new(2, SeccompCmpArgLen::Qword, Eq, 0)?;
    let descriptor = [
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_DUPFD_CLOEXEC,
    ];
    Ok(vec![
        (libc::SYS_kill, vec![itself()?]),
        (libc::SYS_tgkill, vec![itself()?]),
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![no_pointer])?],
        ),
        (
            libc::SYS_fcntl,
            one_of(1, &descriptor.map(|operation| operation as u64))?,
        ),
        // Is it a terminal?
        (libc::SYS_ioctl, one_of(1, &[libc::TCGETS, libc::FIOCLEX])?),
    ])
}

/// A filter that allows what is free, reading files, and `more`.
fn filter(more: Rules) -> Result<BpfProgram, BackendError> {
    let reading = |at| condition(at, MaskedEq(WRITING as u64), 0);
    let mut rules: Rules = FREE.iter().map(|call| (*call, Vec::new())).collect();
    rules.push((libc::SYS_openat, vec![reading(2)?]));
    #[cfg(target_arch = "x86_64")]
    rules.push((libc::SYS_open, vec![reading(1)?]));
    rules.extend(more);

    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        let host = HOST.iter().map(|call| (*call, Vec::new()));
        filter(host.collect()).expect("a filter for this machine");
        own_rules()
            .and_then(filter)
            .expect("a filter for this machine");
    }
}
