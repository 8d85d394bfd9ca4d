//! The network thread: each state is coded once, packed for each client and given to its connection.
//!
//! It runs beside the next tick. `send_datagram` only queues, and wakes the connection's driver on the
//! runtime's threads, which encrypt and send; so one thread feeds all clients, and no task is woken to
//! hand over a state.

use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tessera_protocol::{CommandAck, FrameEncoder, ServerSession, SharedEvent, Tick};
use tessera_python::Event;

use super::Network;
use super::session::Player;
use super::spectate::Gallery;
use crate::clock;
use crate::error::Error;
use crate::handover::{Handover, Publication};
use crate::series::Recent;
use crate::stats::Durations;

/// What sending has cost since the last reset.
#[derive(Clone, Debug)]
pub(crate) struct SendRecord {
    /// Encoding and sending one state to all.
    pub(crate) durations: Durations,
    /// The same of the last ticks, microseconds.
    pub(crate) recent: Recent<u32>,
}

impl SendRecord {
    pub(super) fn new() -> SendRecord {
        SendRecord {
            durations: Durations::new(),
            recent: Recent::new(),
        }
    }

    pub(super) fn record(&mut self, tick: Tick, took_ns: u64) {
        self.durations.record_ns(took_ns);
        let took_us = u32::try_from(took_ns / 1000).unwrap_or(u32::MAX);
        self.recent.push(tick.0, took_us);
    }
}

/// Starts the thread. It ends when the hand-over is closed.
pub(crate) fn spawn(
    network: Arc<Network>,
    handover: Arc<Handover>,
) -> Result<JoinHandle<()>, Error> {
    let encoder = FrameEncoder::new(&network.welcome.field_table, network.state);
    // The zones have loaded the same table, and the loader checks it.
    let encoder = encoder.expect("a table that was loaded is sound");
    let gallery = network.gallery();
    let mut sender = Sender {
        network,
        encoder,
        gallery,
        players: Vec::new(),
    };
    let thread = std::thread::Builder::new().name("send".into());
    Ok(thread.spawn(move || {
        while let Some(publication) = handover.take() {
            sender.send(publication);
        }
    })?)
}

struct Sender {
    network: Arc<Network>,
    encoder: FrameEncoder,
    gallery: Gallery,
    /// Scratch: who is in.
    players: Vec<Arc<Player>>,
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
        self.encoder.encode(&publication.snapshot);
        for player in &self.players {
            let at = publication
                .acks
                .binary_search_by_key(&player.client, |(client, _)| *client);
            let ack = at.map_or(CommandAck::default(), |at| publication.acks[at].1);
            self.send_state(player, ack);
        }
        self.players.clear();
        self.gallery.show(&self.network, &publication);
        let took_ns = clock::now_ns() - began_ns;
        self.network
            .record_sent(publication.snapshot.tick(), took_ns);
    }

    fn send_state(&self, player: &Player, ack: CommandAck) {
        let mut view = player.view();
        self.encoder.pack(&mut view, ack, |datagram| {
            player.send_state(&self.network, Bytes::copy_from_slice(datagram));
        });
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
