//! `tessera serve`: brings the parts up in order, waits for the end, and brings them down in order.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use serde::Serialize;
use tessera_protocol::TokenGate;
use tessera_sim::{SimConfig, SimError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::assets::Assets;
use crate::config::{self, Access, Config, OnExhausted};
use crate::error::Error;
use crate::handover::Handover;
use crate::keys;
use crate::memory;
use crate::net::{self, Network};
use crate::ops::{self, Facts, Ops};
use crate::reload;
use crate::report::{self, Report};
use crate::setup;
use crate::stdout::print;
use crate::tick::Ticking;

/// How the server says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// For a person.
    Text,
    /// One line of JSON, [`Ready`], for a program that started it.
    Json,
}

/// Where a server listens: the line that `--ready-json` prints once clients can connect.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The ops endpoint, if there is one.
    pub ops: Option<SocketAddr>,
    /// SHA-256 of the certificate, hexadecimal.
    pub certificate_sha256: String,
    /// Whether clients need a connect token.
    pub tokens_required: bool,
}

/// Runs a server until it is told to stop or its match ends.
///
/// # Errors
/// A busy port, a mode, map or token key that does not load, a zone that ended by a fault of the
/// engine.
pub fn run(config: &Config, assets: &Assets, greeting: Greeting) -> Result<(), Error> {
    // Ports first: interpreters take their time to start, and a busy port would waste it.
    let socket = net::bind(config.listen)?;
    let ops_listener = config.ops.map(ops::bind).transpose()?;
    let gate = gate(config)?;
    let handover = Arc::new(Handover::default());
    let (ended_in, ended) = oneshot::channel();
    let simulation = setup::simulation(config, assets)?;
    let facts = facts(config, assets, &simulation);
    let map_hash = simulation.world.hash();
    let on_exhausted = config
        .watch
        .as_ref()
        .map_or(OnExhausted::Coast, |watch| watch.on_exhausted);
    let ticking = Ticking::start(simulation, on_exhausted, handover.clone(), ended_in)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.worker_threads)
        .thread_name("net")
        .enable_all()
        .build()?;
    let server = Server {
        config,
        greeting,
        gate,
        facts,
        map_hash,
        ticking,
        handover,
        ended,
    };
    let report = runtime.block_on(server.run(socket, ops_listener));
    // Sessions that did not end in time are not waited for.
    runtime.shutdown_background();
    let summary = summary(&report?);
    match greeting {
        Greeting::Text => print(&summary)?,
        // Standard output is for the program that reads the ready line.
        Greeting::Json => eprint!("{summary}"),
    }
    Ok(())
}

struct Server<'a> {
    config: &'a Config,
    greeting: Greeting,
    gate: Option<TokenGate>,
    facts: Facts,
    map_hash: u64,
    ticking: Ticking,
    handover: Arc<Handover>,
    ended: oneshot::Receiver<()>,
}

impl Server<'_> {
    async fn run(
        self,
        socket: UdpSocket,
        ops_listener: Option<TcpListener>,
    ) -> Result<Report, Error> {
        let mut signals = Signals::new()?;
        let Server {
            config, ticking, ..
        } = self;
        let network = Arc::new(Network::new(config, self.gate, self.map_hash, &ticking));
        let (endpoint, certificate_sha256) = network.listen(socket, config)?;
        let (sending_ended_in, sending_ended) = oneshot::channel();
        let sending = net::spawn_sender(network.clone(), self.handover, sending_ended_in)?;
        let ops = Arc::new(Ops::new(
            self.facts,
            ticking.asker.clone(),
            ticking.pulse.clone(),
            network.clone(),
        ));
        let ready = Ready {
            listen: endpoint.local_addr()?,
            ops: ops_listener
                .as_ref()
                .map(TcpListener::local_addr)
                .transpose()?,
            certificate_sha256,
            tokens_required: config.access != Access::Open,
        };
        if config.reload_on_change {
            let folder = ops.facts().mode_folder.clone();
            tokio::spawn(reload::watch(folder, ticking.asker.clone()));
        }
        let (stop_ops, ops_stopped) = oneshot::channel();
        if let Some(listener) = ops_listener {
            tokio::spawn(ops::run(listener, ops.clone(), ops_stopped));
        }
        match (ready.tokens_required, ready.listen.ip().is_loopback()) {
            (true, _) => {}
            (false, true) => tracing::info!("net.tokens is off (development): anyone comes in"),
            (false, false) => tracing::warn!(
                listen = %ready.listen,
                "net.tokens is off, which is for development, and other machines reach this address: \
                 anyone comes in"
            ),
        }
        tracing::info!(listen = %ready.listen, ops = ?ready.ops, mode = config.mode, map = config.map, "ready");
        print(&match self.greeting {
            Greeting::Text => greet(config, ops.facts(), &ready),
            Greeting::Json => serde_json::to_string(&ready)? + "\n",
        })?;

        tokio::select! {
            biased; // the end of the match ends the sending too
            name = signals.next() => tracing::info!(signal = name, "draining"),
            // The reason comes with the thread's result.
            _ = self.ended => tracing::error!("the match ended by itself; draining"),
            _ = sending_ended => tracing::error!("nothing is sent any more; draining"),
        }
        ops.drain();
        // Zones' processes end with the match: this is the last look at them.
        let rss_mib_max = memory::resident_mib_max();
        // The tick that runs is finished and sent; both threads end within a tick.
        let answer = ticking.stop();
        let sent = sending.join();
        let told = network.close(&endpoint, farewell(answer.as_ref().err()));
        tokio::select! {
            told = timeout(config.drain_timeout, told) => if told.is_err() {
                tracing::warn!("some clients did not hear of the end in time");
            },
            _ = signals.next() => tracing::warn!("stopped without waiting for clients"),
        }
        drop(stop_ops);
        let answer = answer?;
        sent.map_err(|_| Error::Sending)?;
        Ok(ops.report(&answer, rss_mib_max))
    }
}

