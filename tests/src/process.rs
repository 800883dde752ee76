//! Child process that runs the real `firn` binary: built once per test process, started with its own data,
//! and terminated with its owner. This module does not interpret responses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::http::Client;
use crate::postgres::Postgres;
use crate::reaper;

/// Maximum duration of a start, including migrations on a heavily loaded machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Text of the banner before the server's address.
const ADDRESS: &str = "  Iceberg REST   ";
/// Beginnings of the variables by which Cargo describes the package whose test it runs.
const OF_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
/// Beginning of the banner's last line.
const LAST_LINE: &str = "Read-only catalog as of";

/// Database of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SQLite file in the data directory.
    Sqlite,
    /// Separate database on the PostgreSQL server that the test process shares.
    Postgres,
}

/// Settings with which a server is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Data directory.
    pub data_dir: PathBuf,
    /// URL of the database; `None` for the default, SQLite.
    pub database_url: Option<String>,
    /// Environment variables `FIRN_*`; none are inherited.
    pub env: BTreeMap<String, String>,
    /// Command that runs the server, such as `prlimit --fsize=…`; empty to run it directly.
    pub wrapper: Vec<String>,
    /// Port to listen on; 0 for any free port.
    pub port: u16,
}

/// Running server, killed when dropped. Dereferences to a [`Client`] of the warehouse `main`.
pub struct Firn {
    setup: Setup,
    running: Option<Running>,
    client: Client,
}

struct Running {
    child: Child,
    banner: String,
    // Open as long as the server runs, so that it can continue to print.
    _output: BufReader<ChildStdout>,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            _ => Err(format!("`{text}` is neither `sqlite` nor `postgres`")),
        }
    }
}

impl Setup {
    /// Returns the default settings with new data, and no maintenance workers.
    pub async fn new(backend: Backend) -> Self {
        let folder = reaper::folder(match backend {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
        });
        let database_url = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => {
                let server = Postgres::shared().await.expect("a PostgreSQL server");
                Some(server.create_database().await.expect("a database"))
            }
        };
        // Without workers, a table changes only when the test changes it.
        let env = BTreeMap::from([("FIRN_MAINTENANCE__WORKERS".to_owned(), "0".to_owned())]);
        Self { data_dir: folder.join("data"), database_url, env, wrapper: Vec::new(), port: 0 }
    }

    /// Sets a `FIRN_*` variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Returns the URL of the database, for tests that read it after the server has stopped.
    pub fn database_url(&self) -> String {
        match &self.database_url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.data_dir.join("firn.db").display()),
        }
    }

    /// Returns the server's output on standard error, since its first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.data_dir.with_extension("log")
    }

    fn spawn(&self) -> Child {
        let binary = binary().to_str().expect("a plain path").to_owned();
        let mut words = self.wrapper.iter().cloned().chain([binary]);
        let mut command = clean(&words.next().expect("at least the binary"));
        let _ = fs::create_dir_all(&self.data_dir);
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let listen = format!("127.0.0.1:{}", self.port);
        command.args(words).args(["serve", "--listen", &listen, "--data-dir"]).arg(&self.data_dir);
        if let Some(url) = &self.database_url {
            command.args(["--database-url", url]);
        }
        command.envs(&self.env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().expect("the server's process");
        reaper::register(child.id());
        child
    }
}

impl Firn {
    /// Starts a server with new data.
    pub async fn new(backend: Backend) -> Self {
        Self::start(Setup::new(backend).await)
    }

    /// Starts a server, possibly with existing data; panics if it does not start.
    pub fn start(setup: Setup) -> Self {
        match Self::try_start(setup) {
            Ok(firn) => firn,
            Err(reason) => panic!("firn did not start: {reason}"),
        }
    }

    /// Starts a server, possibly with existing data.
    ///
    /// # Errors
    ///
    /// Fails if the process ends before it has printed its banner, or has not printed it after 60 seconds.
    /// The error includes the server's log.
    pub fn try_start(setup: Setup) -> Result<Self, String> {
        let mut firn = Self { setup, running: None, client: Client::new("", "main") };
        firn.start_again()?;
        Ok(firn)
    }

