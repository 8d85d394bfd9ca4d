//! One field to quantized lanes, lanes to bits, and back.
//!
//! A lane is 32 bits of a rounded value: a component of a vector, half a double, an integer. Lanes are
//! what states are compared by, and what a delta is the difference of.

use std::f64::consts::{PI, TAU};
use std::slice::ChunksMut;

use super::bits::{BitReader, BitWriter};
use super::value::FieldValue;
use crate::fields::{Field, FieldType, Quantization};
use crate::snapshot::Values;

/// Orders of the Golomb codes of differences: what values usually change by.
const RANGE_ORDER: u32 = 3;
const ANGLE_ORDER: u32 = 5;
const INTEGER_ORDER: u32 = 2;

/// How one field goes over the wire, with what can be computed ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldCoder {
    ty: FieldType,
    rounding: Rounding,
}

#[derive(Clone, Copy, Debug)]
enum Rounding {
    Exact,
    Range(Range),
    Angle { bits: u32, steps: f64 },
}

/// Values between two ends in equal steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    min: f64,
    max: f64,
    bits: u32,
    /// Steps from `min` to `max`. Both ends are values, so there is one step less than values.
    steps: f64,
}

impl Range {
    /// The step nearest to a value; NaN becomes the least. Adding a half and cutting rounds.
    fn step(self, value: f64) -> u32 {
        let step = (value.max(self.min).min(self.max) - self.min) / self.width() * self.steps;
        (step + 0.5) as u32
    }

    /// The value of a step.
    pub(super) fn value(self, step: u32) -> f64 {
        self.min + f64::from(step) / self.steps * self.width()
    }

    /// The step that lies `distance` after another, within the range.
    pub(super) fn shifted(self, step: u32, distance: f64) -> u32 {
        let steps = (distance / self.width() * self.steps + 0.5).floor();
        (f64::from(step) + steps).clamp(0.0, self.steps) as u32
    }

    fn width(self) -> f64 {
        self.max - self.min
    }
}

impl FieldCoder {
    /// The field must have passed [`FieldTable::check`](crate::FieldTable::check).
    pub(super) fn new(field: &Field) -> Self {
        let steps = |bits: u8| f64::from(bits).exp2();
        let rounding = match field.quantization {
            Quantization::Exact => Rounding::Exact,
            Quantization::Range { min, max, bits } => Rounding::Range(Range {
                min,
                max,
                bits: bits.into(),
                steps: steps(bits) - 1.0,
            }),
            Quantization::Angle { bits } => Rounding::Angle {
                bits: bits.into(),
                steps: steps(bits),
            },
        };
        Self {
            ty: field.ty,
            rounding,
        }
    }

    /// The range of a vector's components, if they are rounded to one.
    pub(super) fn vector_range(&self) -> Option<Range> {
        match (self.ty, self.rounding) {
            (FieldType::Vec3, Rounding::Range(range)) => Some(range),
            _ => None,
        }
    }

    /// How many lanes it has. A text's one lane is its length; its bytes are apart.
    pub(super) fn lanes(&self) -> usize {
        match (self.ty, self.rounding) {
            (FieldType::F64, Rounding::Exact) => 2,
            (FieldType::Vec3, Rounding::Exact) => 6,
            (FieldType::Vec3, _) => 3,
            _ => 1,
        }
    }

    /// Most bytes of a text; `None` for fields of lanes only.
    pub(super) fn var_max(&self) -> Option<u16> {
        match self.ty {
            FieldType::Str { max } | FieldType::Bytes { max } => Some(max),
            _ => None,
        }
    }

    /// Bits of the shortest value, as a whole.
    pub(super) fn whole_len_min(&self) -> usize {
        let each = match (self.rounding, self.ty) {
            (Rounding::Range(Range { bits, .. }) | Rounding::Angle { bits, .. }, _) => {
                bits as usize
            }
            (_, FieldType::Bool) => 1,
            (_, FieldType::F32 | FieldType::F64 | FieldType::Vec3) => 32,
            _ => 8,
        };
        each * self.lanes()
    }

    /// Rounds a field of many entities into the lanes of records, each `width` lanes long; `lanes` begins
    /// with the field's first lane in the first record.
    pub(super) fn quantize(&self, values: Values<'_>, lanes: &mut [u32], width: usize) {
        let records = lanes.chunks_mut(width);
        // What to do is decided for each field and not for each value.
        match self.rounding {
            Rounding::Exact => quantize_exact(values, records),
            Rounding::Range(range) => round(values, records, |value| range.step(value)),
            Rounding::Angle { bits, steps } => {
                round(values, records, |value| angle_step(value, bits, steps));
            }
        }
    }

