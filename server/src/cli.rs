//! The command line: `tessera serve` (or nothing), `simulate`, `check`, `token`,
//! `top`, `trace`.

use std::env::VarError;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tessera_python::OptionValue;
use tracing_subscriber::EnvFilter;

use crate::assets::Assets;
use crate::config::{self, Config, HALO_M, Isolation, PLAYERS, TICK_HZ, WORKER_THREADS};
use crate::error::Error;
use crate::layout::Layout;
use crate::ops::reload::Told;
use crate::remote::Remote;
use crate::simulate::How;
use crate::stdout::print;
use crate::top::Looks;
use crate::trace::TICKS_MAX;
use crate::{check, keys, serve, simulate, top, trace};

/// Says what is logged, above flags and configuration.
const LOG_VARIABLE: &str = "RUST_LOG";

#[derive(Parser)]
#[command(
    name = "tessera",
    version,
    about = "A multiplayer game server whose gameplay is Python, run in parallel",
    args_conflicts_with_subcommands = true,
    args_override_self = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run a match for clients on the network (the default)
    Serve(ServeArgs),
    /// Run a match of AI players without a network, as fast as it goes, and report times
    Simulate(SimulateArgs),
    /// Load a mode and show what it declares, or where it is wrong
    Check(CheckArgs),
    /// Watch a running server: its ticks, zones and network, refreshed every second
    Top(TopArgs),
    /// Record the next ticks of a running server as a file for https://ui.perfetto.dev
    Trace(TraceArgs),
    /// Have a running server change to the code that is in its mode's folder now
    Reload(RemoteArgs),
    /// Be the process of a zone: for the server itself, which says what to do on standard input
    #[command(hide = true)]
    ZoneHost,
    /// Make a connect token, which lets one player into one match once, or the key that signs them
    Token(TokenArgs),
}

/// What decides how a mode loads, in any subcommand that loads one.
#[derive(Args)]
struct LoadArgs {
    /// Configuration file [default: assets/tessera.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The map: a file in assets/maps, or a path to one
    #[arg(long)]
    map: Option<String>,
    /// An option of the mode, such as fill_bots=20; may be given many times
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, OptionValue)>,
    /// Whether each zone is a thread of this process or a process of its own
    #[arg(long, value_name = "thread|process", value_parser = isolation)]
    isolation: Option<Isolation>,
}

/// What decides the match, in any subcommand that runs one.
#[derive(Args)]
struct MatchArgs {
    /// The game: a folder in assets/modes, or a path to one
    #[arg(long)]
    mode: Option<String>,
    #[command(flatten)]
    load: LoadArgs,
    /// All chance in the match comes from this number
    #[arg(long)]
    seed: Option<u64>,
    /// Ticks a second
    #[arg(long, value_name = "HZ", value_parser = within(TICK_HZ))]
    tick_hz: Option<u32>,
    /// The most clients; in `simulate`, how many AI players
    #[arg(long, value_name = "N", value_parser = within(PLAYERS))]
    players: Option<u16>,
    /// How many zones: 1, 2, 4, 9, 16…
    #[arg(long, value_name = "N", value_parser = count, conflicts_with_all = ["grid", "cuts_x", "cuts_z"])]
    zones: Option<Layout>,
    /// The zones as columns x rows, such as 4x2
    #[arg(long, value_name = "CxR", conflicts_with_all = ["cuts_x", "cuts_z"])]
    grid: Option<Layout>,
    /// Zone borders along x in metres, such as 300,700
    #[arg(long, value_name = "METRES", value_delimiter = ',')]
    cuts_x: Option<Vec<f64>>,
    /// Zone borders along z in metres
    #[arg(long, value_name = "METRES", value_delimiter = ',')]
    cuts_z: Option<Vec<f64>>,
    /// How far scripts may look around an entity, metres
    #[arg(long, value_name = "METRES", value_parser = within(HALO_M))]
    halo: Option<f64>,
    /// What to log, such as debug or info,tessera_python=trace [default: info]
    #[arg(long, value_name = "FILTER", value_parser = config::log_filter)]
    log: Option<String>,
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    game: MatchArgs,
    /// Where clients connect, such as 0.0.0.0:7777
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the ops endpoint listens, or `off`
    #[arg(long, value_name = "ADDR", value_parser = ops_address)]
    ops: Option<OpsAddress>,
    /// Threads of the network
    #[arg(long, value_name = "N", value_parser = within(WORKER_THREADS))]
    worker_threads: Option<usize>,
    /// Load the mode anew whenever its files change: for development
    #[arg(long)]
    reload: bool,
    /// Say where it listens as one line of JSON on standard output, for programs that start servers
    #[arg(long)]
    ready_json: bool,
}

