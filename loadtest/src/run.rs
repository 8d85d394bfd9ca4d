//! One run from start to report.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tessera_protocol::session::{Close, CloseReason};
use tessera_protocol::{JoinRequest, SignedToken};

use crate::args::{Args, Scenario};
use crate::assemble::{self, Measured, assemble, grown};
use crate::bot::client;
use crate::bot::fleet::{Fleet, News, Plan};
use crate::chaos::{self, Overlay};
use crate::conditions;
use crate::hostile::{Purse, Storm};
use crate::network::Relay;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::detail::{ClientSecond, Conditions};
use crate::report::schema::{Baseline, HostileReport};
use crate::report::{Report, Written};
use crate::server::{Ops, OpsReport, ServerProcess};
use crate::tokens::{Mint, Required};

/// By how much the bots step back behind the server, in steps of `nice`: a player's machine isn't the server's, and here
/// they share cores.
const BOTS_NICE: i32 = 5;
/// All bots must be in the match by then, or it goes on without the others.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the run looks whether everybody is still there.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Hostile clients end by themselves this long after the run should have ended.
const STORM_GRACE: Duration = Duration::from_secs(10);
/// Seconds before the first fault at which the window begins, so that what is before the storm can be measured.
const BEFORE_STORM_S: f64 = 0.5;
/// The mode with saboteurs and the server's configuration, beside the report.
const CHAOS_FOLDER: &str = "chaos";

/// The server's configuration that asks for tokens, and for a moment their key, beside the report.
const HOSTILE_FOLDER: &str = "hostile";
/// Tokens are good for this much longer than a run may take.
const TOKEN_GRACE: Duration = Duration::from_secs(3_600);

/// The server's log, beside the report.
const SERVER_LOG: &str = "server.log";

