//! Counter-based random numbers: the n-th draw of an entity in a tick is a pure function of
//! (match seed, entity id, tick, n).
//!
//! Skeleton: signatures only.

/// The draws of one entity in one tick. Make a new one for each entity and tick.
#[derive(Clone, Debug)]
pub struct Draws;

impl Draws {
    /// Draws of `entity` (0 for the mode's `start`) in `tick`.
    pub fn new(_seed: u64, _entity: u32, _tick: u32) -> Self {
        Self
    }
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        todo!()
    }
    /// Uniform in [0, 1), 53 bits.
    pub fn random(&mut self) -> f64 {
        todo!()
    }
    /// Uniform between `a` and `b`.
    pub fn uniform(&mut self, _a: f64, _b: f64) -> f64 {
        todo!()
    }
    /// Uniform in [0, n), without bias. 0 if `n` is 0.
    pub fn below(&mut self, _n: u64) -> u64 {
        todo!()
    }
}
