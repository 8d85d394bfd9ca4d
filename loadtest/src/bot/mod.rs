//! A bot: a client with nobody in front of it.
//!
//! The data's way: datagrams → [`client`] (session machine of the protocol over QUIC) → [`senses`] (what a player would
//! see on the screen) → [`mind`] (what to do, [`feet`] and [`hands`]) → a command → datagrams. [`fleet`] runs many of
//! them on one thread. A bot knows its decoded states, the map file and the rules that every client knows, nothing else.

pub mod ages;
pub mod chance;
pub mod client;
pub mod eyes;
pub mod feet;
pub mod fleet;
pub mod hands;
pub mod head;
pub mod meter;
pub mod mind;
pub mod senses;
pub mod stroll;
pub mod terrain;
pub mod wire;