/// Plays the match and writes the report.
///
/// # Errors
/// When the server doesn't start or ends early, when no bot gets in, or when the report can't be written.
pub fn run(args: &Args) -> Result<(Report, Written)> {
    let out = || format!("can't make the folder {}", args.out.display());
    fs::create_dir_all(&args.out).with_context(out)?;
    let load_before = conditions::load_average();
    let progress = Progress::new(Duration::from_secs_f64(args.duration));

    let storm = args.storm();
    let overlay = |plan| {
        Overlay::write(
            &args.out.join(CHAOS_FOLDER),
            args.mode_with_saboteurs(),
            plan,
        )
    };
    let overlay = storm.as_ref().map(overlay).transpose()?;
    let required = args
        .tokens_required()
        .then(|| Required::write(&args.out.join(HOSTILE_FOLDER)));
    let required = required.transpose()?;
    let mut mint = mint(args, required.as_ref())?;
    let config = required.as_ref().map(|required| required.config.as_path());
    let mut server = Server::get(args, overlay.as_ref(), config, &progress)?;
    // The server has read the key.
    drop(required);
    // Before this process steps back: what the network adds must come from the simulation, not from waiting for a core.
    let relay = relay(args, server.listen)?;
    // The server's process has been started: only this one steps back.
    let bots_nice = conditions::lower_priority(BOTS_NICE);
    let ops = Ops(server.ops);
    // Asked before anybody joins: a wrong address is told at once, not after the bots' patience.
    let found = ops.report()?;
    if let Some(warning) = args.warning(&found.run) {
        progress.say(&warning);
    }
    let tokens = mint.iter_mut().flat_map(|mint| {
        let of = |number| mint.good(&client::name(number));
        (0..usize::from(args.players)).map(of).collect::<Vec<_>>()
    });
    let tokens = tokens.collect::<Result<Vec<_>>>()?;
    let plan = Plan {
        server: server.listen,
        doors: relay.as_ref().map_or_else(Vec::new, |r| r.doors().into()),
        tokens: tokens.clone(),
        scenario: args.scenario,
        players: args.players.into(),
        seed: args.seed,
        sockets: args.sockets.into(),
    };
    let fleet = Fleet::start(plan)?;
    let joined = join(&fleet, args, &mut server, &progress)?;
    let purse = mint.map(|mint| purse(mint, &tokens, &joined));
    match &storm {
        Some(plan) => calm_before(plan, &fleet, &mut server, &progress)?,
        None => {
            let warmup = Duration::from_secs_f64(args.warmup);
            watch(&fleet, warmup, &mut server, |_| {})?;
        }
    }

    let baseline_s = args.baseline_s().unwrap_or(0.0);
    let calm = Duration::from_secs_f64(baseline_s);
    let window = Duration::from_secs_f64(args.duration).saturating_sub(calm);
    let attack = match args.scenario {
        Scenario::Hostile => {
            let baseline = without_hostile_clients(args, calm, &fleet, &mut server, &progress)?;
            progress.say("hostile clients begin …");
            Some(Attack::begin(baseline, purse, args.seed, window, &server)?)
        }
        Scenario::Match | Scenario::Crowd => None,
    };

    let began = conditions::now_utc();
    let restarts_before = server.told()?.supervision.restarts;
    ops.reset()?;
    let relayed_before = relay.as_ref().map(Relay::ask).transpose()?;
    let rss_mib_before = server.rss_mib();
    let cpu_before = conditions::process_cpu_s();
    let stolen_before = conditions::stolen_cpu_s();
    fleet.begin_window()?;
    let pace = Pace::measure().context("no thread that measures the cores' pace")?;
    // By then all that is set up once has been.
    let quarter = window / 4;
    let play = |time, server: &mut Server| {
        let show = |second: &ClientSecond| progress.second(second, baseline_s);
        watch(&fleet, time, server, show)
            .map(|()| server.rss_mib())
            .inspect_err(|_| progress.finish())
    };
    let rss_mib_start = play(quarter, &mut server)?;
    let rss_mib_end = play(3 * quarter, &mut server)?;
    progress.finish();
    let outcome = fleet.end_window()?;
    let work_us = pace.finish();
    let bots_cpu_s = conditions::process_cpu_s() - cpu_before;
    let stolen_cpu_s = conditions::stolen_cpu_s() - stolen_before;
    let relayed = relay.as_ref().map(Relay::ask).transpose()?;
    let hostile = attack.map(|attack| attack.end(&server)).transpose()?;
    let mut told = server.told()?;
    (told.server.rss_mib_start, told.server.rss_mib_end) = (rss_mib_start, rss_mib_end);
    fleet.leave()?;
    server.release(&progress);

    let before = |(plan, overlay): (chaos::Plan, Overlay)| {
        let code = fs::read_to_string(&overlay.saboteur)?;
        anyhow::Ok(chaos::Before {
            plan,
            code,
            rss_mib: rss_mib_before,
            stuck: restarts_before.get("stuck").copied().unwrap_or(0),
        })
    };
    let chaos = storm.zip(overlay).map(before).transpose()?;
    if chaos.is_some() {
        args.mode_with_saboteurs().clone_into(&mut told.run.mode);
    }
    let conditions = Conditions {
        command: args.repeat(),
        started: began,
        system: conditions::system(),
        memory_gib: conditions::memory_gib(),
        bots_cpu_s,
        bots_nice,
        stolen_cpu_s,
        work_us,
        load_before,
        local_server: args.is_local(),
    };
    let measured = Measured {
        told,
        outcome,
        relayed: relayed.map(|after| after.since(&relayed_before.unwrap_or_default())),
        hostile,
        chaos,
        conditions,
    };
    let report = assemble(args, measured);
    let mut written = report.write(&args.out)?;
    written.log = args.server.is_none().then(|| args.out.join(SERVER_LOG));
    Ok((report, written))
}

/// For how long the run's tokens are good.
fn token_time(args: &Args) -> Duration {
    Duration::from_secs_f64(args.warmup + args.duration) + TOKEN_GRACE
}

/// Who makes the run's tokens, if the server asks for them.
fn mint(args: &Args, required: Option<&Required>) -> Result<Option<Mint>> {
    let time = token_time(args);
    let mint = match (required, &args.token_key, &args.token_match) {
        (Some(required), ..) => required.mint(time),
        (None, Some(key_file), Some(match_id)) => Mint::open(key_file, match_id, time),
        _ => return Ok(None),
    };
    mint.map(Some)
}

/// What hostile clients have: the mint, and the hellos of the bots that are in the match.
fn purse(mint: Mint, tokens: &[SignedToken], joined: &[usize]) -> Purse {
    let hello = |&number: &usize| JoinRequest {
        name: client::name(number),
        token: tokens.get(number).cloned(),
        ..JoinRequest::default()
    };
    let used = joined.iter().map(hello).collect();
    Purse { mint, used }
}

