//! Child process that runs a script of `tests/stores/`, which ends its server when its standard input ends.
//! What the server is, this module does not know.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::reaper;

/// Script whose server is ready. Dropping it ends the server and removes its data; so does the end of this
/// process, which closes the script's standard input.
#[derive(Debug)]
pub(super) struct StartScript {
    name: &'static str,
    process: Child,
    description: Map<String, Value>,
}

impl StartScript {
    /// Runs a script until its server is ready.
    ///
    /// # Errors
    ///
    /// Fails if what the script needs was not installed by `tests/setup`, or the server is not ready within
    /// the time that the script allows. The error includes the last lines of the server's logs.
    pub(super) async fn run(name: &'static str) -> Result<Self> {
        // The script may still be starting the server when the caller gives up; it is then dropped by this
        // thread.
        tokio::task::spawn_blocking(move || Self::run_blocking(name)).await?
    }

    fn run_blocking(name: &'static str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("stores").join(name);
        let log = reaper::folder(name).join("log");
        let mut command = Command::new(&path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.spawn().with_context(|| format!("cannot run {}", path.display()))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("the output is piped")?).read_line(&mut line)?;
        let Ok(description) = serde_json::from_str(&line) else {
            process.wait()?;
            bail!("{name} did not start: {}", fs::read_to_string(&log)?);
        };
        Ok(Self { name, process, description })
    }

    /// Returns a value by which the script describes its server.
    ///
    /// # Errors
    ///
    /// Fails if the script does not print this value.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        let value = self.description.get(name).and_then(Value::as_str);
        Ok(value.with_context(|| format!("{} prints no `{name}`", self.name))?.to_owned())
    }

    /// Returns a value like [`StartScript::text`], as a path.
    ///
    /// # Errors
    ///
    /// Fails if the script does not print this value.
    pub(super) fn path(&self, name: &str) -> Result<PathBuf> {
        self.text(name).map(PathBuf::from)
    }
}

impl Drop for StartScript {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the server {} was not stopped: {error}", self.name);
        }
    }
}
