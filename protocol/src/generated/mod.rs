//! What flatc makes of `protocol/schemas`; see `protocol/codegen`. The only place in this crate
//! with `unsafe`: all reading goes through the verifier, `flatbuffers::root`.

#![allow(
    dead_code,
    deprecated,
    missing_docs,
    rust_2018_idioms,
    unreachable_pub,
    unsafe_code,
    unused_imports,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]

#[rustfmt::skip]
mod commands_generated;
#[rustfmt::skip]
mod events_generated;
#[rustfmt::skip]
mod field_table_generated;
#[rustfmt::skip]
mod handshake_generated;
#[rustfmt::skip]
mod snapshot_generated;

pub(crate) use commands_generated::commands;
pub(crate) use events_generated::events;
pub(crate) use field_table_generated::fields;
pub(crate) use handshake_generated::handshake;
pub(crate) use snapshot_generated::snapshot;
