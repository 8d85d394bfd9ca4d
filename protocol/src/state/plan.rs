//! Which fields of a kind go to whom, in what order and how.

use super::bits::{BitReader, BitWriter};
use super::quantize::FieldCoder;
use super::value::FieldValue;
use crate::fields::{Audience, FieldTable, Kind};
use crate::snapshot::RowRef;

/// How entities of one kind go over the wire.
#[derive(Clone, Debug)]
pub(super) struct KindPlan {
    /// Number of fields, sent or not.
    pub(super) fields: usize,
    /// What everyone in sight receives.
    pub(super) public: Piece,
    /// What only the owner receives.
    pub(super) private: Piece,
}

/// Some fields of a kind, in order of declaration, as bits filled up to whole bytes.
#[derive(Clone, Debug)]
pub(super) struct Piece(Vec<(usize, FieldCoder)>);

impl KindPlan {
    pub(super) fn new(kind: &Kind) -> Self {
        Self {
            fields: kind.fields.len(),
            public: Piece::new(kind, Audience::Everyone),
            private: Piece::new(kind, Audience::Owner),
        }
    }

    /// The plans of all kinds.
    pub(super) fn of(table: &FieldTable) -> Vec<Self> {
        table.kinds.iter().map(Self::new).collect()
    }
}

impl Piece {
    fn new(kind: &Kind, audience: Audience) -> Self {
        let fields = kind.fields.iter().enumerate();
        let sent = fields.filter(|(_, field)| field.audience == audience);
        Self(
            sent.map(|(index, field)| (index, FieldCoder::new(field)))
                .collect(),
        )
    }

    /// Appends these fields of an entity.
    pub(super) fn encode(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        let mut bits = BitWriter::new(out);
        for (field, coder) in &self.0 {
            coder.encode(row.field(*field), &mut bits);
        }
        bits.finish();
    }

    /// Reads these fields into `values` (one a field of the kind); returns the bytes after them, or
    /// `None` where they don't make values.
    pub(super) fn decode<'a>(
        &self,
        bytes: &'a [u8],
        values: &mut [FieldValue],
    ) -> Option<&'a [u8]> {
        let mut bits = BitReader::new(bytes);
        for (field, coder) in &self.0 {
            coder.decode(&mut bits, &mut values[*field])?;
        }
        Some(bits.rest())
    }

    /// Makes these fields unknown.
    pub(super) fn forget(&self, values: &mut [FieldValue]) {
        for (field, _) in &self.0 {
            values[*field] = FieldValue::Unknown;
        }
    }
}
