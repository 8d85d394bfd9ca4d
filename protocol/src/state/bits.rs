//! Bits, varints and Golomb codes. Bits fill each byte from the least significant one on.

/// Bits of a Golomb code; see [`BitWriter::write_golomb`].
pub(super) const fn golomb_len(value: u32, k: u32) -> usize {
    let digits = (value as u64 + (1 << k)).ilog2();
    (2 * digits - k + 1) as usize
}

/// Writes bits to the end of a buffer.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Length of the buffer before.
    start: usize,
    /// Bits that are not in the buffer yet; the others are 0.
    pending: u64,
    /// How many of them: below 64 between calls.
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            start: out.len(),
            out,
            pending: 0,
            count: 0,
        }
    }

    /// Bits written so far.
    pub(super) fn len(&self) -> usize {
        (self.out.len() - self.start) * 8 + self.count as usize
    }

    /// Writes the low `bits` (at most 32) of `value`, whose others must be 0.
    #[inline]
    pub(super) fn write(&mut self, value: u32, bits: u32) {
        debug_assert!(bits <= 32, "{bits} bits");
        self.write_long(value.into(), bits);
    }

    /// The same of at most 64 bits.
    #[inline]
    fn write_long(&mut self, value: u64, bits: u32) {
        debug_assert!(
            bits <= 64 && value.checked_shr(bits).unwrap_or(0) == 0,
            "{value} in {bits} bits"
        );
        self.pending |= value << self.count;
        let room = 64 - self.count;
        if bits < room {
            self.count += bits;
        } else {
            self.out.extend_from_slice(&self.pending.to_le_bytes());
            self.pending = value.checked_shr(room).unwrap_or(0);
            self.count = bits - room;
        }
    }

    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        self.append(bytes, bytes.len() * 8);
    }

    /// Groups of 7 bits, least significant first, each with a bit that says whether one follows.
    pub(super) fn write_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.write(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.write(value, 8);
    }

    /// An exponential Golomb code of order `k`: short for values about `2^k` and below (Teuhola, "A
    /// Compression Method for Clustered Bit-Vectors", 1978). At most 65 bits.
    pub(super) fn write_golomb(&mut self, value: u32, k: u32) {
        let shifted = u64::from(value) + (1 << k);
        let digits = shifted.ilog2();
        let zeros = digits - k;
        let low = shifted & ((1 << digits) - 1);
        if zeros + 1 + digits <= 64 {
            self.write_long((low << 1 | 1) << zeros, zeros + 1 + digits);
        } else {
            self.write_long(1 << zeros, zeros + 1);
            self.write_long(low, digits);
        }
    }

    /// Appends the first `count` bits of `bytes`.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], count: usize) {
        let (whole, over) = (count / 64, (count % 64) as u32);
        let (words, rest) = bytes.split_at(whole * 8);
        for word in words.as_chunks().0 {
            self.write_long(u64::from_le_bytes(*word), 64);
        }
        if over > 0 {
            // Usually others follow, so that a whole word can be read.
            let last = rest.first_chunk().copied().unwrap_or_else(|| {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                last
            });
            let mask = u64::MAX >> (64 - over);
            self.write_long(u64::from_le_bytes(last) & mask, over);
        }
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
    /// Bits taken out of `bytes` already but not returned yet; what is above them are bits that `bytes`
    /// begins with, or zeros.
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

    /// Takes as many whole bytes as there is room for (Giesen, "Reading bits in far too many ways",
    /// variant 4).
    #[inline]
    fn refill(&mut self) {
        if let Some(word) = self.bytes.first_chunk() {
            self.pending |= u64::from_le_bytes(*word) << self.count;
            let taken = (63 - self.count) / 8;
            self.bytes = &self.bytes[taken as usize..];
            self.count += 8 * taken;
            return;
        }
        while self.count < 56
            && let Some((&byte, rest)) = self.bytes.split_first()
        {
            self.bytes = rest;
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
        }
    }

    /// Reads at most 32 bits.
    #[inline]
    pub(super) fn read(&mut self, bits: u32) -> Option<u32> {
        if self.count < bits {
            self.refill();
            if self.count < bits {
                return None;
            }
        }
        let value = self.pending & ((1 << bits) - 1);
        self.pending >>= bits;
        self.count -= bits;
        Some(value as u32)
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

    /// See [`BitWriter::write_golomb`].
    #[inline]
    pub(super) fn read_golomb(&mut self, k: u32) -> Option<u32> {
        if self.count <= 32 {
            self.refill();
        }
        let zeros = self.pending.trailing_zeros();
        let digits = k + zeros;
        if zeros >= self.count || digits > 32 {
            return None;
        }
        self.pending >>= zeros + 1;
        self.count -= zeros + 1;
        let shifted = 1 << digits | u64::from(self.read(digits)?);
        u32::try_from(shifted - (1 << k)).ok()
    }

    /// Whether less than a byte is left.
    #[cfg(test)]
    pub(super) fn is_spent(&self) -> bool {
        self.bytes.is_empty() && self.count < 8
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
    fn golomb_codes_are_short_for_small_values() {
        let bits = |value, k| {
            let mut out = Vec::new();
            let mut writer = BitWriter::new(&mut out);
            writer.write_golomb(value, k);
            assert_eq!(writer.len(), golomb_len(value, k));
            writer.len()
        };
        assert_eq!([0, 1, 2].map(|value| bits(value, 0)), [1, 3, 3]);
        assert_eq!(
            [0, 7, 8, 23, 24].map(|value| bits(value, 3)),
            [4, 4, 6, 6, 8]
        );
        assert_eq!(bits(u32::MAX, 0), 65);
        assert_eq!(BitReader::new(&[0; 16]).read_golomb(2), None);
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
                writer.write_golomb(value, bits / 4);
            }
            writer.finish();
            let mut reader = BitReader::new(&out);
            for &(value, bits) in &items {
                prop_assert_eq!(reader.read(bits), Some(masked(value, bits)));
                prop_assert_eq!(reader.read_varint(), Some(value));
                prop_assert_eq!(reader.read_golomb(bits / 4), Some(value));
            }
            prop_assert!(reader.is_spent());
        }

        #[test]
        fn bits_append_at_any_offset(
            bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 0..8_usize, offset in 0..40_u32,
        ) {
            let count = (bytes.len() * 8).saturating_sub(cut);
            let mut out = Vec::new();
            let mut writer = BitWriter::new(&mut out);
            writer.write(0, 32);
            writer.write(0, offset.min(32));
            writer.append(&bytes, count);
            prop_assert_eq!(writer.len(), 32 + offset.min(32) as usize + count);
            writer.write(1, 1);
            writer.finish();
            let mut reader = BitReader::new(&out);
            reader.read(32);
            reader.read(offset.min(32));
            for bit in 0..count {
                prop_assert_eq!(reader.read(1), Some(u32::from(bytes[bit / 8] >> (bit % 8) & 1)));
            }
            prop_assert_eq!(reader.read(1), Some(1));
        }
    }
}
