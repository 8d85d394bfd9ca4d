//! Which fields of a kind go to whom, in what order and how.

use super::bits::{BitReader, BitWriter};
use super::quantize::{FieldCoder, Range};
use super::value::FieldValue;
use crate::fields::{Audience, FieldTable, Kind, base};
use crate::snapshot::BatchRef;
use crate::value::ValueRef;

/// Fields of a piece whose change is told by a bit each; of the others one bit tells whether there is
/// any. They are the base fields: what moves changes them and nothing else, most of the time.
const EAGER_FIELDS: usize = 4;

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

/// Some fields of a kind, in order of declaration.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    fields: Vec<PieceField>,
    motion: Option<Motion>,
    /// Lanes of a record.
    lanes: usize,
    /// Bits of the shortest record, as a whole.
    pub(super) whole_len_min: usize,
}

#[derive(Clone, Copy, Debug)]
struct PieceField {
    /// Index in the kind's declaration.
    index: usize,
    coder: FieldCoder,
    /// Index of its first lane in a record.
    lane: usize,
}

/// What a delta expects of a position: that it went on as fast as before (dead reckoning, IEEE 1278).
/// The first six lanes are the position's and the velocity's.
#[derive(Clone, Copy, Debug)]
struct Motion {
    position: Range,
    velocity: Range,
    tick_hz: f64,
}

/// The values of a piece, rounded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Record {
    lanes: Vec<u32>,
    /// Texts one after the other; their lanes are their lengths.
    vars: Vec<u8>,
}

/// The records of some entities' pieces, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    /// Lanes of each.
    width: usize,
    lanes: Vec<u32>,
    texts: Vec<u8>,
    /// Where the texts of each end; empty where it has none.
    text_ends: Vec<usize>,
}

impl Rounded {
    /// The lanes and the texts of the nth.
    pub(super) fn record(&self, n: usize) -> (&[u32], &[u8]) {
        let end = |n: usize| self.text_ends.get(n).copied().unwrap_or(0);
        let texts = n.checked_sub(1).map_or(0, end)..end(n);
        let lanes = n * self.width..(n + 1) * self.width;
        (&self.lanes[lanes], &self.texts[texts])
    }
}

impl Record {
    fn clear(&mut self) {
        self.lanes.clear();
        self.vars.clear();
    }

    /// Takes these values, keeping the memory.
    pub(super) fn set(&mut self, (lanes, texts): (&[u32], &[u8])) {
        self.clear();
        self.lanes.extend_from_slice(lanes);
        self.vars.extend_from_slice(texts);
    }

    /// Takes the values of another, keeping the memory.
    pub(super) fn copy_from(&mut self, other: &Record) {
        self.set(other.values());
    }

    /// Its lanes and its texts.
    pub(super) fn values(&self) -> (&[u32], &[u8]) {
        (&self.lanes, &self.vars)
    }
}

impl KindPlan {
    fn new(kind: &Kind, tick_hz: u32) -> Self {
        Self {
            fields: kind.fields.len(),
            public: Piece::new(kind, Audience::Everyone, tick_hz),
            private: Piece::new(kind, Audience::Owner, tick_hz),
        }
    }

    /// The plans of all kinds.
    pub(super) fn of(table: &FieldTable, tick_hz: u32) -> Vec<Self> {
        let kinds = table.kinds.iter();
        kinds.map(|kind| Self::new(kind, tick_hz)).collect()
    }
}

impl Piece {
    fn new(kind: &Kind, audience: Audience, tick_hz: u32) -> Self {
        let sent = kind.fields.iter().enumerate();
        let sent = sent.filter(|(_, field)| field.audience == audience);
        let fields: Vec<PieceField> = sent
            .scan(0, |lane, (index, field)| {
                let coder = FieldCoder::new(field);
                let first = *lane;
                *lane += coder.lanes();
                Some(PieceField {
                    index,
                    coder,
                    lane: first,
                })
            })
            .collect();
        let motion = Motion::of(&fields, tick_hz);
        let shortest = fields.iter().map(|field| field.coder.whole_len_min());
        Self {
            motion,
            lanes: fields.iter().map(|field| field.coder.lanes()).sum(),
            whole_len_min: shortest.sum(),
            fields,
        }
    }

