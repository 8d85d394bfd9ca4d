//! What scripts declare may change while a match runs; state says by which declarations it is coded.

use std::sync::Arc;

use super::FieldTable;

/// What the scripts declare, and which of the match's declarations these are.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Declarations {
    /// Their number.
    pub edition: Edition,
    /// The kinds and their fields.
    pub table: Arc<FieldTable>,
}

/// The first of a match.
impl From<Arc<FieldTable>> for Declarations {
    fn from(table: Arc<FieldTable>) -> Self {
        Self {
            edition: Edition::default(),
            table,
        }
    }
}

/// Counts the declarations of a match modulo 16, which tells apart those that a datagram under way can
/// be of: 0 for the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Edition(u8);

impl Edition {
    /// Bits of a number.
    pub(crate) const BITS: u32 = 4;

    /// The edition of a number, if there is one: below 16.
    pub fn of_number(number: u8) -> Option<Self> {
        (number >> Self::BITS == 0).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self((self.0 + 1) % (1 << Self::BITS))
    }
}
