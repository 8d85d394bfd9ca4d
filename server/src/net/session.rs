//! One client's connection: a task that moves bytes between QUIC and the session machine.

use std::future::pending;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::{Connection, ConnectionError, Incoming, RecvStream, SendStream, VarInt};
use tessera_protocol::session::HANDSHAKE_TIMEOUT;
use tessera_protocol::{
    ClientId, ClientView, Close, CloseReason, Hello, ServerCounters, ServerSession, Welcome,
};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::{Network, PlayerKey};
use crate::intake::{RosterChange, SharedSession};

/// Bytes read from the control stream at once. After its hello a client has nothing to say there.
const READ_BYTES: usize = 2048;

/// A client in the match.
pub(super) struct Player {
    pub(super) client: ClientId,
    pub(super) connection: Connection,
    session: Arc<SharedSession>,
    /// What the client has been told of the state. Only the network thread looks at it.
    view: Mutex<ClientView>,
    /// Told when the session machine has bytes for the control stream.
    outgoing: Notify,
}

impl Player {
    pub(super) fn new(
        client: ClientId,
        connection: Connection,
        session: ServerSession,
        rate: u32,
    ) -> Player {
        let view = ClientView::new(client, rate);
        Player {
            client,
            connection,
            session: Arc::new(SharedSession::new(session)),
            view: Mutex::new(view),
            outgoing: Notify::new(),
        }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, ClientView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counters(&self) -> ServerCounters {
        *self.session.lock().counters()
    }

    /// Does something with the session machine, and then what it asks for. Never waits for the peer,
    /// so any thread may call it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut ServerSession) -> T) -> T {
        let mut session = self.session.lock();
        let done = act(&mut session);
        let close = session.poll_close();
        drop(session);
        if let Some(close) = close {
            hang_up(&self.connection, &close);
        }
        done
    }

    /// Ends the session with a reason that the client is told.
    pub(super) fn close(&self, reason: CloseReason, text: &str) {
        self.with(|session| session.close(reason, text));
    }

    /// Says that the session machine has bytes for the control stream.
    pub(super) fn wake_writer(&self) {
        self.outgoing.notify_one();
    }
}

/// Runs one connection from its first packet to its end. `handshake` is held until the client is in.
pub(super) async fn run(
    network: Arc<Network>,
    incoming: Incoming,
    handshake: OwnedSemaphorePermit,
) {
    let Ok(Ok(connection)) = timeout(HANDSHAKE_TIMEOUT, incoming).await else {
        network.counters.handshakes_failed.add(1);
        return;
    };
    let mut session = ServerSession::new(network.now());
    let Some((write, read, hello)) = greet(&network, &connection, &mut session).await else {
        network.counters.handshakes_failed.add(1);
        network.counters.ended(session.counters());
        return;
    };
    let name = hello.as_ref().map_or("", |hello| hello.name.as_str());
    let Some(client) = network.admit(&mut session) else {
        network.counters.hellos_refused.add(1);
        network.counters.ended(session.counters());
        if let Some(close) = session.poll_close() {
            hang_up(&connection, &close);
        }
        return;
    };
    drop(handshake);
    tracing::debug!(%client, name, address = %connection.remote_address(), "joined");
    let player = Arc::new(Player::new(client, connection, session, network.rate_max));
    let key = network.enter(player.clone(), name.to_owned());
    let end = play(&player, write, read).await;
    network.leave(key, &player, &end);
    tracing::debug!(%client, %end, "left");
}

impl Network {
    /// Lets a client in if there is room; otherwise the session ends with the reason.
    fn admit(&self, session: &mut ServerSession) -> Option<ClientId> {
        if self.draining.load(Relaxed) {
            session.close(CloseReason::Draining, "the server is stopping");
        }
        if session.is_closed() {
            return None;
        }
        let Some(client) = self.slots().take() else {
            let text = format!("all {} places are taken", self.slots().len());
            session.close(CloseReason::ServerFull, text);
            return None;
        };
        session.accept(&Welcome {
            client,
            tick: self.pulse.tick(),
            ..self.welcome.clone()
        });
        Some(client)
    }

