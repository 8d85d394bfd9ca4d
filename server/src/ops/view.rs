//! `GET /top.json`: what `tessera top` shows. Small and cheap, since it is asked for every second.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tessera_sim::{SimReport, ZoneReport};

use super::supervision::Supervision;
use super::{Ops, ended};
use crate::clock;
use crate::memory;
use crate::report;
use crate::tally::{Quantiles, ZoneTally};
use crate::tick::Account;

/// A running server at some moment. Numbers without "lately" count since the start, so that two views
/// give a rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct View {
    /// What `GET /ready` says.
    pub(crate) status: String,
    pub(crate) mode: String,
    pub(crate) map: String,
    pub(crate) tick_hz: u32,
    /// The newest tick.
    pub(crate) tick: u32,
    pub(crate) uptime_s: f64,
    pub(crate) ticks: u64,
    /// Ticks that ended late, and ticks that were left out.
    pub(crate) ticks_missed: u64,
    /// From when a tick was due to its end, of the last 256 ticks.
    pub(crate) tick_lately_us: Quantiles,
    pub(crate) cpu_s: f64,
    pub(crate) cores: usize,
    /// Of the server and the processes of its zones.
    pub(crate) rss_bytes: u64,
    pub(crate) zones: Vec<ZoneView>,
    pub(crate) network: NetworkView,
}

/// One zone. Times are processor time a tick, of the last 256 ticks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ZoneView {
    pub(crate) zone: u8,
    pub(crate) entities: u64,
    pub(crate) script_lately_us: Quantiles,
    pub(crate) exchange_lately_us: Quantiles,
    pub(crate) gc_lately_us: Quantiles,
    /// Records and messages that the other zones sent here.
    pub(crate) mail: u64,
    /// The most that waited at once in a channel that leads here.
    pub(crate) mail_depth_max: u64,
    /// Of what the other zones sent here, refused by full channels.
    pub(crate) mail_refused: u64,
    pub(crate) handoffs_in: u64,
    pub(crate) handoffs_out: u64,
    /// Hooks that raised.
    pub(crate) hook_errors: u64,
    #[serde(default)]
    pub(crate) supervision: Supervision,
}

/// The network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NetworkView {
    /// In the match, those included who may come back.
    pub(crate) clients: usize,
    pub(crate) clients_max: u16,
    /// Of them, those who are connected.
    pub(crate) connected: usize,
    pub(crate) spectators: usize,
    pub(crate) bytes_down: u64,
    pub(crate) bytes_up: u64,
    /// Encoding and sending one tick to all, of the last 256 ticks.
    pub(crate) send_lately_us: Quantiles,
    /// From when a tick was due until its state was on the way to all, of the last 256 ticks.
    pub(crate) state_age_lately_us: Quantiles,
    /// Over those who are connected.
    pub(crate) rtt_us: Quantiles,
}

pub(super) async fn view(Shared(ops): Shared<Arc<Ops>>) -> Response {
    match ops.asker.account().await {
        Some(account) => Json(ops.view(&account, memory::resident_bytes().await)).into_response(),
        None => ended(),
    }
}

impl Ops {
    fn view(&self, Account { tally, totals }: &Account, rss_bytes: u64) -> View {
        let sent = self.network.sent_since_start();
        let traffic = self.network.traffic();
        let zones = totals.zones.iter().zip(&tally.zones);
        View {
            status: self.state().name().to_owned(),
            mode: self.facts.mode.clone(),
            map: self.facts.map.clone(),
            tick_hz: self.facts.tick_hz,
            tick: self.pulse.tick().0,
            uptime_s: self.uptime_s(),
            ticks: tally.ticks,
            ticks_missed: tally.late + tally.skipped,
            tick_lately_us: tally.lately.quantiles_us(),
            cpu_s: clock::process_cpu_ns() as f64 / 1e9,
            cores: report::cores(),
            rss_bytes,
            zones: zones
                .map(|(report, tally)| ZoneView::of(report, tally, totals))
                .collect(),
            network: NetworkView {
                clients: self.clients(),
                clients_max: self.facts.clients_max,
                connected: traffic.players,
                spectators: traffic.spectators,
                bytes_down: traffic.bytes_down,
                bytes_up: traffic.bytes_up,
                send_lately_us: sent.lately.quantiles_us(),
                state_age_lately_us: sent.state_age_lately.quantiles_us(),
                rtt_us: traffic.rtt_us,
            },
        }
    }
}

impl ZoneView {
    fn of(report: &ZoneReport, tally: &ZoneTally, totals: &SimReport) -> ZoneView {
        let channels = totals.zones.iter().flat_map(|zone| &zone.channels);
        let incoming = channels.filter(|channel| channel.to == report.zone);
        ZoneView {
            zone: report.zone.0,
            entities: report.entities,
            script_lately_us: tally.script_lately.quantiles_us(),
            exchange_lately_us: tally.exchange_lately.quantiles_us(),
            gc_lately_us: tally.gc_lately.quantiles_us(),
            mail: incoming.clone().map(|channel| channel.messages).sum(),
            mail_depth_max: incoming
                .clone()
                .map(|channel| channel.depth_max)
                .max()
                .unwrap_or(0),
            mail_refused: incoming.map(|channel| channel.refused).sum(),
            handoffs_in: report.handoffs_in,
            handoffs_out: report.handoffs_out,
            hook_errors: report.hooks.failures,
            supervision: Supervision::of(report),
        }
    }
}
