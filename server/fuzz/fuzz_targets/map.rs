//! See `tessera_fuzz::map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_fuzz::map(bytes));
