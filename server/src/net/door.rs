//! Who may come in: one decision for each hello, without a clock or a socket.

use std::collections::BTreeSet;
use std::time::Duration;

use tessera_protocol::session::{Parting, Seats, Sitting};
use tessera_protocol::token::TokenError;
use tessera_protocol::{ClientId, CloseReason, Hello, ReconnectSecret, TokenGate, Watch};

/// Names that an operator's kicks may bar; further kicks end a session without barring the name.
const BARRED_MAX: usize = 4096;

/// The door of a match.
#[derive(Debug)]
pub(super) struct Door {
    /// Who brings no token stays out; `None` for an open door.
    gate: Option<TokenGate>,
    seats: Seats,
    /// Who was kicked.
    barred: BTreeSet<String>,
    spectators: u16,
    spectators_max: u16,
    /// Nobody new comes in. Who has a seat may still come back to it.
    pub(super) draining: bool,
}

/// How somebody comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A new player.
    Join { sitting: Sitting, name: String },
    /// A client that had a player before.
    Return {
        sitting: Sitting,
        /// Its old connection still stands.
        took_over: bool,
    },
    /// Somebody who watches.
    Watch { watch: Watch, name: String },
}

/// Why somebody stays out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: CloseReason,
    pub(super) text: String,
    /// The memory of used tokens is full, which the reason alone does not tell.
    pub(super) memory_full: bool,
}

impl Refusal {
    fn new(reason: CloseReason, text: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            text: text.into(),
            memory_full: false,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Refusal {
        Refusal {
            memory_full: error == TokenError::MemoryFull,
            ..Refusal::new(error.close_reason(), error.to_string())
        }
    }
}

/// What an operator's kick came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// The slot; `None` for one who watched.
    pub(crate) client: Option<ClientId>,
    pub(crate) name: String,
    /// The name stays out, too.
    pub(crate) barred: bool,
}

/// The time at the door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Of the sessions.
    pub(super) now: Duration,
    /// Seconds since 1970, for tokens.
    pub(super) unix_s: u64,
}

impl Door {
    pub(super) fn new(gate: Option<TokenGate>, seats: Seats, spectators_max: u16) -> Door {
        Door {
            gate,
            seats,
            barred: BTreeSet::new(),
            spectators: 0,
            spectators_max,
            draining: false,
        }
    }

    /// Decides about a hello. `secret` is random and becomes a new player's.
    pub(super) fn admit(
        &mut self,
        hello: &Hello,
        secret: ReconnectSecret,
        times: Times,
    ) -> Result<Entry, Refusal> {
        if let Some(secret) = hello.reconnect {
            return self.admit_again(secret, times.now);
        }
        if self.draining {
            let text = "the server is stopping: nobody new comes in";
            return Err(Refusal::new(CloseReason::Draining, text));
        }
        let gate = self.gate.as_mut();
        let token = gate
            .map(|gate| gate.check(hello.token.as_ref(), times.unix_s))
            .transpose()?;
        let name = token
            .as_ref()
            .map_or(hello.name.as_str(), |token| token.name());
        if self.barred.contains(name) {
            let text = format!("{name} was kicked from this match");
            return Err(Refusal::new(CloseReason::Kicked, text));
        }
        let entry = match hello.watch {
            Some(watch) => {
                if self.spectators >= self.spectators_max {
                    let text = format!("all {} places to watch are taken", self.spectators_max);
                    return Err(Refusal::new(CloseReason::ServerFull, text));
                }
                self.spectators += 1;
                let name = name.to_owned();
                Entry::Watch { watch, name }
            }
            None => {
                let Some(sitting) = self.seats.sit(name, secret) else {
                    let text = format!("all {} places are taken", self.seats.len());
                    return Err(Refusal::new(CloseReason::ServerFull, text));
                };
                let name = name.to_owned();
                Entry::Join { sitting, name }
            }
        };
        // Only now: a token is not spent on a server that turns out to be full.
        if let (Some(gate), Some(token)) = (&mut self.gate, &token) {
            gate.spend(token);
        }
        Ok(entry)
    }

    fn admit_again(&mut self, secret: ReconnectSecret, now: Duration) -> Result<Entry, Refusal> {
        let Some(resumed) = self.seats.resume(secret, now) else {
            let text = "there is no player to come back to, or the time for it is over";
            return Err(Refusal::new(CloseReason::SessionUnknown, text));
        };
        Ok(Entry::Return {
            sitting: resumed.sitting,
            took_over: resumed.took_over,
        })
    }

    /// Notes that a player's connection has ended; `may_return` where it was not its will.
    pub(super) fn part(&mut self, sitting: Sitting, may_return: bool, now: Duration) -> Parting {
        match may_return {
            true => self.seats.lose(sitting, now),
            false => self.seats.give_up(sitting),
        }
    }

    /// Notes that somebody watches no more.
    pub(super) fn stop_watching(&mut self) {
        self.spectators -= 1;
    }

    /// A client whose time to come back is over.
    pub(super) fn poll_lapsed(&mut self, now: Duration) -> Option<ClientId> {
        self.seats.poll_lapsed(now)
    }

    /// Makes a client leave, here or away, and keeps its name out. `None` where there is none.
    pub(super) fn evict(&mut self, client: ClientId) -> Option<Evicted> {
        let name = self.seats.evict(client)?;
        let barred = self.bar(&name);
        let client = Some(client);
        Some(Evicted {
            client,
            name,
            barred,
        })
    }

    /// Keeps a name out, unless too many are kept out already; says whether it does.
    pub(super) fn bar(&mut self, name: &str) -> bool {
        let barred = self.barred.contains(name) || self.barred.len() < BARRED_MAX;
        if barred {
            self.barred.insert(name.to_owned());
        }
        barred
    }