    /// Lanes as they are.
    pub(super) fn write_whole(&self, lanes: &[u32], out: &mut BitWriter<'_>) {
        for &lane in lanes {
            match (self.rounding, self.ty) {
                (Rounding::Range(Range { bits, .. }) | Rounding::Angle { bits, .. }, _) => {
                    out.write(lane, bits);
                }
                (_, FieldType::Bool) => out.write(lane, 1),
                (_, FieldType::U8) => out.write(lane, 8),
                (_, FieldType::F32 | FieldType::F64 | FieldType::Vec3) => out.write(lane, 32),
                (_, FieldType::I32) => out.write_varint(zigzag(lane)),
                _ => out.write_varint(lane),
            }
        }
    }

    /// Appends lanes read; `None` where the bits end or make a value that the field can't have.
    pub(super) fn read_whole(&self, bits: &mut BitReader<'_>, lanes: &mut Vec<u32>) -> Option<()> {
        for _ in 0..self.lanes() {
            let lane = match (self.rounding, self.ty) {
                (Rounding::Range(Range { bits: n, .. }) | Rounding::Angle { bits: n, .. }, _) => {
                    bits.read(n)?
                }
                (_, FieldType::Bool) => bits.read(1)?,
                (_, FieldType::U8) => bits.read(8)?,
                (_, FieldType::F32 | FieldType::F64 | FieldType::Vec3) => bits.read(32)?,
                (_, FieldType::I32) => unzigzag(bits.read_varint()?),
                _ => bits.read_varint()?,
            };
            lanes.push(lane);
        }
        self.can_be(&lanes[lanes.len() - self.lanes()..])
            .then_some(())
    }

    /// Lanes as differences from older ones. Written only where some lane differs.
    pub(super) fn write_delta(&self, old: &[u32], new: &[u32], out: &mut BitWriter<'_>) {
        for (&old, &new) in old.iter().zip(new) {
            let difference = new.wrapping_sub(old);
            match (self.rounding, self.ty) {
                (Rounding::Range(_), _) => out.write_golomb(zigzag(difference), RANGE_ORDER),
                (Rounding::Angle { bits, .. }, _) => {
                    // The shorter way around.
                    let unused = 32 - bits;
                    let turn = (difference << unused).cast_signed() >> unused;
                    out.write_golomb(zigzag(turn.cast_unsigned()), ANGLE_ORDER);
                }
                (_, FieldType::Bool) => {} // it is the other one
                (_, FieldType::U8 | FieldType::U16 | FieldType::U32 | FieldType::I32) => {
                    out.write_golomb(zigzag(difference), INTEGER_ORDER);
                }
                (_, FieldType::F32 | FieldType::F64 | FieldType::Vec3) => out.write(new, 32),
                _ => out.write_varint(new),
            }
        }
    }

    /// Appends lanes read as differences; `None` where the bits end. Whether they
    /// [can be](Self::can_be) is for the caller to ask, who may not know the older ones.
    pub(super) fn read_delta(
        &self,
        old: &[u32],
        bits: &mut BitReader<'_>,
        lanes: &mut Vec<u32>,
    ) -> Option<()> {
        for &old in old {
            let lane = match (self.rounding, self.ty) {
                (Rounding::Range(_), _) => {
                    old.wrapping_add(unzigzag(bits.read_golomb(RANGE_ORDER)?))
                }
                (Rounding::Angle { bits: n, .. }, _) => {
                    let turn = unzigzag(bits.read_golomb(ANGLE_ORDER)?);
                    old.wrapping_add(turn) & (u32::MAX >> (32 - n))
                }
                (_, FieldType::Bool) => old ^ 1,
                (_, FieldType::U8 | FieldType::U16 | FieldType::U32 | FieldType::I32) => {
                    old.wrapping_add(unzigzag(bits.read_golomb(INTEGER_ORDER)?))
                }
                (_, FieldType::F32 | FieldType::F64 | FieldType::Vec3) => bits.read(32)?,
                _ => bits.read_varint()?,
            };
            lanes.push(lane);
        }
        Some(())
    }

    /// Whether this field can have these lanes.
    pub(super) fn can_be(&self, lanes: &[u32]) -> bool {
        let max = match (self.rounding, self.ty) {
            (Rounding::Range(Range { bits, .. }), _) => u32::MAX >> (32 - bits),
            (_, FieldType::U8) => u8::MAX.into(),
            (_, FieldType::U16) => u16::MAX.into(),
            (_, FieldType::Str { max } | FieldType::Bytes { max }) => max.into(),
            _ => u32::MAX,
        };
        lanes.iter().all(|lane| *lane <= max)
    }