    fn start_again(&mut self) -> Result<(), String> {
        let before = self.setup.log().len();
        let mut child = self.setup.spawn();
        let mut output = BufReader::new(child.stdout.take().expect("a piped output"));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let banner = read_banner(&mut output);
            // The receiver no longer exists if the start took too long.
            drop(sender.send((banner, output)));
        });
        let refused = |what: &str| format!("{what}; {}", self.setup.log().get(before..).unwrap_or_default());
        match receiver.recv_timeout(START_PATIENCE) {
            Ok((Some((root, banner)), output)) => {
                self.client = Client::new(&root, "main");
                self.running = Some(Running { child, banner, _output: output });
                Ok(())
            }
            Ok((None, _)) => {
                reaper::unregister(child.id());
                let status = child.wait().expect("the server's status");
                Err(refused(&status.to_string()))
            }
            Err(_) => {
                end(&mut child);
                Err(refused("it was silent for a minute"))
            }
        }
    }

    /// Settings with which the server was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Returns the folder of the warehouse `main`.
    pub fn warehouse(&self) -> PathBuf {
        self.setup.data_dir.join("warehouse")
    }

    /// Returns the banner that the server printed when it was ready.
    pub fn banner(&self) -> &str {
        &self.running.as_ref().expect("a running server").banner
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("a running server").child.id()
    }

    /// Kills the process with SIGKILL, as in a crash.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            end(&mut running.child);
        }
    }

    /// Sends SIGTERM without waiting for the end of the process.
    pub fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Waits until the process has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("a running server");
        let status = running.child.wait().expect("the server's status");
        reaper::unregister(running.child.id());
        status
    }

    /// Sends SIGTERM and waits until the process has ended; panics if it did not end successfully.
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "the server ended with {status}: {}", self.setup.log());
    }

    /// Kills the server and starts it again with the same data, at a new address.
    pub fn restart(&mut self) {
        self.kill();
        if let Err(reason) = self.start_again() {
            panic!("firn did not start again: {reason}");
        }
    }

    /// Restarts the server like [`Firn::restart`], with changed settings.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.restart();
    }

    /// Returns the resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    /// Returns the maximum resident memory since the start, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    fn memory_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line about memory");
        let kib: u64 =
            line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kib * 1024
    }

    /// Fails the test if the log contains a panic.
    #[track_caller]
    pub fn check_no_panic(&self) {
        let log = self.setup.log();
        let line = log.lines().find(|line| line.contains("panicked"));
        assert!(line.is_none(), "the server panicked: {line:?}");
    }
}

impl Deref for Firn {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Firn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.setup.log();
            let troubles: Vec<_> =
                log.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).collect();
            eprintln!(
                "the server's last troubles:\n{}",
                troubles[troubles.len().saturating_sub(60)..].join("\n")
            );
        }
        self.kill();
    }
}

/// Returns the server shared by all tests that need only their own namespaces.
pub async fn shared(backend: Backend) -> &'static Firn {
    static SQLITE: OnceCell<Firn> = OnceCell::const_new();
    static POSTGRES: OnceCell<Firn> = OnceCell::const_new();
    let cell = match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    };
    cell.get_or_init(|| Firn::new(backend)).await
}

/// Runs a test. All tests of a process run on one runtime, because they share connections.
pub fn run(test: impl Future<Output = ()>) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let new = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(4).enable_all().build().expect("a runtime")
    };
    RUNTIME.get_or_init(new).block_on(test);
}

/// Returns the path of the `firn` binary, built on the first call with the profile (debug or release) of the
/// tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// Returns a command that inherits no `FIRN_*` variable.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FIRN_")) {
        command.env_remove(name);
    }
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Sends a signal to a child process that has not been waited for yet.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("`kill`");
    assert!(sent.success(), "cannot send {name} to {pid}");
}

/// Kills a child process that is registered with [`reaper`], and waits for its end.
pub fn end(child: &mut Child) {
    reaper::unregister(child.id());
    // The process may already have ended.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads the banner of a start; returns the server's URL and the complete text.
fn read_banner(output: &mut BufReader<ChildStdout>) -> Option<(String, String)> {
    let mut root = None;
    let mut banner = String::new();
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        banner.push_str(&line);
        if let Some(address) = line.strip_prefix(ADDRESS) {
            root = Some(address.trim().to_owned());
        }
        if line.starts_with(LAST_LINE) {
            return root.map(|root| (root, banner));
        }
        line.clear();
    }
    None
}

fn build() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    // The whole workspace is built, so that dependencies have the same features as in `cargo test
    // --workspace`.
    command.args(["build", "--quiet", "--workspace", "--bin", "firn", "--message-format=json"]);
    // Cargo tells a test about its own package. Build scripts, such as that of `ring`, would take it for a change, and
    // `ring` with everything that depends on it would be built again, by this build and by the next one outside.
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            OF_PACKAGE.iter().any(|prefix| name.to_str().is_some_and(|name| name.starts_with(prefix)));
        if is_of_package {
            command.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output =
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).output().expect("cargo");
    assert!(output.status.success(), "`firn` does not build");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executable =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    executable.expect("cargo names the binary")
}
