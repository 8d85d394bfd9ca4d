//! The endpoint for operators: HTTP on loopback by default, without a password.
//!
//! - `GET /health`: 200 while ticks run, 503 while the server drains or its ticks have stopped.
//! - `GET /report.json`: the [`Report`] since the last reset.
//! - `POST /report/reset`: begins a new record.
//! - `POST /drain`: lets nobody new in from now on; who plays goes on, and may come back.
//! - `POST /kick`: makes clients leave and keeps them out, see [`Kick`]. Says whom it met. It takes JSON
//!   only, so that no web page can have a browser on this machine send one (a form cannot, and a script
//!   would have to ask first).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tessera_protocol::ClientId;
use tokio::sync::oneshot;

use crate::clock;
use crate::error::Error;
use crate::net::{Network, Whom};
use crate::report::{self, Process, Report, Run};
use crate::series;
use crate::tick::{Answer, Asker, Pulse};

/// Without a tick for so long the server counts as stalled.
const STALLED_NS: u64 = 2_000_000_000;

/// What of a report does not change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) python: String,
    pub(crate) zones: usize,
    pub(crate) tick_hz: u32,
    pub(crate) seed: u64,
    pub(crate) mode: String,
    pub(crate) map: String,
}

/// What the endpoint answers from.
pub(crate) struct Ops {
    pub(crate) facts: Facts,
    pub(crate) asker: Asker,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) network: Arc<Network>,
    pub(crate) draining: AtomicBool,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    tick: u32,
    clients: usize,
}

/// Whom to kick: the client in a slot, or all who are called so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kick {
    client: Option<u16>,
    name: Option<String>,
    /// What the client reads.
    #[serde(default = "kicked_text")]
    text: String,
}

fn kicked_text() -> String {
    "kicked by the operator".to_owned()
}

/// Who was kicked.
#[derive(Serialize)]
struct Kicked {
    /// The slot; `null` for one who watched.
    client: Option<u16>,
    name: String,
    /// The name stays out of this match.
    barred: bool,
}

/// Takes the port, so that a busy one is told before anything else is started.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listening = |error| Error::listening(address, "TCP", "--ops", error);
    let listener = TcpListener::bind(address).map_err(listening)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until `stop` is dropped or sent.
pub(crate) async fn run(
    listener: TcpListener,
    ops: Arc<Ops>,
    stop: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/health", get(health))
        .route("/report.json", get(report))
        .route("/report/reset", post(reset))
        .route("/drain", post(drain))
        .route("/kick", post(kick))
        .with_state(ops);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopped = async {
        let _ = stop.await;
    };
    axum::serve(listener, routes)
        .with_graceful_shutdown(stopped)
        .await
}

async fn health(State(ops): State<Arc<Ops>>) -> Response {
    let since_ns = clock::now_ns().saturating_sub(ops.pulse.ended_ns.load(Relaxed));
    let (code, status) = match (ops.draining.load(Relaxed), since_ns > STALLED_NS) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "stalled"),
        _ => (StatusCode::OK, "ok"),
    };
    let health = Health {
        status,
        tick: ops.pulse.tick().0,
        clients: ops.pulse.clients.load(Relaxed),
    };
    (code, Json(health)).into_response()
}

async fn report(State(ops): State<Arc<Ops>>) -> Response {
    match ops.asker.record().await {
        Some(answer) => Json(ops.report(&answer)).into_response(),
        None => ended(),
    }
}

async fn reset(State(ops): State<Arc<Ops>>) -> Response {
    match ops.asker.reset().await {
        Some(()) => {
            ops.network.reset_sent();
            StatusCode::NO_CONTENT.into_response()
        }
        None => ended(),
    }
}

async fn drain(State(ops): State<Arc<Ops>>) -> Response {
    tracing::info!("draining by the operator: nobody new comes in");
    ops.draining.store(true, Relaxed);
    ops.network.refuse_new();
    StatusCode::NO_CONTENT.into_response()
}

async fn kick(State(ops): State<Arc<Ops>>, Json(kick): Json<Kick>) -> Response {
    let whom = match (kick.client, kick.name) {
        (Some(client), None) => Whom::Client(ClientId(client)),
        (None, Some(name)) => Whom::Name(name),
        _ => {
            let say = "say whom: {\"client\": 3} or {\"name\": \"Ada\"}\n";
            return (StatusCode::UNPROCESSABLE_ENTITY, say).into_response();
        }
    };
    let kicked = ops.network.kick(&whom, &kick.text);
    if kicked.is_empty() {
        return (StatusCode::NOT_FOUND, "nobody such is in the match\n").into_response();
    }
    let kicked = kicked.into_iter().map(|evicted| {
        let client = evicted.client.map(|client| client.0);
        tracing::info!(client, name = evicted.name, "kicked by the operator");
        Kicked {
            client,
            name: evicted.name,
            barred: evicted.barred,
        }
    });
    Json(kicked.collect::<Vec<_>>()).into_response()
}

/// The tick thread answers no more: the match is over.
fn ended() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the match has ended\n").into_response()
}

impl Ops {
    /// The report of what the tick thread and the network have recorded.
    pub(crate) fn report(&self, answer: &Answer) -> Report {
        let recorded = answer.recorder.recorded(&answer.totals);
        let mut tick = recorded.ticks;
        let sent = self.network.sent();
        tick.stages_us.network = sent.durations.percentiles_us();
        let mut counters = self.network.counters();
        counters.insert(
            "commands_without_entity",
            answer.totals.commands_without_entity,
        );
        counters.insert("messages_undeliverable", answer.totals.undeliverable);
        counters.insert("hook_errors", answer.totals.hook_errors());
        counters.insert("ticks_skipped", recorded.skipped);
        Report {
            run: Run {
                commit: self.facts.commit.clone(),
                cpu: self.facts.cpu.clone(),
                cores: report::cores(),
                python: self.facts.python.clone(),
                players: self.pulse.clients.load(Relaxed),
                zones: self.facts.zones,
                tick_hz: self.facts.tick_hz,
                duration_s: recorded.duration_s,
                seed: self.facts.seed,
                mode: self.facts.mode.clone(),
                map: self.facts.map.clone(),
            },
            tick,
            zones: recorded.zones,
            wire: sent.wire(),
            server: Process {
                cpu_s: recorded.cpu_s,
                rss_mib_max: report::rss_mib_max(),
            },
            counters,
            clock: answer.recorder.clock(),
            ticks: series::single_ticks(answer.recorder.samples()),
            series: series::seconds(answer.recorder.samples(), &sent.recent, self.facts.tick_hz),
        }
    }
}
