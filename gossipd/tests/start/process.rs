//! Peers as operators run them: processes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Returns what starts a peer with the configuration in a folder.
pub(crate) fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    command.args(["start", "--json"]).env("FABRIC_CFG_PATH", folder).env("RUST_LOG", "error");
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// A peer's process, killed if the test fails.
pub(crate) struct Running {
    child: Child,
    notices: mpsc::Receiver<Value>,
    /// What was received so far, for a failure to show.
    seen: Vec<Value>,
}

impl Running {
    pub(crate) fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::run(&mut command(folder, variables))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("gossipd runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, notices) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                let line = line.expect("text");
                let notice = serde_json::from_str(&line).expect("JSON");
                if sender.send(notice).is_err() {
                    break;
                }
            }
        });
        Self { child, notices, seen: Vec::new() }
    }

    /// Waits until something happens.
    pub(crate) fn wait_for(&mut self, notice: &str) -> Value {
        self.wait_until(notice, |found| found["notice"] == notice)
    }

    /// Waits until something happens that fits; `what` is what a failure calls it.
    pub(crate) fn wait_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(notice) => {
                    self.seen.push(notice.clone());
                    if fits(&notice) {
                        return notice;
                    }
                }
                Err(error) => {
                    let end = match error {
                        RecvTimeoutError::Timeout => format!("within {WAIT_MAX:?}"),
                        RecvTimeoutError::Disconnected => "before the peer ended".to_owned(),
                    };
                    let seen = self.seen.iter().map(|notice| format!("\n  {notice}"));
                    panic!("no {what} {end}, only:{}", seen.collect::<String>());
                }
            }
        }
    }

    /// Says whether something that fits was received while something else was waited for.
    pub(crate) fn has_seen(&self, fits: impl Fn(&Value) -> bool) -> bool {
        self.seen.iter().any(fits)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
    }

    /// Sends a signal, and returns the exit status.
    pub(crate) fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long anything may take; it takes a tenth of a second on a machine that does nothing else.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
