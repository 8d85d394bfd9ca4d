//! `POST /trace?ticks=640`: records the next ticks and answers, when they are over, with a file for
//! Perfetto.

use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Ops, ended};
use crate::net::Network;
use crate::trace::TICKS_MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default = "some_seconds")]
    ticks: u32,
}

fn some_seconds() -> u32 {
    640
}

/// Sending is recorded until this is dropped, even when who asked goes away.
struct TracedSending<'a>(&'a Network);

impl Drop for TracedSending<'_> {
    fn drop(&mut self) {
        self.0.trace_sending(false);
    }
}

pub(super) async fn trace(
    Shared(ops): Shared<Arc<Ops>>,
    Query(Wanted { ticks }): Query<Wanted>,
) -> Response {
    if !(1..=TICKS_MAX).contains(&ticks) {
        let say = format!("ticks can be 1 to {TICKS_MAX}, not {ticks}\n");
        return (StatusCode::UNPROCESSABLE_ENTITY, say).into_response();
    }
    let Ok(_alone) = ops.tracing.try_lock() else {
        let say = "somebody records a trace already: wait until it is over\n";
        return (StatusCode::CONFLICT, say).into_response();
    };
    ops.network.trace_sending(true);
    let sending = TracedSending(&ops.network);
    let Some(mut trace) = ops.asker.trace(ticks).await else {
        return ended();
    };
    // The last tick may still be on its way to the clients; then the file does without.
    trace.sends = ops.network.trace_sending(false);
    drop(sending);
    trace.keep_its_sends();
    let title = format!("tessera: {} on {}", ops.facts.mode, ops.facts.map);
    // Some megabytes of JSON, beside the threads that serve clients.
    let written = tokio::task::spawn_blocking(move || trace.to_json(&title)).await;
    match written.map_err(std::io::Error::from) {
        Ok(Ok(json)) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}