    /// Whether nothing of a kind goes to these clients.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Rounds these fields of some entities.
    pub(super) fn quantize(&self, batch: BatchRef<'_>, rounded: &mut Rounded) {
        let Rounded {
            width,
            lanes,
            texts,
            text_ends,
        } = rounded;
        *width = self.lanes;
        lanes.clear();
        lanes.resize(*width * batch.len(), 0);
        for field in &self.fields {
            let values = batch.values(field.index);
            field
                .coder
                .quantize(values, &mut lanes[field.lane..], *width);
        }
        texts.clear();
        text_ends.clear();
        let has_text = |field: &&PieceField| field.coder.var_max().is_some();
        if self.fields.iter().any(|field| has_text(&field)) {
            for row in batch.rows() {
                for field in self.fields.iter().filter(has_text) {
                    if let ValueRef::Var(text) = row.field(field.index) {
                        texts.extend_from_slice(text);
                    }
                }
                text_ends.push(texts.len());
            }
        }
    }

    /// Writes all fields.
    pub(super) fn write_whole(&self, record: &Record, out: &mut BitWriter<'_>) {
        let mut texts = record.vars.as_slice();
        for field in &self.fields {
            let lanes = field.lanes(record);
            field.coder.write_whole(lanes, out);
            out.write_bytes(field.take(lanes, &mut texts));
        }
    }

    /// Reads what [`Piece::write_whole`] wrote; `None` where the bits make no values.
    pub(super) fn read_whole(&self, bits: &mut BitReader<'_>, record: &mut Record) -> Option<()> {
        record.clear();
        for field in &self.fields {
            field.coder.read_whole(bits, &mut record.lanes)?;
            field.read_var(bits, record)?;
        }
        Some(())
    }

    /// Writes the fields that differ from what a receiver of `old`, `age` ticks ago, expects.
    pub(super) fn write_delta(
        &self,
        old: &Record,
        age: i32,
        new: &Record,
        expected: &mut Record,
        out: &mut BitWriter<'_>,
    ) {
        self.expect(old, age, expected);
        let changed = self.changed(expected, new);
        write_mask(changed, self.fields.len(), out);
        let mut texts = new.vars.as_slice();
        for (n, field) in self.fields.iter().enumerate() {
            let lanes = field.lanes(new);
            let text = field.take(lanes, &mut texts);
            if changed & 1 << n != 0 {
                match field.coder.var_max() {
                    Some(_) => field.coder.write_whole(lanes, out),
                    None => field.coder.write_delta(field.lanes(expected), lanes, out),
                }
                out.write_bytes(text);
            }
        }
    }

