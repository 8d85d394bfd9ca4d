//! One direction of one client's way: what is lost, and when the rest arrives.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Impairment;
use crate::bot::chance::Chance;
use crate::report::schema::LinkCounts;

/// How long what is reordered is held back: more than a tick at 64 Hz, so that the next tick's datagrams overtake it.
const REORDER_HOLD: Duration = Duration::from_millis(25);
/// What may wait before a limited rate, as the time that it takes to pass: a router's buffer.
const QUEUE_MAX: Duration = Duration::from_millis(100);
/// However slow the rate, this many bytes may wait: one full packet of an Ethernet.
const QUEUE_BYTES_MIN: f64 = 1_500.0;
/// Datagrams under way at once, so that no setting takes memory without bound; at 64 Hz, seconds of a client's.
const UNDER_WAY_MAX: usize = 4_096;

/// A datagram under way. Ordered by its arrival, then as it was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrives: Duration,
    number: u64,
    bytes: Vec<u8>,
}

/// One direction of one client's way. All times are since any moment the caller likes.
///
/// [`send`](Self::send) puts a datagram in; at [`next_arrival`](Self::next_arrival), [`poll`](Self::poll) gives those that
/// have arrived.
///
/// # Invariants
/// Each datagram takes the same number of draws whatever becomes of it, so that its fate depends on the seed and its
/// number only, never on when it was sent.
#[derive(Debug)]
pub struct Link {
    impairment: Impairment,
    chance: Chance,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sent: u64,
    /// When the last datagram has passed the limited rate.
    busy_until: Duration,
    /// The latest arrival of those that keep their order.
    last_arrival: Duration,
    /// The newest datagram that has arrived.
    newest: Option<u64>,
    counts: LinkCounts,
}

impl Link {
    /// A link whose decisions follow from `seed` and its number in the run.
    pub fn new(impairment: Impairment, seed: u64, number: u64) -> Link {
        Link {
            impairment,
            chance: Chance::new(seed, number),
            under_way: BinaryHeap::new(),
            sent: 0,
            busy_until: Duration::ZERO,
            last_arrival: Duration::ZERO,
            newest: None,
            counts: LinkCounts::default(),
        }
    }

    /// Puts a datagram in.
    pub fn send(&mut self, now: Duration, bytes: Vec<u8>) {
        let [lose, vary, hold] = [(); 3].map(|()| self.chance.unit());
        let number = self.sent;
        self.sent += 1;
        if lose < self.impairment.loss {
            self.counts.lost += 1;
            return;
        }
        let Some(passed) = self.pass(now, bytes.len()) else {
            self.counts.queue_drops += 1;
            return;
        };
        let Impairment { delay, jitter, .. } = self.impairment;
        let shortest = passed + delay.saturating_sub(jitter);
        let mut arrives = (shortest + jitter.mul_f64(2.0 * vary)).max(self.last_arrival);
        if hold < self.impairment.reorder {
            arrives += REORDER_HOLD;
        } else {
            self.last_arrival = arrives;
        }
        self.under_way.push(Reverse(UnderWay {
            arrives,
            number,
            bytes,
        }));
    }

    /// A datagram that has arrived, and when it did; in order of arrival.
    pub fn poll(&mut self, now: Duration) -> Option<(Duration, Vec<u8>)> {
        self.next_arrival().filter(|arrives| *arrives <= now)?;
        let Reverse(arrived) = self.under_way.pop()?;
        self.counts.forwarded += 1;
        if self.newest.is_some_and(|newest| arrived.number < newest) {
            self.counts.reordered += 1;
        } else {
            self.newest = Some(arrived.number);
        }
        Some((arrived.arrives, arrived.bytes))
    }

