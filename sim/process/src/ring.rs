//! Frames through a ring of words in shared memory, one writer and one reader.
//!
//! A frame is its length in bytes, and the bytes in whole words. One that is longer than the ring goes
//! through it in pieces. Positions count words since the beginning; each side keeps its own in private
//! memory and only tells the other, so that a peer can't move it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustix::io::Errno;

use crate::bell::{Bell, Ended};
use crate::shared::{self, Mapping};

/// Words of a ring: 512 KiB, some ten times the frames of a hundred players.
const RING_WORDS: usize = 1 << 16;
/// Words between the positions and before the data: a cache line each.
const LINE_WORDS: usize = 8;
/// Where a ring has how far it was written, how far it was read, and its data.
const WRITTEN: usize = 0;
const READ: usize = LINE_WORDS;
const DATA: usize = 2 * LINE_WORDS;
const ONE_WAY_WORDS: usize = DATA + RING_WORDS;
/// Bytes of the memory that two rings take, there and back.
pub(crate) const BYTES: usize = 2 * ONE_WAY_WORDS * size_of::<u64>();
/// Longest frame, bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 26;

/// Why no frame comes, or none can be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RingError {
    /// The other process has ended.
    Ended,
    /// The ring holds what the other side can't have written by the rules.
    Garbage(&'static str),
}

impl From<Ended> for RingError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// Creates the memory for two rings.
pub(crate) fn create() -> Result<OwnedFd, Errno> {
    shared::create("tessera-ring", BYTES)
}

/// The ends of two rings that one process uses.
pub(crate) fn ends(mapping: Mapping, is_parent: bool) -> (Writer, Reader) {
    let mapping = Arc::new(mapping);
    let ring = |start| Ring {
        mapping: mapping.clone(),
        start,
    };
    let (out, back) = match is_parent {
        true => (0, ONE_WAY_WORDS),
        false => (ONE_WAY_WORDS, 0),
    };
    let writer = Writer {
        ring: ring(out),
        written: 0,
    };
    let reader = Reader {
        ring: ring(back),
        read: 0,
        untold: 0,
    };
    (writer, reader)
}

/// One of the two rings in the memory.
struct Ring {
    mapping: Arc<Mapping>,
    /// Its first word.
    start: usize,
}

impl Ring {
    fn position(&self, which: usize) -> &AtomicU64 {
        &self.mapping.words()[self.start + which]
    }

    /// The words from a position on, up to the end of the memory.
    fn data(&self, position: u64) -> &[AtomicU64] {
        let data = &self.mapping.words()[self.start + DATA..][..RING_WORDS];
        &data[position as usize % RING_WORDS..]
    }

    /// Words between two positions, of which the other side may have set either.
    fn between(read: u64, written: u64) -> Result<usize, RingError> {
        match written.wrapping_sub(read) {
            words if words <= RING_WORDS as u64 => Ok(words as usize),
            _ => Err(RingError::Garbage(
                "its positions in the ring make no sense",
            )),
        }
    }
}

/// Where frames are written.
pub(crate) struct Writer {
    ring: Ring,
    written: u64,
}

impl Writer {
    /// Sends a frame, and rings. Waits while the ring is full.
    pub(crate) fn send(&mut self, frame: &[u8], bell: &Bell) -> Result<(), RingError> {
        self.put(std::iter::once(frame.len() as u64), bell)?;
        let (words, last) = frame.as_chunks::<8>();
        let mut end = [0; 8];
        end[..last.len()].copy_from_slice(last);
        self.put(words.iter().map(|word| u64::from_le_bytes(*word)), bell)?;
        if !last.is_empty() {
            self.put(std::iter::once(u64::from_le_bytes(end)), bell)?;
        }
        bell.ring()?;
        Ok(())
    }

    fn put(
        &mut self,
        mut words: impl ExactSizeIterator<Item = u64>,
        bell: &Bell,
    ) -> Result<(), RingError> {
        while words.len() > 0 {
            let read = self.ring.position(READ).load(Acquire);
            let room = RING_WORDS - Ring::between(read, self.written)?;
            if room == 0 {
                bell.ring()?;
                bell.wait()?;
                continue;
            }
            let places = self.ring.data(self.written);
            let count = room.min(words.len()).min(places.len());
            for (place, word) in places[..count].iter().zip(&mut words) {
                place.store(word, Relaxed);
            }
            self.written = self.written.wrapping_add(count as u64);
            self.ring.position(WRITTEN).store(self.written, Release);
        }
        Ok(())
    }
}

/// Where frames are read.
pub(crate) struct Reader {
    ring: Ring,
    read: u64,
    /// Words read since the writer was last told.
    untold: usize,
}

