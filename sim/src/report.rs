//! What a simulation tells about itself: how long its parts took and what its channels carried.

use std::borrow::Cow;

use tessera_process::ForkTally;
use tessera_protocol::ids::{EntityId, ZoneId};
use tessera_python::{HookStats, MemoryUse};

use crate::supervision::RestartReason;

/// How long the stages of one tick took. All in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct TickTimings {
    /// Routing commands, joins and leaves. Wall time.
    pub commands_ns: u64,
    /// The zones' first phase: drain, hooks, gather. Wall time of the slowest.
    pub zones_ns: u64,
    /// Ids, the directory, and the zones' second phase: the exchange. Wall time.
    pub barrier_ns: u64,
    /// Sealing the snapshot and indexing its hitboxes. Wall time.
    pub snapshot_ns: u64,
    /// What each zone's thread spent, in zone order.
    pub zones: Vec<ZoneTimings>,
}

/// What one zone's thread spent on one tick: CPU nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZoneTimings {
    /// Scripts' hooks and the native systems.
    pub script_ns: u64,
    /// Python slots into columns.
    pub gather_ns: u64,
    /// Draining and filling channels, scattering arrivals, ghosts.
    pub exchange_ns: u64,
    /// Writing the zone's batch of the snapshot.
    pub snapshot_ns: u64,
    /// Garbage collection in the slack after the tick before.
    pub gc_ns: u64,
}

/// From when to when a zone did something, while somebody records that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSpan {
    /// A part of the zone's tick (`drain`, `hooks`, `gather`, `exchange`, `gc`), or a hook as `Kind.hook`,
    /// which lies within `hooks`.
    pub name: Cow<'static, str>,
    /// Nanoseconds of [`SimConfig::clock`](crate::SimConfig).
    pub start_ns: u64,
    /// The same.
    pub end_ns: u64,
    /// Whose hook it was.
    pub entity: Option<EntityId>,
}

/// Totals since the match began.
#[derive(Clone, Debug, Default)]
pub struct SimReport {
    /// One a zone, in zone order.
    pub zones: Vec<ZoneReport>,
    /// Messages to entities that had ended.
    pub undeliverable: u64,
    /// Commands of clients that own no entity.
    pub commands_without_entity: u64,
    /// How zones were started that run in processes; none where they run in threads.
    pub forks: Option<ForkTally>,
}

/// Who was missing, and who was there twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Entities that live and are in no zone.
    pub lost: u64,
    /// Entities that are in more than one, or live no more.
    pub doubled: u64,
}

impl SimReport {
    /// Entities handed from one zone to another.
    pub fn handoffs(&self) -> u64 {
        self.zones.iter().map(|zone| zone.handoffs_out).sum()
    }

    /// Scripts' messages sent.
    pub fn messages(&self) -> u64 {
        self.zones.iter().map(|zone| zone.messages_sent).sum()
    }

    /// Interpreters that were replaced, for whatever reason.
    pub fn restarts(&self) -> u64 {
        self.zones.iter().flat_map(|zone| zone.restarts).sum()
    }

    /// Hooks that raised.
    pub fn hook_errors(&self) -> u64 {
        self.zones.iter().map(|zone| zone.hooks.failures).sum()
    }
}

/// Totals of one zone.
#[derive(Clone, Debug, Default)]
pub struct ZoneReport {
    /// Which zone.
    pub zone: ZoneId,
    /// The most entities that it ran in one tick.
    pub entities_max: u64,
    /// Entities it runs now.
    pub entities: u64,
    /// Entities that came from other zones.
    pub handoffs_in: u64,
    /// Entities that went to other zones.
    pub handoffs_out: u64,
    /// Scripts' messages that its entities sent, wherever to.
    pub messages_sent: u64,
    /// The most messages that its entities received in one tick.
    pub mailbox_max: u64,
    /// Rests that its entities began since their hooks kept failing.
    pub rests: u64,
    /// What its hooks did and failed, over all its interpreters.
    pub hooks: HookStats,
    /// What its scripts use.
    pub memory: MemoryUse,
    /// Allocations refused, over all its interpreters.
    pub memory_denied: u64,
    /// Whether nobody runs it now.
    pub vacant: bool,
    /// How often it was given to another interpreter, by [`RestartReason::ALL`].
    pub restarts: [u64; RestartReason::ALL.len()],
    /// Its outgoing channels.
    pub channels: Vec<ChannelReport>,
}

/// Totals of one channel.
#[derive(Clone, Debug)]
pub struct ChannelReport {
    /// The receiving zone.
    pub to: ZoneId,
    /// Records and messages carried.
    pub messages: u64,
    /// Bytes carried.
    pub bytes: u64,
    /// The most that waited at once: one tick's worth.
    pub depth_max: u64,
    /// Messages refused because a tick's batch was full.
    pub refused: u64,
}
