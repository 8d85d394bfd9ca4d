//! Whether bytes from outside are a clone, without an interpreter.

use super::wire::{self, Reader};
use super::{DEPTH_MAX, INT_BYTES_MAX};

/// Whether all of `bytes` is one value of an `object` field: then it decodes in every interpreter,
/// wherever there is memory for it.
pub fn is_clone(bytes: &[u8]) -> bool {
    let mut checker = Checker {
        reader: Reader::new(bytes),
        seen: Vec::new(),
        budget: bytes.len(),
        depth: 0,
    };
    checker.value().is_some() && checker.reader.remaining() == 0
}

/// The checks of the decoder, in its order.
struct Checker<'a> {
    reader: Reader<'a>,
    /// Whether each list, dict and set can be referred to by now: a list can't before it is whole.
    seen: Vec<bool>,
    budget: usize,
    depth: u32,
}

impl Checker<'_> {
    fn value(&mut self) -> Option<()> {
        match self.reader.byte()? {
            wire::NONE | wire::FALSE | wire::TRUE => Some(()),
            wire::INT8 => self.reader.take(1).map(drop),
            wire::INT64 => self.int64().map(drop),
            wire::FLOAT => self.reader.eight().map(drop),
            wire::VEC3 => self.reader.take(24).map(drop),
            wire::INT_BIG => self.big_int().map(drop),
            wire::STR => self.text().map(drop),
            wire::BYTES => {
                let length = self.reader.length()?;
                self.reader.take(length).map(drop)
            }
            wire::TUPLE => self.values(),
            wire::LIST => {
                let number = self.seen.len();
                self.seen.push(false);
                self.values()?;
                self.seen[number] = true;
                Some(())
            }
            wire::DICT => {
                self.seen.push(true);
                let count = self.open(2)?;
                let size = self.reader.length()?;
                let before = self.reader.remaining();
                let keys = (0..count).map(|_| self.key()).collect::<Option<_>>()?;
                (before - self.reader.remaining() == size).then_some(())?;
                for _ in 0..count {
                    self.value()?;
                }
                self.depth -= 1;
                differ(keys)
            }
            wire::SET => {
                self.seen.push(true);
                self.elements().map(drop)
            }
            wire::FROZENSET => self.elements().map(drop),
            wire::REFERENCE => {
                let number = self.reader.length()?;
                self.seen.get(number)?.then_some(())
            }
            _ => None,
        }
    }

    fn values(&mut self) -> Option<()> {
        for _ in 0..self.open(1)? {
            self.value()?;
        }
        self.depth -= 1;
        Some(())
    }

    /// Elements of a set, in order; as keys.
    fn elements(&mut self) -> Option<Vec<Key>> {
        let count = self.open(1)?;
        let mut keys = Vec::new();
        let mut before: &[u8] = &[];
        for _ in 0..count {
            let mark = self.reader.mark();
            keys.push(self.key()?);
            let bytes = self.reader.since(mark);
            if bytes <= before {
                return None;
            }
            before = bytes;
        }
        self.depth -= 1;
        differ(keys.clone())?;
        Some(keys)
    }

    /// A value that can be hashed, in a form that is the same for all values that Python finds equal.
    fn key(&mut self) -> Option<Key> {
        Some(match self.reader.byte()? {
            wire::NONE => Key::None,
            wire::FALSE => Key::Int(0),
            wire::TRUE => Key::Int(1),
            wire::INT8 => Key::Int(i64::from(i8::from_le_bytes([self.reader.byte()?]))),
            wire::INT64 => Key::Int(self.int64()?),
            wire::INT_BIG => Key::Big(self.big_int()?),
            wire::FLOAT => Key::float(f64::from_le_bytes(self.reader.eight()?))?,
            wire::VEC3 => {
                let mut axes = [0; 3];
                for axis in &mut axes {
                    let value = f64::from_le_bytes(self.reader.eight()?);
                    // Zeros of both signs are equal.
                    *axis = (!value.is_nan()).then_some((value + 0.0).to_bits())?;
                }
                Key::Vec3(axes)
            }
            wire::STR => Key::Str(self.text()?),
            wire::BYTES => {
                let length = self.reader.length()?;
                Key::Bytes(self.reader.take(length)?.into())
            }
            wire::TUPLE => {
                let count = self.open(1)?;
                let items = (0..count).map(|_| self.key()).collect::<Option<_>>()?;
                self.depth -= 1;
                Key::Tuple(items)
            }
            wire::FROZENSET => {
                let mut elements = self.elements()?;
                elements.sort_unstable();
                Key::Frozenset(elements)
            }
            _ => return None,
        })
    }

    fn int64(&mut self) -> Option<i64> {
        let value = i64::from_le_bytes(self.reader.eight()?);
        i8::try_from(value).is_err().then_some(value)
    }

    fn big_int(&mut self) -> Option<Box<[u8]>> {
        let length = self.reader.length()?;
        if length <= size_of::<i64>() || length > INT_BYTES_MAX {
            return None;
        }
        let bytes = self.reader.take(length)?;
        match bytes {
            [.., below, last] if *last == if below & 0x80 == 0 { 0x00 } else { 0xff } => None,
            _ => Some(bytes.into()),
        }
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = self.reader.length()?;
        let text = std::str::from_utf8(self.reader.take(length)?);
        text.ok().map(Into::into)
    }

    /// Begins a container; the number of its items, which are `values` values each.
    fn open(&mut self, values: usize) -> Option<usize> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let count = self.reader.length()?;
        self.budget = self.budget.checked_sub(count.checked_mul(values)?)?;
        Some(count)
    }
}

/// A key of a dict or an element of a set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    None,
    Int(i64),
    /// An integer beyond 64 bits.
    Big(Box<[u8]>),
    /// A float that is no integer of 64 bits, as bits.
    Float(u64),
    Vec3([u64; 3]),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    Tuple(Vec<Key>),
    /// Ascending.
    Frozenset(Vec<Key>),
}

impl Key {
    fn float(value: f64) -> Option<Self> {
        const INTS: f64 = 9_223_372_036_854_775_808.0; // 2^63
        if value.is_nan() {
            return None;
        }
        Some(match value.trunc() == value {
            true if (-INTS..INTS).contains(&value) => Self::Int(value as i64),
            true if value.is_finite() => Self::Big(big(value)),
            _ => Self::Float(value.to_bits()),
        })
    }
}

/// An integer beyond 64 bits as a clone has it: the shortest two's complement, little-endian.
fn big(value: f64) -> Box<[u8]> {
    let bits = value.to_bits();
    // From 2^63 on the exponent is above that of the last bit of the mantissa.
    let shift = ((bits >> 52) & 0x7ff) as usize - 1075;
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let mut bytes = vec![0; shift / 8];
    bytes.extend((u128::from(mantissa) << (shift % 8)).to_le_bytes());
    bytes.push(0);
    if value < 0.0 {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(carry.into());
        }
    }
    while let [.., below, last] = bytes[..]
        && last == if below & 0x80 == 0 { 0x00 } else { 0xff }
    {
        bytes.pop();
    }
    bytes.into()
}

/// Whether no key comes twice.
fn differ(mut keys: Vec<Key>) -> Option<()> {
    keys.sort_unstable();
    keys.is_sorted_by(|a, b| a < b).then_some(())
}
