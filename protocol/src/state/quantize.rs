//! One field to bits and back.

use std::f64::consts::{PI, TAU};

use super::bits::{BitReader, BitWriter};
use super::value::FieldValue;
use crate::fields::{Field, FieldType, Quantization};
use crate::value::ValueRef;

/// How one field goes over the wire, with what can be computed ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldCoder {
    ty: FieldType,
    rounding: Rounding,
}

#[derive(Clone, Copy, Debug)]
enum Rounding {
    Exact,
    Range {
        min: f64,
        max: f64,
        bits: u32,
        steps: f64,
    },
    Angle {
        bits: u32,
        steps: f64,
    },
}

impl FieldCoder {
    /// The field must have passed [`FieldTable::check`](crate::FieldTable::check).
    pub(super) fn new(field: &Field) -> Self {
        let steps = |bits: u8| f64::from(bits).exp2();
        let rounding = match field.quantization {
            Quantization::Exact => Rounding::Exact,
            Quantization::Range { min, max, bits } => {
                // Both ends are values, so there is one step less than there are values.
                Rounding::Range {
                    min,
                    max,
                    bits: bits.into(),
                    steps: steps(bits) - 1.0,
                }
            }
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

    pub(super) fn encode(&self, value: ValueRef<'_>, out: &mut BitWriter<'_>) {
        match (self.rounding, value) {
            (Rounding::Exact, value) => encode_exact(value, out),
            (rounding, ValueRef::Vec3(axes)) => {
                axes.iter().for_each(|&axis| rounding.encode(axis, out));
            }
            (rounding, value) => rounding.encode(number(value), out),
        }
    }

    /// Overwrites `value`, reusing its memory; `None` where the bits don't make a value.
    pub(super) fn decode(&self, bits: &mut BitReader<'_>, value: &mut FieldValue) -> Option<()> {
        match (self.rounding, self.ty) {
            (Rounding::Exact, ty) => return decode_exact(ty, bits, value),
            (rounding, FieldType::Vec3) => {
                let mut axes = [0.0; 3];
                for axis in &mut axes {
                    *axis = rounding.decode(bits)?;
                }
                *value = FieldValue::Vec3(axes);
            }
            (rounding, ty) => *value = typed(ty, rounding.decode(bits)?),
        }
        Some(())
    }
}

impl Rounding {
    fn encode(self, value: f64, out: &mut BitWriter<'_>) {
        match self {
            Self::Exact => unreachable!("coded by type"),
            // `max` before `min`: NaN becomes the least value. Adding a half and cutting rounds.
            Self::Range {
                min,
                max,
                bits,
                steps,
            } => {
                let step = (value.max(min).min(max) - min) / (max - min) * steps;
                out.write((step + 0.5) as u32, bits);
            }
            Self::Angle { bits, steps } => {
                let turns = (value + PI) / TAU;
                let turns = if (0.0..1.0).contains(&turns) {
                    turns
                } else {
                    turns.rem_euclid(1.0)
                };
                // The last half step is nearest to the first value; NaN becomes 0.
                let step = (turns * steps + 0.5) as u64 & ((1 << bits) - 1);
                out.write(step as u32, bits);
            }
        }
    }

    fn decode(self, input: &mut BitReader<'_>) -> Option<f64> {
        Some(match self {
            Self::Exact => unreachable!("coded by type"),
            Self::Range {
                min,
                max,
                bits,
                steps,
            } => min + f64::from(input.read(bits)?) / steps * (max - min),
            Self::Angle { bits, steps } => f64::from(input.read(bits)?) / steps * TAU - PI,
        })
    }
}

fn encode_exact(value: ValueRef<'_>, out: &mut BitWriter<'_>) {
    match value {
        ValueRef::Bool(v) => out.write(v.into(), 1),
        ValueRef::U8(v) => out.write(v.into(), 8),
        ValueRef::U16(v) => out.write_varint(v.into()),
        ValueRef::U32(v) | ValueRef::Entity(v) => out.write_varint(v),
        ValueRef::I32(v) => out.write_varint((v << 1 ^ v >> 31).cast_unsigned()), // zigzag
        ValueRef::F32(v) => out.write(v.to_bits(), 32),
        ValueRef::F64(v) => out.write_u64(v.to_bits()),
        ValueRef::Vec3(v) => v.iter().for_each(|axis| out.write_u64(axis.to_bits())),
        ValueRef::Var(v) => {
            out.write_varint(v.len() as u32);
            out.write_bytes(v);
        }
    }
}

fn decode_exact(ty: FieldType, bits: &mut BitReader<'_>, value: &mut FieldValue) -> Option<()> {
    let mut double = || Some(f64::from_bits(bits.read_u64()?));
    *value = match ty {
        FieldType::F64 => FieldValue::F64(double()?),
        FieldType::Vec3 => FieldValue::Vec3([double()?, double()?, double()?]),
        FieldType::Bool => FieldValue::Bool(bits.read(1)? == 1),
        FieldType::U8 => FieldValue::U8(bits.read(8)? as u8),
        FieldType::U16 => FieldValue::U16(bits.read_varint()?.try_into().ok()?),
        FieldType::U32 => FieldValue::U32(bits.read_varint()?),
        FieldType::Entity => FieldValue::Entity(bits.read_varint()?),
        FieldType::I32 => {
            let zigzag = bits.read_varint()?;
            FieldValue::I32((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
        }
        FieldType::F32 => FieldValue::F32(f32::from_bits(bits.read(32)?)),
        FieldType::Str { max } | FieldType::Bytes { max } => {
            return decode_var(max, bits, value.clear_var());
        }
        FieldType::Object => return None, // never sent
    };
    Some(())
}

fn decode_var(max: u16, bits: &mut BitReader<'_>, out: &mut Vec<u8>) -> Option<()> {
    let len = bits.read_varint().filter(|&len| len <= max.into())?;
    for _ in 0..len {
        out.push(bits.read(8)? as u8);
    }
    Some(())
}

/// Any number as a double, exactly.
fn number(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::U8(v) => v.into(),
        ValueRef::U16(v) => v.into(),
        ValueRef::U32(v) => v.into(),
        ValueRef::I32(v) => v.into(),
        ValueRef::F32(v) => v.into(),
        ValueRef::F64(v) => v,
        _ => unreachable!("only numbers are rounded, as the table was checked"),
    }
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
        let mut bits = BitWriter::new(&mut bytes);
        coder.encode(value, &mut bits);
        bits.finish();
        let mut out = FieldValue::Unknown;
        let mut bits = BitReader::new(&bytes);
        coder.decode(&mut bits, &mut out).expect("what was written");
        assert!(bits.rest().is_empty());
        out
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
