//! The command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::chaos;
use crate::hostile;
use crate::network::Impairment;
use crate::report::schema::Run;

/// What the bots do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// A match as people play it: walk, fight, pick up, with the server's mode
    #[default]
    Match,
    /// All in one place, in sight of each other and always moving; the mode is `crowd` unless another is given
    Crowd,
    /// The match, and for the last two thirds hostile clients beside the honest ones; the started server asks for tokens
    Hostile,
}

/// Where the zones of the started server run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// On threads of the server
    #[default]
    Thread,
    /// In processes of their own
    Process,
}

/// Most clients of a server.
const PLAYERS_MAX: u16 = 500;
/// The first part of a hostile run's time has no hostile clients: this share of it, and at least so many seconds.
const BASELINE_SHARE: f64 = 1.0 / 3.0;
const BASELINE_S_MIN: f64 = 5.0;
/// The shortest hostile run: as long with hostile clients as without.
const HOSTILE_S_MIN: f64 = 2.0 * BASELINE_S_MIN;
/// The server's own mode.
const MATCH_MODE: &str = "royale";
/// The mode in which all clients stand in one place.
const CROWD_MODE: &str = "crowd";

/// Plays a match with many bots over QUIC and reports how the server bore it.
///
/// Without `--server` it starts a dedicated server as a process of its own, from the same build.
#[derive(Clone, Debug, Parser)]
#[command(version, about, long_about)]
pub struct Args {
    /// What the bots do
    #[arg(long, value_enum, default_value_t, value_name = "SCENARIO")]
    pub scenario: Scenario,
    /// Bots that join
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500),
          allow_negative_numbers = true, value_name = "N")]
    pub players: u16,
    /// Length of the measured window in seconds
    #[arg(long, default_value_t = 60.0, value_parser = positive_seconds,
          allow_negative_numbers = true, value_name = "SECONDS")]
    pub duration: f64,
    /// Seconds to play before the window begins: joining and the first steps aren't what is asked
    #[arg(long, default_value_t = 3.0, value_parser = seconds,
          allow_negative_numbers = true, value_name = "SECONDS")]
    pub warmup: f64,
    /// Zones of the started server: 1, 2, 4, 9, 16…
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64),
          allow_negative_numbers = true, value_name = "N")]
    pub zones: u8,
    /// Where zones run; in processes, `--chaos` has faults that end one
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub isolation: Isolation,
    /// Ticks a second of the started server
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(10..=128),
          allow_negative_numbers = true, value_name = "HZ")]
    pub tick_hz: u32,
    /// Seed of the match, of the bots, of the simulated network and of the hostile clients
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub seed: u64,
    /// Scripts that do harm in the middle of the match: endless loops, huge allocations, exceptions in every hook and
    /// more, a fault each third tick for four fifths of the window, drawn from this seed
    #[arg(long, value_name = "SEED", conflicts_with = "scenario")]
    pub chaos: Option<u64>,
    /// Game mode of the started server [default: the server's]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Map of the started server [default: the server's]
    #[arg(long, value_name = "MAP")]
    pub map: Option<String>,
    /// An option of the mode, such as fill_bots=20; may be given many times
    #[arg(long = "option", value_parser = mode_option, value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// Join a server that is already running, such as 127.0.0.1:7777, rather than start one
    #[arg(long, value_parser = destination, value_name = "ADDR", requires = "ops",
          conflicts_with_all = ["zones", "tick_hz", "chaos", "isolation", "mode", "map", "options"])]
    pub server: Option<SocketAddr>,
    /// Ops endpoint of that server, such as 127.0.0.1:7778
    #[arg(long, value_parser = destination, value_name = "ADDR", requires = "server")]
    pub ops: Option<SocketAddr>,
    /// Key of that server's connect tokens, its net.token_key_file: the bots' tokens are made with it
    #[arg(long, value_name = "FILE", requires_all = ["server", "token_match"])]
    pub token_key: Option<PathBuf>,
    /// Match that the bots' tokens are for, its net.match_id
    #[arg(long, value_name = "NAME", requires = "token_key")]
    pub token_match: Option<String>,
    /// Folder for index.html and report.json
    #[arg(long, default_value = "target/report", value_name = "DIR")]
    pub out: PathBuf,
    /// UDP sockets that the bots share
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500),
          allow_negative_numbers = true, value_name = "N")]
    pub sockets: u16,
    /// Exit with 1 when a target is missed
    #[arg(long)]
    pub strict: bool,
    /// The network to simulate; last, since what follows would stand under its heading
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// The network to simulate between each bot and the server. Without any of these there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Simulated network, for each bot and both directions")]
pub struct NetworkArgs {
    /// Round trip; half of it each way
    #[arg(long = "rtt", value_parser = milliseconds, allow_negative_numbers = true, value_name = "MS")]
    pub rtt_ms: Option<f64>,
    /// Each way takes half of the round trip ± this, drawn for each datagram; their order stays
    #[arg(long = "jitter", value_parser = milliseconds, allow_negative_numbers = true, value_name = "MS")]
    pub jitter_ms: Option<f64>,
    /// Share of datagrams that are lost
    #[arg(long = "loss", value_parser = percent, allow_negative_numbers = true, value_name = "PERCENT")]
    pub loss_percent: Option<f64>,
    /// Share of datagrams that later ones overtake
    #[arg(long = "reorder", value_parser = percent, allow_negative_numbers = true, value_name = "PERCENT")]
    pub reorder_percent: Option<f64>,
    /// Most that passes; 100 ms of it may wait, or one full packet (1,500 bytes) if that is more; the rest is dropped
    #[arg(long = "rate", value_parser = rate, allow_negative_numbers = true, value_name = "KBIT")]
    pub rate_kbit: Option<f64>,
}

