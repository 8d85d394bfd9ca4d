//! Which clients' slots are free.

use tessera_protocol::ClientId;

/// The slots of a match. A slot that was left is free again only once the match has heard of it, so
/// that nobody inherits a player.
#[derive(Debug)]
pub(super) struct Slots {
    /// By slot.
    taken: Vec<bool>,
}

impl Slots {
    /// `count` free slots.
    pub(super) fn new(count: u16) -> Slots {
        Slots {
            taken: vec![false; usize::from(count)],
        }
    }

    /// How many there are, free or not.
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Takes the lowest free slot.
    pub(super) fn take(&mut self) -> Option<ClientId> {
        let slot = self.taken.iter().position(|taken| !taken)?;
        self.taken[slot] = true;
        Some(ClientId(slot as u16))
    }

    /// Gives a slot back.
    ///
    /// # Panics
    /// Where it is free: two clients would have shared it.
    pub(super) fn release(&mut self, client: ClientId) {
        let taken = &mut self.taken[client.index()];
        assert!(*taken, "a slot is given back once");
        *taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.take(), Some(ClientId(0)));
        assert_eq!(slots.take(), Some(ClientId(1)));
        assert_eq!(slots.take(), None);
        slots.release(ClientId(0));
        assert_eq!(slots.take(), Some(ClientId(0)));
    }

    #[test]
    #[should_panic(expected = "given back once")]
    fn a_slot_is_not_given_back_twice() {
        let mut slots = Slots::new(1);
        let slot = slots.take().expect("a slot");
        slots.release(slot);
        slots.release(slot);
    }
}
