//! Who sits in which slot of a match, and who may come back to it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::ids::ClientId;

/// What brings a client back to its player: random bytes that its welcome told it, and nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReconnectSecret(pub [u8; ReconnectSecret::LEN]);

impl ReconnectSecret {
    /// How many bytes it has.
    pub const LEN: usize = 16;
}

impl fmt::Debug for ReconnectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReconnectSecret(…)") // not for logs
    }
}

/// One connection's hold on a slot. Whoever comes back gets a new one, and the old one is void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sitting {
    /// The slot.
    pub client: ClientId,
    number: u64,
}

/// A client that has come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resumed {
    /// Its hold on the slot that it had before.
    pub sitting: Sitting,
    /// The connection that it had before still stands, and is to be closed.
    pub took_over: bool,
}

/// What the loss of a connection means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    /// Nothing: the client has come back on another connection, or its slot is given up already.
    Stale,
    /// The slot is kept for it for the time of grace.
    Away,
    /// The slot is given up: the match must hear of it, then [`Seats::release`].
    GivenUp,
}

/// The slots of a match.
///
/// A slot is free, or somebody's. Its client is *here*; *away*, which is a lost connection in its time
/// of grace; or *leaving*, until the match has heard of it, so that nobody inherits a player.
///
/// 1. [`sit`](Self::sit) or [`resume`](Self::resume) when a client comes.
/// 2. [`lose`](Self::lose) or [`give_up`](Self::give_up) when its connection has ended.
/// 3. [`poll_lapsed`](Self::poll_lapsed) from time to time, until it returns `None`.
/// 4. [`release`](Self::release) once the match has heard of a client that left.
#[derive(Debug)]
pub struct Seats {
    /// By slot.
    seats: Vec<Option<Seat>>,
    /// Hashed under a random key, so that the time of a look-up tells nothing about a secret.
    by_secret: HashMap<ReconnectSecret, ClientId>,
    grace: Duration,
    sittings: u64,
}

#[derive(Debug)]
struct Seat {
    name: String,
    secret: ReconnectSecret,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Here(Sitting),
    /// Until this time.
    Away(Duration),
    Leaving,
}

impl Seats {
    /// `count` free slots. Who loses the connection may come back for `grace`; nobody where it is zero.
    pub fn new(count: u16, grace: Duration) -> Self {
        Self {
            seats: (0..count).map(|_| None).collect(),
            by_secret: HashMap::new(),
            grace,
            sittings: 0,
        }
    }

    /// How many slots there are, free or not.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is no slot at all.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Gives a client the lowest free slot. The secret must be random.
    pub fn sit(&mut self, name: &str, secret: ReconnectSecret) -> Option<Sitting> {
        let slot = self.seats.iter().position(Option::is_none)?;
        let sitting = self.next_sitting(ClientId(slot as u16));
        self.by_secret.insert(secret, sitting.client);
        self.seats[slot] = Some(Seat {
            name: name.to_owned(),
            secret,
            state: State::Here(sitting),
        });
        Some(sitting)
    }

    /// Gives a client the slot back that it had; `None` where nobody has this secret any more.
    pub fn resume(&mut self, secret: ReconnectSecret, now: Duration) -> Option<Resumed> {
        let client = *self.by_secret.get(&secret)?;
        let sitting = self.next_sitting(client);
        let seat = self.seat_mut(client);
        let took_over = match seat.state {
            State::Here(_) => true,
            State::Away(until) if now < until => false,
            // The grace is over, only nobody has polled it yet.
            State::Away(_) | State::Leaving => return None,
        };
        seat.state = State::Here(sitting);
        Some(Resumed { sitting, took_over })
    }

    /// Notes that a connection was lost: its client may come back.
    pub fn lose(&mut self, sitting: Sitting, now: Duration) -> Parting {
        if self.grace.is_zero() {
            return self.give_up(sitting);
        }
        let away = State::Away(now + self.grace);
        match &mut self.seats[sitting.client.index()] {
            Some(seat) if seat.state == State::Here(sitting) => {
                seat.state = away;
                Parting::Away
            }
            _ => Parting::Stale,
        }
    }

    /// Notes that a client left, or was made to: it may not come back.
    pub fn give_up(&mut self, sitting: Sitting) -> Parting {
        match &self.seats[sitting.client.index()] {
            Some(seat) if seat.state == State::Here(sitting) => {
                self.vacate(sitting.client);
                Parting::GivenUp
            }
            _ => Parting::Stale,
        }
    }