impl NetworkArgs {
    /// The network, if there is any to simulate.
    pub fn impairment(&self) -> Option<Impairment> {
        let seconds = |ms: Option<f64>| Duration::from_secs_f64(ms.unwrap_or(0.0) / 1e3);
        (*self != NetworkArgs::default()).then(|| Impairment {
            delay: seconds(self.rtt_ms) / 2,
            jitter: seconds(self.jitter_ms),
            loss: self.loss_percent.unwrap_or(0.0) / 100.0,
            reorder: self.reorder_percent.unwrap_or(0.0) / 100.0,
            bytes_per_s: self.rate_kbit.map(|kbit| kbit * 1e3 / 8.0),
        })
    }
}

fn mode_option(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("expected a key and a value, such as fill_bots=20".into()),
    }
}

/// An address that one can connect to.
fn destination(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected an address and a port, such as 127.0.0.1:7777";
    let address: SocketAddr = text.parse().map_err(|_| expected)?;
    if address.ip().is_unspecified() {
        let here: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let here = SocketAddr::new(here, address.port());
        return Err(format!(
            "a server may listen on it, but nobody can connect to it: for this machine, give {here}"
        ));
    }
    match address.port() {
        0 => Err(expected.into()),
        _ => Ok(address),
    }
}

fn milliseconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=2_000.0, "milliseconds, 0 to 2000")
}

fn percent(text: &str) -> Result<f64, String> {
    within(text, 0.0..=90.0, "percent, 0 to 90")
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 16.0..=1e6, "kbit/s, 16 to 1000000")
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("expected {expected}")),
    }
}

/// Every arrival of a state is kept until the end; an hour of a hundred bots is 180 MB.
const SECONDS_MAX: f64 = 3_600.0;

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=SECONDS_MAX, "seconds, 0 to 3600")
}

/// A window shorter than a second says nothing.
fn positive_seconds(text: &str) -> Result<f64, String> {
    within(text, 1.0..=SECONDS_MAX, "seconds, 1 to 3600")
}

