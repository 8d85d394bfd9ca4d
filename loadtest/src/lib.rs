//! A hundred bots over real QUIC, and the report about how the server bore them.
#![forbid(unsafe_code)]

pub mod report;
