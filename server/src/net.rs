//! The network: QUIC connections, a session on each, and one thread that sends the match to all.

mod cert;
mod coding;
mod counters;
mod door;
mod endpoint;
mod entry;
mod handshakes;
mod path;
mod send;
mod session;
mod spectate;
mod traffic;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use quinn::{Incoming, VarInt};
use slotmap::{SlotMap, new_key_type};
use tessera_protocol::session::{AddressLimiter, Seats};
use tessera_protocol::{ClientId, CloseReason, Declarations, StateConfig, TokenGate, Welcome};

use crate::config::{AddressValidation, Config};
use crate::error::Error;
use crate::intake::RosterSender;
use crate::tick::{Pulse, Ticking};
use crate::trace::SendTrace;

pub(crate) use cert::CertificateError;
pub(crate) use counters::Counters;
pub(crate) use endpoint::bind;
pub(crate) use entry::Whom;
pub(crate) use send::{SendRecord, SendTally, spawn as spawn_sender};
pub(crate) use traffic::Traffic;

use cert::Identity;
use door::{Door, Times};
use handshakes::Handshakes;
use send::Sent;
use session::Player;

new_key_type! {
    /// A session's place in the table. Keys are never used twice, unlike clients' slots.
    struct PlayerKey;
}

/// What all parts of the network share.
pub(crate) struct Network {
    /// What every client is welcomed with; `client`, `tick` and `declarations` are filled in for each.
    welcome: Welcome,
    /// Of the state that was sent last.
    declarations: Mutex<Declarations>,
    state: StateConfig,
    /// Most bytes a second for one client.
    rate_max: u32,
    roster: RosterSender,
    pulse: Arc<Pulse>,
    /// All session times are since this.
    began: Instant,
    idle_timeout: Duration,
    reconnect_grace: Duration,
    spectator_delay: Duration,
    address_validation: AddressValidation,
    /// Locked before the tables of players and spectators where both are needed.
    door: Mutex<Door>,
    players: Mutex<SlotMap<PlayerKey, Arc<Player>>>,
    spectators: Mutex<SlotMap<PlayerKey, Arc<Player>>>,
    counters: Counters,
    sent: Mutex<Sent>,
}

impl Network {
    /// `gate` checks the tokens of who comes in; without one, everybody does.
    pub(crate) fn new(
        config: &Config,
        gate: Option<TokenGate>,
        map_hash: u64,
        ticking: &Ticking,
    ) -> Network {
        let seats = Seats::new(config.players, config.reconnect_grace);
        Network {
            welcome: Welcome {
                client: ClientId(0),
                tick: ticking.pulse.tick(),
                tick_hz: config.tick_hz,
                mode: config.mode.clone(),
                map: config.map.clone(),
                map_hash,
                declarations: Declarations::default(),
                reconnect: None,
                reconnect_grace_s: 0,
                resumed: false,
                spectator: false,
            },
            declarations: Mutex::new(ticking.field_table.clone().into()),
            state: StateConfig::default(),
            rate_max: config.client_kib_s << 10,
            roster: ticking.roster.clone(),
            pulse: ticking.pulse.clone(),
            began: Instant::now(),
            idle_timeout: config.idle_timeout,
            reconnect_grace: config.reconnect_grace,
            spectator_delay: config.spectator_delay,
            address_validation: config.address_validation,
            door: Mutex::new(Door::new(gate, seats, config.spectators)),
            players: Mutex::default(),
            spectators: Mutex::default(),
            counters: Counters::default(),
            sent: Mutex::new(Sent::new()),
        }
    }

    /// Opens the endpoint and lets clients in from now on. Gives the certificate's fingerprint too.
    pub(crate) fn listen(
        self: &Arc<Network>,
        socket: UdpSocket,
        config: &Config,
    ) -> Result<(quinn::Endpoint, String), Error> {
        let address = socket.local_addr()?;
        let hosts = vec![
            "localhost".to_owned(),
            "127.0.0.1".into(),
            "::1".into(),
            address.ip().to_string(),
        ];
        let identity = Identity::generate(hosts, time::OffsetDateTime::now_utc())?;
        let fingerprint = identity.fingerprint();
        let transport = endpoint::transport(config.idle_timeout);
        let endpoint = endpoint::start(socket, identity, transport)?;
        tokio::spawn(self.clone().accept(endpoint.clone()));
        tokio::spawn(self.clone().look_after());
        Ok((endpoint, fingerprint))
    }

