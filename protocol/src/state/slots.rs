//! Sets of slots, a bit each: a hundred clients compare what they have in sight with what there is, a word
//! at a time. And the slots' ranks, so that a set of those is a sorted list.

use crate::ids::EntityId;

/// A set of slots.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotSet(Vec<u64>);

impl SlotSet {
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn insert(&mut self, slot: u32) {
        let (word, bit) = place(slot);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    /// Removes what is not to be kept. Where `others` are given, only what is in both is asked about, and
    /// the rest stays.
    #[inline]
    pub(super) fn retain(&mut self, others: Option<&Self>, mut keep: impl FnMut(u32) -> bool) {
        for (n, word) in self.0.iter_mut().enumerate() {
            let among = others.map_or(u64::MAX, |others| others.0.get(n).copied().unwrap_or(0));
            for slot in slots(n as u32, *word & among) {
                if !keep(slot) {
                    *word &= !place(slot).1;
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = self.0.iter().zip(0..);
        words.flat_map(|(word, n)| slots(n, *word))
    }

    /// Those that are not in `others`, ascending.
    pub(super) fn without(&self, others: &Self) -> impl Iterator<Item = u32> {
        let others = others.0.iter().copied().chain(std::iter::repeat(0));
        let words = self.0.iter().zip(others).zip(0..);
        words.flat_map(|((word, other), n)| slots(n, word & !other))
    }
}

/// The order of the slots by the ids of who has them.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// By slot.
    rank: Vec<u32>,
    /// Scratch: slots below their ids.
    order: Vec<u64>,
}

impl Ranks {
    /// Ranks those that somebody has.
    pub(super) fn sort(&mut self, slots: impl Iterator<Item = (EntityId, u32)>) {
        self.order.clear();
        self.order
            .extend(slots.map(|(id, slot)| u64::from(id.0) << 32 | u64::from(slot)));
        self.order.sort_unstable();
        for (&place, rank) in self.order.iter().zip(0..) {
            let slot = place as u32 as usize;
            if slot >= self.rank.len() {
                self.rank.resize(slot + 1, 0);
            }
            self.rank[slot] = rank;
        }
    }

    /// How many of the others' ids are less.
    pub(super) fn of(&self, slot: u32) -> u32 {
        self.rank[slot as usize]
    }
}

impl Extend<u32> for SlotSet {
    fn extend<T: IntoIterator<Item = u32>>(&mut self, slots: T) {
        slots.into_iter().for_each(|slot| self.insert(slot));
    }
}

/// The word and the bit of a slot.
fn place(slot: u32) -> (usize, u64) {
    (slot as usize / 64, 1 << (slot % 64))
}

/// The slots of the `n`th word.
fn slots(n: u32, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(n * 64 + lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(slots: &BTreeSet<u32>) -> SlotSet {
        let mut set = SlotSet::default();
        set.extend(slots.iter().copied());
        set
    }

    proptest! {
        #[test]
        fn a_set_of_bits_is_a_set(
            a in prop::collection::btree_set(0..300_u32, 0..60),
            b in prop::collection::btree_set(0..300_u32, 0..60),
        ) {
            let listed = |set: &SlotSet| set.iter().collect::<Vec<_>>();
            prop_assert!(set(&a).iter().eq(a.iter().copied()));
            prop_assert_eq!(set(&a).is_empty(), a.is_empty());
            let without: Vec<u32> = set(&a).without(&set(&b)).collect();
            prop_assert!(without.iter().eq(a.difference(&b)));

            let mut asked = Vec::new();
            let mut kept = set(&a);
            kept.retain(Some(&set(&b)), |slot| {
                asked.push(slot);
                false
            });
            prop_assert!(asked.iter().eq(a.intersection(&b)));
            prop_assert_eq!(listed(&kept), without);

            let mut even = set(&a);
            even.retain(None, |slot| slot % 2 == 0);
            prop_assert!(listed(&even).iter().eq(a.iter().filter(|slot| *slot % 2 == 0)));
        }
    }
}
