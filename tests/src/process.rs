//! The real `firn` binary as a child process: built once, started on data of its own, ended by whoever started
//! it. It knows nothing of what a server answers.

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
use crate::keeper;
use crate::postgres::Postgres;

/// How long a start may take: migrations on a machine that is out of breath.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// What the banner says before the address.
const ADDRESS: &str = "  Iceberg REST   ";
/// The start of the banner's last line.
const LAST_LINE: &str = "The catalog as it was";

/// Which database a server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file in the data directory.
    Sqlite,
    /// A database of its own on the PostgreSQL server that the test process shares.
    Postgres,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// A database other than the default.
    pub database_url: Option<String>,
    /// `FIRN_*` variables; none are inherited.
    pub env: BTreeMap<String, String>,
    /// A command that runs the server, such as `prlimit --fsize=…`.
    pub wrapper: Vec<String>,
    /// The port that it listens on; 0 for any.
    pub port: u16,
}

/// A running server, killed when dropped.
pub struct Firn {
    setup: Setup,
    running: Option<Running>,
    client: Client,
}

struct Running {
    child: Child,
    banner: String,
    // Kept open, so that the server can go on printing.
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
    /// The defaults on new data.
    pub async fn new(backend: Backend) -> Self {
        let folder = keeper::folder(match backend {
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
        // Tests say themselves when a table is changed by somebody else.
        let env = BTreeMap::from([("FIRN_MAINTENANCE__WORKERS".to_owned(), "0".to_owned())]);
        Self { data_dir: folder.join("data"), database_url, env, wrapper: Vec::new(), port: 0 }
    }

    /// Sets a `FIRN_*` variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The database's URL, for whoever wants to look into it once the server has stopped.
    pub fn database_url(&self) -> String {
        match &self.database_url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.data_dir.join("firn.db").display()),
        }
    }

    /// What the server writes to standard error, since its first start.
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
        keeper::keep(child.id());
        child
    }
}

impl Firn {
    /// Starts a server on new data.
    pub async fn new(backend: Backend) -> Self {
        Self::start(Setup::new(backend).await)
    }

    /// Starts a server, which may find data.
    pub fn start(setup: Setup) -> Self {
        match Self::try_start(setup) {
            Ok(firn) => firn,
            Err(reason) => panic!("firn did not start: {reason}"),
        }
    }

    /// Starts a server; what it says if it refuses to.
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
            // Nobody waits any more if it took too long.
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
                keeper::forget(child.id());
                let status = child.wait().expect("the server's status");
                Err(refused(&status.to_string()))
            }
            Err(_) => {
                end(&mut child);
                Err(refused("it was silent for a minute"))
            }
        }
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The folder of the warehouse `main`.
    pub fn warehouse(&self) -> PathBuf {
        self.setup.data_dir.join("warehouse")
    }

    /// What it printed when it was ready.
    pub fn banner(&self) -> &str {
        &self.running.as_ref().expect("a running server").banner
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("a running server").child.id()
    }

    /// SIGKILL: as in a crash.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            end(&mut running.child);
        }
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Waits until the process has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("a running server");
        let status = running.child.wait().expect("the server's status");
        keeper::forget(running.child.id());
        status
    }

    /// SIGTERM, and waits until the process has ended in order.
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "the server ended with {status}: {}", self.setup.log());
    }

    /// Starts it again on the same data, at a new address.
    pub fn restart(&mut self) {
        self.kill();
        if let Err(reason) = self.start_again() {
            panic!("firn did not start again: {reason}");
        }
    }

    /// Like [`Firn::restart`], with settings changed.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.restart();
    }

    /// Memory in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    /// The most memory that was in use since the start, in bytes.
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

    /// Fails the test if a request handler or a task has panicked.
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

/// The server that tests share which only need namespaces of their own.
pub async fn shared(backend: Backend) -> &'static Firn {
    static SQLITE: OnceCell<Firn> = OnceCell::const_new();
    static POSTGRES: OnceCell<Firn> = OnceCell::const_new();
    let cell = match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    };
    cell.get_or_init(|| Firn::new(backend)).await
}

/// Runs a test. All tests of a process run on one runtime, since they share connections.
pub fn run(test: impl Future<Output = ()>) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let new = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(4).enable_all().build().expect("a runtime")
    };
    RUNTIME.get_or_init(new).block_on(test);
}

/// The `firn` binary, built in the profile of whoever asks.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// A command that inherits no `FIRN_*` variable.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FIRN_")) {
        command.env_remove(name);
    }
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Sends a signal to a process that is ours and not waited for yet.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("`kill`");
    assert!(sent.success(), "cannot send {name} to {pid}");
}

/// Ends a process that the keeper knows.
pub fn end(child: &mut Child) {
    keeper::forget(child.id());
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads what a start prints; gives the server's address and all of the text.
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
    // The whole workspace, so that dependencies have the features that `cargo test --workspace` built them with.
    command.args(["build", "--quiet", "--workspace", "--bin", "firn", "--message-format=json"]);
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