#[derive(Args)]
struct SimulateArgs {
    #[command(flatten)]
    game: MatchArgs,
    /// How many ticks to run
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    ticks: u32,
    /// Kill the interpreter of one zone, each in turn, at every Nth tick boundary: the match is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    kill_every: Option<u32>,
    /// Hold zones to their budgets, as a server does: for measuring what that costs
    #[arg(long)]
    supervised: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CheckArgs {
    /// The mode: a folder in assets/modes, or a path to one
    mode: String,
    #[command(flatten)]
    load: LoadArgs,
}

/// Seconds between two looks at a running server.
const LOOK_S: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// A running server.
#[derive(Args)]
struct RemoteArgs {
    /// Its ops endpoint: a URL, or host and port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7778")]
    server: String,
}

#[derive(Args)]
struct TopArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Seconds from one look to the next
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = within(LOOK_S))]
    interval: f64,
    /// Print one frame and end, as where the output is no terminal; it takes one interval, for rates
    #[arg(long)]
    once: bool,
}

#[derive(Args)]
struct TraceArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// How many ticks to record
    #[arg(long, value_name = "N", default_value_t = 640, value_parser = within(1..=TICKS_MAX))]
    ticks: u32,
    /// Where to write
    #[arg(long, value_name = "FILE", default_value = "tessera-trace.json")]
    out: PathBuf,
}

/// How long new code may take to load: above what `supervision.load_timeout_s` can be.
const RELOAD_PATIENCE: Duration = Duration::from_secs(660);

/// Seconds that a token may let in.
const TOKEN_LIFE_S: std::ops::RangeInclusive<u64> = 1..=86_400;

#[derive(Args)]
struct TokenArgs {
    /// Make a key in a new file, which only its owner may read, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_file", "match", "name"])]
    new_key: Option<PathBuf>,
    /// The key's file, net.token_key_file of the server
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key_file: Option<PathBuf>,
    /// The match, net.match_id of the server
    #[arg(
        long = "match",
        id = "match",
        value_name = "ID",
        required_unless_present = "new_key"
    )]
    match_id: Option<String>,
    /// The player's name
    #[arg(long, required_unless_present = "new_key")]
    name: Option<String>,
    /// How long the token lets in, seconds
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = within(TOKEN_LIFE_S))]
    expires_in: u64,
}

/// Where the ops endpoint listens; a type of its own since clap reads `Option<Option<…>>` its own way.
#[derive(Clone, Copy)]
struct OpsAddress(Option<SocketAddr>);