    /// When the next datagram arrives, if any is under way.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(first)| first.arrives)
    }

    /// What became of what was sent.
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// When the datagram has passed the limited rate; none if what already waits leaves it no room.
    fn pass(&mut self, now: Duration, len: usize) -> Option<Duration> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let Some(rate) = self.impairment.bytes_per_s else {
            return Some(now);
        };
        let begins = self.busy_until.max(now);
        let waiting = (begins - now).as_secs_f64() * rate + len as f64;
        if waiting > (QUEUE_MAX.as_secs_f64() * rate).max(QUEUE_BYTES_MIN) {
            return None;
        }
        self.busy_until = begins + Duration::from_secs_f64(len as f64 / rate);
        Some(self.busy_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(1_000_000);

    /// Sends `count` datagrams of `len` bytes, one every `every`; gives each arrival as (number, delay).
    fn run(
        impairment: Impairment,
        seed: u64,
        count: u32,
        every: Duration,
        len: usize,
    ) -> (Vec<(u32, Duration)>, LinkCounts) {
        let mut link = Link::new(impairment, seed, 3);
        for number in 0..count {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(len, 0);
            link.send(every * number, bytes);
        }
        let mut arrivals = Vec::new();
        while let Some((at, bytes)) = link.poll(NEVER) {
            let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            arrivals.push((number, at - every * number));
        }
        (arrivals, link.counts())
    }

    fn bad() -> Impairment {
        Impairment {
            delay: 50 * MS,
            jitter: 20 * MS,
            loss: 0.05,
            ..Impairment::default()
        }
    }

    #[test]
    fn the_asked_share_is_lost_and_all_else_arrives() {
        let (arrivals, counts) = run(bad(), 1, 4_000, 15 * MS, 100);
        assert_eq!(counts.forwarded, arrivals.len() as u64);
        assert_eq!(counts.lost + counts.forwarded, 4_000);
        let share = counts.lost as f64 / 4_000.0;
        assert!((share - 0.05).abs() < 0.012, "lost {share}");
        assert_eq!((counts.reordered, counts.queue_drops), (0, 0));
    }

    #[test]
    fn delays_fill_their_range_and_never_leave_it() {
        // Datagrams so far apart that none has to wait for the one before.
        let (arrivals, _) = run(bad(), 2, 4_000, 50 * MS, 100);
        let mean = arrivals.iter().map(|(_, d)| d.as_secs_f64()).sum::<f64>();
        let mean = mean / arrivals.len() as f64;
        assert!((mean - 0.05).abs() < 0.001, "mean {mean} s");
        let (shortest, longest) = (
            arrivals.iter().map(|a| a.1).min(),
            arrivals.iter().map(|a| a.1).max(),
        );
        let within = |d: Option<Duration>, low, high| d.is_some_and(|d| d >= low && d <= high);
        assert!(within(shortest, 30 * MS, 31 * MS), "{shortest:?}");
        assert!(within(longest, 69 * MS, 70 * MS), "{longest:?}");
    }

    #[test]
    fn jitter_alone_reorders_nothing_however_close_the_datagrams() {
        let (arrivals, counts) = run(bad(), 3, 4_000, MS, 100);
        assert!(arrivals.is_sorted_by_key(|(number, _)| *number));
        assert_eq!(counts.reordered, 0);
        assert!(arrivals.iter().all(|(_, delay)| *delay <= 70 * MS));
    }

    #[test]
    fn what_is_reordered_on_request_arrives_later_and_is_counted() {
        let asked = Impairment {
            reorder: 0.1,
            loss: 0.0,
            ..bad()
        };
        let (arrivals, counts) = run(asked, 4, 4_000, 10 * MS, 100);
        assert_eq!(arrivals.len(), 4_000);
        let share = counts.reordered as f64 / 4_000.0;
        // Some of those held back are overtaken by nobody, since the next took longer too.
        assert!((0.05..0.11).contains(&share), "reordered {share}");
        assert!(arrivals.iter().all(|a| a.1 <= 70 * MS + REORDER_HOLD));
    }

    #[test]
    fn a_limited_rate_passes_that_much_and_its_queue_has_an_end() {
        let rate = 100_000.0;
        let asked = Impairment {
            bytes_per_s: Some(rate),
            ..Impairment::default()
        };
        // Twice what passes, for two seconds.
        let (arrivals, counts) = run(asked, 5, 400, 5 * MS, 1_000);
        assert_eq!(counts.forwarded + counts.queue_drops, 400);
        let bytes = counts.forwarded as f64 * 1_000.0;
        assert!((bytes / 2.0 / rate - 1.0).abs() < 0.06, "{bytes} B passed");
        assert!(arrivals.iter().all(|(_, delay)| *delay <= QUEUE_MAX));
        assert!(
            arrivals
                .iter()
                .any(|(_, delay)| *delay >= 9 * QUEUE_MAX / 10)
        );
    }

    #[test]
    fn one_full_packet_fits_into_the_queue_of_the_slowest_rate() {
        let asked = Impairment {
            bytes_per_s: Some(2_000.0),
            ..Impairment::default()
        };
        let (arrivals, counts) = run(asked, 10, 3, Duration::ZERO, 1_200);
        assert_eq!(arrivals, [(0, 600 * MS)]);
        assert_eq!(counts.queue_drops, 2, "a second one doesn't");
    }

    #[test]
    fn a_flood_takes_no_memory_without_bound() {
        let asked = Impairment {
            delay: 1_000 * MS,
            ..Impairment::default()
        };
        let (_, counts) = run(asked, 6, 10_000, Duration::ZERO, 4);
        assert_eq!(counts.forwarded, UNDER_WAY_MAX as u64);
        assert_eq!(counts.queue_drops, 10_000 - UNDER_WAY_MAX as u64);
    }

    #[test]
    fn a_seed_decides_the_fates_whenever_datagrams_are_sent() {
        let fates = |seed, every| -> Vec<u32> {
            let (arrivals, _) = run(bad(), seed, 500, every, 100);
            arrivals.iter().map(|(number, _)| *number).collect()
        };
        assert_eq!(fates(7, 10 * MS), fates(7, 33 * MS));
        assert_ne!(fates(7, 10 * MS), fates(8, 10 * MS));
    }

    #[test]
    fn without_any_impairment_all_pass_at_once() {
        let (arrivals, counts) = run(Impairment::default(), 9, 100, MS, 100);
        assert_eq!(arrivals.len(), 100);
        assert!(arrivals.iter().all(|(_, delay)| delay.is_zero()));
        assert_eq!(counts.forwarded, 100);
    }
}
