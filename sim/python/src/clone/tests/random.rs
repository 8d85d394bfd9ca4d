//! Arbitrary values and arbitrary bytes.