    /// Makes whoever has a slot leave it, here or away, and gives the name. `None` where nobody has it.
    pub fn evict(&mut self, client: ClientId) -> Option<String> {
        let seat = self.seats.get(client.index())?.as_ref()?;
        if seat.state == State::Leaving {
            return None;
        }
        let name = seat.name.clone();
        self.vacate(client);
        Some(name)
    }

    /// A client whose time of grace is over at `now`; it is leaving from now on.
    pub fn poll_lapsed(&mut self, now: Duration) -> Option<ClientId> {
        let lapsed = |seat: &Option<Seat>| {
            seat.as_ref()
                .is_some_and(|seat| matches!(seat.state, State::Away(until) if until <= now))
        };
        let slot = self.seats.iter().position(lapsed)?;
        let client = ClientId(slot as u16);
        self.vacate(client);
        Some(client)
    }

    /// Frees the slot of a client that is leaving.
    ///
    /// # Panics
    /// Where it is not leaving: two clients would share the slot.
    pub fn release(&mut self, client: ClientId) {
        let seat = self.seats[client.index()].take();
        let leaving = seat.is_some_and(|seat| seat.state == State::Leaving);
        assert!(leaving, "{client} is not leaving");
    }

    /// Who is called so, here or away, by slot.
    pub fn named(&self, name: &str) -> Vec<ClientId> {
        let called = |(slot, seat): (usize, &Option<Seat>)| {
            let seat = seat.as_ref()?;
            let present = seat.state != State::Leaving && seat.name == name;
            present.then_some(ClientId(slot as u16))
        };
        self.seats.iter().enumerate().filter_map(called).collect()
    }

    /// How many clients are away.
    pub fn away(&self) -> usize {
        let away = |seat: &&Seat| matches!(seat.state, State::Away(_));
        self.seats.iter().flatten().filter(away).count()
    }

    fn vacate(&mut self, client: ClientId) {
        let seat = self.seat_mut(client);
        seat.state = State::Leaving;
        let secret = seat.secret;
        self.by_secret.remove(&secret);
    }

    fn seat_mut(&mut self, client: ClientId) -> &mut Seat {
        let seat = self.seats[client.index()].as_mut();
        seat.expect("only taken slots have a secret or a sitting")
    }

