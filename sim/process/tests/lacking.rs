//! What a system lacks is said with the setting that needs it. The calls fail by a filter here, which a
//! thread's own threads and processes inherit.

mod common;

use common::{Mode, process, scripts};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use tessera_process::{ForkServer, ForkTally, ProcessError, ProcessZone, SnapshotSlots};

const ONE: &str = "class One(Entity):\n    pass\ndef start(world):\n    world.spawn(One)\n";

/// What becomes of something on a system where a call fails, if the rule fits.
fn without<T: Send>(
    call: libc::c_long,
    rule: Option<SeccompRule>,
    error: i32,
    what: impl FnOnce() -> T + Send,
) -> T {
    let run = || {
        let filter = SeccompFilter::new(
            [(call, rule.into_iter().collect())].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(error as u32),
            TargetArch::try_from(std::env::consts::ARCH).expect("a known machine"),
        );
        let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        seccompiler::apply_filter(&filter).expect("the system takes it");
        what()
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("it ends"))
}

#[test]
fn each_lacking_feature_is_named_with_the_setting() {
    let mode = Mode::new(ONE);
    let scripts = scripts(&mode.folder());
    let start = || -> Result<ProcessZone, ProcessError> {
        let slots = SnapshotSlots::new()?;
        ProcessZone::start(&scripts, &process(), &slots)
    };
    for (call, feature) in [
        (
            libc::SYS_memfd_create,
            "shared memory that is sealed (memfd",
        ),
        (libc::SYS_pidfd_open, "process descriptors (pidfd_open)"),
        (libc::SYS_socketpair, "three descriptors more for each zone"),
        (libc::SYS_seccomp, "seccomp filters and limits of resources"),
    ] {
        let error = without(call, None, libc::ENOSYS, || {
            start().err().map(|e| e.to_string())
        });
        let error = error.expect(feature);
        let says = format!("zones.isolation = \"process\" needs {feature}");
        assert!(error.starts_with(&says), "{error}");
        assert!(error.contains("which this system refuses: "), "{error}");
        assert!(error.contains("Function not implemented"), "{error}");
    }
}

/// `prctl(PR_GET_TID_ADDRESS)` is there with `CONFIG_CHECKPOINT_RESTORE`.
#[test]
fn without_forks_zones_start_as_programs() {
    const PR_GET_TID_ADDRESS: u64 = 40;
    let (length, equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
    let condition = SeccompCondition::new(0, length, equal, PR_GET_TID_ADDRESS);
    let rule = SeccompRule::new(vec![condition.expect("an argument")]).expect("a rule");
    let mode = Mode::new(ONE);
    let tally = without(libc::SYS_prctl, Some(rule), libc::EINVAL, || {
        let slots = SnapshotSlots::new().expect("shared memory");
        let forks = ForkServer::new(process(), slots);
        let zone = forks.start(&scripts(&mode.folder()));
        zone.unwrap_or_else(|error| panic!("{error}"));
        forks.tally()
    });
    let expected = ForkTally {
        programs: 1,
        ..ForkTally::default()
    };
    assert_eq!(tally, expected);
}
