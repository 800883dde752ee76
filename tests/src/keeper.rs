//! One folder for everything that a test process starts, and a shell that cleans up after it however it ends.
//! It starts nothing itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Remembers processes until its input ends, which it does when the process that writes it exits, in whatever
/// way; then ends those that are left and removes the folder.
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

struct Keeper {
    root: PathBuf,
    shell: Mutex<Child>,
    folders: AtomicU32,
}

/// A new folder of this name's own, removed with the process.
pub fn folder(name: &str) -> PathBuf {
    let keeper = keeper();
    let number = keeper.folders.fetch_add(1, Ordering::Relaxed);
    let folder = keeper.root.join(format!("{number}-{name}"));
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    folder
}

/// Ends this process with ours.
pub fn keep(pid: u32) {
    tell('+', pid);
}

/// Forgets a process; must be told before it is waited for, while its id cannot be another's.
pub fn forget(pid: u32) {
    tell('-', pid);
}

fn tell(sign: char, pid: u32) {
    let mut shell = keeper().shell.lock().unwrap_or_else(PoisonError::into_inner);
    let input = shell.stdin.as_mut().expect("the keeper's input is piped");
    writeln!(input, "{sign} {pid}").expect("the keeper lives as long as we do");
}

fn keeper() -> &'static Keeper {
    static KEEPER: OnceLock<Keeper> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let root =
            tempfile::Builder::new().prefix("firn-tests-").tempdir().expect("a temporary folder").keep();
        let shell = start(&root);
        Keeper { root, shell: Mutex::new(shell), folders: AtomicU32::new(0) }
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
