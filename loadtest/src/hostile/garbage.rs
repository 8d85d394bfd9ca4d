//! Datagrams from raw sockets: what any machine on the internet can send without a connection.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Behaviour;
use super::storm::Stage;

/// Time between two bursts, and datagrams in one: 500 a second.
const EVERY: Duration = Duration::from_millis(10);
const BURST: usize = 5;
/// Most bytes of a datagram, about what an ethernet frame holds.
const LEN_MAX: usize = 1_472;
/// What a client's first packet has to be padded to (RFC 9000, section 14.1); a server looks at no smaller ones.
const INITIAL_LEN: usize = 1_200;

/// Throws datagrams that belong to no connection.
pub(super) struct Garbage {
    socket: UdpSocket,
}

impl Garbage {
    pub(super) fn open(server: SocketAddr) -> Result<Garbage> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).context("can't open a UDP socket for garbage")?;
        socket.set_nonblocking(true)?;
        Ok(Garbage { socket })
    }
}

impl Behaviour for Garbage {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        for _ in 0..BURST {
            let (what, datagram) = match stage.pick(0, 4) {
                0 => {
                    let len = stage.pick(0, LEN_MAX);
                    ("datagrams: random bytes", stage.noise(len))
                }
                1 => ("datagrams: forged first packets", initial(stage)),
                2 => {
                    let mut cut = initial(stage);
                    cut.truncate(stage.pick(1, INITIAL_LEN));
                    ("datagrams: first packets cut short", cut)
                }
                _ => {
                    let len = stage.pick(20, LEN_MAX);
                    let mut datagram = stage.noise(len);
                    datagram[0] = datagram[0] & 0x3f | 0x40;
                    ("datagrams: of no known connection", datagram)
                }
            };
            // What the system doesn't take is thrown at nobody.
            if self.socket.send_to(&datagram, stage.server).is_ok() {
                stage.threw(what, 1);
            }
        }
        Ok(EVERY)
    }
}

/// An Initial packet of QUIC version 1 whose header is right and whose content was never encrypted.
fn initial(stage: &mut Stage) -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
    packet.extend(stage.noise(8)); // destination connection id
    packet.push(8);
    packet.extend(stage.noise(8)); // source connection id
    packet.push(0); // no token
    let left = INITIAL_LEN - packet.len() - 2;
    packet.extend((0x4000 | left as u16).to_be_bytes());
    packet.extend(stage.noise(left));
    packet
}
