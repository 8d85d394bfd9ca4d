//! One run from start to report.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::bot::ages;
use crate::bot::fleet::{Fleet, News, Outcome, Plan};
use crate::bot::meter::bandwidth;
use crate::conditions;
use crate::progress::Progress;
use crate::report::detail::{Conditions, Detail};
use crate::report::schema::{ClientsReport, ReportJson, Run, SCHEMA};
use crate::report::{Report, Written};
use crate::server::{Ops, OpsReport, ServerProcess, Timetable};

/// By how much the bots step back behind the server, in steps of `nice`: a player's machine isn't the server's, and here
/// they share cores.
const BOTS_NICE: i32 = 5;
/// All bots must be in the match by then, or it goes on without the others.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the run looks whether everybody is still there.
const LOOK_EVERY: Duration = Duration::from_millis(200);
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

    let mut server = Server::get(args, &progress)?;
    // The server's process has been started: only this one steps back.
    let bots_nice = conditions::lower_priority(BOTS_NICE);
    let ops = Ops(server.ops);
    // Asked before anybody joins: a wrong address is told at once, not after the bots' patience.
    ops.report()?;
    let plan = Plan {
        server: server.listen,
        players: args.players.into(),
        seed: args.seed,
        sockets: args.sockets.into(),
    };
    let fleet = Fleet::start(plan)?;
    join(&fleet, args, &mut server, &progress)?;
    watch(
        &fleet,
        Duration::from_secs_f64(args.warmup),
        &mut server,
        |_| {},
    )?;

    let began = conditions::now_utc();
    ops.reset()?;
    let cpu_before = conditions::process_cpu_s();
    let stolen_before = conditions::stolen_cpu_s();
    fleet.begin_window()?;
    let played = watch(
        &fleet,
        Duration::from_secs_f64(args.duration),
        &mut server,
        |second| progress.second(second),
    );
    progress.finish();
    played?;
    fleet.end_window()?;
    let bots_cpu_s = conditions::process_cpu_s() - cpu_before;
    let stolen_cpu_s = conditions::stolen_cpu_s() - stolen_before;
    let told = ops.report()?;
    let outcome = fleet.leave()?;
    server.release(&progress);

    let conditions = Conditions {
        command: args.repeat(),
        started: began,
        system: conditions::system(),
        memory_gib: conditions::memory_gib(),
        bots_cpu_s,
        bots_nice,
        stolen_cpu_s,
        load_before,
        local_server: args.server.is_none_or(|address| address.ip().is_loopback()),
    };
    let report = assemble(args, told, outcome, conditions);
    let written = report.write(&args.out)?;
    Ok((report, written))
}

/// When the server's ticks were due, if that can be compared with the bots' times: on one machine it can.
fn timetable(args: &Args, told: &OpsReport) -> Option<Timetable> {
    let local = is_local(args);
    let clock = told.clock.filter(|_| local)?;
    Some(Timetable::new(
        clock,
        told.run.tick_hz,
        told.ticks.skips.clone(),
    ))
}

fn is_local(args: &Args) -> bool {
    args.server.is_none_or(|address| address.ip().is_loopback())
}

/// The server of the run: one of our own, or somebody's.
struct Server {
    process: Option<ServerProcess>,
    listen: SocketAddr,
    ops: SocketAddr,
}

impl Server {
    fn get(args: &Args, progress: &Progress) -> Result<Server> {
        if let (Some(listen), Some(ops)) = (args.server, args.ops) {
            return Ok(Server {
                process: None,
                listen,
                ops,
            });
        }
        progress.say("starting a server …");
        let process = ServerProcess::start(&args.server_args(), &args.out.join(SERVER_LOG))?;
        Ok(Server {
            listen: process.listen(),
            ops: process.ops(),
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

    /// Lets our own server end as it would on a real machine. A fault there spoils no measurement, so it is only told.
    fn release(self, progress: &Progress) {
        if let Some(Err(error)) = self.process.map(ServerProcess::drain) {
            progress.say(&format!("warning: {error:#}"));
        }
    }
}

fn join(fleet: &Fleet, args: &Args, server: &mut Server, progress: &Progress) -> Result<()> {
    progress.say(&format!(
        "joining {} bots on {} …",
        args.players, server.listen
    ));
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let (mut joined, mut failed, mut reason) = (0, 0, String::from("no answer"));
    while joined + failed < usize::from(args.players) && Instant::now() < deadline {
        server.check()?;
        match fleet.news(LOOK_EVERY)? {
            Some(News::Joined) => joined += 1,
            Some(News::Lost { name, why }) => {
                failed += 1;
                reason = format!("{name}: {why}");
            }
            Some(News::Second(_)) | None => {}
        }
    }
    ensure!(
        joined > 0,
        "no bot got into the match at {}; the last one said: {reason}",
        server.listen
    );
    if joined < usize::from(args.players) {
        progress.say(&format!(
            "{joined} of {} bots are in the match; the last failure: {reason}",
            args.players
        ));
    }
    Ok(())
}

/// Lets the match go on for a time, and passes on the seconds that the fleet tells of.
fn watch(
    fleet: &Fleet,
    time: Duration,
    server: &mut Server,
    mut second: impl FnMut(&crate::report::detail::ClientSecond),
) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        server.check()?;
        if let Some(News::Second(told)) = fleet.news(left.min(LOOK_EVERY))? {
            second(&told);
        }
    }
}

/// Puts the server's figures and the bots' together.
fn assemble(args: &Args, told: OpsReport, mut outcome: Outcome, conditions: Conditions) -> Report {
    if let Some(timetable) = timetable(args, &told) {
        ages::settle(&mut outcome, &timetable);
    }
    let (down, up) = bandwidth(&outcome.clients);
    let run = Run {
        players: args.players.into(),
        // A remote server's seed is its own; the bots' is ours in any case.
        seed: if args.server.is_none() {
            args.seed
        } else {
            told.run.seed
        },
        ..told.run
    };
    let mut counters = told.counters;
    counters.extend(outcome.counters);
    let json = ReportJson {
        schema: SCHEMA,
        run,
        tick: told.tick,
        zones: told.zones,
        clients: ClientsReport {
            joined: outcome.joined,
            dropped: outcome.dropped,
            snapshot_age_us: outcome.totals.age.percentiles(),
            input_ack_us: outcome.totals.ack.percentiles(),
            correction_cm: outcome.totals.correction.percentiles().scaled(0.01),
            interpolation_ms: outcome.totals.interpolation.percentiles().scaled(0.001),
            bytes_down_per_s: down,
            bytes_up_per_s: up,
        },
        server: told.server,
    };
    let detail = Detail {
        ticks: told.ticks,
        seconds: told.series,
        snapshot_age: outcome.totals.age.buckets(),
        input_ack: outcome.totals.ack.buckets(),
        client_seconds: outcome.totals.seconds,
        clients: outcome.clients,
        deeds: outcome.deeds,
        counters,
        hook_errors: told.hook_errors,
        conditions,
        ..Detail::default()
    };
    let mut report = Report { json, detail };
    report.detail.derive_from_ticks(report.json.run.tick_hz);
    report
}
