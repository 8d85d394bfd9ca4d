//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Plays a match with many bots over QUIC and reports how the server bore it.
///
/// Without `--server` it starts a dedicated server as a process of its own, from the same build.
#[derive(Clone, Debug, Parser)]
#[command(version, about, long_about)]
pub struct Args {
    /// Bots that join
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500), value_name = "N")]
    pub players: u16,
    /// Length of the measured window in seconds
    #[arg(long, default_value_t = 60.0, value_parser = positive_seconds, value_name = "SECONDS")]
    pub duration: f64,
    /// Seconds to play before the window begins: joining and the first steps aren't what is asked
    #[arg(long, default_value_t = 3.0, value_parser = seconds, value_name = "SECONDS")]
    pub warmup: f64,
    /// Zones of the started server: 1, 2, 4, 9, 16…
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub zones: u8,
    /// Ticks a second of the started server
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(10..=128), value_name = "HZ")]
    pub tick_hz: u32,
    /// Seed of the match and of the bots
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub seed: u64,
    /// Game mode of the started server [default: the server's]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Map of the started server [default: the server's]
    #[arg(long, value_name = "MAP")]
    pub map: Option<String>,
    /// An option of the mode, such as fill_bots=20; may be given many times
    #[arg(long = "option", value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// Join a server that is already running, such as 127.0.0.1:7777, rather than start one
    #[arg(long, value_name = "ADDR", requires = "ops",
          conflicts_with_all = ["zones", "tick_hz", "mode", "map", "options"])]
    pub server: Option<SocketAddr>,
    /// Ops endpoint of that server, such as 127.0.0.1:7778
    #[arg(long, value_name = "ADDR", requires = "server")]
    pub ops: Option<SocketAddr>,
    /// Folder for index.html and report.json
    #[arg(long, default_value = "target/report", value_name = "DIR")]
    pub out: PathBuf,
    /// UDP sockets that the bots share
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500), value_name = "N")]
    pub sockets: u16,
    /// Exit with 1 when a target is missed
    #[arg(long)]
    pub strict: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    // Every arrival of a state is kept until the end; an hour of a hundred bots is 180 MB.
    match text.parse::<f64>() {
        Ok(s) if (0.0..=3_600.0).contains(&s) => Ok(s),
        _ => Err("expected seconds, 0 to 3600".into()),
    }
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        s if s >= 1.0 => Ok(s),
        _ => Err("a window shorter than a second says nothing".into()),
    }
}

impl Args {
    /// The command line of the server to start, without the program's name.
    pub fn server_args(&self) -> Vec<String> {
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
        flag("--players", self.players.to_string());
        flag("--zones", self.zones.to_string());
        flag("--tick-hz", self.tick_hz.to_string());
        flag("--seed", self.seed.to_string());
        self.mode
            .iter()
            .for_each(|mode| flag("--mode", mode.clone()));
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
        let line = args.server_args().join(" ");
        assert_eq!(
            line,
            "serve --ready-json --listen 127.0.0.1:0 --ops 127.0.0.1:0 --players 3 --zones 2 --tick-hz 64 --seed 9 \
             --mode royale --option fill_bots=5"
        );
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
            "--server 127.0.0.1:1 --ops 127.0.0.1:2 --zones 2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
