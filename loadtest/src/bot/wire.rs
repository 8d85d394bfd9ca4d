//! QUIC without a runtime: the bots' sockets, and one `quinn-proto` endpoint over them.
//!
//! A load generator on the server's own cores must cost little and be on time. So the bots don't use quinn's tokio driver
//! (several tasks, wakers and timers for each connection; its timers wake one to two milliseconds late) but the same
//! protocol machine underneath, driven by one loop that sleeps in `ppoll` until the next absolute deadline.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::BytesMut;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionEvent, ConnectionHandle, DatagramEvent, Endpoint,
    EndpointConfig, IdleTimeout, TransportConfig,
};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tessera_protocol::session::ALPN;
use tessera_server::steady::SteadyConfig;

/// Bytes that may be under way in any case: commands of half a second.
const WINDOW_MIN: u64 = 12 << 10;

/// The name asked for in the handshake. The certificate isn't checked, but a name must be there.
const SERVER_NAME: &str = "localhost";
/// A connection that hears nothing for so long is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest UDP payload taken in; the server sends at most 1,200 B, offloaded batches are several in one buffer.
const RECEIVE_BYTES_MAX: usize = 65_535;
/// UDP payloads taken from a socket in one system call; the system's own limit in quinn-udp.
const BATCH: usize = 32;
/// State that may wait for a bot; what doesn't fit is stale anyway.
const DATAGRAMS_IN_BYTES_MAX: usize = 256 << 10;
/// Room in each socket for a burst of the server's datagrams to all its bots. The system may grant less.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// One bot's connection.
#[derive(Debug)]
pub struct Link {
    /// The protocol machine.
    pub connection: Connection,
    handle: ConnectionHandle,
    socket: usize,
}

/// Sockets and endpoint of all bots.
pub struct Wire {
    sockets: Vec<Socket>,
    endpoint: Endpoint,
    config: ClientConfig,
    receive: Vec<u8>,
    transmit: Vec<u8>,
    /// Datagrams that the system didn't take: they are lost, as on a network.
    pub unsent: u64,
}

struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
}

impl Wire {
    /// Opens `sockets` sockets for connections to `server`.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn open(server: SocketAddr, sockets: usize) -> Result<Wire> {
        let sockets = (0..sockets.max(1))
            .map(|_| Socket::open(server))
            .collect::<io::Result<Vec<_>>>();
        let sockets = sockets.context("can't open a UDP socket for the bots")?;
        Ok(Wire {
            sockets,
            endpoint: Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None),
            config: client_config()?,
            receive: vec![0; RECEIVE_BYTES_MAX * BATCH],
            transmit: Vec::with_capacity(RECEIVE_BYTES_MAX),
            unsent: 0,
        })
    }

    /// Begins a connection to `server`, which is of the family that [`Wire::open`] was given, on one of the sockets.
    ///
    /// # Errors
    /// When the address can't be one of a server.
    pub fn connect(&mut self, now: Instant, server: SocketAddr, bot: usize) -> Result<Link> {
        let (handle, connection) =
            self.endpoint
                .connect(now, self.config.clone(), server, SERVER_NAME)?;
        Ok(Link {
            connection,
            handle,
            socket: bot % self.sockets.len(),
        })
    }

    /// Takes in what has arrived and tells for which connection each event is.
    pub fn receive(&mut self, mut tell: impl FnMut(ConnectionHandle, ConnectionEvent)) {
        for socket in &self.sockets {
            loop {
                let mut metas = [RecvMeta::default(); BATCH];
                let mut parts = self.receive.chunks_exact_mut(RECEIVE_BYTES_MAX);
                let mut buffers: [_; BATCH] =
                    std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
                let Ok(count) =
                    socket
                        .state
                        .recv(UdpSockRef::from(&socket.io), &mut buffers, &mut metas)
                else {
                    break; // nothing more, or an ICMP error that the connections' timeouts deal with
                };
                let now = Instant::now();
                for (buffer, meta) in buffers.iter().zip(&metas).take(count) {
                    for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                        let ecn = meta
                            .ecn
                            .and_then(|ecn| quinn_proto::EcnCodepoint::from_bits(ecn as u8));
                        let data = BytesMut::from(datagram);
                        let event = self.endpoint.handle(
                            now,
                            meta.addr,
                            meta.dst_ip,
                            ecn,
                            data,
                            &mut self.transmit,
                        );
                        self.transmit.clear();
                        if let Some(DatagramEvent::ConnectionEvent(handle, event)) = event {
                            tell(handle, event);
                        }
                    }
                }
                if count < BATCH {
                    break;
                }
            }
        }
    }

    /// Passes on what a connection wants to tell the endpoint, and sends what it wants to send.
    pub fn flush(&mut self, now: Instant, link: &mut Link) {
        while let Some(event) = link.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(link.handle, event) {
                link.connection.handle_event(event);
            }
        }
        let socket = &self.sockets[link.socket];
        // One packet at a time: a bot has one command a tick, so there is nothing to batch.
        while let Some(transmit) = link.connection.poll_transmit(now, 1, &mut self.transmit) {
            let packet = Transmit {
                destination: transmit.destination,
                ecn: transmit
                    .ecn
                    .and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
                contents: &self.transmit[..transmit.size],
                segment_size: transmit.segment_size,
                src_ip: transmit.src_ip,
            };
            if socket
                .state
                .try_send(UdpSockRef::from(&socket.io), &packet)
                .is_err()
            {
                self.unsent += 1;
            }
            self.transmit.clear();
        }
    }

    /// Sleeps until something arrives, at the latest until `wake`.
    pub fn sleep(&self, now: Instant, wake: Instant) {
        let wait = wake.saturating_duration_since(now);
        let mut polled: Vec<PollFd<'_>> = self
            .sockets
            .iter()
            .map(|socket| PollFd::new(&socket.io, PollFlags::IN))
            .collect();
        let timeout = Timespec {
            tv_sec: wait.as_secs().cast_signed(),
            tv_nsec: wait.subsec_nanos().into(),
        };
        // Interrupted or failed: the caller looks at everything again anyway.
        let _ = poll(&mut polled, Some(&timeout));
    }
}

impl Link {
    /// Which of the endpoint's connections this is.
    pub fn handle(&self) -> ConnectionHandle {
        self.handle
    }
}

impl Socket {
    fn open(server: SocketAddr) -> io::Result<Socket> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let io = UdpSocket::bind(any)?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        // The system may refuse or give less; then a long pause of the bots loses datagrams, and the report shows it.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&io), SOCKET_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&io), SOCKET_BUFFER_BYTES);
        Ok(Socket { io, state })
    }
}

fn client_config() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3 isn't in this build")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls)
        .context("QUIC's initial cipher suite isn't in this build")?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport()?));
    Ok(config)
}

fn transport() -> Result<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_TIMEOUT)?))
        .datagram_receive_buffer_size(Some(DATAGRAMS_IN_BYTES_MAX))
        .congestion_controller_factory(Arc::new(SteadyConfig::new(WINDOW_MIN)))
        // Commands are small; on loopback there is no larger packet to look for.
        .mtu_discovery_config(None)
        .max_concurrent_bidi_streams(0u8.into())
        .max_concurrent_uni_streams(0u8.into());
    Ok(transport)
}

/// Accepts whatever certificate the server has.
///
/// A dedicated server makes its own certificate at each start, and a load test asks how fast a server is, not who it is.
/// The signature of the handshake is checked all the same, so the cost is the real one. Never for a client of people.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
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
