//! Simulated outages of a database: a proxy whose connections can be cut, and a PostgreSQL server that can be
//! stopped and started.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::postgres::Postgres;
use crate::process::signal;
use crate::reaper;

/// File name of PostgreSQL's Unix socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// Behaviour of a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// Forwards all bytes.
    Forward,
    /// Closes all connections, and refuses new ones.
    Cut,
    /// Forwards requests; once a request contains this text, the connection is closed instead of forwarding
    /// the response.
    CutAfter(&'static str),
}

/// Proxy between a client and the Unix socket of a PostgreSQL server.
pub struct Proxy {
    folder: PathBuf,
    state: watch::Sender<ProxyMode>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to the server of this URL, which is a result of [`Postgres::url`].
    pub fn start(url: &str) -> Self {
        let target = socket_folder(url).join(SOCKET);
        let folder = reaper::folder("proxy");
        let listener = UnixListener::bind(folder.join(SOCKET)).expect("a socket");
        let (state, watching) = watch::channel(ProxyMode::Forward);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), watching.clone()));
            }
        });
        Self { folder, state, accepting }
    }

    /// Returns the URL of the same database through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replace(&*socket_folder(url).to_string_lossy(), &self.folder.to_string_lossy())
    }

    /// Sets the behaviour from now on.
    pub fn set(&self, mode: ProxyMode) {
        self.state.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: UnixStream, target: PathBuf, mut state: watch::Receiver<ProxyMode>) {
    if *state.borrow() == ProxyMode::Cut {
        return;
    }
    let Ok(mut server) = UnixStream::connect(target).await else { return };
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut closes_before_response = false;
    loop {
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() || *state.borrow() == ProxyMode::Cut {
                    return;
                }
            }
            read = client.read(&mut up) => {
                let Ok(1..) = read else { return };
                let sent = &up[..read.unwrap_or_default()];
                if let ProxyMode::CutAfter(word) = *state.borrow() {
                    closes_before_response |= sent.windows(word.len()).any(|window| window == word.as_bytes());
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(1..) = read else { return };
                if closes_before_response || client.write_all(&down[..read.unwrap_or_default()]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// PostgreSQL server that can be stopped, and started again with the same data.
pub struct StoppableServer {
    // Owns the folder. Processes that are started later are children of this process.
    _first: Arc<Postgres>,
    folder: PathBuf,
    binary: PathBuf,
    user: (String, String),
    restarted: Option<Child>,
}

impl StoppableServer {
    /// Takes control of a server that no other test uses, by the URL of one of its databases.
    pub fn new(server: Arc<Postgres>, url: &str) -> Self {
        let folder = socket_folder(url);
        let pid = main_pid(&folder);
        let binary = std::fs::read_link(format!("/proc/{pid}/exe")).expect("the server's binary");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server's status");
        let id = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("an id");
            line.split_whitespace().nth(1).expect("a number").to_owned()
        };
        let user = (id("Uid:"), id("Gid:"));
        Self { _first: server, folder, binary, user, restarted: None }
    }

    /// Stops the server with a signal: `QUIT` for an immediate shutdown, as in a crash; `INT` for a fast
    /// shutdown, as by an administrator.
    pub async fn stop(&mut self, signal_name: &str) {
        signal(signal_name, main_pid(&self.folder));
        if let Some(mut child) = self.restarted.take() {
            reaper::unregister(child.id());
            child.wait().expect("the server's status");
        }
        // The first server process is a child of another process and cannot be waited for: it has ended when
        // its socket refuses connections.
        while UnixStream::connect(self.folder.join(SOCKET)).await.is_ok() {
            tokio::task::yield_now().await;
        }
        while self.folder.join("data/postmaster.pid").exists() && signal_name != "QUIT" {
            tokio::task::yield_now().await;
        }
    }

    /// Starts the server, without waiting until it accepts connections.
    pub fn start(&mut self) {
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|folder| std::os::unix::fs::MetadataExt::uid(&folder) == 0);
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            let (uid, gid) = &self.user;
            command
                .args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"])
                .arg(&self.binary);
            command
        } else {
            Command::new(&self.binary)
        };
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        command.args(["-c", "listen_addresses=", "-c", "max_connections=400"]).current_dir(&self.folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the server's process");
        reaper::register(child.id());
        self.restarted = Some(child);
    }
}

impl Drop for StoppableServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.restarted.take() {
            reaper::unregister(child.id());
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

fn main_pid(folder: &Path) -> u32 {
    let text = std::fs::read_to_string(folder.join("data/postmaster.pid")).expect("a running server");
    text.lines().next().and_then(|line| line.trim().parse().ok()).expect("a process id")
}

fn socket_folder(url: &str) -> PathBuf {
    let (_, rest) = url.split_once("host=").expect("a URL of a socket");
    PathBuf::from(rest.split('&').next().unwrap_or_default())
}
