//! How much goes over the network, and how long it is under way.

use super::Network;
use super::session::Player;
use crate::tally::Quantiles;

/// What clients' connections carry, at some moment.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Who is connected and plays.
    pub(crate) players: usize,
    /// Who is connected and watches.
    pub(crate) spectators: usize,
    /// UDP payload sent to all clients since the start.
    pub(crate) bytes_down: u64,
    /// UDP payload received from all clients since the start.
    pub(crate) bytes_up: u64,
    /// Over those who are connected, from a packet to its acknowledgement.
    pub(crate) rtt_us: Quantiles,
}

impl Network {
    /// What clients' connections carry.
    pub(crate) fn traffic(&self) -> Traffic {
        let everybody = self.everybody();
        let mut traffic = Traffic {
            players: self.players().len(),
            spectators: self.spectators().len(),
            bytes_down: self.counters.bytes_down.get(),
            bytes_up: self.counters.bytes_up.get(),
            rtt_us: Quantiles::default(),
        };
        let mut rtts = Vec::with_capacity(everybody.len());
        for player in &everybody {
            let stats = player.connection.stats();
            traffic.bytes_down += stats.udp_tx.bytes;
            traffic.bytes_up += stats.udp_rx.bytes;
            let rtt_us = stats.path.rtt.as_micros();
            rtts.push(u32::try_from(rtt_us).unwrap_or(u32::MAX));
        }
        traffic.rtt_us = Quantiles::of(rtts);
        traffic
    }

    /// Keeps what a connection that has ended has carried.
    pub(super) fn count_traffic(&self, player: &Player) {
        let stats = player.connection.stats();
        self.counters.bytes_down.add(stats.udp_tx.bytes);
        self.counters.bytes_up.add(stats.udp_rx.bytes);
    }
}
