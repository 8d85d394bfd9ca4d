//! What the decoders promise of any bytes at all: that they end, that they don't panic, and that what they let through
//! is what it should be.
//!
//! Each target is a plain function of bytes. On a stable compiler `tests/replay.rs` runs them on the corpus and on
//! mutations of it; with a nightly one libFuzzer looks for more:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir server/fuzz --features libfuzzer state_datagrams
//! ```
//!
//! A new decoder gets a function in [`targets`], a line in [`TARGETS`], seeds in [`corpus`], and a file in
//! `fuzz_targets/`. What libFuzzer finds is put into `corpus/` together with the fix.
#![forbid(unsafe_code)]

pub mod corpus;
mod sample;
pub mod targets;

pub use targets::{
    client_datagram, client_stream, config, map, server_stream, snapshot, state_datagrams, token,
};

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where the decoder doesn't keep its promise.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "client_datagram",
        run: client_datagram,
    },
    Target {
        name: "client_stream",
        run: client_stream,
    },
    Target {
        name: "server_stream",
        run: server_stream,
    },
    Target {
        name: "state_datagrams",
        run: state_datagrams,
    },
    Target {
        name: "token",
        run: token,
    },
    Target {
        name: "snapshot",
        run: snapshot,
    },
    Target {
        name: "map",
        run: map,
    },
    Target {
        name: "config",
        run: config,
    },
];
