//! One client's connection: a task that moves bytes between QUIC and the session machine.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Incoming, RecvStream, SendStream, VarInt};
use tessera_protocol::session::{HANDSHAKE_TIMEOUT, Sitting};
use tessera_protocol::{
    ClientId, ClientView, Close, CloseReason, Hello, ServerCounters, ServerSession, Watch,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Network;
use super::handshakes::Handshake;
use super::path::Path;
use crate::intake::SharedSession;

/// States that may wait for a client's path: they ride out a driver that is late, and beyond that the newest
/// is the one to tell.
const STATES_WAITING_MAX: usize = 3;

/// Bytes that quinn counts for each datagram that waits, besides its own.
const QUEUED_OVERHEAD_LEN: usize = 32;

/// Bytes read from the control stream at once. After its hello a client has nothing to say there.
const READ_BYTES: usize = 2048;

/// What a client is in the match for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It plays, in this slot.
    Plays(Sitting),
    /// It watches somebody, and is called so.
    Watches { watch: Watch, name: String },
}

/// A client in the match, or one who watches it.
pub(super) struct Player {
    /// The slot; for one who watches, [`ClientId::default`], which nothing looks at.
    pub(super) client: ClientId,
    pub(super) role: Role,
    pub(super) connection: Connection,
    pub(super) session: Arc<SharedSession>,
    /// What the client has been told of the state. Only the network thread looks at it.
    view: Mutex<ClientView>,
    /// What its path carries. Likewise.
    path: Mutex<Path>,
    /// Told when the session machine has bytes for the control stream.
    outgoing: Notify,
    /// Why we closed the connection, if it was we.
    closed_for: OnceLock<CloseReason>,
    /// Room for state in the connection while none waits, bytes.
    empty_space: usize,
    /// Bytes of the state that was sent last.
    state_len: AtomicUsize,
}

impl Player {
    pub(super) fn new(
        role: Role,
        connection: Connection,
        session: ServerSession,
        rate: u32,
    ) -> Player {
        let client = match &role {
            Role::Plays(sitting) => sitting.client,
            Role::Watches { .. } => ClientId::default(),
        };
        let view = ClientView::new(client, rate);
        Player {
            client,
            role,
            session: Arc::new(SharedSession::new(session)),
            view: Mutex::new(view),
            path: Mutex::new(Path::new(rate)),
            outgoing: Notify::new(),
            closed_for: OnceLock::new(),
            empty_space: connection.datagram_send_buffer_space(),
            connection,
            state_len: AtomicUsize::new(0),
        }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, ClientView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes a second that it may be sent: `rate_max`, or what its path carries, if that is less.
    pub(super) fn look_at_path(&self, rate_max: u32) -> u32 {
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        path.look(&self.connection.stats().path, rate_max)
    }

    /// Whom one who watches wants to watch.
    pub(super) fn watch(&self) -> Watch {
        match &self.role {
            Role::Watches { watch, .. } => *watch,
            Role::Plays(sitting) => Watch::Client(sitting.client),
        }
    }

    /// Whether it watches and is called so.
    pub(super) fn watches_as(&self, called: &str) -> bool {
        matches!(&self.role, Role::Watches { name, .. } if name == called)
    }

    pub(super) fn counters(&self) -> ServerCounters {
        *self.session.lock().counters()
    }

    /// Why we closed the connection, if it was we.
    pub(super) fn closed_for(&self) -> Option<CloseReason> {
        self.closed_for.get().copied()
    }

    /// Does something with the session machine, and then what it asks for. Never waits for the peer,
    /// so any thread may call it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut ServerSession) -> T) -> T {
        let mut session = self.session.lock();
        let done = act(&mut session);
        let close = session.poll_close();
        drop(session);
        if let Some(close) = close {
            // A session closes once.
            let _ = self.closed_for.set(close.reason);
            hang_up(&self.connection, &close);
        }
        done
    }

