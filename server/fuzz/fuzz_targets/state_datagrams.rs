//! See `tessera_fuzz::state_datagrams`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_fuzz::state_datagrams(bytes));
