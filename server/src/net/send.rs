//! The network thread: each state is coded once, packed for each client and given to its connection.
//!
//! It runs beside the next tick. `send_datagram` only queues, and wakes the connection's driver on the
//! runtime's threads, which encrypt and send; so one thread feeds all clients, and no task is woken to
//! hand over a state.

use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tessera_protocol::{
    ClientId, CommandAck, FullReason, Packed, ServerSession, SharedEvent, Tick,
};
use tessera_python::Event;
use tokio::sync::oneshot;

use super::Network;
use super::coding::Coding;
use super::session::Player;
use super::spectate::Gallery;
use crate::clock;
use crate::error::Error;
use crate::handover::{Handover, Publication};
use crate::priority;
use crate::report::Wire;
use crate::series::Recent;
use crate::stats::Durations;
use crate::tally::{Buckets, Lately};
use crate::trace::SendTrace;

/// Clients whose states are coded one after the other before they are sent: coding and QUIC have each
/// its own memory, and taking turns at every client would keep throwing the other's out of the caches.
const BATCH_CLIENTS: usize = 25;
/// Reasons to tell a client everything anew.
const REASONS: usize = 5;
/// Ticks of a trace, and some that are sent before and after it.
const TRACE_MAX: usize = crate::trace::TICKS_MAX as usize + 256;

/// What sending has cost since the last reset.
#[derive(Clone, Debug)]
pub(crate) struct SendRecord {
    /// Encoding and sending one state to all.
    pub(crate) durations: Durations,
    /// The same of the last ticks, microseconds.
    pub(crate) recent: Recent<u32>,
    /// Of it, finding out what all clients have in sight.
    interest: Durations,
    /// Of it, rounding the state and putting together all clients' datagrams.
    encode: Durations,
    /// Both in one.
    state: Durations,
    /// Mean bits of a datagram's records; a bit counts as a microsecond.
    bits_per_entity: Durations,
    /// By reason.
    full: [u64; REASONS],
    /// Records told as a whole for want of a baseline that would do.
    rewritten: u64,
}

/// What sending has cost since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendTally {
    /// Encoding and sending one state to all.
    pub(crate) duration: Buckets,
    /// Of it, finding out what all clients have in sight.
    pub(crate) interest: Buckets,
    /// Of it, rounding the state and putting together all clients' datagrams.
    pub(crate) encode: Buckets,
    /// From when a tick was due until its state was on the way to all.
    pub(crate) state_age: Buckets,
    /// As `duration`.
    pub(crate) lately: Lately,
    pub(crate) state_age_lately: Lately,
    /// Times that a client was told everything anew, by reason.
    full: [u64; REASONS],
}

/// All that is remembered of what sending cost.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) since_reset: SendRecord,
    pub(super) since_start: SendTally,
    /// Single ticks, while somebody has asked for them.
    pub(super) trace: Option<Vec<SendTrace>>,
}

/// What one tick's sending cost.
struct SentTick {
    tick: Tick,
    due_ns: u64,
    began_ns: u64,
    took_ns: u64,
    interest_ns: u64,
    encode_ns: u64,
}

impl Sent {
    pub(super) fn new() -> Sent {
        Sent {
            since_reset: SendRecord::new(),
            since_start: SendTally::default(),
            trace: None,
        }
    }

    fn record(&mut self, sent: &SentTick, packed: &[Packed]) {
        self.since_reset.record(sent, packed);
        self.since_start.record(sent, packed);
        // Who asked for a trace and forgot about it costs memory up to here.
        if let Some(trace) = &mut self.trace
            && trace.len() < TRACE_MAX
        {
            trace.push(SendTrace {
                tick: sent.tick,
                start_ns: sent.began_ns,
                end_ns: sent.began_ns + sent.took_ns,
                interest_ns: sent.interest_ns,
                encode_ns: sent.encode_ns,
                clients: packed.len(),
            });
        }
    }
}

impl SendTally {
    fn record(&mut self, sent: &SentTick, packed: &[Packed]) {
        let age_ns = (sent.began_ns + sent.took_ns).saturating_sub(sent.due_ns);
        self.duration.record_ns(sent.took_ns);
        self.interest.record_ns(sent.interest_ns);
        self.encode.record_ns(sent.encode_ns);
        self.state_age.record_ns(age_ns);
        self.lately.record_ns(sent.took_ns);
        self.state_age_lately.record_ns(age_ns);
        for reason in packed.iter().filter_map(|packed| packed.full) {
            self.full[reason as usize] += 1;
        }
    }

