//! The program of a process zone, for tests: the server has it as `tessera zone-host`.

fn main() -> std::process::ExitCode {
    tessera_process::run_zone_host()
}