    /// Ends the session with a reason that the client is told.
    pub(super) fn close(&self, reason: CloseReason, text: &str) {
        self.with(|session| session.close(reason, text));
    }

    /// Whether its path doesn't take the states: several still wait for it. A newer one is made when they
    /// have left.
    pub(super) fn is_held_back(&self) -> bool {
        let space = self.connection.datagram_send_buffer_space();
        let waiting = self.empty_space.saturating_sub(space);
        are_enough(waiting, self.state_len.load(Relaxed))
    }

    /// Sends a state datagram, or counts it.
    pub(super) fn send_state(&self, network: &Network, datagram: Bytes) {
        self.state_len.store(datagram.len(), Relaxed);
        // A connection that has ended is its task's business.
        if let Err(error) = self.connection.send_datagram(datagram)
            && !matches!(error, quinn::SendDatagramError::ConnectionLost(_))
        {
            network.counters.datagrams_unsent.add(1);
        }
    }

    /// Says that the session machine has bytes for the control stream.
    pub(super) fn wake_writer(&self) {
        self.outgoing.notify_one();
    }
}

/// Whether so many bytes that wait are [`STATES_WAITING_MAX`] states of `len` bytes, or more.
fn are_enough(waiting: usize, len: usize) -> bool {
    waiting >= STATES_WAITING_MAX * (len + QUEUED_OVERHEAD_LEN)
}

/// Runs one connection from its first packet to its end. `handshake` is held until the client is in.
pub(super) async fn run(network: Arc<Network>, incoming: Incoming, handshake: Handshake) {
    let Ok(Ok(connection)) = timeout(HANDSHAKE_TIMEOUT, incoming).await else {
        network.counters.handshakes_failed.add(1);
        return;
    };
    let mut session = ServerSession::with_idle_timeout(network.now(), network.idle_timeout);
    let Some((write, read, hello)) = greet(&network, &connection, &mut session).await else {
        network.counters.handshakes_failed.add(1);
        network.counters.ended(session.counters());
        return;
    };
    let Some((key, player)) = network.enter(hello, connection, session) else {
        return;
    };
    drop(handshake);
    let address = player.connection.remote_address();
    tracing::debug!(role = ?player.role, %address, "in");
    let end = play(&network, &player, write, read).await;
    network.leave(key, &player, &end);
    tracing::debug!(role = ?player.role, %end, "out");
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
            session.handle_stream(network.now(), &bytes[..count]);
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
async fn play(
    network: &Network,
    player: &Player,
    write: SendStream,
    read: RecvStream,
) -> ConnectionError {
    tokio::select! {
        end = take_datagrams(network, player) => end,
        end = write_stream(player, write) => end,
        end = read_stream(network, player, read) => end,
    }
}

async fn take_datagrams(network: &Network, player: &Player) -> ConnectionError {
    loop {
        match player.connection.read_datagram().await {
            Ok(datagram) => {
                let now = network.now();
                player.with(|session| session.handle_datagram(now, &datagram));
            }
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

async fn read_stream(network: &Network, player: &Player, mut read: RecvStream) -> ConnectionError {
    let mut bytes = [0; READ_BYTES];
    while let Ok(Some(count)) = read.read(&mut bytes).await {
        let now = network.now();
        player.with(|session| session.handle_stream(now, &bytes[..count]));
    }
    // The client may close its half, and the connection's end is told by the datagrams.
    pending().await
}

/// Closes the connection with the code and text that the client will read.
pub(super) fn hang_up(connection: &Connection, close: &Close) {
    connection.close(VarInt::from_u32(close.reason.code()), close.text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_states_may_wait_however_long_they_are() {
        assert!(!are_enough(0, 0), "nothing was ever sent");
        for len in [8, 16, 100, 1100] {
            let one = len + QUEUED_OVERHEAD_LEN;
            for fewer in [0, 1, 2] {
                assert!(!are_enough(fewer * one, len), "{fewer} wait");
            }
            // Until one of them has left there is no fourth.
            assert!(are_enough(3 * one, len));
        }
    }
}
