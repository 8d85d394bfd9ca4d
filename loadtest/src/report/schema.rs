//! `report.json`: the machine-readable result, in exactly the published keys.
//!
//! Whoever compares two runs, in CI or by hand, reads this file; so its keys are a contract and a test compares them one
//! by one. What only the page needs is in [`super::detail`].

use std::collections::BTreeMap;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::args::Scenario;

/// Version of the layout; grows when a key changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// A distribution in six numbers. The unit stands in the name of the field that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest value seen.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
}

/// The whole of `report.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportJson {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Under which conditions the numbers were taken.
    pub run: Run,
    /// The server's tick loop.
    pub tick: TickReport,
    /// One entry a zone, ascending.
    pub zones: Vec<ZoneReport>,
    /// What the bots measured at their end.
    pub clients: ClientsReport,
    /// How the state was coded for the clients; none from a server that doesn't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<WireReport>,
    /// The network that was simulated between the bots and the server, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkReport>,
    /// What hostile clients threw at the server, in the scenario that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostile: Option<HostileReport>,
    /// What a storm of faults in the scripts did to the match, in a run that had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaos: Option<ChaosReport>,
    /// The server process as a whole.
    pub server: ServerReport,
}

/// Under which conditions the numbers were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Commit of the build, with `+` appended when the work tree had changes; empty when unknown.
    pub commit: String,
    /// Processor model.
    pub cpu: String,
    /// Logical cores that the processes may use, server and bots together.
    pub cores: usize,
    /// Version of CPython that runs the gameplay.
    pub python: String,
    /// Bots asked to join.
    pub players: usize,
    /// Zones of the server's grid.
    pub zones: usize,
    /// Ticks a second.
    pub tick_hz: u32,
    /// Length of the measured window in seconds, without joining and warm-up.
    pub duration_s: f64,
    /// Seed of the match and of the bots.
    pub seed: u64,
    /// What the bots did.
    #[serde(default)]
    pub scenario: Scenario,
    /// Name of the game mode.
    pub mode: String,
    /// Name of the map.
    pub map: String,
}

/// The server's tick loop during the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TickReport {
    /// Ticks that ran.
    pub run: u64,
    /// Ticks that ended after the next one was due.
    pub missed: u64,
    /// From when a tick was due until its snapshot is published, in µs.
    pub duration_us: Percentiles,
    /// Actual start minus scheduled start, in µs.
    pub start_jitter_us: Percentiles,
    /// Parts of a tick.
    pub stages_us: Stages<Percentiles>,
}

/// One value for each part of a tick, in the order in which they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stages<T: Default> {
    /// Routing of the clients' commands to zones.
    pub commands: T,
    /// The zones in parallel, from the first start to the last end.
    pub zones: T,
    /// Ids, directory, exchange: what all zones wait for.
    pub barrier: T,
    /// Sealing and publication of the snapshot.
    pub snapshot: T,
    /// Encoding and sending; overlaps the next tick.
    pub network: T,
}

impl<T: Copy + Default> Stages<T> {
    /// Names and values in the order in which the stages run.
    pub fn named(&self) -> [(&'static str, T); 5] {
        [
            ("commands", self.commands),
            ("zones", self.zones),
            ("barrier", self.barrier),
            ("snapshot", self.snapshot),
            ("network", self.network),
        ]
    }
}

/// One zone during the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneReport {
    /// Its number in the grid.
    pub zone: u32,
    /// Most entities it owned at once.
    pub entities_max: u64,
    /// Python hooks, per tick, in µs.
    pub script_us: Percentiles,
    /// Slots to columns, per tick, in µs.
    pub gather_us: Percentiles,
    /// Draining and filling of channels, per tick, in µs.
    pub exchange_us: Percentiles,
    /// Garbage collection in the slack, per tick, in µs.
    pub gc_us: Percentiles,
    /// Entities that came from a neighbour.
    pub handoffs_in: u64,
    /// Entities that left to a neighbour.
    pub handoffs_out: u64,
    /// What its interpreter had at the end, bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The most that this interpreter had, bytes.
    #[serde(default)]
    pub memory_peak_bytes: u64,
    /// Interpreters that it lost during the window.
    #[serde(default)]
    pub restarts: u64,
    /// Channels from this zone, ascending by target.
    pub channels: Vec<ChannelReport>,
}

/// The channel from one zone to another during the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// Receiving zone.
    pub to: u32,
    /// Messages sent, of any sort: ghosts, game messages, handoffs.
    pub messages: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// High-water mark of its queue, in messages.
    pub depth_max: u64,
    /// Messages refused because it was full.
    pub refused: u64,
}