impl Args {
    /// Looks at what can only be judged together.
    ///
    /// # Errors
    /// What can't be combined, and how to put it right.
    pub fn check(&self) -> Result<(), String> {
        let network = &self.network;
        let (rtt_ms, jitter_ms) = (network.rtt_ms, network.jitter_ms.unwrap_or(0.0));
        let half_ms = rtt_ms.unwrap_or(0.0) / 2.0;
        if jitter_ms > half_ms {
            return Err(format!(
                "--jitter {jitter_ms} is more than each way takes: give --rtt {} or more",
                jitter_ms * 2.0
            ));
        }
        if self.scenario != Scenario::Hostile {
            return Ok(());
        }
        if !self.is_local() {
            return Err("--scenario hostile attacks a server on this machine only: \
                give --server a loopback address, or leave it out"
                .into());
        }
        let room = PLAYERS_MAX - hostile::PLAYERS_MAX;
        if self.players > room {
            return Err(format!(
                "--scenario hostile needs {} of the server's {PLAYERS_MAX} places: give --players {room} or less",
                hostile::PLAYERS_MAX
            ));
        }
        if self.duration < HOSTILE_S_MIN {
            return Err(format!(
                "--scenario hostile plays the first third of the time, at least {BASELINE_S_MIN} s, without hostile \
                 clients to compare with: give --duration {HOSTILE_S_MIN} or more"
            ));
        }
        Ok(())
    }

    /// For how many seconds the match is played without hostile clients first, in the scenario that has some.
    pub fn baseline_s(&self) -> Option<f64> {
        let hostile = self.scenario == Scenario::Hostile;
        hostile.then(|| (self.duration * BASELINE_SHARE).max(BASELINE_S_MIN))
    }

    /// What a person should know who asked for this and got that server, if anything.
    pub fn warning(&self, run: &Run) -> Option<String> {
        let elsewhere = self.server.is_some() && self.scenario == Scenario::Crowd;
        (elsewhere && run.mode != CROWD_MODE).then(|| {
            format!(
                "warning: the server plays {}, not {CROWD_MODE}: its players needn't be in one place",
                run.mode
            )
        })
    }

    /// Whether the server runs on this machine.
    pub fn is_local(&self) -> bool {
        self.server.is_none_or(|address| address.ip().is_loopback())
    }

    /// Whether the started server asks for tokens: only then can hostile clients bring wrong ones.
    pub fn tokens_required(&self) -> bool {
        self.scenario == Scenario::Hostile && self.server.is_none()
    }

    /// The mode of the started server, if it isn't the server's own.
    pub fn mode(&self) -> Option<&str> {
        let of_scenario = (self.scenario == Scenario::Crowd).then_some(CROWD_MODE);
        self.mode.as_deref().or(of_scenario)
    }

    /// The mode as the report names it, where the server is given a copy of it.
    pub fn mode_with_saboteurs(&self) -> &str {
        self.mode().unwrap_or(MATCH_MODE)
    }

    /// The storm of faults, if there is to be one.
    pub fn storm(&self) -> Option<chaos::Plan> {
        let processes = self.isolation == Isolation::Process;
        let plan =
            |seed| chaos::Plan::draw(seed, processes, self.tick_hz, self.warmup, self.duration);
        self.chaos.map(plan)
    }

    /// The command line of the server to start, without the program's name. `overlay` is its mode with
    /// saboteurs.
    pub fn server_args(&self, overlay: Option<&chaos::Overlay>) -> Vec<String> {
        let mut args: Vec<String> = [
            "serve",
            "--ready-json",
            "--listen",
            "127.0.0.1:0",
            "--ops",
            "127.0.0.1:0",
        ]
        .map(str::to_owned)
        .into();
        let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
        let hostile = match self.scenario {
            Scenario::Hostile => hostile::PLAYERS_MAX,
            Scenario::Match | Scenario::Crowd => 0,
        };
        flag("--players", (self.players + hostile).to_string());
        flag("--zones", self.zones.to_string());
        flag("--tick-hz", self.tick_hz.to_string());
        flag("--seed", self.seed.to_string());
        if self.isolation == Isolation::Process {
            flag("--isolation", "process".into());
        }
        match overlay {
            Some(overlay) => {
                flag("--config", overlay.config.display().to_string());
                flag("--mode", overlay.mode.display().to_string());
            }
            None => self
                .mode()
                .iter()
                .for_each(|mode| flag("--mode", (*mode).to_owned())),
        }
        self.map.iter().for_each(|map| flag("--map", map.clone()));
        self.options
            .iter()
            .for_each(|option| flag("--option", option.clone()));
        args
    }