    /// Takes connections until the endpoint closes. What is turned away here has cost a packet: no
    /// task, no TLS.
    async fn accept(self: Arc<Network>, endpoint: quinn::Endpoint) {
        let handshakes = Arc::new(Handshakes::default());
        let limit = endpoint::ADDRESS_LIMIT;
        let mut addresses = AddressLimiter::new(limit, endpoint::ADDRESSES_MAX);
        while let Some(incoming) = endpoint.accept().await {
            if self.must_validate(&incoming, handshakes.count()) {
                self.counters.connections_retried.add(1);
                // It can, as was just asked.
                let _ = incoming.retry();
                continue;
            }
            self.counters.connections.add(1);
            let address = incoming.remote_address().ip();
            if !addresses.take(address, self.now()) {
                self.counters.connections_rate_limited.add(1);
                incoming.refuse();
                continue;
            }
            match handshakes.begin(address) {
                Some(handshake) => drop(tokio::spawn(session::run(
                    self.clone(),
                    incoming,
                    handshake,
                ))),
                None => {
                    self.counters.connections_refused.add(1);
                    incoming.refuse();
                }
            }
        }
    }

    /// Whether a new connection must first show that it receives at its address, while so many
    /// handshakes are going on.
    fn must_validate(&self, incoming: &Incoming, going_on: usize) -> bool {
        let asked = match self.address_validation {
            AddressValidation::Always => true,
            AddressValidation::UnderLoad => going_on >= endpoint::VALIDATED_FROM_HANDSHAKES,
            AddressValidation::Off => false,
        };
        asked && !incoming.remote_address_validated() && incoming.may_retry()
    }

    /// From now on a new client that says hello is told that the server is stopping.
    pub(crate) fn refuse_new(&self) {
        self.door().draining = true;
    }

    /// Tells all clients why it is over, and waits until they have heard it.
    pub(crate) async fn close(&self, endpoint: &quinn::Endpoint, text: &str) {
        let reason = CloseReason::Draining;
        for player in self.everybody() {
            player.close(reason, text);
        }
        // Who has not said hello yet hears it from the endpoint.
        let code = VarInt::from_u32(reason.code());
        let all_told = async {
            while !self.everybody().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            endpoint.close(code, text.as_bytes());
            endpoint.wait_idle().await;
        };
        all_told.await;
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn players(&self) -> MutexGuard<'_, SlotMap<PlayerKey, Arc<Player>>> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spectators(&self) -> MutexGuard<'_, SlotMap<PlayerKey, Arc<Player>>> {
        let spectators = self.spectators.lock();
        spectators.unwrap_or_else(PoisonError::into_inner)
    }

    /// All who play and all who watch.
    fn everybody(&self) -> Vec<Arc<Player>> {
        let mut everybody: Vec<_> = self.players().values().cloned().collect();
        everybody.extend(self.spectators().values().cloned());
        everybody
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> Times {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Times {
            now: self.now(),
            unix_s: since_1970.as_secs(),
        }
    }

    fn declarations(&self) -> MutexGuard<'_, Declarations> {
        let declarations = self.declarations.lock();
        declarations.unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What sending has cost since the last [`Network::reset_sent`].
    pub(crate) fn sent_since_reset(&self) -> SendRecord {
        self.sent().since_reset.clone()
    }

    /// What sending has cost since the start.
    pub(crate) fn sent_since_start(&self) -> SendTally {
        self.sent().since_start.clone()
    }

    /// Begins a new record.
    pub(crate) fn reset_sent(&self) {
        self.sent().since_reset = SendRecord::new();
    }

    /// Records single ticks from now on, or no more; gives those that it had.
    pub(crate) fn trace_sending(&self, on: bool) -> Vec<SendTrace> {
        let trace = on.then(Vec::new);
        std::mem::replace(&mut self.sent().trace, trace).unwrap_or_default()
    }

    /// Everything counted since the start, by name.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        let living = self.everybody();
        self.counters
            .with(living.iter().map(|player| player.counters()))
    }
}
