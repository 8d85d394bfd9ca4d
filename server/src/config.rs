//! What a server is told to do: built-in defaults, under the file, under the flags.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tessera_python::OptionValue;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::error::Error;
use crate::layout::Layout;

mod file;

pub use file::{ConfigError, Place};

/// Settings of which more can be wrong than their file alone shows.
pub(crate) const MODE: &str = "match.mode";
/// See [`MODE`].
pub(crate) const MAP: &str = "match.map";
/// See [`MODE`].
pub(crate) const CUTS_X: &str = "zones.cuts_x";
/// See [`MODE`].
pub(crate) const CUTS_Z: &str = "zones.cuts_z";
/// See [`MODE`].
pub(crate) const KEY_FILE: &str = "net.token_key_file";

/// Ticks a second.
pub const TICK_HZ: RangeInclusive<u32> = 10..=128;
/// Clients in one match.
pub const PLAYERS: RangeInclusive<u16> = 1..=500;
/// Network worker threads.
pub const WORKER_THREADS: RangeInclusive<usize> = 1..=64;
/// KiB a second that a client may be sent.
pub const CLIENT_KIB_S: RangeInclusive<u32> = 8..=1024;
/// Metres that a zone sees beyond its border.
pub const HALO_M: RangeInclusive<f64> = 10.0..=500.0;
/// Seconds without a packet after which a client counts as gone.
pub const IDLE_TIMEOUT_S: RangeInclusive<u64> = 2..=120;
/// Seconds that a stopping server waits for clients to hear of it.
pub const DRAIN_TIMEOUT_S: RangeInclusive<u64> = 0..=60;

/// Percent of a tick that a zone's hooks may take, softly and at most.
pub const BUDGET_PERCENT: RangeInclusive<u32> = 5..=1000;
/// MiB that the scripts of a zone may use.
pub const ZONE_MEMORY_MIB: RangeInclusive<u32> = 32..=65_536;
/// Seconds for which a mode may load.
pub const LOAD_TIMEOUT_S: RangeInclusive<u32> = 1..=600;
/// Interpreters kept ready.
pub const SPARES: RangeInclusive<usize> = 0..=16;
/// Restarts of a zone in a period.
pub const RESTART_INTENSITY: RangeInclusive<u32> = 0..=100_000;
/// Seconds of that period.
pub const RESTART_PERIOD_S: RangeInclusive<u32> = 1..=3600;
/// Ticks that an entity's hooks may fail in a row.
pub const QUARANTINE_FAILURES: RangeInclusive<u16> = 1..=10_000;
/// Milliseconds for which it rests then.
pub const QUARANTINE_REST_MS: RangeInclusive<u32> = 0..=600_000;

/// Seconds that a client has to come back after its connection was lost.
pub const RECONNECT_GRACE_S: RangeInclusive<u64> = 0..=300;
/// Clients that may watch.
pub const SPECTATORS: RangeInclusive<u16> = 0..=100;
/// Seconds by which those who watch are behind.
pub const SPECTATOR_DELAY_S: RangeInclusive<u64> = 0..=30;

/// Whom the server lets in.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Anyone who reaches the port: for development.
    Open,
    /// Who brings a token for this match, signed with the key in a file.
    Tokens {
        /// The key, as `tessera token --new-key` writes it.
        key_file: PathBuf,
        /// The id of the match.
        match_id: String,
    },
}

/// When a client must show that it receives at the address that it sends from, before anything is
/// kept of it. It costs it one more round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressValidation {
    /// Each new connection.
    Always,
    /// While many connections are being begun.
    UnderLoad,
    /// Never.
    Off,
}

/// What happens when a zone has had more restarts than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// Its entities coast for a period; the match goes on.
    Coast,
    /// The server drains.
    Drain,
}

/// What separates zones from each other and from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each has an interpreter on a thread of the server's process.
    #[default]
    Thread,
    /// Each has a process of its own, which can do nothing but compute and read files.
    Process,
}

impl Isolation {
    /// By its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "thread" => Some(Self::Thread),
            "process" => Some(Self::Process),
            _ => None,
        }
    }
}

/// How zones are watched over.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// Percent of a tick after which a zone's hooks are noted as slow, within [`BUDGET_PERCENT`].
    pub soft_budget_percent: u32,
    /// Percent of a tick after which the other zones go on without a zone, likewise.
    pub hard_budget_percent: u32,
    /// MiB that a zone's scripts may use, within [`ZONE_MEMORY_MIB`].
    pub memory_mib: u32,
    /// Seconds for which a mode may load, within [`LOAD_TIMEOUT_S`].
    pub load_timeout_s: u32,
    /// Interpreters kept ready, within [`SPARES`].
    pub spares: usize,
    /// Restarts of a zone allowed in a period, within [`RESTART_INTENSITY`].
    pub restart_intensity: u32,
    /// That period in seconds, within [`RESTART_PERIOD_S`].
    pub restart_period_s: u32,
    /// What happens beyond it.
    pub on_exhausted: OnExhausted,
    /// Ticks lost in a row after which an entity rests, within [`QUARANTINE_FAILURES`].
    pub quarantine_failures: u16,
    /// Milliseconds of a rest, within [`QUARANTINE_REST_MS`].
    pub quarantine_rest_ms: u32,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            soft_budget_percent: 35,
            hard_budget_percent: 65,
            memory_mib: 256,
            load_timeout_s: 30,
            spares: 1,
            restart_intensity: 5,
            restart_period_s: 10,
            on_exhausted: OnExhausted::Coast,
            quarantine_failures: 16,
            quarantine_rest_ms: 1000,
        }
    }
}

