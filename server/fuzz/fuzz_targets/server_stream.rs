//! See `tessera_fuzz::server_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_fuzz::server_stream(bytes));
