//! A hundred bots over real QUIC, and the report about how the server bore them.
#![forbid(unsafe_code)]

pub mod args;
pub mod assemble;
pub mod bot;
pub mod chaos;
pub mod conditions;
pub mod hostile;
pub mod measure;
pub mod network;
pub mod pace;
pub mod progress;
pub mod report;
pub mod run;
pub mod server;
pub mod summary;
pub mod tokens;
