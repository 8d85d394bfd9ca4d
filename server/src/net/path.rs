//! How much a client's path carries, judged by what becomes of what it is sent.
//!
//! The congestion window alone doesn't tell: it has a least size (see `crate::steady`), which a narrow path may not
//! carry. So the rate is cut by a quarter where more is lost than is lost by chance, or a queue grows, and raised by an
//! eighth otherwise.

use std::time::Duration;

use quinn::PathStats;

/// Least bytes a second for a client, whatever its path: its own player, and the nearest others.
const RATE_MIN: f64 = 4096.0;
/// A path that loses this share of its packets is too narrow.
const LOSS_MAX: f64 = 0.15;
/// Packets at least of which a share is worth something.
const PACKETS_MIN: u64 = 16;
/// A round trip that is longer than two at best, and than that, has packets waiting on its way.
const QUEUE: Duration = Duration::from_millis(100);

/// What is known of a path.
#[derive(Debug)]
pub(super) struct Path {
    /// Bytes a second.
    rate: f64,
    /// Packets sent and lost until the last look.
    sent: u64,
    lost: u64,
}

impl Path {
    /// A path that nothing is known of, to which so many bytes a second may be sent.
    pub(super) fn new(rate: u32) -> Path {
        Path {
            rate: rate.into(),
            sent: 0,
            lost: 0,
        }
    }

    /// Looks at a path again; gives how many bytes a second may be sent, at most `rate_max`.
    pub(super) fn look(&mut self, stats: &PathStats, rate_max: u32) -> u32 {
        let sent = stats.sent_packets - self.sent;
        if sent >= PACKETS_MIN {
            let lost = stats.lost_packets - self.lost;
            (self.sent, self.lost) = (stats.sent_packets, stats.lost_packets);
            let loses = lost as f64 > LOSS_MAX * sent as f64;
            let queues = stats.rtt > 2 * stats.min_rtt + QUEUE;
            self.rate *= if loses || queues { 0.75 } else { 1.125 };
            self.rate = self.rate.max(RATE_MIN).min(rate_max.into());
        }
        let window = stats.cwnd as f64 / stats.rtt.as_secs_f64().max(1e-4);
        let least = RATE_MIN.min(rate_max.into());
        self.rate.min(window).max(least) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 30 << 10;

    /// Looks four times a second for so many seconds; `after` tells what becomes of a rate: the share that is
    /// lost, and the round trip.
    fn settle(seconds: u32, after: impl Fn(u32) -> (f64, Duration)) -> u32 {
        let mut stats = PathStats::default();
        (stats.min_rtt, stats.cwnd) = (Duration::from_millis(100), 1 << 20);
        let mut path = Path::new(MOST);
        let mut rate = MOST;
        for _ in 0..4 * seconds {
            let (loss, rtt) = after(rate);
            stats.sent_packets += 200;
            stats.lost_packets += (200.0 * loss) as u64;
            stats.rtt = rtt;
            rate = path.look(&stats, MOST);
        }
        rate
    }

    #[test]
    fn chance_losses_cost_nothing() {
        assert_eq!(settle(10, |_| (0.1, Duration::from_millis(130))), MOST);
    }

    #[test]
    fn a_narrow_path_gets_about_what_it_carries() {
        let carries = 9000.0;
        let shallow = |rate: u32| {
            (
                1.0 - carries / f64::from(rate).max(carries),
                Duration::from_millis(100),
            )
        };
        let deep = |rate: u32| {
            let queues = f64::from(rate) > carries;
            (0.0, Duration::from_millis(if queues { 900 } else { 100 }))
        };
        for rate in [settle(20, shallow), settle(20, deep)] {
            assert!((0.7..1.3).contains(&(f64::from(rate) / carries)), "{rate}");
        }
    }

    #[test]
    fn nobody_gets_nothing_and_what_recovers_gets_all() {
        let dead = |_| (1.0, Duration::from_secs(3));
        assert_eq!(settle(30, dead), RATE_MIN as u32);
        let mut stats = PathStats::default();
        (stats.rtt, stats.cwnd) = (Duration::from_millis(50), 1 << 20);
        stats.min_rtt = stats.rtt;
        let mut path = Path::new(MOST);
        path.rate = RATE_MIN;
        let mut rate = 0;
        for _ in 0..40 {
            stats.sent_packets += PACKETS_MIN;
            rate = path.look(&stats, MOST);
        }
        assert_eq!(rate, MOST);
        stats.cwnd = 1200;
        assert_eq!(
            path.look(&stats, MOST),
            24_000,
            "a window of 1,200 bytes in 50 ms"
        );
    }
}
