//! The endpoint for operators: HTTP on loopback by default, without a password.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | this list |
//! | `GET /health` | 200 while ticks run, 503 when they have stopped |
//! | `GET /ready` | 200 while a new client would be let in, else 503 and the reason |
//! | `GET /metrics` | everything since the start, for Prometheus |
//! | `GET /top.json` | what `tessera top` shows, a [`View`](view::View) |
//! | `GET /report.json` | the [`Report`] since the last reset |
//! | `POST /report/reset` | begins a new record |
//! | `POST /reload` | changes to the code that is in the mode's folder now, or says why not |
//! | `POST /trace?ticks=640` | records so many ticks and gives them as a file for Perfetto |
//! | `POST /drain` | lets nobody new in from now on; who plays goes on, and may come back |
//! | `POST /kick` | makes clients leave and keeps them out, see [`Kick`]; says whom it met |
//!
//! A kick takes JSON only, so that no web page can have a browser on this machine send one (a form
//! cannot, and a script would have to ask first).

mod health;
mod metrics;
pub(crate) mod reload;
mod supervision;
mod trace;
pub(crate) mod view;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tessera_protocol::ClientId;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::memory;
use crate::net::{Network, Whom};
use crate::report::{self, Process, Report, Run};
use crate::series;
use crate::tick::{Answer, Asker, Pulse};

/// What of a report does not change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) python: String,
    pub(crate) zones: usize,
    pub(crate) tick_hz: u32,
    pub(crate) clients_max: u16,
    pub(crate) seed: u64,
    pub(crate) mode: String,
    /// Where its code is.
    pub(crate) mode_folder: PathBuf,
    pub(crate) map: String,
}

/// What the endpoint answers from.
pub(crate) struct Ops {
    facts: Facts,
    began: Instant,
    asker: Asker,
    pulse: Arc<Pulse>,
    network: Arc<Network>,
    draining: AtomicBool,
    told: metrics::Told,
    /// Held by the one who records a trace.
    tracing: tokio::sync::Mutex<()>,
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
        .route("/", get(INDEX))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/top.json", get(view::view))
        .route("/report.json", get(report))
        .route("/report/reset", post(reset))
        .route("/reload", post(reload::reload))
        .route("/trace", post(trace::trace))
        .route("/drain", post(drain))
        .route("/kick", post(kick))
        .fallback(nothing)
        .method_not_allowed_fallback(otherwise)
        .layer(middleware::from_fn(no_pages))
        .with_state(ops);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopped = async {
        let _ = stop.await;
    };
    axum::serve(listener, routes)
        .with_graceful_shutdown(stopped)
        .await
}

/// What is there, for whoever doesn't know.
const INDEX: &str = "\
GET  /health        200 while ticks run, else 503
GET  /ready         200 while a new client would be let in, else 503 and why
GET  /metrics       everything since the start, for Prometheus
GET  /top.json      what `tessera top` shows
GET  /report.json   times and counters since the last reset
POST /report/reset  begin a new report
POST /reload        change to the code that is in the mode's folder now
POST /trace         record ticks for https://ui.perfetto.dev; how many is said as in /trace?ticks=640
POST /drain         let nobody new in; who plays goes on
POST /kick          make a client leave: JSON such as {\"name\": \"Ada\", \"text\": \"no cheating\"}
";

async fn nothing(uri: Uri) -> Response {
    let say = format!(
        "there is nothing at {}; / lists what there is\n",
        uri.path()
    );
    (StatusCode::NOT_FOUND, say).into_response()
}

async fn otherwise(method: Method, uri: Uri) -> Response {
    let say = format!("{} takes no {method}; / lists what there is\n", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, say).into_response()
}

/// Keeps web pages from steering the server through the browser of somebody who may reach it: browsers say
/// for which page they post.
async fn no_pages(request: Request, next: Next) -> Response {
    if request.method() == Method::POST && request.headers().contains_key(ORIGIN) {
        let say = "web pages may not do this; use a program such as curl\n";
        return (StatusCode::FORBIDDEN, say).into_response();
    }
    next.run(request).await
}

async fn report(State(ops): State<Arc<Ops>>) -> Response {
    match ops.asker.record().await {
        Some(answer) => {
            let rss_mib_max = memory::resident_mib_max_async().await;
            Json(ops.report(&answer, rss_mib_max)).into_response()
        }
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
    ops.drain();
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
        let say = match whom {
            Whom::Client(client) => format!("no client {} is in the match\n", client.0),
            Whom::Name(name) => format!("nobody called {name:?} is in the match\n"),
        };
        return (StatusCode::NOT_FOUND, say).into_response();
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
    pub(crate) fn new(facts: Facts, asker: Asker, pulse: Arc<Pulse>, network: Arc<Network>) -> Ops {
        Ops {
            facts,
            began: Instant::now(),
            asker,
            pulse,
            network,
            draining: AtomicBool::new(false),
            told: metrics::Told::default(),
            tracing: tokio::sync::Mutex::new(()),
        }
    }

    /// What does not change.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Lets nobody new in from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.network.refuse_new();
    }

    fn uptime_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Clients in the match, those included who may come back.
    fn clients(&self) -> usize {
        self.pulse.clients.load(Relaxed)
    }

    /// The report of what the tick thread and the network have recorded; the memory is looked at by who
    /// asks, since that takes a while.
    pub(crate) fn report(&self, answer: &Answer, rss_mib_max: f64) -> Report {
        let recorded = answer.recorder.recorded(&answer.totals);
        let mut tick = recorded.ticks;
        let sent = self.network.sent_since_reset();
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
                players: self.clients(),
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
            hook_errors: report::hook_errors(&answer.totals),
            supervision: answer.overseer.tell(&answer.totals),
            server: Process {
                cpu_s: recorded.cpu_s,
                rss_mib_max,
            },
            counters,
            clock: answer.recorder.clock(),
            ticks: series::single_ticks(answer.recorder.samples()),
            series: series::seconds(answer.recorder.samples(), &sent.recent, self.facts.tick_hz),
        }
    }
}
