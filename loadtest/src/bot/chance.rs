//! The bots' randomness: a run with the same seed has bots of the same temper.

/// SplitMix64 (Steele, Lea and Flood 2014): one multiplication deep, and any seed is a good one.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator for one bot of a run.
    pub fn new(seed: u64, bot: u64) -> Chance {
        let mut chance = Chance(seed ^ bot.wrapping_mul(0xd1b5_4a32_d192_ed03));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True once in `every_s` seconds on average, when asked every `dt` seconds.
    pub fn about_every(&mut self, every_s: f64, dt: f64) -> bool {
        self.unit() < dt / every_s
    }

    /// About normal with mean 0 and deviation 1: four uniforms, which is close enough for a hand that trembles.
    pub fn tremble(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_differ_and_runs_repeat() {
        let draw = |seed, bot| Chance::new(seed, bot).unit();
        assert_eq!(draw(7, 3), draw(7, 3));
        assert_ne!(draw(7, 3), draw(7, 4));
        assert_ne!(draw(7, 3), draw(8, 3));
    }

    #[test]
    fn numbers_spread_as_they_should() {
        let mut chance = Chance::new(1, 1);
        let n = 20_000;
        let mean = (0..n).map(|_| chance.unit()).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let deviation =
            ((0..n).map(|_| chance.tremble().powi(2)).sum::<f64>() / f64::from(n)).sqrt();
        assert!((deviation - 1.0).abs() < 0.05, "{deviation}");
    }
}
