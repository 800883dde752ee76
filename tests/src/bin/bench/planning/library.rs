//! Client-side scan planning by Iceberg's libraries, in processes that answer each line of JSON with another
//! line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::process::Firn;

/// Process of a library, ended when dropped.
pub struct Library {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Library {
    /// Starts a script below `tests`, with the URI of the catalog and the warehouse as arguments.
    ///
    /// # Errors
    ///
    /// Fails if the process cannot be started.
    pub fn start(script: &str, firn: &Firn) -> anyhow::Result<Library> {
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args([firn.root(), "main"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {script}"))?;
        let input = child.stdin.take().context("an input")?;
        let output = BufReader::new(child.stdout.take().context("an output")?);
        Ok(Library { child, input, output })
    }

    /// Plans a scan; returns the number of files and the duration in milliseconds.
    ///
    /// # Errors
    ///
    /// Fails if the process has ended, or its answer has no count or duration.
    pub fn count(&mut self, request: &Value) -> anyhow::Result<(usize, f64)> {
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the library's process ended");
        let response: Value = serde_json::from_str(&line)?;
        let files = response["files"].as_u64().with_context(|| format!("no count: {response}"))?;
        Ok((usize::try_from(files)?, response["ms"].as_f64().context("milliseconds")?))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // The process may already have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