    /// Who is called so, here or away.
    pub(super) fn named(&self, name: &str) -> Vec<ClientId> {
        self.seats.named(name)
    }

    /// Frees the slot of a client that the match has heard leave.
    pub(super) fn release(&mut self, client: ClientId) {
        self.seats.release(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::{SignedToken, Token, TokenKey};

    const GRACE: Duration = Duration::from_secs(20);
    const AT: Times = Times {
        now: Duration::from_secs(100),
        unix_s: 1_800_000_000,
    };

    fn key() -> TokenKey {
        TokenKey::new(&[1; 32])
    }

    fn door(players: u16, spectators: u16, tokens: bool) -> Door {
        let gate = tokens.then(|| TokenGate::new(key(), "m"));
        Door::new(gate, Seats::new(players, GRACE), spectators)
    }

    fn hello(name: &str) -> Hello {
        Hello {
            protocol_hash: 0,
            name: name.into(),
            token: None,
            reconnect: None,
            watch: None,
        }
    }

    fn token(name: &str, nonce: u8) -> SignedToken {
        let token = Token::new("m", name, AT.unix_s + 60, [nonce; 16]);
        token.expect("good content").sign(&key())
    }

    fn secret(n: u8) -> ReconnectSecret {
        ReconnectSecret([n; 16])
    }

    fn join(door: &mut Door, hello: &Hello, n: u8) -> (Sitting, String) {
        match door.admit(hello, secret(n), AT).expect("it comes in") {
            Entry::Join { sitting, name } => (sitting, name),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(door: &mut Door, hello: &Hello) -> CloseReason {
        let refusal = door.admit(hello, secret(99), AT);
        refusal.expect_err("it stays out").reason
    }

    #[test]
    fn an_open_door_lets_in_as_many_as_there_are_places() {
        let mut door = door(1, 1, false);
        join(&mut door, &hello("Ada"), 1);
        assert_eq!(refused(&mut door, &hello("Bob")), CloseReason::ServerFull);
        let watching = Hello {
            watch: Some(Watch::Anyone),
            ..hello("Eve")
        };
        let entry = Entry::Watch {
            watch: Watch::Anyone,
            name: "Eve".to_owned(),
        };
        assert_eq!(door.admit(&watching, secret(2), AT), Ok(entry));
        assert_eq!(refused(&mut door, &watching), CloseReason::ServerFull);
        door.stop_watching();
        assert!(
            door.admit(&watching, secret(2), AT).is_ok(),
            "a place is free again"
        );
    }

    #[test]
    fn the_name_in_the_token_counts_and_a_full_server_spends_none() {
        let mut door = door(1, 0, true);
        assert_eq!(refused(&mut door, &hello("Ada")), CloseReason::TokenMissing);
        let with = |name: &str, nonce| Hello {
            token: Some(token(name, nonce)),
            ..hello("somebody")
        };
        let (ada, name) = join(&mut door, &with("Ada", 1), 1);
        assert_eq!(name, "Ada");
        assert_eq!(refused(&mut door, &with("Ada", 1)), CloseReason::TokenUsed);
        assert_eq!(refused(&mut door, &with("Bob", 2)), CloseReason::ServerFull);
        door.part(ada, false, AT.now);
        door.release(ada.client);
        assert_eq!(join(&mut door, &with("Bob", 2), 2).1, "Bob");
    }

    #[test]
    fn who_comes_back_needs_no_token_and_no_free_place() {
        let mut door = door(1, 0, true);
        let first = Hello {
            token: Some(token("Ada", 1)),
            ..hello("Ada")
        };
        let (old, _) = join(&mut door, &first, 1);
        assert_eq!(door.part(old, true, AT.now), Parting::Away);
        door.draining = true;
        let again = Hello {
            reconnect: Some(secret(1)),
            ..hello("")
        };
        let entry = door
            .admit(&again, secret(2), AT)
            .expect("its place is kept");
        let Entry::Return { sitting, took_over } = entry else {
            panic!("{entry:?}")
        };
        assert_eq!((sitting.client, took_over), (old.client, false));
        let stranger = Hello {
            reconnect: Some(secret(7)),
            ..hello("Eve")
        };
        assert_eq!(refused(&mut door, &stranger), CloseReason::SessionUnknown);
    }

    #[test]
    fn while_the_server_drains_nobody_new_comes_in() {
        let mut door = door(2, 2, false);
        door.draining = true;
        assert_eq!(refused(&mut door, &hello("Ada")), CloseReason::Draining);
    }

    #[test]
    fn who_was_kicked_comes_back_neither_by_secret_nor_by_name() {
        let mut door = door(2, 2, false);
        let (ada, _) = join(&mut door, &hello("Ada"), 1);
        assert_eq!(door.named("Ada"), [ada.client]);
        let evicted = door.evict(ada.client).expect("she is here");
        assert_eq!((evicted.name.as_str(), evicted.barred), ("Ada", true));
        assert_eq!(door.evict(ada.client), None);
        let by_secret = Hello {
            reconnect: Some(secret(1)),
            ..hello("Ada")
        };
        assert_eq!(refused(&mut door, &by_secret), CloseReason::SessionUnknown);
        assert_eq!(refused(&mut door, &hello("Ada")), CloseReason::Kicked);
        let watching = Hello {
            watch: Some(Watch::Anyone),
            ..hello("Ada")
        };
        assert_eq!(refused(&mut door, &watching), CloseReason::Kicked);
        join(&mut door, &hello("Bob"), 2);
    }
}
