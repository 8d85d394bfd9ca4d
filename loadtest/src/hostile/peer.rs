//! A QUIC connection in hostile hands: whole and valid itself, so that what goes over it is looked at.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn_proto::{ConnectionError, Dir, Event, StreamEvent, StreamId, VarInt};
use tessera_protocol::{ClientSession, CloseReason, JoinRequest};

use crate::bot::wire::Link;

/// One connection. Times are since the storm's beginning.
pub(super) struct Peer {
    pub(super) link: Link,
    /// When the connection's timers want to run.
    pub(super) timeout: Option<Instant>,
    /// Whether it reads its control stream.
    pub(super) reads: bool,
    /// The protocol's own machine, once a hello has gone out that may be accepted.
    pub(super) session: Option<ClientSession>,
    /// When the connection began.
    pub(super) began: Duration,
    connected: bool,
    stream: Option<StreamId>,
    /// Bytes for the control stream that it had no room for.
    unwritten: Vec<u8>,
    ended: Option<String>,
}

impl Peer {
    pub(super) fn new(now: Duration, link: Link) -> Peer {
        Peer {
            link,
            timeout: None,
            reads: true,
            session: None,
            began: now,
            connected: false,
            stream: None,
            unwritten: Vec::new(),
            ended: None,
        }
    }

    /// Whether the handshake of QUIC is done and the connection stands.
    pub(super) fn is_connected(&self) -> bool {
        self.connected && self.ended.is_none()
    }

    /// How the server or the network ended it, if it has ended.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Says hello as an honest client does.
    pub(super) fn join(&mut self, now: Duration, request: JoinRequest) {
        self.say(now, request, |hello| hello);
    }

    /// Says what `forge` makes of a hello, and listens as who has said hello.
    pub(super) fn say(
        &mut self,
        now: Duration,
        request: JoinRequest,
        forge: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) {
        let mut session = ClientSession::new(now, request);
        self.write(&forge(session.poll_stream().unwrap_or_default()));
        self.session = Some(session);
    }

    /// The session, once it is in the match.
    pub(super) fn playing(&mut self) -> Option<&mut ClientSession> {
        let session = self.session.as_mut();
        session.filter(|session| session.welcome().is_some())
    }

    /// Writes to the control stream, which is opened first if it isn't.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.stream.is_none() {
            self.stream = self.link.connection.streams().open(Dir::Bi);
        }
        self.unwritten.extend_from_slice(bytes);
        let Some(stream) = self.stream else { return };
        if let Ok(count) = self
            .link
            .connection
            .send_stream(stream)
            .write(&self.unwritten)
        {
            self.unwritten.drain(..count);
        }
    }

    /// Ends the control stream in order, whatever has been written to it.
    pub(super) fn finish(&mut self) {
        if let Some(stream) = self.stream {
            // Refused only when the server has stopped it.
            let _ = self.link.connection.send_stream(stream).finish();
        }
    }

    /// Sends an application datagram; says whether the connection took it.
    pub(super) fn send(&mut self, bytes: Vec<u8>) -> bool {
        let mut datagrams = self.link.connection.datagrams();
        datagrams.send(Bytes::from(bytes), true).is_ok()
    }

    /// Most bytes of an application datagram on this connection; 0 before it stands.
    pub(super) fn datagram_len_max(&mut self) -> usize {
        self.link.connection.datagrams().max_size().unwrap_or(0)
    }

    /// Leaves in order.
    pub(super) fn leave(&mut self, now: Instant) {
        let code = VarInt::from_u32(CloseReason::Left.code());
        self.link.connection.close(now, code, Bytes::new());
    }

    /// Works on what the connection has.
    pub(super) fn pump(&mut self, now: Duration) {
        while let Some(event) = self.link.connection.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::Stream(StreamEvent::Readable { id }) if self.reads => self.read(now, id),
                Event::ConnectionLost { reason } => self.ended = Some(name_of(&reason)),
                _ => {}
            }
        }
        while let Some(datagram) = self.link.connection.datagrams().recv() {
            if let Some(session) = &mut self.session {
                session.handle_datagram(now, &datagram);
            }
        }
    }

    fn read(&mut self, now: Duration, id: StreamId) {
        let mut stream = self.link.connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            return;
        };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            if let Some(session) = &mut self.session {
                session.handle_stream(now, &chunk.bytes);
            }
        }
        let _ = chunks.finalize();
    }
}

/// How a connection ended, in the report's words.
fn name_of(reason: &ConnectionError) -> String {
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
            let reason = match CloseReason::from_code(code) {
                // The code of an end without a reason: the server let the connection go.
                CloseReason::Left => "let go without a word",
                CloseReason::ProtocolMismatch => "another protocol",
                CloseReason::ServerFull => "server full",
                CloseReason::Draining => "server stopping",
                CloseReason::BadName => "bad name",
                CloseReason::HandshakeTimeout => "handshake took too long",
                CloseReason::Garbage => "garbage on the control stream",
                CloseReason::TooSlow => "control stream not read",
                CloseReason::Kicked => "kicked",
                CloseReason::TokenMissing => "no token",
                CloseReason::TokenBad => "token not signed",
                CloseReason::TokenExpired => "token expired",
                CloseReason::TokenUsed => "token used before",
                CloseReason::TokenForAnotherMatch => "token for another match",
                CloseReason::Idle => "idle for too long",
                CloseReason::RateLimited => "sent far too much",
                other => return format!("code {}", other.code()),
            };
            reason.to_owned()
        }
        ConnectionError::TimedOut => "timed out".into(),
        ConnectionError::ConnectionClosed(_) => "refused or closed by QUIC".into(),
        other => other.to_string(),
    }
}