    /// Times that a client was told everything anew, by reason.
    pub(crate) fn full_snapshots(&self) -> [(&'static str, u64); REASONS] {
        full_snapshots(&self.full)
    }
}

fn full_snapshots(full: &[u64; REASONS]) -> [(&'static str, u64); REASONS] {
    let reasons = [
        (FullReason::Joined, "joined"),
        (FullReason::Asked, "asked"),
        (FullReason::Silent, "silent"),
        (FullReason::Moved, "moved"),
        (FullReason::Declared, "declared"),
    ];
    reasons.map(|(reason, name)| (name, full[reason as usize]))
}

impl SendRecord {
    pub(super) fn new() -> SendRecord {
        SendRecord {
            durations: Durations::new(),
            recent: Recent::new(),
            interest: Durations::new(),
            encode: Durations::new(),
            state: Durations::new(),
            bits_per_entity: Durations::new(),
            full: [0; REASONS],
            rewritten: 0,
        }
    }

    fn record(&mut self, sent: &SentTick, packed: &[Packed]) {
        self.durations.record_ns(sent.took_ns);
        let took_us = u32::try_from(sent.took_ns / 1000).unwrap_or(u32::MAX);
        self.recent.push(sent.tick.0, took_us);
        self.interest.record_ns(sent.interest_ns);
        self.encode.record_ns(sent.encode_ns);
        self.state.record_ns(sent.interest_ns + sent.encode_ns);
        for packed in packed {
            if packed.records > 0 {
                let thousandths = packed.record_bits as u64 * 1000 / packed.records as u64;
                self.bits_per_entity.record_ns(thousandths);
            }
            self.rewritten += packed.rewritten as u64;
            if let Some(reason) = packed.full {
                self.full[reason as usize] += 1;
            }
        }
    }

    /// What the wire looked like.
    pub(crate) fn wire(&self) -> Wire {
        Wire {
            interest_us: self.interest.percentiles_us(),
            encode_us: self.encode.percentiles_us(),
            state_us: self.state.percentiles_us(),
            full_snapshots: full_snapshots(&self.full).into(),
            rewritten: self.rewritten,
            bits_per_entity: self.bits_per_entity.percentiles_us(),
        }
    }
}

/// Starts the thread. It ends when the hand-over is closed; however it ends, `ended` is dropped then.
pub(crate) fn spawn(
    network: Arc<Network>,
    handover: Arc<Handover>,
    ended: oneshot::Sender<()>,
) -> Result<JoinHandle<()>, Error> {
    let declarations = network.declarations().clone();
    let (state, hz) = (network.state, network.welcome.tick_hz);
    let coding = Coding::new(&declarations, state, hz);
    let gallery = Gallery::new(&declarations, state, network.spectator_delay, hz);
    let mut sender = Sender {
        network,
        coding,
        gallery,
        players: Vec::new(),
        packed: Vec::new(),
        datagrams: Vec::with_capacity(BATCH_CLIENTS),
    };
    let thread = std::thread::Builder::new().name("send".into());
    Ok(thread.spawn(move || {
        let _ended = ended;
        priority::put_this_thread_first();
        while let Some(publication) = handover.take() {
            sender.send(publication);
        }
    })?)
}

struct Sender {
    network: Arc<Network>,
    coding: Coding,
    gallery: Gallery,
    /// Scratch: who is in.
    players: Vec<Arc<Player>>,
    /// Scratch: what each was sent.
    packed: Vec<Packed>,
    /// Scratch: the datagrams of a batch, and whose of it they are.
    datagrams: Vec<(usize, Bytes)>,
}

impl Sender {
    fn send(&mut self, publication: Publication) {
        let began_ns = clock::now_ns();
        let counters = &self.network.counters;
        counters.states_superseded.add(publication.superseded);
        counters.events_lost.add(publication.events_lost);
        for client in &publication.left {
            self.network.door().release(*client);
        }
        self.players.clear();
        self.players
            .extend(self.network.players().values().cloned());
        self.tell(&publication.events);
        let encode_ns = clock::now_ns();
        if self.coding.set_declarations(&publication.declarations) {
            *self.network.declarations() = publication.declarations.clone();
        }
        self.coding.encoder.encode(&publication.snapshot);
        let mut sent = SentTick {
            tick: publication.snapshot.tick(),
            due_ns: publication.due_ns,
            began_ns,
            took_ns: 0,
            interest_ns: 0,
            encode_ns: clock::now_ns() - encode_ns,
        };
        self.packed.clear();
        let players = std::mem::take(&mut self.players);
        for batch in players.chunks(BATCH_CLIENTS) {
            self.send_states(batch, &publication.acks, &mut sent);
        }
        self.players = players;
        self.players.clear();
        self.gallery.show(&self.network, &publication);
        sent.took_ns = clock::now_ns() - began_ns;
        self.network.sent().record(&sent, &self.packed);
    }

    /// Codes the state for some clients and then sends it to them.
    fn send_states(
        &mut self,
        players: &[Arc<Player>],
        acks: &[(ClientId, CommandAck)],
        sent: &mut SentTick,
    ) {
        for (whose, player) in players.iter().enumerate() {
            let mut view = player.view();
            // Not all clients look at their paths in one tick.
            let turn = sent.tick.0.wrapping_add(player.client.0.into());
            if !self.coding.is_taken(&self.network, player, &mut view, turn) {
                continue;
            }
            let at = acks.binary_search_by_key(&player.client, |(client, _)| *client);
            let ack = at.map_or(CommandAck::default(), |at| acks[at].1);
            let has = self.coding.prepare(player);
            let began_ns = clock::now_ns();
            view.handle_ack(has);
            self.coding.encoder.look(&mut view);
            let looked_ns = clock::now_ns();
            let packed = self.coding.encoder.pack(&mut view, ack, |datagram| {
                self.datagrams
                    .push((whose, Bytes::copy_from_slice(datagram)));
            });
            sent.interest_ns += looked_ns - began_ns;
            sent.encode_ns += clock::now_ns() - looked_ns;
            self.packed.push(packed);
        }
        for (whose, datagram) in self.datagrams.drain(..) {
            players[whose].send_state(&self.network, datagram);
        }
    }

    fn tell(&self, events: &[(Tick, Event)]) {
        for (tick, event) in events {
            let shared = match SharedEvent::new(*tick, &event.name, &event.args) {
                Ok(shared) => shared,
                Err(error) => {
                    // A script's mistake, so it is said, but only the first time.
                    if self.network.counters.events_too_long.add(1) == 0 {
                        tracing::warn!(%error, "an event is not sent");
                    }
                    continue;
                }
            };
            let addressed = |player: &&Arc<Player>| event.to.is_none_or(|to| to == player.client);
            for player in self.players.iter().filter(addressed) {
                player.with(|session: &mut ServerSession| session.send_event(&shared));
                player.wake_writer();
            }
        }
    }
}
