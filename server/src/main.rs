//! The dedicated server. Everything is in the library, so that the load tester can be a server too.

use std::process::ExitCode;

fn main() -> ExitCode {
    tessera_server::cli::run(std::env::args_os())
}
