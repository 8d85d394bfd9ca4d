//! The server's coding for one client and the client's decoder.

use tessera_protocol::state::DATAGRAM_LEN_MAX;
use tessera_protocol::{
    ClientId, ClientView, CommandAck, FrameDecoder, FrameEncoder, Packed, StateConfig,
};

use super::world::{World, table};

pub(crate) const HZ: u32 = 64;
/// Bytes a second that limit nothing.
pub(crate) const UNLIMITED: u32 = 1_000_000_000;

/// One client and the server's coding for it, with whatever link a test makes between them.
pub(crate) struct Pair {
    pub(crate) encoder: FrameEncoder,
    pub(crate) view: ClientView,
    pub(crate) decoder: FrameDecoder,
}

impl Pair {
    pub(crate) fn new(client: u16) -> Self {
        Self::with(client, StateConfig::default(), UNLIMITED)
    }

    pub(crate) fn with(client: u16, config: StateConfig, rate: u32) -> Self {
        Self {
            encoder: FrameEncoder::new(table(), HZ, config).expect("a good table"),
            view: ClientView::new(ClientId(client), rate),
            decoder: FrameDecoder::new(table(), HZ).expect("a good table"),
        }
    }

    /// What the server sends for this state of the world.
    pub(crate) fn pack(&mut self, world: &World) -> (Vec<u8>, Packed) {
        self.encoder.encode(&world.snapshot());
        self.encoder.look(&mut self.view);
        let mut sent = Vec::new();
        let ack = CommandAck::default();
        let packed = self.encoder.pack(&mut self.view, ack, |datagram| {
            sent.extend_from_slice(datagram);
        });
        assert!(sent.len() <= DATAGRAM_LEN_MAX, "{}", sent.len());
        assert_eq!(sent.len(), packed.bytes);
        (sent, packed)
    }

    /// A tick in which the datagram arrives at once or not at all, and so does the acknowledgement.
    pub(crate) fn tick(&mut self, world: &mut World, arrives: bool) -> Packed {
        let (datagram, packed) = self.pack(world);
        if arrives {
            self.decoder.handle(&datagram).expect("a good datagram");
            self.view.handle_ack(self.decoder.ack());
        }
        world.tick = world.tick.next();
        packed
    }

    pub(crate) fn sees(&self) -> Vec<u32> {
        self.decoder
            .entities()
            .map(|entity| entity.id().0)
            .collect()
    }
}