    /// What lanes stand for; of a text, `bytes`.
    pub(super) fn value(&self, lanes: &[u32], bytes: &[u8], value: &mut FieldValue) {
        let double =
            |low: usize| f64::from_bits(u64::from(lanes[low]) | u64::from(lanes[low + 1]) << 32);
        *value = match (self.rounding, self.ty) {
            (Rounding::Exact, ty) => match ty {
                FieldType::Bool => FieldValue::Bool(lanes[0] == 1),
                FieldType::U8 => FieldValue::U8(lanes[0] as u8),
                FieldType::U16 => FieldValue::U16(lanes[0] as u16),
                FieldType::U32 => FieldValue::U32(lanes[0]),
                FieldType::I32 => FieldValue::I32(lanes[0].cast_signed()),
                FieldType::Entity => FieldValue::Entity(lanes[0]),
                FieldType::F32 => FieldValue::F32(f32::from_bits(lanes[0])),
                FieldType::F64 => FieldValue::F64(double(0)),
                FieldType::Vec3 => FieldValue::Vec3([double(0), double(2), double(4)]),
                FieldType::Str { .. } | FieldType::Bytes { .. } => {
                    value.clear_var().extend_from_slice(bytes);
                    return;
                }
                FieldType::Object => FieldValue::Unknown, // never sent
            },
            (rounding, FieldType::Vec3) => {
                FieldValue::Vec3([0, 1, 2].map(|axis| rounding.value(lanes[axis])))
            }
            (rounding, ty) => typed(ty, rounding.value(lanes[0])),
        };
    }
}

impl Rounding {
    fn value(self, lane: u32) -> f64 {
        match self {
            Self::Exact => unreachable!("coded by type"),
            Self::Range(range) => range.value(lane),
            Self::Angle { steps, .. } => f64::from(lane) / steps * TAU - PI,
        }
    }
}

/// The nearest of the angles that there are; NaN becomes the first.
fn angle_step(value: f64, bits: u32, steps: f64) -> u32 {
    let turns = (value + PI) / TAU;
    let turns = if (0.0..1.0).contains(&turns) {
        turns
    } else {
        turns.rem_euclid(1.0)
    };
    // The last half step is nearest to the first value.
    let step = (turns * steps + 0.5) as u64 & ((1 << bits) - 1);
    step as u32
}

fn round(values: Values<'_>, records: ChunksMut<'_, u32>, step: impl Fn(f64) -> u32) {
    match values {
        Values::U8(values) => fill(values, records, |[v]| [step(v.into())]),
        Values::U16(values) => fill(values, records, |v| [step(u16::from_le_bytes(v).into())]),
        Values::U32(values) => fill(values, records, |v| [step(u32::from_le_bytes(v).into())]),
        Values::I32(values) => fill(values, records, |v| [step(i32::from_le_bytes(v).into())]),
        Values::F32(values) => fill(values, records, |v| [step(f32::from_le_bytes(v).into())]),
        Values::F64(values) => fill(values, records, |v| [step(f64::from_le_bytes(v))]),
        Values::Vec3(values) => fill(values, records, |v| {
            let axes = v.as_chunks().0;
            [0, 1, 2].map(|axis| step(f64::from_le_bytes(axes[axis])))
        }),
        Values::Bool(_) | Values::Entity(_) | Values::Var(_) => {
            unreachable!("only numbers are rounded, as the table was checked")
        }
    }
}

fn quantize_exact(values: Values<'_>, records: ChunksMut<'_, u32>) {
    match values {
        Values::Bool(values) => fill(values, records, |[v]| [u32::from(v != 0)]),
        Values::U8(values) => fill(values, records, |[v]| [v.into()]),
        Values::U16(values) => fill(values, records, |v| [u16::from_le_bytes(v).into()]),
        Values::U32(values)
        | Values::I32(values)
        | Values::F32(values)
        | Values::Entity(values) => {
            fill(values, records, lanes_of::<4, 1>);
        }
        Values::F64(values) => fill(values, records, lanes_of::<8, 2>),
        Values::Vec3(values) => fill(values, records, lanes_of::<24, 6>),
        Values::Var(ends) => {
            let mut start = 0;
            fill(ends, records, |end| {
                let end = u32::from_le_bytes(end);
                [end - std::mem::replace(&mut start, end)]
            });
        }
    }
}

