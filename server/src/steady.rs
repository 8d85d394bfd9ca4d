//! Congestion control for who sends little and always the same, which both ends of a match do.
//!
//! Commands take some 20 KiB/s, state 30 at most, and neither can wait: the next is made whether the one before has left or
//! not. A controller that takes each loss for congestion ends at two packets a round trip where one in twenty is lost by
//! chance. Then datagrams wait for acknowledgements: a client's leave several in a packet, whose loss takes all copies of a
//! command at once, and a server says nothing for a second when both packets are lost. So the window never falls below
//! what a round trip needs.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, CubicConfig};

/// Makes controllers that are QUIC's usual one with a least window.
#[derive(Debug)]
pub struct SteadyConfig {
    inner: Arc<CubicConfig>,
    window_min: u64,
}

impl SteadyConfig {
    /// With so many bytes that may be under way in any case.
    pub fn new(window_min: u64) -> Self {
        Self {
            inner: Arc::default(),
            window_min,
        }
    }
}

impl ControllerFactory for SteadyConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = Arc::clone(&self.inner).build(now, current_mtu);
        Box::new(Steady {
            inner,
            window_min: self.window_min,
        })
    }
}

/// QUIC's usual controller, with a least window.
struct Steady {
    inner: Box<dyn Controller>,
    window_min: u64,
}

impl Controller for Steady {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.inner
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window().max(self.window_min)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Steady {
            inner: self.inner.clone_box(),
            window_min: self.window_min,
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window().max(self.window_min)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self.inner.into_any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_loss_closes_the_window() {
        let now = Instant::now();
        let mut controller = Arc::new(SteadyConfig::new(12_000)).build(now, 1200);
        for second in 1..100 {
            let sent = now + std::time::Duration::from_secs(second);
            controller.on_congestion_event(sent, sent, second % 9 == 0, 300);
        }
        assert_eq!(controller.window(), 12_000);
        assert_eq!(controller.clone_box().window(), 12_000);
    }
}