/// The network to simulate, if there is one.
fn relay(args: &Args, server: SocketAddr) -> Result<Option<Relay>> {
    let impairment = args.network.impairment();
    let start = |impairment| Relay::start(server, args.players.into(), impairment, args.seed);
    impairment.map(start).transpose()
}

/// Plays the match for a time as it is without hostile clients.
fn without_hostile_clients(
    args: &Args,
    time: Duration,
    fleet: &Fleet,
    server: &mut Server,
    progress: &Progress,
) -> Result<Baseline> {
    let seconds = time.as_secs_f64();
    progress.say(&format!("{seconds:.1} s without hostile clients first …"));
    Ops(server.ops).reset()?;
    fleet.begin_window()?;
    let show = |second: &ClientSecond| progress.second(second, 0.0);
    watch(fleet, time, server, show).inspect_err(|_| progress.finish())?;
    let outcome = fleet.end_window()?;
    // Its last second is told only at its end.
    while let Some(news) = fleet.news(Duration::ZERO)? {
        server.hear(news, show)?;
    }
    let (told, rss_mib) = (server.told()?, server.rss_mib());
    Ok(assemble::baseline(args, &told, outcome, rss_mib))
}

/// Hostile clients, and what the server was and had counted before them.
struct Attack {
    storm: Storm,
    baseline: Baseline,
    before: BTreeMap<String, u64>,
}

impl Attack {
    /// Begins it, for `time`.
    fn begin(
        baseline: Baseline,
        purse: Option<Purse>,
        seed: u64,
        time: Duration,
        server: &Server,
    ) -> Result<Attack> {
        let before = server.told()?.counters;
        let storm = Storm::start(server.listen, purse, seed, time + STORM_GRACE)?;
        Ok(Attack {
            storm,
            baseline,
            before,
        })
    }

    fn end(self, server: &Server) -> Result<HostileReport> {
        // What has been thrown is counted when the hostile clients have left.
        let harm = self.storm.end()?;
        let after = server.told()?.counters;
        Ok(HostileReport {
            baseline: self.baseline,
            thrown: harm.thrown,
            ended: harm.ended,
            let_in: harm.let_in,
            counted: grown(&self.before, &after),
        })
    }
}

/// The server of the run: one of our own, or somebody's.
struct Server {
    process: Option<ServerProcess>,
    listen: SocketAddr,
    ops: SocketAddr,
    /// The last bot that was lost and what it heard; that the server was stopped, once one has heard that.
    farewell: Option<(String, Close)>,
}

impl Server {
    /// `config` is one that asks for tokens.
    fn get(
        args: &Args,
        overlay: Option<&Overlay>,
        config: Option<&Path>,
        progress: &Progress,
    ) -> Result<Server> {
        if let (Some(listen), Some(ops)) = (args.server, args.ops) {
            return Ok(Server {
                process: None,
                listen,
                ops,
                farewell: None,
            });
        }
        progress.say("starting a server …");
        let mut command = args.server_args(overlay);
        if let Some(config) = config {
            command.extend(["--config".to_owned(), config.display().to_string()]);
        }
        let process = ServerProcess::start(&command, &args.out.join(SERVER_LOG))?;
        Ok(Server {
            listen: process.listen(),
            ops: process.ops(),
            farewell: None,
            process: Some(process),
        })
    }

    /// Fails when our own server has ended by itself.
    fn check(&mut self) -> Result<()> {
        match self.process.as_mut().and_then(ServerProcess::ended) {
            Some(why) => bail!(why),
            None => Ok(()),
        }
    }

    /// What it tells of itself.
    ///
    /// # Errors
    /// When it doesn't answer, with what the bots heard of it.
    fn told(&self) -> Result<OpsReport> {
        let gone = || format!("the server is gone; {}", self.farewell_in_words());
        Ops(self.ops).report().with_context(gone)
    }

    fn farewell_in_words(&self) -> String {
        match &self.farewell {
            Some((name, close)) => format!("{name} heard: {}", client::in_words(close)),
            None => "no bot has heard why".into(),
        }
    }

    /// Whether a bot has heard that it was stopped.
    fn was_stopped(&self) -> bool {
        let farewell = self.farewell.as_ref();
        farewell.is_some_and(|(_, close)| close.reason == CloseReason::Draining)
    }

