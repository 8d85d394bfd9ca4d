//! How much a peer may do: buckets that refill with time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// A steady rate, with a burst for those who were held up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// So many a second for good; at least 1.
    pub per_s: u32,
    /// So many at once after a pause; at least 1.
    pub burst: u32,
}

impl RateLimit {
    /// Time after which one more is permitted.
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_s
    }
}

/// What is left of a [`RateLimit`]: a token bucket, kept as the time at which it will be full again
/// (the "generic cell rate algorithm", ITU-T I.371). It starts full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes one, if one is there at `now`. Times that go back don't refill it.
    pub fn take(&mut self, limit: RateLimit, now: Duration) -> bool {
        let full_at = self.full_at.max(now) + limit.interval();
        let fits = full_at - now <= limit.interval() * limit.burst;
        if fits {
            self.full_at = full_at;
        }
        fits
    }

    /// Whether it is full.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

/// One limit for each address, in bounded memory.
///
/// An IPv6 address counts with all of its /64, which one customer has to himself. While more
/// addresses are about than the table holds, those without a place share one bucket.
#[derive(Debug)]
pub struct AddressLimiter {
    limit: RateLimit,
    addresses_max: usize,
    buckets: HashMap<IpAddr, Bucket>,
    /// Of all that have no place in the table.
    others: Bucket,
    /// The table is not searched for full buckets again before.
    swept_until: Duration,
}

/// How often a full table is searched for addresses that may be forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl AddressLimiter {
    /// `limit` for each of at most `addresses_max` addresses.
    pub fn new(limit: RateLimit, addresses_max: usize) -> Self {
        Self {
            limit,
            addresses_max,
            buckets: HashMap::new(),
            others: Bucket::default(),
            swept_until: Duration::ZERO,
        }
    }

    /// Takes one for an address, if it has one left.
    pub fn take(&mut self, address: IpAddr, now: Duration) -> bool {
        let network = network_of(address);
        if let Some(bucket) = self.buckets.get_mut(&network) {
            return bucket.take(self.limit, now);
        }
        if self.buckets.len() >= self.addresses_max && now >= self.swept_until {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.swept_until = now + SWEEP_INTERVAL;
        }
        let bucket = match self.buckets.len() < self.addresses_max {
            true => self.buckets.entry(network).or_default(),
            false => &mut self.others,
        };
        bucket.take(self.limit, now)
    }

    /// How many addresses it knows.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: RateLimit = RateLimit {
        per_s: 10,
        burst: 5,
    };

    fn taken(bucket: &mut Bucket, now: Duration) -> usize {
        (0..100).filter(|_| bucket.take(LIMIT, now)).count()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_refills_at_its_rate() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, Duration::ZERO), 5);
        assert_eq!(taken(&mut bucket, SECOND / 10 - SECOND / 1000), 0);
        assert_eq!(taken(&mut bucket, SECOND / 10), 1);
        assert_eq!(taken(&mut bucket, SECOND * 3 / 10), 2);
        assert!(!bucket.is_full(SECOND * 7 / 10));
        assert!(bucket.is_full(SECOND * 8 / 10));
        assert_eq!(taken(&mut bucket, SECOND * 1000), 5);
        assert_eq!(
            taken(&mut bucket, SECOND),
            0,
            "time that went back gives nothing"
        );
    }

    proptest! {
        #[test]
        fn no_window_of_time_gives_more_than_burst_and_rate(
            steps_ms in prop::collection::vec(0..400_u64, 1..200),
        ) {
            let (mut bucket, mut now, mut given) = (Bucket::default(), SECOND, Vec::new());
            for step in steps_ms {
                now += Duration::from_millis(step);
                if bucket.take(LIMIT, now) {
                    given.push(now);
                }
            }
            for (first, &from) in given.iter().enumerate() {
                for (last, &until) in given.iter().enumerate().skip(first) {
                    let fair = 5.0 + 10.0 * (until - from).as_secs_f64();
                    prop_assert!((last - first + 1) as f64 <= fair + 1e-6);
                }
            }
        }

        #[test]
        fn an_honest_pace_is_never_refused(jitter_ms in prop::collection::vec(0..400_u64, 1..200)) {
            // Each comes up to 400 ms late, so up to five come at once.
            let mut bucket = Bucket::default();
            let mut now = Duration::ZERO;
            for (n, jitter) in jitter_ms.into_iter().enumerate() {
                now = now.max(SECOND / 10 * n as u32 + Duration::from_millis(jitter));
                prop_assert!(bucket.take(LIMIT, now));
            }
        }
    }

    #[test]
    fn addresses_have_buckets_of_their_own_in_bounded_memory() {
        let mut limiter = AddressLimiter::new(LIMIT, 2);
        let v4 = |n| IpAddr::from(Ipv4Addr::new(192, 0, 2, n));
        let mut all = |address, now| (0..100).filter(|_| limiter.take(address, now)).count();
        assert_eq!(all(v4(1), Duration::ZERO), 5);
        assert_eq!(
            all("::ffff:192.0.2.1".parse().unwrap(), Duration::ZERO),
            0,
            "the same"
        );
        assert_eq!(all("2001:db8::1".parse().unwrap(), Duration::ZERO), 5);
        assert_eq!(
            all("2001:db8::2".parse().unwrap(), Duration::ZERO),
            0,
            "its neighbour"
        );
        assert_eq!(all(v4(2), Duration::ZERO), 5, "the others' bucket");
        assert_eq!(all(v4(3), Duration::ZERO), 0, "the others' bucket is empty");
        assert_eq!(
            all(v4(3), SECOND * 2),
            5,
            "the first two are full again and forgotten"
        );
        assert_eq!(limiter.len(), 1);
    }
}