    /// Puts a client that was let in before everybody's eyes: the tick's and the sender's.
    fn enter(&self, player: Arc<Player>, name: String) -> PlayerKey {
        self.counters.joined.add(1);
        let join = RosterChange::Join {
            client: player.client,
            name,
            session: player.session.clone(),
        };
        // The sender first: what the match says about the joining is for this client too.
        let key = self.players().insert(player);
        // A tick thread that has ended needs to know nobody.
        let _ = self.roster.send(join);
        key
    }

    /// Takes out a client whose connection has ended. Its slot stays taken until a tick has heard.
    fn leave(&self, key: PlayerKey, player: &Player, end: &ConnectionError) {
        self.players().remove(key);
        let draining = self.draining.load(Relaxed);
        let in_order = match end {
            ConnectionError::ApplicationClosed(_) => true,
            ConnectionError::LocallyClosed => draining,
            _ => false,
        };
        match in_order {
            true => self.counters.left.add(1),
            false => self.counters.dropped.add(1),
        };
        let mut session = player.session.lock();
        session.handle_closed();
        self.counters.ended(session.counters());
        drop(session);
        let client = player.client;
        let _ = self.roster.send(RosterChange::Leave { client });
    }
}

/// From the connection to the hello. It is `None` where the session has ended for what came instead.
async fn greet(
    network: &Network,
    connection: &Connection,
    session: &mut ServerSession,
) -> Option<(SendStream, RecvStream, Option<Hello>)> {
    let hello = async {
        let (write, mut read) = connection.accept_bi().await.ok()?;
        let mut bytes = [0; READ_BYTES];
        loop {
            let count = read.read(&mut bytes).await.ok()??;
            session.handle_stream(&bytes[..count]);
            let hello = session.poll_hello();
            if hello.is_some() || session.is_closed() {
                return Some((write, read, hello));
            }
        }
    };
    match timeout(HANDSHAKE_TIMEOUT, hello).await {
        Ok(streams) => streams,
        Err(_) => {
            session.handle_timeout(network.now());
            if let Some(close) = session.poll_close() {
                hang_up(connection, &close);
            }
            None
        }
    }
}

/// From the welcome to the end; gives why it ended.
///
/// Three loops that wait for different things, in one task: a client that does not read its stream
/// must not keep us from reading its datagrams.
async fn play(player: &Player, write: SendStream, read: RecvStream) -> ConnectionError {
    tokio::select! {
        end = take_datagrams(player) => end,
        end = write_stream(player, write) => end,
        end = read_stream(player, read) => end,
    }
}

async fn take_datagrams(player: &Player) -> ConnectionError {
    loop {
        match player.connection.read_datagram().await {
            Ok(datagram) => player.with(|session| session.handle_datagram(&datagram)),
            Err(end) => return end,
        }
    }
}

async fn write_stream(player: &Player, mut write: SendStream) -> ConnectionError {
    loop {
        let bytes = player.with(ServerSession::poll_stream);
        if let Some(bytes) = bytes
            && write.write_all(&bytes).await.is_err()
        {
            // The connection's end is told by the datagrams; a client that refuses its events goes on
            // without.
            return pending().await;
        }
        player.outgoing.notified().await;
    }
}

async fn read_stream(player: &Player, mut read: RecvStream) -> ConnectionError {
    let mut bytes = [0; READ_BYTES];
    while let Ok(Some(count)) = read.read(&mut bytes).await {
        player.with(|session| session.handle_stream(&bytes[..count]));
    }
    // The client may close its half, and the connection's end is told by the datagrams.
    pending().await
}

/// Closes the connection with the code and text that the client will read.
fn hang_up(connection: &Connection, close: &Close) {
    connection.close(VarInt::from_u32(close.reason.code()), close.text.as_bytes());
}