/// What the bots measured at their end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientsReport {
    /// Bots that were in the match when the window began.
    pub joined: usize,
    /// Of these, the ones whose connection ended before the window did.
    pub dropped: usize,
    /// Arrival of a newest state minus the moment its tick was due, in µs.
    pub snapshot_age_us: Percentiles,
    /// Arrival of a state that acknowledges a command minus the moment the command was due to be sent, in µs.
    pub input_ack_us: Percentiles,
    /// Over clients: UDP payload received per second.
    pub bytes_down_per_s: Percentiles,
    /// Over clients: UDP payload sent per second.
    pub bytes_up_per_s: Percentiles,
    /// Of those that joined, the ones that could play: at least half of the ticks reached them as states, and at least
    /// half of their settled commands were applied.
    pub playing: usize,
    /// Commands sent during the window, repetitions not counted.
    pub commands_sent: u64,
    /// Commands whose fate became known during the window: the state that their tick made says that it had them, or it
    /// or a later one that it had not. The fate of the others isn't known, since their state was lost or is still to
    /// come.
    pub commands_settled: u64,
    /// Of the settled ones, all but those whose tick passed without them.
    pub commands_applied: u64,
    /// By how much a state from the server moved a player from where its client had predicted it, in cm. All 0 as long
    /// as clients predict nothing.
    pub correction_cm: Percentiles,
    /// By how much clients show others in the past to have two states to interpolate between, in ms. All 0 as long as
    /// clients interpolate nothing.
    pub interpolation_ms: Percentiles,
    /// The most ticks between two words to a bot of an entity that kept moving in between: that got on by half to twice
    /// of what its velocities promised, so that there was something to be told all the while. What doesn't change is not
    /// told, so a bot can't know before the next word; a wait that the window's end cuts off doesn't count.
    pub staleness_ticks_max: u32,
}

/// How the state was coded for the clients during the window, as the server tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WireReport {
    /// Choosing who is told of what, for all clients, per tick, in µs.
    pub interest_us: Percentiles,
    /// Coding the state for all clients, per tick, in µs.
    pub encode_us: Percentiles,
    /// Both in one, per tick, in µs.
    pub state_us: Percentiles,
    /// States that were sent whole rather than as a difference to an acknowledged one, by reason.
    pub full_snapshots: BTreeMap<String, u64>,
    /// Records of entities that a client knew, told as a whole all the same: the version that it has is not kept any
    /// more, or too different.
    pub rewritten: u64,
    /// Bits that one entity took in a datagram.
    pub bits_per_entity: Percentiles,
}

/// The network that was simulated between the bots and the server during the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Shortest round trip without jitter, in ms.
    pub rtt_ms: f64,
    /// Each way's delay was drawn from half the round trip ± this, in ms.
    pub jitter_ms: f64,
    /// Datagrams lost, in percent, each way.
    pub loss_percent: f64,
    /// Datagrams held back until later ones had overtaken them, in percent, each way.
    pub reorder_percent: f64,
    /// Rate of each client's link in kbit/s, each way; 0 without a limit.
    pub rate_kbit: f64,
    /// What became of the datagrams to the server.
    pub up: LinkCounts,
    /// What became of the datagrams to the bots.
    pub down: LinkCounts,
    /// By how much datagrams left later than the simulation meant them to, in µs.
    pub late_us: Percentiles,
}

/// What became of datagrams in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Arrived.
    pub forwarded: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Arrived after one that was sent later; part of `forwarded`.
    pub reordered: u64,
    /// Dropped since the limited rate had too much to pass already.
    pub queue_drops: u64,
}

/// A match without hostile clients, right before they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// How long it was played, in seconds.
    pub duration_s: f64,
    /// From when a tick was due until its snapshot is published, in µs.
    pub tick_duration_us: Percentiles,
    /// Arrival of a newest state minus the moment its tick was due, in µs.
    pub snapshot_age_us: Percentiles,
    /// The server's resident set at its end, in MiB; 0 where the server isn't the load tester's own.
    pub rss_mib: f64,
}

/// What hostile clients threw at the server, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostileReport {
    /// The same match before they came.
    pub baseline: Baseline,
    /// How much was thrown, by what it was.
    pub thrown: BTreeMap<String, u64>,
    /// How the server ended hostile sessions, by reason.
    pub ended: BTreeMap<String, u64>,
    /// Sessions let into the match that no server may let in, by what was thrown; those of which there were none are
    /// left out.
    pub let_in: BTreeMap<String, u64>,
    /// By how much the server's counters grew meanwhile, the honest bots' share included; those that did not are left out.
    pub counted: BTreeMap<String, u64>,
}

/// What a storm of faults in the scripts did to the match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChaosReport {
    /// Faults that happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Exceptions that followed from them and weren't planned: of who heard of a restart.
    pub aftermath: u64,
    /// Bots whose connection ended before the window did.
    pub dropped: usize,
    /// Entities that were in no zone, summed over counts of all that live, one each 64 ticks.
    pub lost: u64,
    /// Entities that were in two zones, likewise.
    pub doubled: u64,
    /// Ticks that the entities of a zone coasted from the loss of its interpreter until it had another.
    pub restart_ticks: Percentiles,
    /// The latest that a tick ended after the next was due, in ticks: what a fault costs the zones that it isn't in.
    pub others_late_ticks_max: f64,
    /// By how large a share the server's resident set was larger at the window's end than right before the storm: 0.05
    /// is 5 %; negative when it was smaller.
    pub rss_growth: f64,
}

