//! `report.json`: the machine-readable result, in exactly the published keys.
//!
//! Whoever compares two runs, in CI or by hand, reads this file; so its keys are a contract and a test compares them one
//! by one. What only the page needs is in [`super::detail`].

use serde::{Deserialize, Serialize};

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
    /// Where a bot predicted itself minus where the server then said it was, rounding on the wire included, in cm.
    pub correction_cm: Percentiles,
    /// How far behind the newest state bots see the others, in ms.
    pub interpolation_ms: Percentiles,
}

/// The server process during the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// User and system time of all its threads, in CPU seconds.
    pub cpu_s: f64,
    /// Largest resident set, in MiB.
    pub rss_mib_max: f64,
}

impl Percentiles {
    /// The same in another unit, of which one of the present is `factor`.
    pub fn scaled(self, factor: f64) -> Percentiles {
        Percentiles {
            p50: self.p50 * factor,
            p90: self.p90 * factor,
            p99: self.p99 * factor,
            p999: self.p999 * factor,
            max: self.max * factor,
            mean: self.mean * factor,
        }
    }

    /// The same with at most one decimal: a tenth of a microsecond is below what the clock tells.
    pub fn rounded(self) -> Percentiles {
        let round = |v: f64| (v * 10.0).round() / 10.0;
        Percentiles {
            p50: round(self.p50),
            p90: round(self.p90),
            p99: round(self.p99),
            p999: round(self.p999),
            max: round(self.max),
            mean: round(self.mean),
        }
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
        for percentiles in ticks.into_iter().chain(of_zones) {
            *percentiles = percentiles.rounded();
        }
        server.cpu_s = (server.cpu_s * 100.0).round() / 100.0;
        server.rss_mib_max = (server.rss_mib_max * 10.0).round() / 10.0;
        report
    }
}
