//! See `tessera_fuzz::client_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_fuzz::client_stream(bytes));
