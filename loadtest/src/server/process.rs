//! A dedicated server as a process of its own, from the same build.
//!
//! The load tester runs itself again with a hidden command that calls the server's own entry point. So the two can't be of
//! different builds, and plain `cargo run -p loadtest` needs no second binary.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// First argument that makes this program a server. What follows is the server's command line.
pub const HIDDEN_COMMAND: &str = "__server";

/// What a server is started with that is to be the process of a zone.
pub const ZONE_HOST_COMMAND: &str = "zone-host";

/// Starting loads Python and a mode in every zone; a machine under load takes its time.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// A server says goodbye to its clients before it ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of the server's log an error shows.
const LOG_LINES_SHOWN: usize = 30;

/// Where a started server listens: its line on standard output.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Ready {
    listen: SocketAddr,
    ops: SocketAddr,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    log: PathBuf,
    listen: SocketAddr,
    ops: SocketAddr,
}

/// What the hidden command does: the server's own entry point, bound to the life of its parent.
pub fn become_server(args: impl Iterator<Item = OsString>) -> ExitCode {
    die_with_parent();
    tessera_server::cli::run(std::iter::once(OsString::from("tessera")).chain(args))
}

/// A load tester that is killed must not leave a server behind that holds a core.
#[cfg(target_os = "linux")]
fn die_with_parent() {
    // A failure only means that a killed parent leaves this process behind.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() {}

/// Has the server's own command make the key of connect tokens in a new file.
///
/// # Errors
/// What the command says.
pub fn make_key(path: &Path) -> Result<()> {
    let program =
        std::env::current_exe().context("can't find this program's own file to make a key with")?;
    let made = Command::new(program)
        .args([HIDDEN_COMMAND, "token", "--new-key"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .context("can't start the command that makes a key")?;
    if !made.status.success() {
        bail!(
            "no key was made ({})\n{}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Ok(())
}

impl ServerProcess {
    /// Starts a server and waits until it listens. Its log goes to `log`.
    ///
    /// # Errors
    /// When it can't be started, ends before it is ready, or isn't ready in time; the error has the end of its log.
    pub fn start(args: &[String], log: &Path) -> Result<ServerProcess> {
        let program = std::env::current_exe()
            .context("can't find this program's own file to start the server from")?;
        let stderr = File::create(log)
            .with_context(|| format!("can't write the server's log {}", log.display()))?;
        let mut child = Command::new(program)
            .arg(HIDDEN_COMMAND)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .context("can't start the server process")?;
        let stdout = child
            .stdout
            .take()
            .context("the server has no standard output")?;
        // From here on a return kills the process, by the drop.
        let unset = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = ServerProcess {
            child,
            log: log.to_owned(),
            listen: unset,
            ops: unset,
        };
        let ready = match first_line(stdout).recv_timeout(READY_TIMEOUT) {
            Ok(Some(line)) => serde_json::from_str::<Ready>(&line).with_context(|| {
                format!("the server's first line isn't the announcement of its ports: {line:?}")
            })?,
            Ok(None) => {
                let status = server.child.wait().context("can't wait for the server")?;
                bail!("the server didn't start ({status})\n{}", server.log_tail());
            }
            Err(_) => bail!(
                "the server wasn't ready after {READY_TIMEOUT:?}\n{}",
                server.log_tail()
            ),
        };
        (server.listen, server.ops) = (ready.listen, ready.ops);
        Ok(server)
    }

    /// Where clients connect.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the ops endpoint is.
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// What it and the processes of its zones have resident, in MiB; pages that they share count once. 0 where the
    /// system doesn't tell.
    pub fn rss_mib(&self) -> f64 {
        tessera_server::memory::resident_bytes_of(self.child.id()) as f64 / f64::from(1 << 20)
    }

    /// Whether the process has ended, with the end of its log as the reason.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("the server ended ({status})\n{}", self.log_tail())),
            Err(e) => Some(format!("can't ask for the server's state: {e}")),
        }
    }

    /// Asks the server to stop and waits for it.
    ///
    /// # Errors
    /// When it doesn't end in time (it is killed then) or ends with an error.
    pub fn drain(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("the server has no process id")?;
        kill_process(pid, Signal::TERM).context("can't ask the server to stop")?;
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait().context("can't wait for the server")? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!(
                    "the server stopped with an error ({status})\n{}",
                    self.log_tail()
                ),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        bail!(
            "the server didn't stop within {DRAIN_TIMEOUT:?} of SIGTERM and was killed\n{}",
            self.log_tail()
        )
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        match shown.is_empty() {
            true => "it said nothing".into(),
            false => format!(
                "its log, {}, ends with:\n{}",
                self.log.display(),
                shown.join("\n")
            ),
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of the server's output; none when it ends without one. What follows is read and dropped, since a full
/// pipe would block the server.
fn first_line(stdout: ChildStdout) -> mpsc::Receiver<Option<String>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().and_then(Result::ok);
        let _ = tell.send(first);
        lines.for_each(drop);
    });
    told
}
