//! Names of things: entities, kinds, zones, clients and ticks.

use std::fmt;

/// An entity of a match. Given in ascending order at the barrier of a tick and never reused within
/// a match, so ascending id is also order of birth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EntityId(pub u32);

impl EntityId {
    /// No entity.
    pub const NONE: Self = Self(0);

    /// Whether this names no entity.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A kind of entity: the index into [`FieldTable::kinds`](crate::FieldTable::kinds).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KindId(pub u8);

impl KindId {
    /// The index of this kind in per-kind arrays.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A zone of the world's mosaic, below [`ZoneId::COUNT_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ZoneId(pub u8);

impl ZoneId {
    /// Most zones a world may have: sets of zones are bits of a `u64`.
    pub const COUNT_MAX: usize = 64;

    /// The index of this zone in per-zone arrays.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone {}", self.0)
    }
}

/// The slot of a client in a match, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ClientId(pub u16);

impl ClientId {
    /// The value of the base field `owner` that names this client: its slot + 1, since 0 is nobody.
    pub const fn owner(self) -> u16 {
        self.0 + 1
    }

    /// The client that an `owner` field names, if any.
    pub const fn from_owner(owner: u16) -> Option<Self> {
        match owner {
            0 => None,
            n => Some(Self(n - 1)),
        }
    }

    /// The index of this client in per-client arrays.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// A tick boundary. Wraps around, hence has no `Ord`: compare by [`Tick::is_newer_than`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The tick `ticks` later (earlier where negative).
    #[must_use]
    pub const fn offset(self, ticks: i32) -> Self {
        Self(self.0.wrapping_add_signed(ticks))
    }

    /// Ticks from `other` to this one: positive where this one is newer.
    pub const fn wrapping_sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Whether this tick comes after `other`. Right while they are less than 2³¹ ticks apart, a
    /// year at 64 ticks per second.
    pub const fn is_newer_than(self, other: Self) -> bool {
        self.wrapping_sub(other) > 0
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_compare_across_the_wrap() {
        let last = Tick(u32::MAX);
        assert_eq!(last.next(), Tick(0));
        assert!(last.next().is_newer_than(last));
        assert!(!last.is_newer_than(last));
        assert_eq!(Tick(2).wrapping_sub(last), 3);
        assert_eq!(Tick(2).offset(-3), last);
    }

    #[test]
    fn owner_zero_is_nobody() {
        assert_eq!(ClientId::from_owner(0), None);
        assert_eq!(ClientId::from_owner(ClientId(7).owner()), Some(ClientId(7)));
    }
}
