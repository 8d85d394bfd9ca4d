//! What parent and child tell each other, as bytes.
//!
//! A frame to the child is a sequence of orders; one with [`Order::RunStart`] or [`Order::Run`] in it is
//! answered by one frame. Rows and deltas are those of [`tessera_protocol::columns`], messages those of
//! [`Payload`](tessera_python::Payload); numbers are little-endian, lists and texts begin with their length
//! as a `u32`.

mod answers;
mod orders;
mod start;
mod wire;

pub use answers::{Cost, Span};
pub(crate) use answers::{
    Told, read_failed, read_memory, read_outbox, read_spans, read_stats, write_changed,
    write_failed, write_memory, write_outbox, write_spans, write_stats,
};
pub(crate) use orders::{Order, read_run, write_run};
pub(crate) use start::{Start, Started, read_error, write_error};
pub(crate) use wire::{Malformed, Put, Reader};
