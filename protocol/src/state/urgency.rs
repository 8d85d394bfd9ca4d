//! How much there is to tell presses, and which of it comes first.

use super::STALE_TICKS_MAX;

/// How much something presses to be told; the greater the more.
///
/// A priority accumulator (Fiedler, "State Synchronization", 2015) without a sum to keep: weights
/// change slowly, so weight × ticks since the last record comes to the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Urgency(u8);

/// Parts of a tick that urgencies are counted in.
const PARTS: u32 = 8;
/// The least of what has waited too long.
const OVERDUE: u8 = (STALE_TICKS_MAX as u32 * PARTS) as u8;

/// Below two to this, ticks that something is overdue are told apart.
const EXACT_POWER: u32 = 6;

const _: () = assert!(STALE_TICKS_MAX as u32 * PARTS < Urgency::OWN.0 as u32);

impl Urgency {
    /// That of a client's own player, which each datagram tells of.
    pub(super) const OWN: Self = Self(u8::MAX);
    /// That of what has waited two of its intervals.
    pub(super) const LATE: Self = Self(2 * PARTS as u8);

    /// Of what has waited so many ticks and is to be told every `2^doublings`th, 8th at most: how many
    /// of its intervals that is. What has waited [`STALE_TICKS_MAX`] goes before all that has not,
    /// whatever its interval, the longest unheard first.
    pub(super) fn of(stale: i32, doublings: u32) -> Self {
        let stale = stale.max(0).cast_unsigned();
        match stale.checked_sub(STALE_TICKS_MAX.cast_unsigned()) {
            Some(over) => Self(OVERDUE + overdue_level(over).min(Self::OWN.0 - 1 - OVERDUE)),
            None => Self(((stale * PARTS) >> doublings) as u8),
        }
    }
}

/// How long something is overdue: in ticks at first, then in eighths of a power of two. So of what waits
/// long, for want of bandwidth, the order is kept for minutes, and nothing waits for good.
fn overdue_level(ticks: u32) -> u8 {
    match ticks.checked_ilog2() {
        Some(power @ EXACT_POWER..) => {
            let eighths = (ticks >> (power - 3)) & 7;
            ((1 << EXACT_POWER) + 8 * (power - EXACT_POWER) + eighths).min(255) as u8
        }
        _ => ticks as u8,
    }
}

/// What presses, the most pressing first: a list for each urgency, and a bit for each that has one (a
/// bucket queue; Dial, "Algorithm 360: Shortest-Path Forest with Topological Ordering", 1969). Of equals
/// the one that was pushed last comes first.
#[derive(Debug)]
pub(super) struct Queue {
    filled: [u64; 4],
    /// By urgency, the slot pushed last.
    first: [u32; 256],
    /// By slot, the one pushed before it.
    next: Vec<u32>,
}

/// The end of a list.
const NONE: u32 = u32::MAX;

impl Default for Queue {
    fn default() -> Self {
        Self {
            filled: [0; 4],
            first: [NONE; 256],
            next: Vec::new(),
        }
    }
}

impl Queue {
    /// Forgets what is in it, and makes room for slots below `slots`.
    pub(super) fn clear(&mut self, slots: usize) {
        self.filled = [0; 4];
        if self.next.len() < slots {
            self.next.resize(slots, NONE);
        }
    }

    pub(super) fn push(&mut self, Urgency(urgency): Urgency, slot: u32) {
        let (word, bit) = (usize::from(urgency / 64), 1 << (urgency % 64));
        let first = &mut self.first[usize::from(urgency)];
        self.next[slot as usize] = match self.filled[word] & bit {
            0 => NONE,
            _ => *first,
        };
        *first = slot;
        self.filled[word] |= bit;
    }

    /// Takes the slot that presses most.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let word = (0..4).rev().find(|&word| self.filled[word] != 0)?;
        let bit = self.filled[word].ilog2();
        let first = &mut self.first[word * 64 + bit as usize];
        let slot = *first;
        *first = self.next[slot as usize];
        if *first == NONE {
            self.filled[word] &= !(1 << bit);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_most_pressing_comes_first(
            urgencies in prop::collection::vec(any::<u8>(), 0..200),
            before in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut queue = Queue::default();
            for urgencies in [&before, &urgencies] {
                queue.clear(urgencies.len());
                for (&urgency, slot) in urgencies.iter().zip(0..) {
                    queue.push(Urgency(urgency), slot);
                }
            }
            let mut expected: Vec<(u8, u32)> = urgencies.iter().copied().zip(0..).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let popped: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert!(popped.iter().eq(expected.iter().map(|(_, slot)| slot)));
        }

        #[test]
        fn who_waits_longer_presses_more(
            stale in -5..8000_i32, doublings in 0..4_u32, longer in 0..8000_i32,
        ) {
            prop_assert!(Urgency::of(stale + longer, doublings) >= Urgency::of(stale, doublings));
            prop_assert!(Urgency::of(stale, doublings) < Urgency::OWN);
            let overdue = Urgency::of(STALE_TICKS_MAX + longer, 3);
            prop_assert!(overdue > Urgency::of(STALE_TICKS_MAX - 1, 0));
            // An eighth longer is told apart.
            let eighth = stale.max(0) / 8 + 1;
            let waited = |ticks: i32| Urgency::of(STALE_TICKS_MAX + ticks, doublings);
            prop_assert!(waited(stale.max(0) + eighth) > waited(stale.max(0)));
        }
    }
}
