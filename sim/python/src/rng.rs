//! Counter-based random numbers: the n-th draw of an entity in a tick is a pure function of
//! (match seed, entity id, tick, n).
//!
//! There is no generator whose state would have to be kept, moved with an entity or restored: whoever
//! knows the four numbers knows the draw, in whatever order and zone entities are run.
//!
//! The function is Philox4x32-10 of J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random
//! numbers: as easy as 1, 2, 3", SC 2011: ten rounds of multiplications turn a counter of 128 bits
//! under a key of 64 bits into 128 bits that pass BigCrush. The key is the match seed; the counter is
//! (block, entity, tick), a block giving two draws of 64 bits.

/// The two multipliers of a round.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the key after a round: the golden ratio and √3 - 1, as fractions of 2³².
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Rounds; seven pass BigCrush already.
const ROUNDS: u32 = 10;

/// The draws of one entity in one tick. Make a new one for each entity and tick, and keep it over all
/// hooks of the entity in that tick.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    key: [u32; 2],
    entity: u32,
    tick: u32,
    /// The next block.
    block: u64,
    /// The second draw of the last block, until it is drawn.
    spare: Option<u64>,
}

impl Draws {
    /// Draws of `entity` (0 for the mode's `start`) in `tick` of the match with this seed.
    pub(crate) fn new(seed: u64, entity: u32, tick: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            entity,
            tick,
            block: 0,
            spare: None,
        }
    }

    /// The next 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let counter = [
            self.block as u32,
            (self.block >> 32) as u32,
            self.entity,
            self.tick,
        ];
        self.block += 1;
        let [a, b, c, d] = philox(counter, self.key);
        self.spare = Some(u64::from(d) << 32 | u64::from(c));
        u64::from(b) << 32 | u64::from(a)
    }

    /// Uniform in [0, 1): a multiple of 2⁻⁵³, each equally likely.
    pub(crate) fn random(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform between `a` and `b`. `b` itself may come out by rounding; `a > b` is fine.
    pub(crate) fn uniform(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.random()
    }

    /// Uniform in [0, n), each number equally likely; 0 if `n` is 0. Takes more than one draw with
    /// probability less than n / 2⁶⁴.
    ///
    /// The method is that of D. Lemire, "Fast random integer generation in an interval", ACM TOMACS
    /// 29(1), 2019.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            // Of the 2^64 draws, 2^64 mod n are too many to be shared out evenly: draw again for those.
            let surplus = n.wrapping_neg() % n;
            while (product as u64) < surplus {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }
}

/// Philox4x32-10: see the module.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their Random123 library (`kat_vectors`).
    #[test]
    fn philox_known_answers() {
        let ones = u32::MAX;
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [ones; 4],
                [ones; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expect) in cases {
            assert_eq!(philox(counter, key), expect, "{counter:x?} {key:x?}");
        }
    }

    /// Our own vectors: a match must replay on every later version.
    #[test]
    fn draws_known_answers() {
        let mut draws = Draws::new(7, 42, 1000);
        let bits: Vec<u64> = (0..4).map(|_| draws.next_u64()).collect();
        let expect = [
            0x9ce8_6e27_3772_6b88,
            0x369a_c707_568d_645b,
            0x85d1_d384_0058_568c,
            0x6c39_45dd_a7d3_413b,
        ];
        assert_eq!(bits, expect, "{bits:#x?}");
    }

    #[test]
    fn draws_differ_by_each_part_of_the_key() {
        let first = |seed, entity, tick| Draws::new(seed, entity, tick).next_u64();
        let base = first(1, 1, 1);
        assert_eq!(base, first(1, 1, 1));
        for other in [
            first(2, 1, 1),
            first(1 << 32 | 1, 1, 1),
            first(1, 2, 1),
            first(1, 1, 2),
        ] {
            assert_ne!(base, other);
        }
    }

    /// Neighbours in entity and tick are what a mode draws from: the first draw of each of 2^16 of
    /// them, in 256 bins, by χ². With 255 degrees of freedom 400 is passed by chance once in 10^8;
    /// the draws are fixed, so this either holds or doesn't.
    #[test]
    fn first_draws_of_neighbours_are_uniform() {
        let first = |entity: u32, tick: u32| Draws::new(7, entity, tick).random();
        let by_entity = chi_squared((0..1 << 16).map(|entity| first(entity, 3)));
        let by_tick = chi_squared((0..1 << 16).map(|tick| first(3, tick)));
        let mut draws = Draws::new(7, 3, 3);
        let in_sequence = chi_squared((0..1 << 16).map(|_| draws.random()));
        for value in [by_entity, by_tick, in_sequence] {
            assert!((150.0..400.0).contains(&value), "χ² = {value}");
        }
    }

    fn chi_squared(draws: impl Iterator<Item = f64>) -> f64 {
        let mut bins = [0_u32; 256];
        let mut count = 0;
        for draw in draws {
            assert!((0.0..1.0).contains(&draw));
            bins[(draw * 256.0) as usize] += 1;
            count += 1;
        }
        let expect = f64::from(count) / 256.0;
        bins.iter()
            .map(|&n| (f64::from(n) - expect).powi(2) / expect)
            .sum()
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut draws = Draws::new(1, 1, 1);
        for n in [1, 2, 3, 6, 7, 100] {
            let mut seen = vec![false; n as usize];
            for _ in 0..n * 40 {
                seen[draws.below(n) as usize] = true;
            }
            assert!(seen.iter().all(|&seen| seen), "{n}");
        }
        assert_eq!(draws.below(0), 0);
    }

    /// With n = 3·2^62, taking a remainder would give the numbers below 2^62 twice as often as others.
    #[test]
    fn below_has_no_modulo_bias() {
        let n = 3 << 62;
        let mut draws = Draws::new(1, 2, 3);
        let low = (0..30_000).filter(|_| draws.below(n) < 1 << 62).count();
        assert!(
            (9_600..10_400).contains(&low),
            "{low} of 30000 in the first third"
        );
    }

    #[test]
    fn uniform_spans_its_ends() {
        let mut draws = Draws::new(1, 2, 3);
        for _ in 0..1000 {
            assert!((-3.0..=5.0).contains(&draws.uniform(-3.0, 5.0)));
            assert!((-3.0..=5.0).contains(&draws.uniform(5.0, -3.0)));
        }
    }
}