impl Reader {
    /// Waits for the next frame and copies it to `frame`, in place of what was there.
    pub(crate) fn receive(&mut self, frame: &mut Vec<u8>, bell: &Bell) -> Result<(), RingError> {
        frame.clear();
        let mut bytes = None;
        loop {
            let available = self.available()?;
            if available == 0 {
                bell.wait()?;
                continue;
            }
            let Some(bytes) = bytes else {
                let length = self.ring.data(self.read)[0].load(Relaxed);
                if length > FRAME_BYTES_MAX as u64 {
                    return Err(RingError::Garbage("a frame is longer than any can be"));
                }
                bytes = Some(length as usize);
                self.advance(1, bell)?;
                if length == 0 {
                    return Ok(());
                }
                continue;
            };
            let wanted = (bytes - frame.len()).div_ceil(8);
            let words = self.ring.data(self.read);
            let count = available.min(wanted).min(words.len());
            let at = frame.len();
            frame.resize(at + 8 * count, 0);
            let (places, _) = frame[at..].as_chunks_mut();
            for (place, word) in places.iter_mut().zip(words) {
                *place = word.load(Relaxed).to_le_bytes();
            }
            self.advance(count, bell)?;
            if frame.len() >= bytes {
                frame.truncate(bytes);
                return Ok(());
            }
        }
    }

    /// Words that can be read.
    fn available(&self) -> Result<usize, RingError> {
        Ring::between(self.read, self.ring.position(WRITTEN).load(Acquire))
    }

    /// Gives words back, and tells the writer once that is half of the ring. A writer that found the ring
    /// full hears of it: all of the ring is still to be read then, and half of it is read before that.
    fn advance(&mut self, words: usize, bell: &Bell) -> Result<(), Ended> {
        self.read = self.read.wrapping_add(words as u64);
        self.ring.position(READ).store(self.read, Release);
        self.untold += words;
        if self.untold < RING_WORDS / 2 {
            return Ok(());
        }
        self.untold = 0;
        bell.ring()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    struct End {
        writer: Writer,
        reader: Reader,
        bell: Bell,
    }

    fn pair() -> (End, End) {
        let fd = create().expect("a memfd");
        let mapping = || Mapping::new(&fd, BYTES, true).expect("a mapping");
        let (bell, other) = Bell::pair().expect("a socket pair");
        let end = |mapping, is_parent, bell| {
            let (writer, reader) = ends(mapping, is_parent);
            End {
                writer,
                reader,
                bell,
            }
        };
        (
            end(mapping(), true, bell),
            end(mapping(), false, Bell::new(other)),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_of_any_length_come_out_as_they_went_in(
            lengths in prop::collection::vec(prop_oneof![0..40usize, 0..5_000usize, 500_000..1_500_000usize], 1..6),
        ) {
            let (mut parent, mut child) = pair();
            let frame = |length: usize| -> Vec<u8> { (0..length).map(|at| (at * 7 + length) as u8).collect() };
            thread::scope(|scope| {
                let lengths = &lengths;
                scope.spawn(move || {
                    for &length in lengths {
                        parent.writer.send(&frame(length), &parent.bell).expect("it is read");
                    }
                    // Stays until the reader has all.
                    let mut answer = Vec::new();
                    parent.reader.receive(&mut answer, &parent.bell).expect("an answer");
                });
                let mut got = Vec::new();
                for &length in lengths {
                    child.reader.receive(&mut got, &child.bell).expect("it was sent");
                    assert!(got == frame(length), "a frame of {length} bytes is another");
                }
                child.writer.send(b"all", &child.bell).expect("it is read");
            });
        }

        #[test]
        fn a_ring_of_garbage_is_an_error_or_a_frame(
            words in prop::collection::vec((0..ONE_WAY_WORDS, prop_oneof![any::<u64>(), 0..100u64, Just(RING_WORDS as u64)]), 0..64),
        ) {
            let (mut parent, child) = pair();
            let garbage = child.writer.ring;
            for (at, word) in words {
                garbage.mapping.words()[garbage.start + at].store(word, Relaxed);
            }
            child.bell.ring().expect("the parent is there");
            drop(child.bell);
            let mut frame = Vec::new();
            while parent.reader.receive(&mut frame, &parent.bell).is_ok() {}
            let _ = parent.writer.send(&[1; 100], &parent.bell);
        }
    }

    #[test]
    fn the_end_of_the_other_process_ends_the_wait() {
        let (mut parent, child) = pair();
        drop(child);
        let mut frame = Vec::new();
        let received = parent.reader.receive(&mut frame, &parent.bell);
        assert_eq!(received, Err(RingError::Ended));
    }
}
