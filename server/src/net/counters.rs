//! Numbers of what peers do. A peer's garbage is a number here, never a line in the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tessera_protocol::{CloseReason, ServerCounters};

use super::door::Refusal;

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, and gives the number before.
    pub(crate) fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Relaxed)
    }

    /// How much it is.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the network counts, besides each session's own numbers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that were begun.
    pub(crate) connections: Counter,
    /// Of these, turned away since too many were being begun.
    pub(crate) connections_refused: Counter,
    /// Of these, turned away since their address had begun too many.
    pub(crate) connections_rate_limited: Counter,
    /// Before that, asked to show first that they receive at their address.
    pub(crate) connections_retried: Counter,
    /// Of these, never came to a hello: TLS failed, another protocol, no answer.
    pub(crate) handshakes_failed: Counter,
    /// Hellos refused: by the door, or for another protocol hash or a bad name.
    hellos_refused: Counter,
    refusals: Refusals,
    /// Players let in.
    pub(crate) joined: Counter,
    /// Players that left by themselves.
    pub(crate) left: Counter,
    /// Players that were lost for good, or ended for what they did.
    pub(crate) dropped: Counter,
    /// Times that a player's connection was lost and its place kept.
    pub(crate) away: Counter,
    /// Times that a client came back to its player.
    pub(crate) returned: Counter,
    /// Of these, while the old connection still stood.
    pub(crate) taken_over: Counter,
    /// Players that an operator kicked.
    pub(crate) kicked: Counter,
    /// Spectators that an operator kicked.
    pub(crate) spectators_kicked: Counter,
    /// Of all who were kicked, whose names could not be barred since too many are.
    pub(crate) unbarred: Counter,
    /// Sessions ended for too many datagrams.
    pub(crate) flooded: Counter,
    /// Clients let in to watch.
    pub(crate) watched: Counter,
    /// State datagrams that the connection did not take.
    pub(crate) datagrams_unsent: Counter,
    /// Events of scripts that were too long to send.
    pub(crate) events_too_long: Counter,
    /// Events lost since the network could not keep up.
    pub(crate) events_lost: Counter,
    /// States not made for a client since earlier ones still waited for its path.
    pub(crate) states_held_back: Counter,
    /// Ticks whose state was not sent since a newer one was there already.
    pub(crate) states_superseded: Counter,
    /// UDP payload sent to clients whose connections have ended.
    pub(super) bytes_down: Counter,
    /// UDP payload received from them.
    pub(super) bytes_up: Counter,
    /// Sums of sessions that have ended.
    ended: Mutex<ServerCounters>,
}

/// Of the refused hellos, those that the door refused, by reason.
#[derive(Debug, Default)]
struct Refusals {
    token_missing: Counter,
    token_bad: Counter,
    token_expired: Counter,
    token_used: Counter,
    token_for_another_match: Counter,
    token_memory_full: Counter,
    session_unknown: Counter,
    full: Counter,
    draining: Counter,
    kicked: Counter,
}

impl Counters {
    /// Counts a refused hello; `None` where the session machine refused it.
    pub(super) fn refused(&self, refusal: Option<&Refusal>) {
        self.hellos_refused.add(1);
        let Some(refusal) = refusal else { return };
        let by = &self.refusals;
        let counter = match refusal.reason {
            _ if refusal.memory_full => &by.token_memory_full,
            CloseReason::TokenMissing => &by.token_missing,
            CloseReason::TokenBad => &by.token_bad,
            CloseReason::TokenExpired => &by.token_expired,
            CloseReason::TokenUsed => &by.token_used,
            CloseReason::TokenForAnotherMatch => &by.token_for_another_match,
            CloseReason::SessionUnknown => &by.session_unknown,
            CloseReason::ServerFull => &by.full,
            CloseReason::Draining => &by.draining,
            CloseReason::Kicked => &by.kicked,
            other => unreachable!("the door refuses nobody for {other:?}"),
        };
        counter.add(1);
    }

    /// Adds the numbers of a session that has ended.
    pub(crate) fn ended(&self, session: &ServerCounters) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut ended, session);
    }

    /// All numbers by name, those of the `living` sessions included.
    pub(crate) fn with(
        &self,
        living: impl Iterator<Item = ServerCounters>,
    ) -> BTreeMap<&'static str, u64> {
        let mut sum = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        living.for_each(|session| add(&mut sum, &session));
        let by = &self.refusals;
        BTreeMap::from([
            ("connections", self.connections.get()),
            ("connections_refused", self.connections_refused.get()),
            (
                "connections_rate_limited",
                self.connections_rate_limited.get(),
            ),
            ("connections_retried", self.connections_retried.get()),
            ("handshakes_failed", self.handshakes_failed.get()),
            ("hellos_refused", self.hellos_refused.get()),
            ("refused_token_missing", by.token_missing.get()),
            ("refused_token_bad", by.token_bad.get()),
            ("refused_token_expired", by.token_expired.get()),
            ("refused_token_used", by.token_used.get()),
            (
                "refused_token_for_another_match",
                by.token_for_another_match.get(),
            ),
            ("refused_token_memory_full", by.token_memory_full.get()),
            ("refused_session_unknown", by.session_unknown.get()),
            ("refused_full", by.full.get()),
            ("refused_draining", by.draining.get()),
            ("refused_kicked", by.kicked.get()),
            ("clients_joined", self.joined.get()),
            ("clients_left", self.left.get()),
            ("clients_dropped", self.dropped.get()),
            ("clients_away", self.away.get()),
            ("clients_returned", self.returned.get()),
            ("clients_taken_over", self.taken_over.get()),
            ("clients_kicked", self.kicked.get()),
            ("clients_flooded", self.flooded.get()),
            ("names_unbarred", self.unbarred.get()),
            ("spectators_joined", self.watched.get()),
            ("spectators_kicked", self.spectators_kicked.get()),
            ("datagrams_unsent", self.datagrams_unsent.get()),
            ("events_too_long", self.events_too_long.get()),
            ("events_lost", self.events_lost.get()),
            ("states_held_back", self.states_held_back.get()),
            ("states_superseded", self.states_superseded.get()),
            ("datagrams_bad", sum.bad_datagrams),
            ("datagrams_stray", sum.stray_datagrams),
            ("datagrams_excess", sum.excess_datagrams),
            ("messages_bad", sum.bad_messages),
            ("commands_consumed", sum.consumed),
            ("commands_late", sum.late),
            ("commands_duplicate", sum.duplicate),
            ("commands_early", sum.early),
            ("commands_foreign", sum.foreign),
            ("commands_not_finite", sum.not_finite),
            ("commands_of_spectators", sum.spectator_commands),
            ("commands_view_cut", sum.view_cut),
            ("ticks_without_command", sum.starved),
        ])
    }
}

fn add(sum: &mut ServerCounters, session: &ServerCounters) {
    let ServerCounters {
        bad_datagrams,
        stray_datagrams,
        excess_datagrams,
        bad_messages,
        late,
        duplicate,
        early,
        foreign,
        not_finite,
        spectator_commands,
        starved,
        consumed,
        view_cut,
    } = session;
    sum.bad_datagrams += bad_datagrams;
    sum.stray_datagrams += stray_datagrams;
    sum.excess_datagrams += excess_datagrams;
    sum.bad_messages += bad_messages;
    sum.late += late;
    sum.duplicate += duplicate;
    sum.early += early;
    sum.foreign += foreign;
    sum.not_finite += not_finite;
    sum.spectator_commands += spectator_commands;
    sum.starved += starved;
    sum.consumed += consumed;
    sum.view_cut += view_cut;
}
