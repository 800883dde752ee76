//! Runs a contender as a child process: what it cost, and what it printed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use tests::keeper;

/// What allocators say when they get no more.
const OUT_OF_MEMORY: [&str; 7] = [
    "OutOfMemory",
    "memory allocation of",
    "Out of Memory",
    "bad_alloc",
    "MemoryError",
    "Cannot allocate memory",
    "insufficient memory",
];
/// Lines of a failure that are shown.
const LINES: usize = 20;

/// What a contender may use.
#[derive(Clone)]
pub struct Limits {
    /// Memory of each process; none if there is as much as the machine has.
    pub memory_bytes: Option<u64>,
    /// How long it may take.
    pub patience_seconds: u32,
    /// A folder for what is written beside.
    pub scratch: PathBuf,
}

/// What became of a contender.
pub enum Outcome {
    /// It finished.
    Done(Cost),
    /// It wanted more memory than there was.
    OutOfMemory,
    /// It took too long.
    Late,
}

/// What a contender took, everything that it started included.
#[derive(Clone)]
pub struct Cost {
    /// Time on a core, user's and system's.
    pub cpu_seconds: f64,
    /// Time.
    pub wall_seconds: f64,
    /// Memory of its largest process, at the most.
    pub peak_bytes: f64,
    /// What it printed.
    pub output: String,
}

/// Runs a command to its end; fails if the command does so for another reason than time and memory.
pub fn run(command: &[String], limits: &Limits) -> anyhow::Result<Outcome> {
    settle()?;
    let result = limits.scratch.join("measured.json");
    let mut measure = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/bench-measure"));
    measure.arg(&result).arg(limits.memory_bytes.unwrap_or(0).to_string());
    measure.arg(limits.patience_seconds.to_string()).args(command);
    // Java virtual machines that run out of memory leave a report where they were started.
    measure.current_dir(&limits.scratch);
    // A group of its own, so that it can be ended with what it has started.
    measure.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = measure.spawn().context("cannot run clients/bench-measure")?;
    let id = child.id();
    keeper::keep(id);
    let ended = child.wait_with_output()?;
    keeper::forget(id);
    let output = String::from_utf8_lossy(&ended.stdout).into_owned();
    let said = format!("{output}{}", String::from_utf8_lossy(&ended.stderr));
    if !ended.status.success() {
        bail!("clients/bench-measure: {}", last_lines(&said));
    }
    let measured: Value = serde_json::from_slice(&fs::read(&result)?)?;
    if measured["is-late"] == true {
        return Ok(Outcome::Late);
    }
    if measured["exit-code"] != 0 {
        // The system kills the largest process if there is no memory at all.
        if OUT_OF_MEMORY.iter().any(|words| said.contains(words)) || measured["exit-code"] == -9 {
            return Ok(Outcome::OutOfMemory);
        }
        bail!("`{}` failed: {}", command.join(" "), last_lines(&said));
    }
    let number = |name: &str| measured[name].as_f64().with_context(|| format!("no `{name}`"));
    Ok(Outcome::Done(Cost {
        cpu_seconds: number("cpu-seconds")?,
        wall_seconds: number("wall-seconds")?,
        peak_bytes: number("peak-bytes")?,
        output,
    }))
}

/// Has the system write what it holds back, or one contender would wait for what another one wrote.
fn settle() -> anyhow::Result<()> {
    Command::new("sync").status().context("cannot run `sync`")?;
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
