//! Bits and varints. Bits fill each byte from the least significant one on.

/// Writes bits to the end of a buffer.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits that are not in the buffer yet; the others are 0.
    pending: u64,
    /// How many of them: below 32 between calls.
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            pending: 0,
            count: 0,
        }
    }

    /// Writes the low `bits` (at most 32) of `value`, whose others must be 0.
    #[inline]
    pub(super) fn write(&mut self, value: u32, bits: u32) {
        debug_assert!(
            bits <= 32 && u64::from(value) < 1 << bits,
            "{value} in {bits} bits"
        );
        self.pending |= u64::from(value) << self.count;
        self.count += bits;
        if self.count >= 32 {
            self.out
                .extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    pub(super) fn write_u64(&mut self, value: u64) {
        self.write(value as u32, 32);
        self.write((value >> 32) as u32, 32);
    }

    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        words
            .iter()
            .for_each(|word| self.write(u32::from_le_bytes(*word), 32));
        rest.iter().for_each(|&byte| self.write(byte.into(), 8));
    }

    /// Groups of 7 bits, least significant first, each with a bit that says whether one follows.
    pub(super) fn write_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.write(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.write(value, 8);
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
    }
}

/// Reads bits from the front of a buffer. Every read is `None` past its end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken out of `bytes` already but not returned yet.
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            pending: 0,
            count: 0,
        }
    }

    /// Reads at most 32 bits.
    #[inline]
    pub(super) fn read(&mut self, bits: u32) -> Option<u32> {
        while self.count < bits {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
        }
        let value = self.pending & ((1 << bits) - 1);
        self.pending >>= bits;
        self.count -= bits;
        Some(value as u32)
    }

    pub(super) fn read_u64(&mut self) -> Option<u64> {
        let low = self.read(32)?;
        Some(u64::from(low) | u64::from(self.read(32)?) << 32)
    }

    pub(super) fn read_varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let group = self.read(8)?;
            let low = group & 0x7f;
            if low << shift >> shift != low {
                return None; // past 32 bits
            }
            value |= low << shift;
            if group & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// What follows the byte that was read last.
    pub(super) fn rest(self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_fill_bytes_from_the_low_end() {
        let mut out = vec![0xaa];
        let mut writer = BitWriter::new(&mut out);
        writer.write(1, 1);
        writer.write(0b101, 3);
        writer.write(0xffff_ffff, 32);
        writer.finish();
        assert_eq!(out, [0xaa, 0xfb, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn varints_past_32_bits_are_refused() {
        assert_eq!(
            BitReader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).read_varint(),
            Some(u32::MAX)
        );
        assert_eq!(
            BitReader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).read_varint(),
            None
        );
        assert_eq!(
            BitReader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).read_varint(),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(items in prop::collection::vec((any::<u32>(), 0..=32_u32), 0..50)) {
            let mut out = Vec::new();
            let mut writer = BitWriter::new(&mut out);
            let masked = |value: u32, bits: u32| (u64::from(value) & ((1 << bits) - 1)) as u32;
            for &(value, bits) in &items {
                writer.write(masked(value, bits), bits);
                writer.write_varint(value);
                writer.write_u64(u64::from(value) << 9);
            }
            writer.finish();
            let mut reader = BitReader::new(&out);
            for &(value, bits) in &items {
                prop_assert_eq!(reader.read(bits), Some(masked(value, bits)));
                prop_assert_eq!(reader.read_varint(), Some(value));
                prop_assert_eq!(reader.read_u64(), Some(u64::from(value) << 9));
            }
            prop_assert_eq!(reader.rest(), &[0; 0]);
        }
    }
}