/// Writes the lanes of each value to the front of its record.
fn fill<const N: usize, const LANES: usize>(
    values: &[[u8; N]],
    records: ChunksMut<'_, u32>,
    mut lanes: impl FnMut([u8; N]) -> [u32; LANES],
) {
    for (value, record) in values.iter().zip(records) {
        let front = record.first_chunk_mut().expect("a record has its lanes");
        *front = lanes(*value);
    }
}

/// Lanes as they lie there.
fn lanes_of<const N: usize, const LANES: usize>(value: [u8; N]) -> [u32; LANES] {
    let lanes = value.as_chunks().0;
    std::array::from_fn(|lane| u32::from_le_bytes(lanes[lane]))
}

/// A signed number, given as its two's complement, so that small ones of either sign are small.
fn zigzag(value: u32) -> u32 {
    let signed = value.cast_signed();
    (signed << 1 ^ signed >> 31).cast_unsigned()
}

fn unzigzag(value: u32) -> u32 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

/// A double as a field of a number type; integers are rounded.
fn typed(ty: FieldType, number: f64) -> FieldValue {
    match ty {
        FieldType::U8 => FieldValue::U8(number.round() as u8),
        FieldType::U16 => FieldValue::U16(number.round() as u16),
        FieldType::U32 => FieldValue::U32(number.round() as u32),
        FieldType::I32 => FieldValue::I32(number.round() as i32),
        FieldType::F32 => FieldValue::F32(number as f32),
        FieldType::F64 => FieldValue::F64(number),
        _ => unreachable!("only numbers are rounded, as the table was checked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Audience;
    use crate::value::ValueRef;
    use proptest::prelude::*;

    /// What comes out of a field of this type and rounding when a value goes in.
    fn through(ty: FieldType, quantization: Quantization, value: ValueRef<'_>) -> FieldValue {
        let (name, audience) = (String::new(), Audience::Everyone);
        let coder = FieldCoder::new(&Field {
            name,
            ty,
            quantization,
            audience,
        });
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let mut lanes = vec![0; coder.lanes()];
        let width = lanes.len();
        coder.quantize(column(ty, &bytes), &mut lanes, width);
        let mut bytes = Vec::new();
        let mut bits = BitWriter::new(&mut bytes);
        coder.write_whole(&lanes, &mut bits);
        bits.finish();
        let mut read = Vec::new();
        let mut bits = BitReader::new(&bytes);
        coder
            .read_whole(&mut bits, &mut read)
            .expect("what was written");
        assert!(bits.is_spent());
        assert_eq!(read, lanes);
        let text = match value {
            ValueRef::Var(text) => text,
            _ => &[],
        };
        let mut out = FieldValue::Unknown;
        coder.value(&lanes, text, &mut out);
        out
    }

    /// A column of one value, or of one text's length.
    fn column(ty: FieldType, bytes: &[u8]) -> Values<'_> {
        fn one<const N: usize>(bytes: &[u8]) -> &[[u8; N]] {
            &bytes.as_chunks().0[..1]
        }
        match ty {
            FieldType::Bool => Values::Bool(one(bytes)),
            FieldType::U8 => Values::U8(one(bytes)),
            FieldType::U16 => Values::U16(one(bytes)),
            FieldType::U32 => Values::U32(one(bytes)),
            FieldType::I32 => Values::I32(one(bytes)),
            FieldType::F32 => Values::F32(one(bytes)),
            FieldType::F64 => Values::F64(one(bytes)),
            FieldType::Vec3 => Values::Vec3(one(bytes)),
            FieldType::Entity => Values::Entity(one(bytes)),
            FieldType::Str { .. } | FieldType::Bytes { .. } | FieldType::Object => {
                Values::Var(one(bytes))
            }
        }
    }

    fn f64_through(quantization: Quantization, value: f64) -> f64 {
        match through(FieldType::F64, quantization, ValueRef::F64(value)) {
            FieldValue::F64(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_ends_of_a_range_are_exact_and_nothing_is_outside() {
        for bits in [1, 8, 31, 32] {
            let range = Quantization::Range {
                min: -3.0,
                max: 5.0,
                bits,
            };
            for (value, expect) in [
                (-3.0, -3.0),
                (5.0, 5.0),
                (-1e300, -3.0),
                (f64::INFINITY, 5.0),
                (f64::NEG_INFINITY, -3.0),
                (f64::NAN, -3.0),
            ] {
                assert_eq!(f64_through(range, value), expect, "{value} in {bits} bits");
            }
        }
    }

    #[test]
    fn angles_wrap() {
        for bits in [1, 12, 32] {
            let angle = Quantization::Angle { bits };
            for (value, expect) in [
                (-PI, -PI),
                (PI, -PI),
                (0.0, 0.0),
                (TAU, 0.0),
                (PI - 1e-12, -PI),
                (f64::NAN, -PI),
            ] {
                let got = f64_through(angle, value);
                assert!(
                    (got - expect).abs() < 1e-9,
                    "{value} in {bits} bits became {got}"
                );
            }
        }
    }

    #[test]
    fn integers_stay_integers_in_a_range() {
        let range = Quantization::Range {
            min: 0.0,
            max: 200.0,
            bits: 8,
        };
        for value in 0..=200 {
            let got = through(FieldType::U8, range, ValueRef::U8(value));
            assert_eq!(got, FieldValue::U8(value));
        }
    }

    proptest! {
        #[test]
        fn rounding_is_to_the_nearest(value in -1000.0..1000.0_f64, bits in 1..=32_u8) {
            let steps = f64::from(bits).exp2();
            let range = Quantization::Range { min: -1000.0, max: 1000.0, bits };
            let error = (f64_through(range, value) - value).abs();
            prop_assert!(error <= 1000.0 / (steps - 1.0) + 1e-9, "{}", error);
            let turn = (f64_through(Quantization::Angle { bits }, value) - value).rem_euclid(TAU);
            let error = turn.min(TAU - turn);
            prop_assert!(error <= PI / steps + 1e-9, "{}", error);
        }

        #[test]
        fn a_delta_leads_from_one_value_to_the_other(
            old in any::<u32>(), new in any::<u32>(), near in -40..40_i32, bits in 1..=32_u8,
        ) {
            let range = Quantization::Range { min: 0.0, max: 1.0, bits };
            let exact = Quantization::Exact;
            let mask = u32::MAX >> (32 - u32::from(bits));
            for (ty, quantization, mask) in [
                (FieldType::F64, range, mask),
                (FieldType::F64, Quantization::Angle { bits }, mask),
                (FieldType::U8, exact, 0xff),
                (FieldType::U16, exact, 0xffff),
                (FieldType::U32, exact, u32::MAX),
                (FieldType::I32, exact, u32::MAX),
                (FieldType::Entity, exact, u32::MAX),
                (FieldType::F32, exact, u32::MAX),
            ] {
                let (name, audience) = (String::new(), Audience::Everyone);
                let coder = FieldCoder::new(&Field { name, ty, quantization, audience });
                for new in [new & mask, old.wrapping_add_signed(near) & mask] {
                    let old = old & mask;
                    let mut bytes = Vec::new();
                    let mut bits = BitWriter::new(&mut bytes);
                    coder.write_delta(&[old], &[new], &mut bits);
                    bits.finish();
                    let mut lanes = Vec::new();
                    let read = coder.read_delta(&[old], &mut BitReader::new(&bytes), &mut lanes);
                    prop_assert_eq!(read, Some(()));
                    prop_assert_eq!(lanes, [new]);
                }
            }
        }

        #[test]
        fn exact_is_exact(a in any::<u32>(), b in any::<u64>(), text in "[a-zé]{0,12}") {
            let exact = |ty, value: ValueRef<'_>| through(ty, Quantization::Exact, value);
            let signed = a.cast_signed();
            prop_assert_eq!(exact(FieldType::U8, ValueRef::U8(a as u8)), FieldValue::U8(a as u8));
            prop_assert_eq!(exact(FieldType::U16, ValueRef::U16(a as u16)), FieldValue::U16(a as u16));
            prop_assert_eq!(exact(FieldType::U32, ValueRef::U32(a)), FieldValue::U32(a));
            prop_assert_eq!(exact(FieldType::Entity, ValueRef::Entity(a)), FieldValue::Entity(a));
            prop_assert_eq!(exact(FieldType::I32, ValueRef::I32(signed)), FieldValue::I32(signed));
            prop_assert_eq!(exact(FieldType::Bool, ValueRef::Bool(a & 1 == 1)), FieldValue::Bool(a & 1 == 1));
            let FieldValue::F32(single) = exact(FieldType::F32, ValueRef::F32(f32::from_bits(a))) else {
                panic!("a single stays one")
            };
            prop_assert_eq!(single.to_bits(), a);
            let FieldValue::F64(double) = exact(FieldType::F64, ValueRef::F64(f64::from_bits(b))) else {
                panic!("a double stays one")
            };
            prop_assert_eq!(double.to_bits(), b);
            let var = exact(FieldType::Str { max: 24 }, ValueRef::Var(text.as_bytes()));
            prop_assert_eq!(var, FieldValue::Var(text.into_bytes()));
        }
    }
}