/// Runs the program with its arguments (the first is its name) and says how it ended. Errors are told
/// on standard error. Exit code 0: done; 1: could not; 2: the arguments make no sense.
///
/// The load tester calls this too, to be a server process of the same build.
pub fn run<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; clap knows where each is printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let command = cli.command.unwrap_or(Command::Serve(cli.serve));
    let done = match command {
        Command::ZoneHost => return tessera_process::run_zone_host(),
        Command::Serve(args) => args.run(),
        Command::Simulate(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Top(args) => args.run(),
        Command::Trace(args) => args.run(),
        Command::Reload(args) => reload(&args.server),
        Command::Token(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl LoadArgs {
    /// The file's configuration with these flags over it.
    fn configuration(&self, assets: &Assets) -> Result<Config, Error> {
        let file = self.config.clone().or_else(|| assets.configuration());
        let mut config = match file {
            Some(path) => Config::load(&path)?,
            None => Config::default(),
        };
        config.set(config::MAP, &self.map, |config| &mut config.map);
        config.options.extend(self.options.iter().cloned());
        config.isolation = self.isolation.unwrap_or(config.isolation);
        Ok(config)
    }
}

impl MatchArgs {
    /// The file's configuration with these flags over it.
    fn configuration(&self, assets: &Assets) -> Result<Config, Error> {
        let mut config = self.load.configuration(assets)?;
        config.set(config::MODE, &self.mode, |config| &mut config.mode);
        config.set("log.filter", &self.log, |config| &mut config.log);
        config.seed = self.seed.unwrap_or(config.seed);
        config.tick_hz = self.tick_hz.unwrap_or(config.tick_hz);
        config.players = self.players.unwrap_or(config.players);
        config.halo_m = self.halo.unwrap_or(config.halo_m);
        if let Some(layout) = self.zones.as_ref().or(self.grid.as_ref()) {
            config.set_layout(layout.clone());
        }
        if self.cuts_x.is_some() || self.cuts_z.is_some() {
            config.set_layout(Layout::Cuts {
                x: self.cuts_x.clone().unwrap_or_default(),
                z: self.cuts_z.clone().unwrap_or_default(),
            });
        }
        Ok(config)
    }
}

impl ServeArgs {
    fn run(self) -> Result<(), Error> {
        let assets = Assets::find()?;
        let mut config = self.game.configuration(&assets)?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.worker_threads = self.worker_threads.unwrap_or(config.worker_threads);
        if let Some(OpsAddress(ops)) = self.ops {
            config.ops = ops;
        }
        config.reload_on_change = self.reload;
        start_log(&config.log)?;
        let greeting = match self.ready_json {
            true => serve::Greeting::Json,
            false => serve::Greeting::Text,
        };
        serve::run(&config, &assets, greeting)
    }
}

impl SimulateArgs {
    fn run(self) -> Result<(), Error> {
        let assets = Assets::find()?;
        let mut config = self.game.configuration(&assets)?;
        // The match itself is what is wanted: warnings, unless more is asked for.
        let log = self.game.log.clone();
        start_log(&log.unwrap_or_else(|| "warn".into()))?;
        // AI players are an option of the mode; one that is given by hand is meant.
        let options = &self.game.load.options;
        if !options.iter().any(|(key, _)| key == "fill_bots") {
            let bots = OptionValue::Int(i64::from(config.players));
            config.options.insert("fill_bots".into(), bots);
        }
        let how = How {
            ticks: self.ticks,
            kill_every: self.kill_every,
            supervised: self.supervised,
        };
        let report = simulate::run(&config, &assets, &how)?;
        if self.json {
            return Ok(print(&(serde_json::to_string(&report)? + "\n"))?);
        }
        Ok(print(&report.to_string())?)
    }
}

impl CheckArgs {
    fn run(self) -> Result<(), Error> {
        let assets = Assets::find()?;
        let mut config = self.load.configuration(&assets)?;
        config.set(config::MODE, &Some(self.mode), |config| &mut config.mode);
        start_log("warn")?;
        Ok(print(&check::run(&config, &assets)?.to_string())?)
    }
}

impl TokenArgs {
    fn run(self) -> Result<(), Error> {
        if let Some(path) = self.new_key {
            return Ok(keys::create(&path)?);
        }
        let (Some(key_file), Some(match_id), Some(name)) =
            (self.key_file, self.match_id, self.name)
        else {
            unreachable!("clap asks for each of them where there is no --new-key");
        };
        let key = keys::read(&key_file)?;
        let token = keys::mint(&key, &match_id, &name, self.expires_in)?;
        Ok(print(&format!("{token}\n"))?)
    }
}

impl TopArgs {
    fn run(self) -> Result<(), Error> {
        let looks = Looks {
            every: Duration::from_secs_f64(self.interval),
            once: self.once,
        };
        top::run(&self.remote.server, looks)
    }
}

impl TraceArgs {
    fn run(self) -> Result<(), Error> {
        trace::fetch(&self.remote.server, self.ticks, &self.out)
    }
}

/// `tessera reload`.
fn reload(server: &str) -> Result<(), Error> {
    let remote = Remote::new(server)?;
    let told: Told = remote.post_for_json("/reload", RELOAD_PATIENCE)?;
    let mut text = "the new code runs\n".to_owned();
    for field in told.added {
        text.push_str(&format!("  {field} is new and has its default\n"));
    }
    Ok(print(&text)?)
}

/// Logs to standard error, since standard output is for what was asked for. A second call (two
/// servers in one process, as in tests) keeps the first log.
///
/// # Errors
/// `RUST_LOG`, which stands above the filter, is set to what is none.
fn start_log(filter: &str) -> Result<(), Error> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(wanted) if !wanted.is_empty() => config::log_filter(&wanted).map_err(Error::Log)?,
        Err(VarError::NotUnicode(_)) => return Err(Error::Log("it is no text".to_owned())),
        _ => filter.to_owned(),
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}

/// A parser of numbers within a range, whose error tells the range.
fn within<T>(
    range: std::ops::RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let value = text.parse().ok().filter(|value| range.contains(value));
        value.ok_or_else(|| format!("it can be {} to {}", range.start(), range.end()))
    }
}

fn isolation(text: &str) -> Result<Isolation, String> {
    Isolation::named(text).ok_or_else(|| "it is thread or process".to_owned())
}

fn count(text: &str) -> Result<Layout, String> {
    let zones: usize = text
        .parse()
        .map_err(|_| "it is a whole number".to_owned())?;
    Layout::of_count(zones).map_err(|error| error.to_string())
}

fn key_value(text: &str) -> Result<(String, OptionValue), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, such as fill_bots=20")?;
    Ok((key.trim().to_owned(), config::option_value(value.trim())))
}