/// What clients are told in the end.
fn farewell(error: Option<&SimError>) -> &'static str {
    match error {
        None => "the server is stopping",
        Some(SimError::Exhausted { .. }) => {
            "the server is stopping: the scripts of a zone failed too often"
        }
        Some(_) => "the match ended by a fault of the server",
    }
}

/// What checks the tokens of who comes in, if tokens are asked for.
fn gate(config: &Config) -> Result<Option<TokenGate>, Error> {
    match &config.access {
        Access::Open => Ok(None),
        Access::Tokens { key_file, match_id } => {
            let key = keys::read(key_file);
            let key = key.map_err(|error| config.blame(config::KEY_FILE, error))?;
            Ok(Some(TokenGate::new(key, match_id)))
        }
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

fn facts(config: &Config, assets: &Assets, simulation: &SimConfig) -> Facts {
    Facts {
        commit: report::commit_of(assets.root()),
        cpu: report::cpu_name(),
        python: tessera_python::python_version(),
        zones: simulation.grid.zones(),
        tick_hz: config.tick_hz,
        clients_max: config.players,
        seed: config.seed,
        mode: config.mode.clone(),
        mode_folder: simulation.mode.clone(),
        map: config.map.clone(),
    }
}

fn greet(config: &Config, facts: &Facts, ready: &Ready) -> String {
    let ops = match ready.ops {
        Some(ops) => format!("http://{ops}/metrics, or with `tessera top --server {ops}`"),
        None => "nowhere: ops.listen is off".to_owned(),
    };
    let listen = ready.listen;
    let next = match (&config.access, ready.ops) {
        (Access::Open, Some(ops)) => format!(
            "  Next: `cargo run --release -p loadtest -- --server {listen} --ops {ops}` lets a hundred bots in.\n"
        ),
        _ => String::new(),
    };
    let access = match &config.access {
        Access::Open => "anyone: net.tokens is off, which is for development".to_owned(),
        Access::Tokens { match_id, .. } => format!("who has a token for match {match_id}"),
    };
    format!(
        "tessera {version}: {mode} on {map}, seed {seed}
  {zones} zones ({layout}), {hz} ticks a second, up to {players} players, Python {python}

  players connect to   {listen}  (QUIC, ALPN tessera/1)
  its certificate has  {certificate}  (SHA-256)
  it lets in           {access}
  operators look at    {ops}

{next}  Ctrl-C tells everyone and stops.
",
        version = env!("CARGO_PKG_VERSION"),
        mode = facts.mode,
        map = facts.map,
        seed = facts.seed,
        zones = facts.zones,
        layout = config.layout,
        hz = facts.tick_hz,
        players = config.players,
        python = facts.python,
        certificate = ready.certificate_sha256,
    )
}

/// What there is to say about a run that is over.
fn summary(report: &Report) -> String {
    let ms = |us: f64| us / 1e3;
    let tick = &report.tick;
    let mut text = format!(
        "
stopped; since the report was begun, {:.1} s ago:
  ticks     {} run, {} missed, {:.2} ms at the median, {:.2} ms at 99 %
  server    {:.1} s of processor time, {:.0} MiB at most
",
        report.run.duration_s,
        tick.run,
        tick.missed,
        ms(tick.duration_us.p50),
        ms(tick.duration_us.p99),
        report.server.cpu_s,
        report.server.rss_mib_max,
    );
    let noted: Vec<_> = report
        .counters
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    if !noted.is_empty() {
        text.push_str("  counted  ");
        for (name, count) in noted {
            text.push_str(&format!(" {name} {count}"));
        }
        text.push('\n');
    }
    text
}
