//! Root folder for the files of a test process, and a shell that removes it and ends registered child
//! processes when the test process exits for any reason. This module itself starts no other processes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Shell script that reads process ids (`+ pid` registers, `- pid` removes) until its standard input ends,
/// which happens when the test process exits for any reason. It then ends the processes that are still
/// registered, and removes the folder.
const SCRIPT: &str = r#"
    trap '' INT TERM HUP
    pids=' '
    while read -r sign pid; do
        case $sign in
            +) pids="$pids$pid " ;;
            -) pids=$(printf '%s' "$pids" | sed "s/ $pid / /") ;;
        esac
    done
    for pid in $pids; do kill -KILL "$pid"; done
    rm -rf "$1"
"#;

struct Reaper {
    root: PathBuf,
    shell: Mutex<Child>,
    folders: AtomicU32,
}

/// Creates a new folder, with `name` as part of its name; it is removed when this process exits.
pub fn folder(name: &str) -> PathBuf {
    let reaper = reaper();
    let number = reaper.folders.fetch_add(1, Ordering::Relaxed);
    let folder = reaper.root.join(format!("{number}-{name}"));
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    folder
}

/// Registers a child process, to be ended when this process exits.
pub fn register(pid: u32) {
    send('+', pid);
}

/// Removes a process from the registered ones. It must be called before waiting for the process, while its id
/// cannot have been reused.
pub fn unregister(pid: u32) {
    send('-', pid);
}

fn send(sign: char, pid: u32) {
    let mut shell = reaper().shell.lock().unwrap_or_else(PoisonError::into_inner);
    let input = shell.stdin.as_mut().expect("the reaper's input is piped");
    writeln!(input, "{sign} {pid}").expect("the shell of the reaper runs as long as this process");
}

fn reaper() -> &'static Reaper {
    static REAPER: OnceLock<Reaper> = OnceLock::new();
    REAPER.get_or_init(|| {
        let root =
            tempfile::Builder::new().prefix("firn-tests-").tempdir().expect("a temporary folder").keep();
        let shell = start(&root);
        Reaper { root, shell: Mutex::new(shell), folders: AtomicU32::new(0) }
    })
}

fn start(root: &Path) -> Child {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT, "sh"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell.spawn().expect("a shell")
}