/// The server process during the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// User and system time of all its threads, in CPU seconds.
    pub cpu_s: f64,
    /// Largest resident set, in MiB; here and below with that of the processes that zones run in, where they do. Pages
    /// that they share count once.
    pub rss_mib_max: f64,
    /// Resident set when a quarter of the window had passed, in MiB; 0 where the server isn't the load tester's own.
    #[serde(default)]
    pub rss_mib_start: f64,
    /// Resident set at the window's end, likewise: more than at the start, run after run, is a leak.
    #[serde(default)]
    pub rss_mib_end: f64,
}

impl Add for LinkCounts {
    type Output = LinkCounts;

    fn add(self, other: LinkCounts) -> LinkCounts {
        LinkCounts {
            forwarded: self.forwarded + other.forwarded,
            lost: self.lost + other.lost,
            reordered: self.reordered + other.reordered,
            queue_drops: self.queue_drops + other.queue_drops,
        }
    }
}

impl LinkCounts {
    /// What was counted after `before`.
    pub fn since(self, before: LinkCounts) -> LinkCounts {
        LinkCounts {
            forwarded: self.forwarded - before.forwarded,
            lost: self.lost - before.lost,
            reordered: self.reordered - before.reordered,
            queue_drops: self.queue_drops - before.queue_drops,
        }
    }
}

impl ClientsReport {
    /// Share of the settled commands that had an effect, 0 to 1; none where none is settled.
    pub fn applied_share(&self) -> Option<f64> {
        let settled = self.commands_settled;
        (settled > 0).then(|| self.commands_applied as f64 / settled as f64)
    }
}

impl Percentiles {
    /// Whether anything was measured.
    pub fn is_empty(&self) -> bool {
        *self == Percentiles::default()
    }

    /// All six numbers times `factor`, such as from µs to ms.
    pub fn scaled(self, factor: f64) -> Percentiles {
        self.map(|v| v * factor)
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Percentiles {
        Percentiles {
            p50: change(self.p50),
            p90: change(self.p90),
            p99: change(self.p99),
            p999: change(self.p999),
            max: change(self.max),
            mean: change(self.mean),
        }
    }

    /// The same with at most one decimal: a tenth of a microsecond is below what the clock tells.
    pub fn rounded(self) -> Percentiles {
        self.map(|v| (v * 10.0).round() / 10.0)
    }

    /// The same with at most three decimals, for units that are not small.
    pub fn rounded_finely(self) -> Percentiles {
        self.map(|v| (v * 1e3).round() / 1e3)
    }
}

impl ReportJson {
    /// The same with all measured values in sensible precision.
    pub fn rounded(&self) -> ReportJson {
        let mut report = self.clone();
        let ReportJson {
            tick,
            zones,
            clients,
            wire,
            network,
            hostile,
            chaos,
            server,
            ..
        } = &mut report;
        let stages = &mut tick.stages_us;
        let ticks = [
            &mut tick.duration_us,
            &mut tick.start_jitter_us,
            &mut stages.commands,
            &mut stages.zones,
            &mut stages.barrier,
            &mut stages.snapshot,
            &mut stages.network,
            &mut clients.snapshot_age_us,
            &mut clients.input_ack_us,
            &mut clients.bytes_down_per_s,
            &mut clients.bytes_up_per_s,
            &mut clients.correction_cm,
            &mut clients.interpolation_ms,
        ];
        let of_zones = zones.iter_mut().flat_map(|z| {
            [
                &mut z.script_us,
                &mut z.gather_us,
                &mut z.exchange_us,
                &mut z.gc_us,
            ]
        });
        let of_wire = wire.iter_mut().flat_map(|w| {
            [
                &mut w.interest_us,
                &mut w.encode_us,
                &mut w.state_us,
                &mut w.bits_per_entity,
            ]
        });
        let of_network = network.iter_mut().map(|n| &mut n.late_us);
        let of_baseline = hostile
            .iter_mut()
            .map(|h| &mut h.baseline)
            .flat_map(|b| [&mut b.tick_duration_us, &mut b.snapshot_age_us]);
        let rounded = ticks.into_iter().chain(of_zones).chain(of_wire);
        for percentiles in rounded.chain(of_network).chain(of_baseline) {
            *percentiles = percentiles.rounded();
        }
        for percentiles in [&mut clients.correction_cm, &mut clients.interpolation_ms] {
            *percentiles = percentiles.rounded_finely();
        }
        if let Some(hostile) = hostile {
            let mib = &mut hostile.baseline.rss_mib;
            *mib = (*mib * 10.0).round() / 10.0;
        }
        if let Some(chaos) = chaos {
            chaos.restart_ticks = chaos.restart_ticks.rounded();
            for value in [&mut chaos.others_late_ticks_max, &mut chaos.rss_growth] {
                *value = (*value * 1e4).round() / 1e4;
            }
        }
        server.cpu_s = (server.cpu_s * 100.0).round() / 100.0;
        let ServerReport {
            rss_mib_max,
            rss_mib_start,
            rss_mib_end,
            ..
        } = server;
        for mib in [rss_mib_max, rss_mib_start, rss_mib_end] {
            *mib = (*mib * 10.0).round() / 10.0;
        }
        report
    }
}
