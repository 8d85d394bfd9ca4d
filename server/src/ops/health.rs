//! `GET /health` and `GET /ready`: two questions of who runs servers.
//!
//! Health is whether this process does its work: one that does not should be replaced. Readiness is
//! whether a new client would be let in: a server that drains or is full is healthy and not ready.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Ops;
use crate::clock;

/// Without a tick for so long the server counts as stalled.
const STALLED_NS: u64 = 2_000_000_000;

/// How the server is, by what matters most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The first tick has not run yet.
    Starting,
    /// Ticks have stopped, or the match is over.
    Stalled,
    /// Nobody new comes in; who plays goes on.
    Draining,
    /// Every slot is taken.
    Full,
    /// A new client would be let in.
    Ready,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Stalled => "stalled",
            State::Draining => "draining",
            State::Full => "full",
            State::Ready => "ready",
        }
    }

    /// `ended_ns` is when the newest tick ended, 0 where there was none.
    fn of(ended_ns: u64, now_ns: u64, draining: bool, full: bool) -> State {
        if ended_ns == 0 {
            State::Starting
        } else if now_ns.saturating_sub(ended_ns) > STALLED_NS {
            State::Stalled
        } else if draining {
            State::Draining
        } else if full {
            State::Full
        } else {
            State::Ready
        }
    }
}

impl Ops {
    pub(super) fn state(&self) -> State {
        State::of(
            self.pulse.ended_ns.load(Relaxed),
            clock::now_ns(),
            self.draining.load(Relaxed),
            self.clients() >= usize::from(self.facts.clients_max),
        )
    }
}

#[derive(Serialize)]
struct Told {
    status: &'static str,
    tick: u32,
    clients: usize,
}

pub(super) async fn health(Shared(ops): Shared<Arc<Ops>>) -> Response {
    match ops.state() {
        State::Ready | State::Full => tell(&ops, StatusCode::OK, "ok"),
        State::Draining => tell(&ops, StatusCode::OK, "draining"),
        state => tell(&ops, StatusCode::SERVICE_UNAVAILABLE, state.name()),
    }
}

pub(super) async fn ready(Shared(ops): Shared<Arc<Ops>>) -> Response {
    let state = ops.state();
    let code = match state {
        State::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    tell(&ops, code, state.name())
}

fn tell(ops: &Ops, code: StatusCode, status: &'static str) -> Response {
    let told = Told {
        status,
        tick: ops.pulse.tick().0,
        clients: ops.clients(),
    };
    (code, Json(told)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_most_is_told() {
        let late = 5 + STALLED_NS + 1;
        for (ended_ns, now_ns, draining, full, expected) in [
            (0, 5, false, false, State::Starting),
            (5, late, true, true, State::Stalled),
            (5, 6, true, true, State::Draining),
            (5, 6, false, true, State::Full),
            (5, late - 1, false, false, State::Ready),
            // The clock was read before the tick ended.
            (6, 5, false, false, State::Ready),
        ] {
            let state = State::of(ended_ns, now_ns, draining, full);
            assert_eq!(state, expected);
        }
    }
}
