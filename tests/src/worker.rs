//! `firn maintain` as a child process: a maintenance worker beside a server, terminated with its owner. This
//! module knows nothing of jobs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use crate::process::{self, binary, clean, signal};
use crate::reaper;

/// Maximum duration of an orderly shutdown.
const END_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Running worker, killed when dropped.
pub struct Worker {
    child: Option<Child>,
    log: PathBuf,
}

impl Worker {
    /// Starts a worker of the catalog at `uri`, with additional arguments.
    pub fn start(uri: &str, arguments: &[&str]) -> Self {
        Self::start_in(&[], uri, arguments)
    }

    /// Starts a worker like [`Worker::start`], run by a command such as `prlimit --fsize=…`.
    pub fn start_in(wrapper: &[&str], uri: &str, arguments: &[&str]) -> Self {
        let log = reaper::folder("worker").join("log");
        let binary = binary().to_str().expect("a plain path");
        let mut words = wrapper.iter().copied().chain([binary]);
        let mut command = clean(words.next().expect("at least the binary"));
        command.args(words).args(["maintain", "--uri", uri]).args(arguments);
        let output = File::create(&log).expect("a log file");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("the same file")).stderr(output);
        let child = command.spawn().expect("the worker's process");
        reaper::register(child.id());
        Self { child: Some(child), log }
    }

    /// Returns the worker's output.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.as_ref().expect("a running worker").id());
    }

    /// Kills the process with SIGKILL, as in a crash.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::end(&mut child);
        }
    }

    /// Sends SIGTERM and waits until the process has ended by itself.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait().await
    }

    /// Waits until the process has ended by itself; fails the test if it has not ended after 60 seconds.
    pub async fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("a running worker");
        reaper::unregister(child.id());
        for _ in 0..END_PATIENCE.as_millis() / POLL.as_millis() {
            let child = self.child.as_mut().expect("a running worker");
            if let Some(status) = child.try_wait().expect("the worker's status") {
                self.child = None;
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("the worker did not end: {}", self.log());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of a worker:\n{}", self.log());
        }
        self.kill();
    }
}