    fn next_sitting(&mut self, client: ClientId) -> Sitting {
        self.sittings += 1;
        Sitting {
            client,
            number: self.sittings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRACE: Duration = Duration::from_secs(20);
    const NOW: Duration = Duration::from_secs(100);

    fn secret(n: u8) -> ReconnectSecret {
        ReconnectSecret([n; ReconnectSecret::LEN])
    }

    #[test]
    fn the_lowest_free_slot_is_taken_and_free_again_once_the_match_has_heard() {
        let mut seats = Seats::new(2, GRACE);
        let first = seats.sit("Ada", secret(1)).expect("free");
        let second = seats.sit("Bob", secret(2)).expect("free");
        assert_eq!((first.client, second.client), (ClientId(0), ClientId(1)));
        assert_eq!(seats.sit("Eve", secret(3)), None);
        assert_eq!(seats.give_up(first), Parting::GivenUp);
        assert_eq!(seats.give_up(first), Parting::Stale);
        assert_eq!(seats.sit("Eve", secret(3)), None, "it is leaving");
        assert_eq!(seats.resume(secret(1), NOW), None, "it left for good");
        seats.release(first.client);
        assert_eq!(
            seats.sit("Eve", secret(3)).map(|s| s.client),
            Some(ClientId(0))
        );
    }

    #[test]
    #[should_panic(expected = "client 0 is not leaving")]
    fn a_slot_is_not_freed_under_its_client() {
        let mut seats = Seats::new(1, GRACE);
        let sitting = seats.sit("Ada", secret(1)).expect("free");
        seats.release(sitting.client);
    }

    #[test]
    fn who_was_lost_comes_back_within_the_grace_and_not_after() {
        for (after, back) in [
            (Duration::ZERO, true),
            (GRACE - Duration::from_nanos(1), true),
            (GRACE, false),
        ] {
            let mut seats = Seats::new(1, GRACE);
            let sitting = seats.sit("Ada", secret(1)).expect("free");
            assert_eq!(seats.lose(sitting, NOW), Parting::Away);
            assert_eq!(seats.away(), 1);
            let resumed = seats.resume(secret(1), NOW + after);
            assert_eq!(resumed.is_some(), back, "after {after:?}");
            if let Some(resumed) = resumed {
                assert_eq!(resumed.sitting.client, sitting.client);
                assert!(!resumed.took_over);
                assert_eq!(
                    seats.lose(sitting, NOW),
                    Parting::Stale,
                    "the old hold is void"
                );
                assert_eq!(seats.poll_lapsed(NOW + GRACE * 9), None);
            } else {
                assert_eq!(seats.poll_lapsed(NOW + after), Some(sitting.client));
                assert_eq!(seats.poll_lapsed(NOW + after), None, "once");
            }
        }
        let mut seats = Seats::new(1, Duration::ZERO);
        let sitting = seats.sit("Ada", secret(1)).expect("free");
        assert_eq!(
            seats.lose(sitting, NOW),
            Parting::GivenUp,
            "no grace at all"
        );
    }

    #[test]
    fn a_second_connection_takes_over_and_the_first_ends_without_effect() {
        let mut seats = Seats::new(1, GRACE);
        let old = seats.sit("Ada", secret(1)).expect("free");
        let resumed = seats.resume(secret(1), NOW).expect("it is here");
        assert!(resumed.took_over);
        assert_eq!(seats.lose(old, NOW), Parting::Stale);
        assert_eq!(seats.give_up(old), Parting::Stale);
        assert_eq!(seats.give_up(resumed.sitting), Parting::GivenUp);
    }

    #[test]
    fn who_is_evicted_stays_out_whether_here_or_away() {
        for away in [false, true] {
            let mut seats = Seats::new(2, GRACE);
            let sitting = seats.sit("Ada", secret(1)).expect("free");
            if away {
                seats.lose(sitting, NOW);
            }
            assert_eq!(seats.named("Ada"), [sitting.client]);
            assert_eq!(seats.evict(sitting.client), Some("Ada".to_owned()));
            assert_eq!(seats.evict(sitting.client), None);
            assert_eq!(seats.named("Ada"), []);
            assert_eq!(seats.resume(secret(1), NOW), None);
            assert_eq!(seats.poll_lapsed(NOW + GRACE), None);
            seats.release(sitting.client);
        }
        assert_eq!(
            Seats::new(2, GRACE).evict(ClientId(7)),
            None,
            "there is no such slot"
        );
    }

    proptest! {
        /// Whatever happens in whichever order, a slot is held by one connection at most, and who
        /// was told `GivenUp` or was polled is exactly who has to be released.
        #[test]
        fn every_slot_is_given_up_once(
            steps in prop::collection::vec((0..6_u8, 0..4_u8, 0..15_u64), 0..200),
        ) {
            let mut seats = Seats::new(3, GRACE);
            let mut holds: Vec<(u8, Sitting)> = Vec::new();
            let (mut now, mut leaving, mut next) = (NOW, Vec::new(), 0);
            for (step, pick, seconds) in steps {
                now += Duration::from_secs(seconds);
                let hold = holds.get(usize::from(pick)).copied();
                match (step, hold) {
                    (0, _) => if let Some(sitting) = seats.sit("x", secret(next)) {
                        prop_assert!(!leaving.contains(&sitting.client));
                        holds.push((next, sitting));
                        next = next.wrapping_add(1);
                    },
                    (1, Some((n, old))) => if let Some(back) = seats.resume(secret(n), now) {
                        prop_assert_eq!(back.sitting.client, old.client);
                        holds.push((n, back.sitting));
                    },
                    (2, Some((_, sitting))) => { seats.lose(sitting, now); }
                    (3, Some((_, sitting))) => if seats.give_up(sitting) == Parting::GivenUp {
                        leaving.push(sitting.client);
                    },
                    (4, _) => while let Some(client) = seats.poll_lapsed(now) {
                        leaving.push(client);
                    },
                    _ => leaving.drain(..).for_each(|client| seats.release(client)),
                }
                let mut unique = leaving.clone();
                unique.dedup();
                prop_assert_eq!(unique.len(), leaving.len());
                let here = seats.seats.iter().flatten().filter(|seat| matches!(seat.state, State::Here(_)));
                let valid = holds.iter().filter(|(_, sitting)| {
                    seats.seats[sitting.client.index()].as_ref().is_some_and(|seat| seat.state == State::Here(*sitting))
                });
                prop_assert_eq!(here.count(), valid.count());
            }
        }
    }
}
