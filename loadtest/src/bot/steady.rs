//! Congestion control for a client that sends little and always the same.
//!
//! A client's commands take some 20 KiB/s and can't be slowed down: the next ones are made whether those before have left or
//! not. A controller that takes each loss for congestion ends at two packets a round trip where one in twenty is lost by
//! chance. Then datagrams wait for acknowledgements and leave several in a packet, whose loss takes all copies of a command at
//! once. So the window never falls below what the commands need, as little as a call's voice would take.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, CubicConfig};

/// Bytes that may be under way in any case: commands of half a second.
const WINDOW_MIN: u64 = 12 << 10;

/// Makes controllers that are QUIC's usual one with a least window.
#[derive(Debug, Default)]
pub struct SteadyConfig {
    inner: Arc<CubicConfig>,
}

impl ControllerFactory for SteadyConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = Arc::clone(&self.inner).build(now, current_mtu);
        Box::new(Steady(inner))
    }
}

/// QUIC's usual controller, with a least window of [`WINDOW_MIN`].
struct Steady(Box<dyn Controller>);

impl Controller for Steady {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.0.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.0.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.0
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.0
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.0.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.0.window().max(WINDOW_MIN)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Steady(self.0.clone_box()))
    }

    fn initial_window(&self) -> u64 {
        self.0.initial_window().max(WINDOW_MIN)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self.0.into_any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_loss_makes_commands_wait() {
        let now = Instant::now();
        let mut controller = Arc::new(SteadyConfig::default()).build(now, 1200);
        for second in 1..100 {
            let sent = now + std::time::Duration::from_secs(second);
            controller.on_congestion_event(sent, sent, second % 9 == 0, 300);
        }
        assert_eq!(controller.window(), WINDOW_MIN);
        assert_eq!(controller.clone_box().window(), WINDOW_MIN);
    }
}
