//! A complete client: quinn, and the protocol's own session machine on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tessera_protocol::session::ALPN;
use tessera_protocol::{
    ClientEvent, ClientSession, Close, Command, EntityId, JoinRequest, ServerEvent, StateHeader,
    Tick, Watch,
};

use super::PATIENCE;

/// A client in a match, or on its way in or out.
pub struct Client {
    pub connection: Connection,
    pub session: ClientSession,
    write: SendStream,
    read: RecvStream,
    began: Instant,
    /// What the client does in each tick; the machine fills in the tick and the player.
    pub wish: Command,
    /// Makes commands for this player rather than the client's own.
    pub claim: Option<EntityId>,
    /// The tick of the newest command.
    made: Option<Tick>,
    /// The newest state's header.
    pub newest: Option<StateHeader>,
    pub events: Vec<ServerEvent>,
    pub closed: Option<Close>,
    _endpoint: quinn::Endpoint,
}

/// Asks to watch somebody.
pub fn watching(watch: Watch) -> JoinRequest {
    JoinRequest {
        watch: Some(watch),
        ..JoinRequest::from("watcher")
    }
}

impl Client {
    /// Connects and says hello. The answer comes with [`Client::until`].
    pub async fn connect(server: SocketAddr, request: impl Into<JoinRequest>) -> Client {
        Client::connect_with(server, request, |hello| hello).await
    }

    /// As [`Client::connect`], with other bytes for a hello.
    pub async fn connect_with(
        server: SocketAddr,
        request: impl Into<JoinRequest>,
        hello: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Client {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let connecting = endpoint.connect_with(config(), server, "localhost");
        let connection = connecting.expect("an address").await.expect("a connection");
        let (mut write, read) = connection.open_bi().await.expect("a stream");
        let mut session = ClientSession::new(Duration::ZERO, request);
        let bytes = hello(session.poll_stream().expect("a hello"));
        write.write_all(&bytes).await.expect("the server reads");
        Client {
            connection,
            session,
            write,
            read,
            began: Instant::now(),
            wish: Command::default(),
            claim: None,
            made: None,
            newest: None,
            events: Vec::new(),
            closed: None,
            _endpoint: endpoint,
        }
    }

    /// Connects and waits until the client is in the match and has a player.
    pub async fn join(server: SocketAddr, request: impl Into<JoinRequest>) -> Client {
        let mut client = Client::connect(server, request).await;
        client
            .until("a player", |client| !client.session.own_entity().is_none())
            .await;
        client
    }

    /// Plays until `condition` holds.
    pub async fn until(&mut self, what: &str, mut condition: impl FnMut(&Client) -> bool) {
        let waiting = async {
            while !condition(self) {
                assert!(self.closed.is_none(), "closed by {:?}", self.closed);
                self.step().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        in_time.unwrap_or_else(|_| panic!("waited too long for {what}"));
    }

    /// Plays until the server ends the session, and says how it did.
    pub async fn until_closed(&mut self) -> Close {
        let waiting = async {
            while self.closed.is_none() {
                self.step().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        in_time.expect("waited too long for the close");
        self.closed.clone().expect("just waited for it")
    }

    /// Connects, is refused, and says how.
    pub async fn refused(server: SocketAddr, request: impl Into<JoinRequest>) -> Close {
        let mut client = Client::connect(server, request).await;
        client.until_closed().await
    }

    /// Waits until the server has let the client in, or has not.
    pub async fn until_answered(&mut self) {
        let waiting = async {
            while self.session.welcome().is_none() && self.closed.is_none() {
                self.step().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        in_time.expect("waited too long for an answer");
    }

    /// Plays until a command that is made from now on was consumed.
    pub async fn until_obeyed(&mut self) {
        let made = self.made.expect("it has commanded before");
        let obeyed = |client: &Client| {
            let consumed = client.newest.and_then(|header| header.ack.consumed);
            consumed.is_some_and(|tick| tick.is_newer_than(made))
        };
        self.until("a consumed command", obeyed).await;
    }

    /// Sends a datagram of any bytes.
    pub fn send_garbage(&self, bytes: &'static [u8]) {
        let sent = self.connection.send_datagram(Bytes::from_static(bytes));
        sent.expect("the connection lives");
    }

    /// Metres.
    pub fn position(&self) -> Option<[f64; 3]> {
        let world = self.session.world()?;
        world
            .get(self.session.own_entity())
            .map(|entity| entity.position())
    }

    /// Plays while something else goes on: who doesn't play counts as idle after a while.
    pub async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                () = self.step() => {}
            }
        }
    }

    /// Waits for one thing to happen, and does what it asks for.
    pub async fn step(&mut self) {
        let wake = self.session.next_timeout().map_or(PATIENCE, |due| due);
        let mut bytes = [0; 4096];
        tokio::select! {
            datagram = self.connection.read_datagram() => match datagram {
                Ok(datagram) => self.take_state(&datagram),
                Err(error) => self.end(&error),
            },
            // A closed stream is not the end: that is told by the connection.
            Ok(Some(count)) = self.read.read(&mut bytes) => {
                self.session.handle_stream(self.began.elapsed(), &bytes[..count]);
            }
            () = tokio::time::sleep_until((self.began + wake).into()) => {
                self.session.handle_timeout(self.began.elapsed());
            }
        }
        self.settle().await;
    }

    fn take_state(&mut self, datagram: &[u8]) {
        if let Some(header) = self.session.handle_datagram(self.began.elapsed(), datagram) {
            assert!(datagram.len() <= 1100, "{} bytes", datagram.len());
            let newer = |newest: StateHeader| header.tick.is_newer_than(newest.tick);
            if self.newest.is_none_or(newer) {
                self.newest = Some(header);
            }
        }
    }

    fn end(&mut self, error: &ConnectionError) {
        let close = match error {
            ConnectionError::ApplicationClosed(close) => {
                let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
                Close::received(code, &close.reason)
            }
            other => Close::lost(other.to_string()),
        };
        self.session.handle_closed(close);
    }

    async fn settle(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Welcome(_) | ClientEvent::Declared(_) => {}
                ClientEvent::Event(event) => self.events.push(event),
                ClientEvent::Closed(close) => self.closed = Some(close),
            }
        }
        while let Some(tick) = self.session.poll_command_tick(self.began.elapsed()) {
            self.command(tick);
        }
        while let Some(datagram) = self.session.poll_datagram() {
            // Only a connection that has ended refuses, and that is told elsewhere.
            let _ = self.connection.send_datagram(datagram.into());
        }
        if let Some(bytes) = self.session.poll_stream() {
            let _ = self.write.write_all(&bytes).await;
        }
        if let Some(close) = self.session.poll_close() {
            let code = VarInt::from_u32(close.reason.code());
            self.connection.close(code, close.text.as_bytes());
        }
    }

    fn command(&mut self, tick: Tick) {
        self.made = Some(tick);
        let entity = self.claim.unwrap_or(self.session.own_entity());
        self.session.send_command(Command {
            tick,
            entity,
            ..self.wish
        });
    }
}

fn config() -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).expect("an initial cipher suite");
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// The server makes its own certificate; these tests are not about who it is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
