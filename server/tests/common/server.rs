//! The binary, as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use super::PATIENCE;

/// A command of the binary that has run to its end.
pub struct Done {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `tessera` with these arguments to its end.
pub fn tessera(args: &[&str]) -> Done {
    tessera_with(&[], args)
}

/// The same, with these variables in its environment.
pub fn tessera_with(variables: &[(&str, &str)], args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .envs(variables.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    Done {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    pub listen: SocketAddr,
    pub ops: SocketAddr,
}

impl Server {
    /// Starts a server on free ports and waits until it is ready.
    pub fn start(args: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--ops",
                "127.0.0.1:0",
                "--ready-json",
            ])
            .args(["--log", "warn"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut said = String::new();
            let _ = child
                .stderr
                .take()
                .map(|mut stderr| stderr.read_to_string(&mut said));
            panic!("not ready: {line:?}: {error}: {said}")
        });
        let address = |key: &str| {
            let text = ready[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} in {line}"));
            text.parse().expect("an address")
        };
        Server {
            listen: address("listen"),
            ops: address("ops"),
            child,
        }
    }

    /// Asks the ops endpoint; gives status and body.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        self.ask_with(method, path, "")
    }

    /// As [`Server::ask`], with JSON.
    pub fn ask_with(&self, method: &str, path: &str, json: &str) -> (u16, String) {
        self.ask_as(method, path, "Content-Type: application/json", json)
    }

    /// As [`Server::ask`], with a header and what follows the headers.
    pub fn ask_as(&self, method: &str, path: &str, header: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.ops).expect("the ops endpoint listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer
            .split_whitespace()
            .nth(1)
            .and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.expect("a status"), body.to_owned())
    }

    /// One of the report's counters.
    pub fn counter(&self, name: &str) -> u64 {
        let report = self.report();
        let count = report["counters"][name].as_u64();
        count.unwrap_or_else(|| panic!("no counter {name} in {}", report["counters"]))
    }

    pub fn report(&self) -> Value {
        let (status, body) = self.ask("GET", "/report.json");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Waits until the first tick has run: what says that it listens may be a moment earlier.
    pub fn wait_until_ready(&self) {
        let began = Instant::now();
        loop {
            let (status, said) = self.ask("GET", "/ready");
            if status == 200 {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until one of the report's counters is at least `count`.
    pub fn wait_for_counter(&self, name: &str, count: u64) {
        let began = Instant::now();
        loop {
            let now = self.counter(name);
            if now >= count {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{name} is {now}, waited for {count}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As [`Server::wait_for_counter`], while a client goes on playing.
    pub async fn counter_reaches(&self, name: &str, count: u64) {
        let waiting = async {
            while self.counter(name) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        in_time.unwrap_or_else(|_| panic!("waited too long for {count} {name}"));
    }

    /// Asks the process to stop.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits until the process has ended; gives how, and what it said in the end.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it ends"), said)
    }
}

impl Server {
    /// How many of its threads have a name that begins so.
    pub fn threads(&self, name: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let names = tasks.expect("it runs").filter_map(|task| {
            // One that ends meanwhile has no name any more.
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        });
        names.filter(|comm| comm.starts_with(name)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