    /// A command line that repeats this run: only what differs from the defaults.
    pub fn repeat(&self) -> String {
        let mut out = String::from("cargo run --release -p loadtest");
        let given: Vec<String> = std::env::args().skip(1).collect();
        if !given.is_empty() {
            out.push_str(" --");
        }
        for arg in given {
            out.push(' ');
            match arg.contains([' ', '\'', '"', '*', '$']) {
                true => out.push_str(&format!("'{}'", arg.replace('\'', r"'\''"))),
                false => out.push_str(&arg),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("loadtest").chain(line.split_whitespace()))
    }

    #[test]
    fn no_arguments_are_the_main_job() {
        let args = parse("").expect("defaults");
        assert_eq!(
            (args.players, args.duration, args.zones, args.tick_hz),
            (100, 60.0, 4, 64)
        );
        assert!(args.server.is_none());
    }

    #[test]
    fn the_server_gets_what_was_asked() {
        let args = parse("--players 3 --zones 2 --seed 9 --mode royale --option fill_bots=5")
            .expect("valid");
        let line = args.server_args(None).join(" ");
        assert_eq!(
            line,
            "serve --ready-json --listen 127.0.0.1:0 --ops 127.0.0.1:0 --players 3 --zones 2 --tick-hz 64 --seed 9 \
             --mode royale --option fill_bots=5"
        );
    }

    #[test]
    fn each_scenario_asks_for_its_server() {
        let line = |text: &str| parse(text).expect("valid").server_args(None).join(" ");
        assert!(line("--scenario crowd").contains("--mode crowd"));
        assert!(line("--scenario crowd --mode royale").contains("--mode royale"));
        assert!(!line("").contains("--mode"));
        assert!(line("--scenario hostile --players 10").contains("--players 26"));
    }

    #[test]
    fn tokens_are_asked_for_where_hostile_clients_meet_a_server_of_ours() {
        let required = |text: &str| parse(text).expect("valid").tokens_required();
        assert!(required("--scenario hostile"));
        assert!(!required(""));
        assert!(!required(
            "--scenario hostile --server 127.0.0.1:1 --ops 127.0.0.1:2"
        ));
    }

    #[test]
    fn a_storm_has_a_seed_and_its_server_a_copy_of_the_mode() {
        assert_eq!(parse("").expect("valid").storm(), None);
        let args = parse("--chaos 7 --duration 10").expect("valid");
        let plan = args.storm().expect("asked for");
        assert_eq!(plan, chaos::Plan::draw(7, false, 64, 3.0, 10.0));
        let overlay = chaos::Overlay {
            mode: "out/chaos/royale".into(),
            config: "out/chaos/tessera.toml".into(),
            saboteur: "out/chaos/royale/saboteur.py".into(),
        };
        let line = args.server_args(Some(&overlay)).join(" ");
        assert!(
            line.ends_with("--config out/chaos/tessera.toml --mode out/chaos/royale"),
            "{line}"
        );
        let processes = parse("--chaos 7 --isolation process").expect("valid");
        assert!(
            processes
                .storm()
                .is_some_and(|plan| plan.by_kind().contains_key("sigkill"))
        );
        assert!(
            processes
                .server_args(None)
                .join(" ")
                .contains("--isolation process")
        );
    }

    #[test]
    fn a_network_is_simulated_only_when_asked_for() {
        let network = |text: &str| parse(text).expect("valid").network.impairment();
        assert_eq!(network(""), None);
        let bad = network("--rtt 100 --jitter 20 --loss 5 --rate 800").expect("one");
        assert_eq!(bad.delay, Duration::from_millis(50), "half of it each way");
        assert_eq!(bad.jitter, Duration::from_millis(20));
        assert!((bad.loss - 0.05).abs() < 1e-12 && bad.reorder == 0.0);
        assert_eq!(bad.bytes_per_s, Some(100_000.0));
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_to_do() {
        let refused = |text: &str| parse(text).expect("valid alone").check().err();
        assert_eq!(refused("--rtt 40 --jitter 20"), None);
        let why = refused("--rtt 30 --jitter 20").expect("refused");
        assert!(why.contains("--rtt 40 or more"), "{why}");
        let why = refused("--scenario hostile --server 10.0.0.1:1 --ops 10.0.0.1:2");
        assert!(why.is_some_and(|why| why.contains("loopback")));
        assert_eq!(
            refused("--scenario hostile --server 127.0.0.1:1 --ops 127.0.0.1:2"),
            None
        );
        let why = refused("--scenario hostile --players 500").expect("refused");
        assert!(why.contains("--players 484 or less"), "{why}");
        let why = refused("--scenario hostile --duration 9").expect("refused");
        assert!(why.contains("--duration 10 or more"), "{why}");
        assert_eq!(refused("--scenario hostile --duration 10"), None);
    }

    #[test]
    fn a_hostile_run_begins_without_hostile_clients() {
        let baseline_s = |text: &str| parse(text).expect("valid").baseline_s();
        assert_eq!(baseline_s(""), None);
        assert_eq!(baseline_s("--scenario hostile"), Some(20.0));
        assert_eq!(baseline_s("--scenario hostile --duration 12"), Some(5.0));
    }

    #[test]
    fn a_crowd_on_a_server_of_another_mode_is_warned_of() {
        let warned = |line: &str, mode: &str| {
            let run = Run {
                mode: mode.into(),
                ..Run::default()
            };
            let warning = parse(line).expect("valid").warning(&run);
            warning.is_some_and(|warning| warning.contains("royale"))
        };
        let elsewhere = "--scenario crowd --server 127.0.0.1:1 --ops 127.0.0.1:2";
        assert!(warned(elsewhere, "royale"));
        assert!(!warned(elsewhere, "crowd"));
        assert!(!warned("--scenario crowd --mode royale", "royale"));
        assert!(!warned("", "royale"));
    }

    #[test]
    fn errors_name_what_is_permitted() {
        for (line, says) in [
            ("--players -3", "1..=500"),
            ("--rtt -1", "0 to 2000"),
            ("--jitter -0.5", "0 to 2000"),
            ("--loss -5", "0 to 90"),
            ("--reorder -5", "0 to 90"),
            ("--rate -16", "16 to 1000000"),
            ("--warmup -1", "0 to 3600"),
            ("--duration -1", "1 to 3600"),
            ("--duration 0.5", "1 to 3600"),
            ("--option foo", "fill_bots=20"),
            ("--option =20", "fill_bots=20"),
            ("--server 0.0.0.0:7777 --ops 127.0.0.1:1", "127.0.0.1:7777"),
            ("--server localhost --ops 127.0.0.1:1", "127.0.0.1:7777"),
            ("--token-key k --token-match m", "--server"),
            (
                "--server 127.0.0.1:1 --ops 127.0.0.1:2 --token-key k",
                "--token-match",
            ),
        ] {
            let said = parse(line).expect_err(line).to_string();
            assert!(said.contains(says), "{line}: {said}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--players 0",
            "--duration nan",
            "--duration 0",
            "--tick-hz 1",
            "--server 127.0.0.1:1",
            "--ops 127.0.0.1:1",
            "--loss 95",
            "--rtt -1",
            "--jitter nan",
            "--rate 1",
            "--scenario brawl",
            "--chaos",
            "--chaos 1 --scenario crowd",
            "--chaos 1 --server 127.0.0.1:1 --ops 127.0.0.1:2",
            "--server 127.0.0.1:1 --ops 127.0.0.1:2 --zones 2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
