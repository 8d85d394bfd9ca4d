//! The load test's command.
fn main() {}