    /// Takes in what the fleet tells of the match.
    ///
    /// # Errors
    /// When the last bot is lost and the server was stopped, or doesn't answer any more.
    fn hear(&mut self, news: News, mut second: impl FnMut(&ClientSecond)) -> Result<()> {
        match news {
            News::Second(told) => second(&told),
            News::Lost { name, close, left } => {
                if !self.was_stopped() {
                    self.farewell = Some((name, close));
                }
                if left == 0 && self.was_stopped() {
                    let words = self.farewell_in_words();
                    bail!("the server was stopped during the run; {words}");
                }
                if left == 0 {
                    self.told()?;
                }
            }
            News::Joined { .. } => {}
        }
        Ok(())
    }

    /// The resident set of our own server, in MiB; 0 of somebody else's.
    fn rss_mib(&self) -> f64 {
        self.process.as_ref().map_or(0.0, ServerProcess::rss_mib)
    }

    /// Lets our own server end as it would on a real machine. A fault there spoils no measurement, so it is only told.
    fn release(self, progress: &Progress) {
        if let Some(Err(error)) = self.process.map(ServerProcess::drain) {
            progress.say(&format!("warning: {error:#}"));
        }
    }
}

/// Waits for the bots; gives the numbers of those that are in the match.
fn join(
    fleet: &Fleet,
    args: &Args,
    server: &mut Server,
    progress: &Progress,
) -> Result<Vec<usize>> {
    progress.say(&format!(
        "joining {} bots on {} …",
        args.players, server.listen
    ));
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let (mut joined, mut failed) = (Vec::new(), 0);
    let (mut reason, mut advice) = (String::from("no answer"), "");
    while joined.len() + failed < usize::from(args.players) && Instant::now() < deadline {
        server.check()?;
        match fleet.news(LOOK_EVERY)? {
            Some(News::Joined { number }) => joined.push(number),
            Some(News::Lost { name, close, left }) => {
                failed += 1;
                reason = format!("{name}: {}", client::in_words(&close));
                advice = advice_on(&close);
                if !joined.is_empty() {
                    // It may be one that was in, and the server may be about to end.
                    server.hear(News::Lost { name, close, left }, |_| {})?;
                }
            }
            Some(News::Second(_)) | None => {}
        }
    }
    ensure!(
        !joined.is_empty(),
        "no bot got into the match at {}; the last one heard: {reason}{advice}",
        server.listen
    );
    if joined.len() < usize::from(args.players) {
        progress.say(&format!(
            "{} of {} bots are in the match; the last failure: {reason}{advice}",
            joined.len(),
            args.players
        ));
    }
    Ok(joined)
}

/// What to do about a refusal, if this program can do something.
fn advice_on(close: &Close) -> &'static str {
    match close.reason {
        CloseReason::TokenMissing => {
            "\ngive --token-key FILE and --token-match NAME: the server's net.token_key_file and net.match_id"
        }
        CloseReason::TokenBad => {
            "\n--token-key has another key than the server's net.token_key_file"
        }
        CloseReason::TokenForAnotherMatch => "\n--token-match isn't the server's net.match_id",
        _ => "",
    }
}

/// Lets the match go on until right before the first fault.
fn calm_before(
    plan: &chaos::Plan,
    fleet: &Fleet,
    server: &mut Server,
    progress: &Progress,
) -> Result<()> {
    progress.say("the match goes on until the storm begins …");
    loop {
        let told = server.told()?;
        let tick = told.clock.context("the server tells no ticks")?.tick;
        let left_s = f64::from(plan.begin()) - f64::from(tick);
        let left_s = left_s / f64::from(told.run.tick_hz) - BEFORE_STORM_S;
        ensure!(
            left_s > -BEFORE_STORM_S,
            "the bots took so long to join that the storm has begun: the machine is too busy"
        );
        if left_s <= 0.0 {
            return Ok(());
        }
        watch(fleet, Duration::from_secs_f64(left_s), server, |_| {})?;
    }
}

/// Lets the match go on for a time, and passes on the seconds that the fleet tells of.
fn watch(
    fleet: &Fleet,
    time: Duration,
    server: &mut Server,
    mut second: impl FnMut(&ClientSecond),
) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        server.check()?;
        if let Some(news) = fleet.news(left.min(LOOK_EVERY))? {
            server.hear(news, &mut second)?;
        }
    }
}