fn ops_address(text: &str) -> Result<OpsAddress, String> {
    if text == "off" {
        return Ok(OpsAddress(None));
    }
    let address = text
        .parse()
        .map_err(|_| "write IP:PORT or off".to_owned())?;
    Ok(OpsAddress(Some(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_takes_the_same_flags() {
        for args in [
            vec!["tessera", "--zones", "9", "--option", "fill_bots=3"],
            vec![
                "tessera",
                "serve",
                "--zones",
                "9",
                "--option",
                "fill_bots=3",
            ],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            let serve = match cli.command {
                Some(Command::Serve(serve)) => serve,
                Some(_) => panic!("not serve"),
                None => cli.serve,
            };
            assert_eq!(serve.game.zones, Some(Layout::of_count(9).unwrap()));
            let options = serve.game.load.options;
            assert_eq!(options, [("fill_bots".to_owned(), OptionValue::Int(3))]);
        }
    }

    #[test]
    fn flags_out_of_range_say_the_range() {
        for (flag, value, says) in [
            ("--tick-hz", "500", "10 to 128"),
            ("--players", "0", "1 to 500"),
            ("--zones", "65", "1 to 64"),
            ("--grid", "2by2", "columns x rows"),
            ("--halo", "inf", "10 to 500"),
            ("--option", "fill_bots", "KEY=VALUE"),
            ("--ops", "7778", "IP:PORT"),
            ("--log", "inof=wat=x", "`inof=wat=x` is no filter"),
            ("--log", "loud", "`loud` is no level"),
        ] {
            let error = Cli::try_parse_from(["tessera", flag, value])
                .err()
                .expect(flag);
            assert!(error.to_string().contains(says), "{error}");
        }
        for (command, flag, value, says) in [
            ("trace", "--ticks", "6401", "1 to 6400"),
            ("top", "--interval", "NaN", "0.1 to 3600"),
        ] {
            let error = Cli::try_parse_from(["tessera", command, flag, value])
                .err()
                .expect(flag);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
