//! Messages on the control stream: a little-endian `u32` length and that many bytes.

/// A message as it goes on the stream.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + message.len());
    out.extend_from_slice(&(message.len() as u32).to_le_bytes());
    out.extend_from_slice(message);
    out
}

/// A message is longer than the peer may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong(pub(super) u32);

/// Puts messages together from pieces of the stream.
#[derive(Debug)]
pub(super) struct Deframer {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that have been returned.
    taken: usize,
    len_max: u32,
}

impl Deframer {
    /// Messages may have at most `len_max` bytes.
    pub(super) fn new(len_max: u32) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            len_max,
        }
    }

    /// Adds what arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let Some((len, rest)) = self.buffer[self.taken..].split_first_chunk() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*len);
        if len > self.len_max {
            return Err(TooLong(len));
        }
        let message = rest.get(..len as usize);
        if message.is_some() {
            self.taken += 4 + len as usize;
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_survive_any_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            cuts in prop::collection::vec(1..30_usize, 1..50),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let (mut deframer, mut received, mut rest) = (Deframer::new(50), Vec::new(), &stream[..]);
            for &cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                rest = tail;
                deframer.push(piece);
                while let Some(message) = deframer.next().expect("none is too long") {
                    received.push(message.to_vec());
                }
            }
            prop_assert_eq!(received, messages);
        }
    }

    #[test]
    fn a_length_past_the_limit_is_refused_at_once() {
        let mut deframer = Deframer::new(50);
        deframer.push(&[51, 0, 0, 0]);
        assert_eq!(deframer.next(), Err(TooLong(51)));
    }
}
