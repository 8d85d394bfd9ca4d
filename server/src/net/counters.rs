//! Numbers of what peers do. A peer's garbage is a number here, never a line in the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tessera_protocol::ServerCounters;

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, and gives the number before.
    pub(crate) fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Relaxed)
    }

    fn get(&self) -> u64 {
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
    /// Of these, never came to a hello: TLS failed, another protocol, no answer.
    pub(crate) handshakes_failed: Counter,
    /// Hellos refused: another protocol hash, a bad name, a full or a stopping server.
    pub(crate) hellos_refused: Counter,
    /// Clients let in.
    pub(crate) joined: Counter,
    /// Clients that left by themselves.
    pub(crate) left: Counter,
    /// Clients whose connection was lost, or ended for what they did.
    pub(crate) dropped: Counter,
    /// State datagrams that the connection did not take.
    pub(crate) datagrams_unsent: Counter,
    /// Events of scripts that were too long to send.
    pub(crate) events_too_long: Counter,
    /// Events lost since the network could not keep up.
    pub(crate) events_lost: Counter,
    /// Ticks whose state was not sent since a newer one was there already.
    pub(crate) states_superseded: Counter,
    /// Sums of sessions that have ended.
    ended: Mutex<ServerCounters>,
}

impl Counters {
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
        BTreeMap::from([
            ("connections", self.connections.get()),
            ("connections_refused", self.connections_refused.get()),
            ("handshakes_failed", self.handshakes_failed.get()),
            ("hellos_refused", self.hellos_refused.get()),
            ("clients_joined", self.joined.get()),
            ("clients_left", self.left.get()),
            ("clients_dropped", self.dropped.get()),
            ("datagrams_unsent", self.datagrams_unsent.get()),
            ("events_too_long", self.events_too_long.get()),
            ("events_lost", self.events_lost.get()),
            ("states_superseded", self.states_superseded.get()),
            ("datagrams_bad", sum.bad_datagrams),
            ("datagrams_stray", sum.stray_datagrams),
            ("messages_bad", sum.bad_messages),
            ("commands_consumed", sum.consumed),
            ("commands_late", sum.late),
            ("commands_early", sum.early),
            ("commands_foreign", sum.foreign),
            ("commands_not_finite", sum.not_finite),
            ("ticks_without_command", sum.starved),
        ])
    }
}

fn add(sum: &mut ServerCounters, session: &ServerCounters) {
    let ServerCounters {
        bad_datagrams,
        stray_datagrams,
        bad_messages,
        late,
        duplicate,
        early,
        foreign,
        not_finite,
        starved,
        consumed,
    } = session;
    sum.bad_datagrams += bad_datagrams;
    sum.stray_datagrams += stray_datagrams;
    sum.bad_messages += bad_messages;
    sum.late += late;
    sum.duplicate += duplicate;
    sum.early += early;
    sum.foreign += foreign;
    sum.not_finite += not_finite;
    sum.starved += starved;
    sum.consumed += consumed;
}