    /// Reads what [`Piece::write_delta`] wrote; `None` where the bits make no values. Without `old` it
    /// reads over it.
    pub(super) fn read_delta(
        &self,
        bits: &mut BitReader<'_>,
        old: Option<&Record>,
        age: i32,
        expected: &mut Record,
        record: &mut Record,
    ) -> Option<()> {
        match old {
            Some(old) => self.expect(old, age, expected),
            None => self.blank(expected),
        }
        let changed = read_mask(self.fields.len(), bits)?;
        record.clear();
        let mut texts = expected.vars.as_slice();
        for (n, field) in self.fields.iter().enumerate() {
            let before = field.lanes(expected);
            let text = field.take(before, &mut texts);
            if changed & 1 << n == 0 {
                record.lanes.extend_from_slice(before);
                record.vars.extend_from_slice(text);
            } else if field.coder.var_max().is_some() {
                field.coder.read_whole(bits, &mut record.lanes)?;
                field.read_var(bits, record)?;
            } else {
                field.coder.read_delta(before, bits, &mut record.lanes)?;
                if old.is_some() && !field.coder.can_be(field.lanes(record)) {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Sets these of an entity's fields, one a field of the kind.
    pub(super) fn show(&self, record: &Record, values: &mut [FieldValue]) {
        let mut texts = record.vars.as_slice();
        for field in &self.fields {
            let lanes = field.lanes(record);
            let text = field.take(lanes, &mut texts);
            field.coder.value(lanes, text, &mut values[field.index]);
        }
    }

    /// Makes these fields unknown.
    pub(super) fn forget(&self, values: &mut [FieldValue]) {
        for field in &self.fields {
            values[field.index] = FieldValue::Unknown;
        }
    }

    /// What a receiver of `old` expects `age` ticks later.
    fn expect(&self, old: &Record, age: i32, expected: &mut Record) {
        expected.copy_from(old);
        let Some(motion) = self.motion else { return };
        let seconds = f64::from(age) / motion.tick_hz;
        for axis in 0..3 {
            let speed = motion.velocity.value(old.lanes[3 + axis]);
            let lane = &mut expected.lanes[axis];
            *lane = motion.position.shifted(*lane, speed * seconds);
        }
    }

    /// A record of zeros.
    fn blank(&self, record: &mut Record) {
        record.clear();
        record.lanes.resize(self.lanes, 0);
    }

    /// Bit n is set where the nth field differs.
    fn changed(&self, old: &Record, new: &Record) -> u64 {
        let (mut old_texts, mut new_texts) = (old.vars.as_slice(), new.vars.as_slice());
        let mut changed = 0;
        for (n, field) in self.fields.iter().enumerate() {
            let (before, now) = (field.lanes(old), field.lanes(new));
            // Lanes are few: comparing slices would call a function for each field.
            let mut differs = before.iter().zip(now).any(|(before, now)| before != now);
            if field.coder.var_max().is_some() {
                let text_before = field.take(before, &mut old_texts);
                differs |= field.take(now, &mut new_texts) != text_before;
            }
            changed |= u64::from(differs) << n;
        }
        changed
    }
}

impl PieceField {
    fn lanes<'a>(&self, record: &'a Record) -> &'a [u32] {
        &record.lanes[self.lane..self.lane + self.coder.lanes()]
    }

    /// Takes the field's text, if it is one, off the front of a record's.
    fn take<'a>(&self, lanes: &[u32], texts: &mut &'a [u8]) -> &'a [u8] {
        if self.coder.var_max().is_none() {
            return &[];
        }
        let (text, rest) = texts.split_at(lanes[0] as usize);
        *texts = rest;
        text
    }

    /// Reads the bytes of a text whose length is the lane read last.
    fn read_var(&self, bits: &mut BitReader<'_>, record: &mut Record) -> Option<()> {
        if self.coder.var_max().is_some() {
            for _ in 0..*record.lanes.last()? {
                record.vars.push(bits.read(8)? as u8);
            }
        }
        Some(())
    }
}

impl Motion {
    /// Where position and velocity are there and rounded, as they are unless a mode changed that.
    fn of(fields: &[PieceField], tick_hz: u32) -> Option<Self> {
        let [position, velocity, ..] = fields else {
            return None;
        };
        if (position.index, velocity.index) != (base::POSITION, base::VELOCITY) {
            return None;
        }
        Some(Self {
            position: position.coder.vector_range()?,
            velocity: velocity.coder.vector_range()?,
            tick_hz: f64::from(tick_hz.max(1)),
        })
    }
}

/// Writes which of `count` fields a delta holds.
fn write_mask(mask: u64, count: usize, out: &mut BitWriter<'_>) {
    let eager = count.min(EAGER_FIELDS) as u32;
    out.write(mask as u32 & ((1 << eager) - 1), eager);
    if count > EAGER_FIELDS {
        let rest = mask >> EAGER_FIELDS;
        out.write(u32::from(rest != 0), 1);
        if rest != 0 {
            let count = (count - EAGER_FIELDS) as u32;
            out.write(
                rest as u32 & (u32::MAX >> (32 - count.min(32))),
                count.min(32),
            );
            out.write((rest >> 32) as u32, count.saturating_sub(32));
        }
    }
}

fn read_mask(count: usize, bits: &mut BitReader<'_>) -> Option<u64> {
    let eager = count.min(EAGER_FIELDS) as u32;
    let mut mask = u64::from(bits.read(eager)?);
    if count > EAGER_FIELDS && bits.read(1)? == 1 {
        let count = (count - EAGER_FIELDS) as u32;
        let low = u64::from(bits.read(count.min(32))?);
        let high = u64::from(bits.read(count.saturating_sub(32))?);
        mask |= (low | high << 32) << EAGER_FIELDS;
    }
    Some(mask)
}
