//! How clients come into the match and leave it: what the door decides, put before everybody's eyes.
//!
//! Each of these holds the door while it tells the tick thread, so that comings and goings are heard
//! in the order in which they were decided. None waits for a peer.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError};
use ring::rand::{SecureRandom, SystemRandom};
use tessera_protocol::session::Parting;
use tessera_protocol::{ClientId, CloseReason, Hello, ReconnectSecret, ServerSession, Welcome};

use super::door::{Entry, Evicted};
use super::session::{Player, Role, hang_up};
use super::{Network, PlayerKey};
use crate::intake::RosterChange;

/// How often sessions are looked at whose time may be over.
const LOOK_AFTER_INTERVAL: Duration = Duration::from_millis(250);

/// What the end of a connection says about its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It left, or the server stops.
    InOrder,
    /// It was lost and may come back.
    Lost,
    /// It was made to go.
    Ended,
}

impl Ending {
    /// `closed_for` is why we closed the connection, if a session did.
    fn of(end: &ConnectionError, closed_for: Option<CloseReason>) -> Ending {
        use CloseReason::{Draining, Idle, TooSlow};
        match (end, closed_for) {
            (ConnectionError::ApplicationClosed(_), _) => Ending::InOrder,
            (ConnectionError::LocallyClosed, Some(Draining) | None) => Ending::InOrder,
            // It may be there again in a moment, with a better line.
            (ConnectionError::LocallyClosed, Some(Idle | TooSlow)) => Ending::Lost,
            (ConnectionError::LocallyClosed, Some(_)) => Ending::Ended,
            _ => Ending::Lost,
        }
    }
}

/// Whom an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The client in this slot.
    Client(ClientId),
    /// All clients called so.
    Name(String),
}

impl Network {
    /// Lets a client in, or tells it why not. Without a `hello` its session has ended already.
    pub(super) fn enter(
        &self,
        hello: Option<Hello>,
        connection: Connection,
        mut session: ServerSession,
    ) -> Option<(PlayerKey, Arc<Player>)> {
        let fresh = random_secret();
        let mut door = self.door();
        let refused = match hello {
            Some(hello) => match door.admit(&hello, fresh, self.times()) {
                Ok(entry) => {
                    let secret = hello.reconnect.unwrap_or(fresh);
                    return Some(self.let_in(entry, secret, connection, session));
                }
                Err(refusal) => Some(refusal),
            },
            None => None,
        };
        drop(door);
        self.counters.refused(refused.as_ref());
        if let Some(refusal) = refused {
            session.close(refusal.reason, refusal.text);
        }
        self.counters.ended(session.counters());
        if let Some(close) = session.poll_close() {
            hang_up(&connection, &close);
        }
        None
    }

    fn let_in(
        &self,
        entry: Entry,
        secret: ReconnectSecret,
        connection: Connection,
        session: ServerSession,
    ) -> (PlayerKey, Arc<Player>) {
        let grace_s = u32::try_from(self.reconnect_grace.as_secs()).unwrap_or(u32::MAX);
        let mut welcome = Welcome {
            tick: self.pulse.tick(),
            declarations: self.declarations().clone(),
            reconnect: (grace_s > 0).then_some(secret),
            reconnect_grace_s: grace_s,
            ..self.welcome.clone()
        };
        match entry {
            Entry::Join { sitting, name } => {
                self.counters.joined.add(1);
                let client = sitting.client;
                welcome.client = client;
                let entered = self.put_in(Role::Plays(sitting), &welcome, connection, session);
                let session = entered.1.session.clone();
                self.tell(RosterChange::Join {
                    client,
                    name,
                    session,
                });
                entered
            }
            Entry::Return { sitting, took_over } => {
                self.counters.returned.add(1);
                let client = sitting.client;
                if took_over {
                    self.counters.taken_over.add(1);
                    let text = "the same client has come back on another connection";
                    self.close_client(client, CloseReason::TakenOver, text);
                }
                welcome.client = client;
                welcome.resumed = true;
                let entered = self.put_in(Role::Plays(sitting), &welcome, connection, session);
                let session = entered.1.session.clone();
                self.tell(RosterChange::Return { client, session });
                entered
            }
            Entry::Watch { watch, name } => {
                self.counters.watched.add(1);
                welcome.spectator = true;
                welcome.reconnect = None;
                welcome.reconnect_grace_s = 0;
                let role = Role::Watches { watch, name };
                self.put_in(role, &welcome, connection, session)
            }
        }
    }

    /// Welcomes a client, and puts it before the sender's eyes. That has to come before the tick
    /// thread hears of it: what the match says about a joining is for this client too.
    fn put_in(
        &self,
        role: Role,
        welcome: &Welcome,
        connection: Connection,
        mut session: ServerSession,
    ) -> (PlayerKey, Arc<Player>) {
        session.accept(welcome);
        let player = Arc::new(Player::new(role, connection, session, self.rate_max));
        let mut table = match player.role {
            Role::Plays(_) => self.players(),
            Role::Watches { .. } => self.spectators(),
        };
        (table.insert(player.clone()), player)
    }

