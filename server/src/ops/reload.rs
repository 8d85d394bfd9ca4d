//! `POST /reload`: has the match change to the code that is in its mode's folder now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Ops, ended};
use crate::reload;

/// What new code brought.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Fields that are new, as `Kind.field`.
    pub(crate) added: Vec<String>,
}

/// 200 once the new code runs; 409 and the reason where the match stays on its code.
pub(super) async fn reload(Shared(ops): Shared<Arc<Ops>>) -> Response {
    match reload::reload(ops.facts.mode_folder.clone(), &ops.asker).await {
        Some(Ok(reloaded)) => Json(Told {
            added: reloaded.added,
        })
        .into_response(),
        Some(Err(reason)) => (StatusCode::CONFLICT, reason + "\n").into_response(),
        None => ended(),
    }
}