/// A complete, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of a mode in the assets, or a path to its folder.
    pub mode: String,
    /// Name of a map in the assets, or a path to its file.
    pub map: String,
    /// All chance in the match comes from this.
    pub seed: u64,
    /// Ticks a second, within [`TICK_HZ`].
    pub tick_hz: u32,
    /// The most clients, within [`PLAYERS`].
    pub players: u16,
    /// The mode's own options, which its scripts read.
    pub options: BTreeMap<String, OptionValue>,
    /// How the map is cut into zones.
    pub layout: Layout,
    /// Metres that a zone sees beyond its border, within [`HALO_M`].
    pub halo_m: f64,
    /// What separates zones from each other and from the server.
    pub isolation: Isolation,
    /// Folders of packages that scripts may import; with [`Isolation::Process`] only.
    pub packages: Vec<PathBuf>,
    /// How zones are watched over; `None` for not at all.
    pub watch: Option<Watch>,
    /// Whether the mode's files are watched, and loaded anew when they change: for development.
    pub reload_on_change: bool,
    /// Where clients connect (UDP).
    pub listen: SocketAddr,
    /// Threads of the network runtime, within [`WORKER_THREADS`].
    pub worker_threads: usize,
    /// KiB a second that one client is sent at most, within [`CLIENT_KIB_S`].
    pub client_kib_s: u32,
    /// Silence after which a client counts as gone, within [`IDLE_TIMEOUT_S`].
    pub idle_timeout: Duration,
    /// Whom it lets in.
    pub access: Access,
    /// How long a client whose connection was lost may take to come back, within
    /// [`RECONNECT_GRACE_S`]; zero for not at all.
    pub reconnect_grace: Duration,
    /// The most clients that watch, within [`SPECTATORS`].
    pub spectators: u16,
    /// How far those who watch are behind, within [`SPECTATOR_DELAY_S`].
    pub spectator_delay: Duration,
    /// When new connections prove their address.
    pub address_validation: AddressValidation,
    /// How long a stopping server waits for clients to hear of it, within [`DRAIN_TIMEOUT_S`].
    pub drain_timeout: Duration,
    /// Where the ops endpoint listens (TCP); `None` for none.
    pub ops: Option<SocketAddr>,
    /// What is logged, as a `tracing` filter.
    pub log: String,
    /// By setting, where the file has it, unless a flag stands above that; of those that only starting shows
    /// to be wrong.
    pub places: BTreeMap<&'static str, Place>,
}

impl Config {
    /// Puts what a flag says over what the file says.
    pub(crate) fn set(
        &mut self,
        setting: &str,
        flag: &Option<String>,
        into: fn(&mut Config) -> &mut String,
    ) {
        if let Some(value) = flag {
            into(self).clone_from(value);
            self.places.remove(setting);
        }
    }

    /// The same of the zones.
    pub(crate) fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
        for cuts in [CUTS_X, CUTS_Z] {
            self.places.remove(cuts);
        }
    }

    /// What is wrong with a setting's value, with the place of it where a file has set it.
    pub(crate) fn blame<E: Into<Error> + Display>(&self, setting: &str, error: E) -> Error {
        match self.places.get(setting) {
            Some(place) => place.wrong(format!("{setting}: {error}")).into(),
            None => error.into(),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            mode: "royale".into(),
            map: "island".into(),
            seed: 1,
            tick_hz: 64,
            players: 100,
            options: BTreeMap::new(),
            layout: Layout::Even {
                columns: 2,
                rows: 2,
            },
            halo_m: 120.0,
            watch: Some(Watch::default()),
            reload_on_change: false,
            listen: (Ipv4Addr::LOCALHOST, 7777).into(),
            worker_threads: 2,
            client_kib_s: 30,
            idle_timeout: Duration::from_secs(10),
            access: Access::Open,
            reconnect_grace: Duration::from_secs(20),
            spectators: 8,
            spectator_delay: Duration::from_secs(2),
            isolation: Isolation::Thread,
            packages: Vec::new(),
            address_validation: AddressValidation::UnderLoad,
            drain_timeout: Duration::from_secs(2),
            ops: Some((Ipv4Addr::LOCALHOST, 7778).into()),
            log: "info".into(),
            places: BTreeMap::new(),
        }
    }
}

/// What can be logged, as a `tracing` filter. A word by itself has to be a level: `tracing` takes a mistyped
/// one for the name of a module, and logs nothing else.
///
/// # Errors
/// What is none, and what to write.
pub fn log_filter(text: &str) -> Result<String, String> {
    let write = "write off, error, warn, info, debug or trace, and MODULE=LEVEL for what differs, such as \
                 info,tessera_python=trace";
    if let Err(error) = EnvFilter::builder().parse(text) {
        return Err(format!("`{text}` is no filter ({error}): {write}"));
    }
    let is_word = |part: &&str| {
        part.chars()
            .all(|char| char.is_alphanumeric() || "_-:".contains(char))
    };
    let mut words = text.split(',').map(str::trim).filter(is_word);
    match words.find(|word| word.parse::<LevelFilter>().is_err()) {
        Some(word) => Err(format!("`{word}` is no level: {write}")),
        None => Ok(text.to_owned()),
    }
}

/// An option's value as a flag or environment gives it: `true`/`false`, a number, or else text.
pub fn option_value(text: &str) -> OptionValue {
    match text {
        "true" => OptionValue::Bool(true),
        "false" => OptionValue::Bool(false),
        _ => match (text.parse(), text.parse()) {
            (Ok(int), _) => OptionValue::Int(int),
            (_, Ok(float)) => OptionValue::Float(float),
            _ => OptionValue::Str(text.to_owned()),
        },
    }
}
