//! The UDP socket and the QUIC endpoint on it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{
    AckFrequencyConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use tessera_protocol::session::{ALPN, RateLimit};
use tessera_protocol::state::DATAGRAM_LEN_MAX;

use super::cert::{CertificateError, Identity};
use super::handshakes::HANDSHAKES_MAX;
use crate::error::Error;
use crate::steady::SteadyConfig;

/// Bytes of commands that may wait for a session's task: a client that sends more loses its oldest.
const DATAGRAMS_IN_BYTES_MAX: usize = 16 << 10;

/// Bytes a client may have on its way to us on its one stream. A hello is under a kilobyte.
const STREAM_IN_BYTES_MAX: u32 = 16 << 10;

/// Bytes of events that may be on their way to one client.
const EVENTS_OUT_BYTES_MAX: u64 = 256 << 10;

/// Bytes of state that may wait for a client's path, at the most: the session holds back what is more than
/// three ticks' worth. (The default holds seconds of stale state.)
const STATES_OUT_BYTES_MAX: usize = 4 * DATAGRAM_LEN_MAX;

/// Bytes that may be under way to a client in any case: state of a quarter of a second at 30 KiB/s.
const WINDOW_MIN: u64 = 8 << 10;

/// Packets that a client may leave unacknowledged. Its acknowledgements ride on its commands anyway,
/// and state is never sent twice, so nothing waits for them but the congestion controller.
const PACKETS_PER_ACK: u32 = 10;

/// Room in the socket for a tick's datagrams of all clients, both ways, while the process is late.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;

/// While so many are going on, new connections prove their address first. A hundred clients that come
/// at once get by with little of it; a flood from forged addresses is answered with a packet each.
pub(super) const VALIDATED_FROM_HANDSHAKES: usize = 32;

/// Connections that one address may begin: a whole match behind one gateway may come at once, and
/// come back.
pub(super) const ADDRESS_LIMIT: RateLimit = RateLimit {
    per_s: 50,
    burst: 1000,
};

/// Addresses whose connections are counted, each by itself.
pub(super) const ADDRESSES_MAX: usize = 4096;

/// Takes the port, so that a busy one is told before anything else is started.
pub(crate) fn bind(address: SocketAddr) -> Result<UdpSocket, Error> {
    let listening = |error| Error::listening(address, "UDP", "--listen", error);
    let socket = UdpSocket::bind(address).map_err(listening)?;
    // The system may give less (net.core.rmem_max); the default does for a match on one machine.
    for set in [set_socket_recv_buffer_size, set_socket_send_buffer_size] {
        if let Err(error) = set(&socket, SOCKET_BUFFER_BYTES) {
            tracing::debug!(%error, "the socket keeps its default buffers");
        }
    }
    Ok(socket)
}

/// The endpoint, which must be made inside the runtime that drives it.
pub(crate) fn start(
    socket: UdpSocket,
    identity: Identity,
    transport: TransportConfig,
) -> Result<quinn::Endpoint, Error> {
    let config = server_config(identity, transport)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = EndpointConfig::default();
    Ok(quinn::Endpoint::new(
        endpoint,
        Some(config),
        socket,
        runtime,
    )?)
}

fn server_config(
    identity: Identity,
    transport: TransportConfig,
) -> Result<ServerConfig, CertificateError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate], identity.key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls)
        .expect("the provider has the initial cipher suite");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    config.max_incoming(HANDSHAKES_MAX);
    Ok(config)
}

/// How connections behave.
pub(crate) fn transport(idle_timeout: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(idle_timeout).expect("the configuration bounds it");
    transport
        .max_idle_timeout(Some(idle))
        // State keeps a connection alive; this is for a match that stalls longer than the timeout.
        .keep_alive_interval(Some(idle_timeout / 3))
        .datagram_send_buffer_size(STATES_OUT_BYTES_MAX)
        .datagram_receive_buffer_size(Some(DATAGRAMS_IN_BYTES_MAX))
        // One stream each way; see the session machine.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_IN_BYTES_MAX))
        .receive_window(VarInt::from_u32(STREAM_IN_BYTES_MAX))
        .send_window(EVENTS_OUT_BYTES_MAX)
        // Datagrams stay under what any path carries, so probing for more would gain nothing.
        .mtu_discovery_config(None)
        // One datagram a client and tick: there is nothing to batch into one system call, and the
        // offload would only make quinn prepare larger buffers.
        .enable_segmentation_offload(false)
        .congestion_controller_factory(Arc::new(SteadyConfig::new(WINDOW_MIN)))
        .ack_frequency_config(Some(ack_frequency()));
    transport
}

fn ack_frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.ack_eliciting_threshold(VarInt::from_u32(PACKETS_PER_ACK));
    config
}
