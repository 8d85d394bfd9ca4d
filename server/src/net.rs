//! The network: QUIC connections, a session on each, and one thread that sends the match to all.

mod cert;
mod counters;
mod endpoint;
mod send;
mod session;
mod slots;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::VarInt;
use slotmap::{SlotMap, new_key_type};
use tessera_protocol::state::DATAGRAM_LEN_MAX;
use tessera_protocol::{ClientId, CloseReason, StateConfig, Welcome};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::intake::RosterSender;
use crate::tick::{Pulse, Ticking};

pub(crate) use cert::CertificateError;
pub(crate) use counters::Counters;
pub(crate) use endpoint::bind;
pub(crate) use send::{SendRecord, spawn as spawn_sender};

use cert::Identity;
use session::Player;
use slots::Slots;

new_key_type! {
    /// A session's place in the table. Keys are never used twice, unlike clients' slots.
    struct PlayerKey;
}

/// What all parts of the network share.
pub(crate) struct Network {
    /// What every client is welcomed with; `client` and `tick` are filled in for each.
    welcome: Welcome,
    state: StateConfig,
    /// Most bytes a second for one client.
    rate_max: u32,
    roster: RosterSender,
    pulse: Arc<Pulse>,
    /// All session times are since this.
    began: Instant,
    slots: Mutex<Slots>,
    players: Mutex<SlotMap<PlayerKey, Arc<Player>>>,
    /// New clients are refused, with the reason.
    draining: AtomicBool,
    counters: Counters,
    sent: Mutex<SendRecord>,
}

impl Network {
    pub(crate) fn new(config: &Config, map_hash: u64, ticking: &Ticking) -> Network {
        Network {
            welcome: Welcome {
                client: ClientId(0),
                tick: ticking.pulse.tick(),
                tick_hz: config.tick_hz,
                mode: config.mode.clone(),
                map: config.map.clone(),
                map_hash,
                field_table: ticking.field_table.clone(),
            },
            state: StateConfig::default(),
            rate_max: config.client_kib_s << 10,
            roster: ticking.roster.clone(),
            pulse: ticking.pulse.clone(),
            began: Instant::now(),
            slots: Mutex::new(Slots::new(config.players)),
            players: Mutex::default(),
            draining: AtomicBool::new(false),
            counters: Counters::default(),
            sent: Mutex::new(SendRecord::new()),
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
        let transport = endpoint::transport(config.idle_timeout, DATAGRAM_LEN_MAX);
        let endpoint = endpoint::start(socket, identity, transport)?;
        tokio::spawn(self.clone().accept(endpoint.clone()));
        Ok((endpoint, fingerprint))
    }

    /// Takes connections until the endpoint closes.
    async fn accept(self: Arc<Network>, endpoint: quinn::Endpoint) {
        let handshakes = Arc::new(Semaphore::new(endpoint::HANDSHAKES_MAX));
        while let Some(incoming) = endpoint.accept().await {
            self.counters.connections.add(1);
            match handshakes.clone().try_acquire_owned() {
                Ok(permit) => drop(tokio::spawn(session::run(self.clone(), incoming, permit))),
                Err(_) => {
                    self.counters.connections_refused.add(1);
                    incoming.refuse();
                }
            }
        }
    }

    /// From now on a client that says hello is told that the server is stopping.
    pub(crate) fn refuse_new(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Tells all clients why it is over, and waits until they have heard it.
    pub(crate) async fn close(&self, endpoint: &quinn::Endpoint, in_order: bool) {
        let (reason, text) = match in_order {
            true => (CloseReason::Draining, "the server is stopping"),
            false => (
                CloseReason::Draining,
                "the match ended by a fault of the server",
            ),
        };
        let players: Vec<_> = self.players().values().cloned().collect();
        for player in players {
            player.close(reason, text);
        }
        // Who has not said hello yet hears it from the endpoint.
        let code = VarInt::from_u32(reason.code());
        let all_told = async {
            while !self.players().is_empty() {
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

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What sending has cost since the last [`Network::reset_sent`].
    pub(crate) fn sent(&self) -> SendRecord {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Begins a new record.
    pub(crate) fn reset_sent(&self) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = SendRecord::new();
    }

    /// Everything counted since the start, by name.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        let living: Vec<_> = self.players().values().cloned().collect();
        self.counters
            .with(living.iter().map(|player| player.counters()))
    }
}
