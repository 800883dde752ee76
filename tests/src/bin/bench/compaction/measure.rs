//! Execution of a contender as a child process, with measurement of its cost.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use tests::reaper;

/// Messages of allocators when no memory is left.
const OUT_OF_MEMORY: [&str; 7] = [
    "OutOfMemory",
    "memory allocation of",
    "Out of Memory",
    "bad_alloc",
    "MemoryError",
    "Cannot allocate memory",
    "insufficient memory",
];
/// Number of lines of output that are shown after a failure.
const LINES: usize = 20;

/// Limits for a contender.
#[derive(Clone)]
pub struct Limits {
    /// Maximum data size of each process in bytes (`RLIMIT_DATA`); `None` for no limit.
    pub memory_bytes: Option<u64>,
    /// Maximum duration in seconds.
    pub timeout_seconds: u32,
    /// Folder for temporary files.
    pub scratch: PathBuf,
}

/// Outcome of a contender.
pub enum Outcome {
    /// Finished successfully, at this cost.
    Done(Cost),
    /// Failed because it needed more memory than the limit.
    OutOfMemory,
    /// Not finished within the maximum duration.
    Late,
}

/// Cost of a contender, including all processes that it started.
#[derive(Clone)]
pub struct Cost {
    /// CPU time (user and system) in seconds.
    pub cpu_seconds: f64,
    /// Elapsed time in seconds.
    pub wall_seconds: f64,
    /// Maximum resident memory of its largest process, in bytes.
    pub peak_bytes: f64,
    /// Standard output.
    pub output: String,
}

/// Runs a command and measures its cost.
///
/// # Errors
///
/// Fails if the command cannot be measured, or fails for another reason than lack of memory or time.
pub fn run(command: &[String], limits: &Limits) -> anyhow::Result<Outcome> {
    settle()?;
    let result = limits.scratch.join("measured.json");
    let mut measure = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/bench-measure"));
    measure.arg(&result).arg(limits.memory_bytes.unwrap_or(0).to_string());
    measure.arg(limits.timeout_seconds.to_string()).args(command);
    // The working directory: Java virtual machines that run out of memory leave a report there.
    measure.current_dir(&limits.scratch);
    // Its own process group, so that it can be terminated together with the processes that it has started.
    measure.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = measure.spawn().context("cannot run clients/bench-measure")?;
    let id = child.id();
    reaper::register(id);
    let ended = child.wait_with_output()?;
    reaper::unregister(id);
    let output = String::from_utf8_lossy(&ended.stdout).into_owned();
    let output_and_errors = format!("{output}{}", String::from_utf8_lossy(&ended.stderr));
    if !ended.status.success() {
        bail!("clients/bench-measure: {}", last_lines(&output_and_errors));
    }
    let measured: Value = serde_json::from_slice(&fs::read(&result)?)?;
    if measured["is-late"] == true {
        return Ok(Outcome::Late);
    }
    if measured["exit-code"] != 0 {
        // The operating system kills the largest process if it has no memory left.
        if OUT_OF_MEMORY.iter().any(|words| output_and_errors.contains(words)) || measured["exit-code"] == -9
        {
            return Ok(Outcome::OutOfMemory);
        }
        bail!("`{}` failed: {}", command.join(" "), last_lines(&output_and_errors));
    }
    let number = |name: &str| measured[name].as_f64().with_context(|| format!("no `{name}`"));
    Ok(Outcome::Done(Cost {
        cpu_seconds: number("cpu-seconds")?,
        wall_seconds: number("wall-seconds")?,
        peak_bytes: number("peak-bytes")?,
        output,
    }))
}

/// Writes the dirty pages of the page cache to disk, so that a contender does not wait for the writes of the
/// previous one.
fn settle() -> anyhow::Result<()> {
    Command::new("sync").status().context("cannot run `sync`")?;
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
