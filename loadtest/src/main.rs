//! The load test's command.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use loadtest::args::Args;
use loadtest::report::targets;
use loadtest::server::{HIDDEN_COMMAND, ZONE_HOST_COMMAND, become_server};
use loadtest::summary::{Style, summary};

fn main() -> ExitCode {
    let mut given = std::env::args_os().skip(1).peekable();
    if given.peek().is_some_and(|first| first == HIDDEN_COMMAND) {
        return become_server(given.skip(1));
    }
    // The server that this program becomes has this program run its zones too.
    if given.peek().is_some_and(|first| first == ZONE_HOST_COMMAND) {
        return tessera_server::cli::run(["tessera", ZONE_HOST_COMMAND]);
    }
    let args = Args::parse();
    if let Err(why) = args.check() {
        Args::command()
            .error(ErrorKind::ArgumentConflict, why)
            .exit();
    }
    match loadtest::run::run(&args) {
        Ok((report, written)) => {
            let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            print!("{}", summary(&report, &written, Style { colour }));
            if args.strict && !targets::judge(&report.json).is_good() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