    /// Takes out a client whose connection has ended. Who may come back keeps the slot for a while;
    /// another's stays taken until a tick has heard.
    pub(super) fn leave(&self, key: PlayerKey, player: &Player, end: &ConnectionError) {
        let ending = Ending::of(end, player.closed_for());
        let mut door = self.door();
        match &player.role {
            &Role::Plays(sitting) => {
                self.players().remove(key);
                let client = sitting.client;
                match door.part(sitting, ending == Ending::Lost, self.now()) {
                    // It is counted already: taken over, or kicked.
                    Parting::Stale => {}
                    Parting::Away => {
                        self.counters.away.add(1);
                        self.tell(RosterChange::Away { client });
                    }
                    Parting::GivenUp => {
                        match ending {
                            Ending::InOrder => self.counters.left.add(1),
                            Ending::Lost | Ending::Ended => self.counters.dropped.add(1),
                        };
                        self.tell(RosterChange::Leave { client });
                    }
                }
            }
            Role::Watches { .. } => {
                self.spectators().remove(key);
                door.stop_watching();
            }
        }
        drop(door);
        self.count_traffic(player);
        if player.closed_for() == Some(CloseReason::RateLimited) {
            self.counters.flooded.add(1);
        }
        let mut session = player.session.lock();
        session.handle_closed();
        self.counters.ended(session.counters());
    }

    /// Makes clients leave and keeps them out; gives who they were.
    pub(crate) fn kick(&self, whom: &Whom, text: &str) -> Vec<Evicted> {
        let mut door = self.door();
        let clients = match whom {
            Whom::Client(client) => vec![*client],
            Whom::Name(name) => door.named(name),
        };
        let mut kicked = Vec::new();
        for client in clients {
            let Some(evicted) = door.evict(client) else {
                continue;
            };
            self.counters.kicked.add(1);
            self.close_client(client, CloseReason::Kicked, text);
            self.tell(RosterChange::Leave { client });
            kicked.push(evicted);
        }
        if let Whom::Name(called) = whom {
            for spectator in self.spectators().values() {
                if spectator.watches_as(called) {
                    self.counters.spectators_kicked.add(1);
                    spectator.close(CloseReason::Kicked, text);
                    kicked.push(Evicted {
                        client: None,
                        name: called.clone(),
                        barred: door.bar(called),
                    });
                }
            }
        }
        let unbarred = kicked.iter().filter(|evicted| !evicted.barred).count();
        self.counters.unbarred.add(unbarred as u64);
        kicked
    }

    /// Ends, for good, sessions whose time is over.
    pub(super) async fn look_after(self: Arc<Network>) {
        let mut interval = tokio::time::interval(LOOK_AFTER_INTERVAL);
        loop {
            interval.tick().await;
            let now = self.now();
            for player in self.everybody() {
                player.with(|session| session.handle_timeout(now));
            }
            let mut door = self.door();
            while let Some(client) = door.poll_lapsed(now) {
                self.counters.dropped.add(1);
                self.tell(RosterChange::Leave { client });
            }
        }
    }

    /// Closes the connections of a slot: one, or two while one takes over.
    fn close_client(&self, client: ClientId, reason: CloseReason, text: &str) {
        for player in self.players().values() {
            if player.client == client {
                player.close(reason, text);
            }
        }
    }

    fn tell(&self, change: RosterChange) {
        // A tick thread that has ended needs to know nobody.
        let _ = self.roster.send(change);
    }
}

fn random_secret() -> ReconnectSecret {
    let mut secret = [0; ReconnectSecret::LEN];
    let filled = SystemRandom::new().fill(&mut secret);
    filled.expect("the system has randomness: TLS has just used it");
    ReconnectSecret(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_its_will_lets_a_client_come_back() {
        use ConnectionError::{ApplicationClosed, LocallyClosed, Reset, TimedOut};
        let left = ApplicationClosed(quinn::ApplicationClose {
            error_code: 0_u32.into(),
            reason: Default::default(),
        });
        for (end, closed_for, expected) in [
            (&left, None, Ending::InOrder),
            (&LocallyClosed, Some(CloseReason::Draining), Ending::InOrder),
            (&LocallyClosed, None, Ending::InOrder),
            (&LocallyClosed, Some(CloseReason::Idle), Ending::Lost),
            (&LocallyClosed, Some(CloseReason::TooSlow), Ending::Lost),
            (&LocallyClosed, Some(CloseReason::Garbage), Ending::Ended),
            (
                &LocallyClosed,
                Some(CloseReason::RateLimited),
                Ending::Ended,
            ),
            (&TimedOut, None, Ending::Lost),
            (&Reset, None, Ending::Lost),
        ] {
            assert_eq!(
                Ending::of(end, closed_for),
                expected,
                "{end} {closed_for:?}"
            );
        }
    }
}
