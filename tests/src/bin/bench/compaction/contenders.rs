//! Contenders of the benchmark: Firn and the references, run as commands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use table_core::manifest::data_file::DataFile;
use tests::fixture;
use tests::process::{self, Firn};

use super::files::{Files, RowTotals};
use super::measure::{self, Cost, Limits, Outcome};
use super::rows::Rows;
use super::table::{TARGET_BYTES, Table};

/// Maintenance action on a table.
#[derive(Clone, Copy)]
pub enum Action {
    /// Small files are merged, and deletes are applied.
    Compact,
    /// All snapshots except the current one are expired, and the files are deleted that only they needed.
    Expire,
}

impl Action {
    /// Returns the name of the action for `firn maintain --action`.
    fn name(self) -> &'static str {
        match self {
            Action::Compact => "compact",
            Action::Expire => "expire-snapshots",
        }
    }

    fn procedure(self, table: &Table) -> String {
        let name = table.qualified();
        match self {
            Action::Compact => format!("CALL firn.system.rewrite_data_files(table => '{name}')"),
            // All snapshots are older than this timestamp, so their timestamps do not have to be falsified.
            Action::Expire => format!(
                "CALL firn.system.expire_snapshots(table => '{name}', older_than => TIMESTAMP '2100-01-01 00:00:00', \
                 retain_last => 1)"
            ),
        }
    }
}

/// Runs `firn maintain --once`, with at most `pace` file requests per second if specified.
///
/// # Errors
///
/// Fails if the command fails for another reason than lack of memory or time, if nothing was committed, or if
/// a part of the table was skipped.
pub fn firn(
    firn: &Firn,
    table: &Table,
    action: Action,
    pace: Option<u32>,
    limits: &Limits,
) -> anyhow::Result<Outcome> {
    let binary = process::binary().to_str().context("a plain path")?;
    let name = format!("main.{}", table.qualified());
    let arguments =
        ["maintain", "--once", "--json", "--table", &name, "--action", action.name(), "--uri", firn.root()];
    let mut command: Vec<_> = std::iter::once(binary).chain(arguments).map(str::to_owned).collect();
    if let Some(requests) = pace {
        command.extend(["--requests-per-second".to_owned(), requests.to_string()]);
    }
    let outcome = measure::run(&command, limits)?;
    if let Outcome::Done(cost) = &outcome {
        let reports: Value = serde_json::from_str(&cost.output)?;
        ensure!(reports[0]["committed"] == true, "nothing was committed: {reports}");
        let skipped = reports[0]["skipped"].as_array().is_some_and(|skipped| !skipped.is_empty());
        ensure!(!skipped, "a part of the table was skipped: {reports}");
    }
    Ok(outcome)
}

/// Returns a number from the JSON report of `firn maintain`; `None` if the report does not contain it.
pub fn reported(cost: &Cost, name: &str) -> Option<u64> {
    serde_json::from_str::<Value>(&cost.output).ok()?[0]["numbers"][name].as_u64()
}

/// Runs Iceberg's Spark procedure in a session with two cores; without `work`, only starts and ends a
/// session.
///
/// # Errors
///
/// Fails if the command cannot be run, or fails for another reason than lack of memory or time.
pub fn spark(
    firn: &Firn,
    work: Option<(&Table, Action)>,
    memory_mib: u32,
    limits: &Limits,
) -> anyhow::Result<Outcome> {
    let scratch = limits.scratch.join("spark");
    fs::create_dir_all(&scratch)?;
    let mut command = vec!["python".to_owned(), script("bench_spark.py")];
    command.extend([firn.root().to_owned(), "main".to_owned(), scratch.display().to_string()]);
    command.push(format!("{memory_mib}m"));
    command.extend(work.map(|(table, action)| action.procedure(table)));
    let outcome = measure::run(&command, limits)?;
    fs::remove_dir_all(&scratch)?;
    Ok(outcome)
}

/// Runs `DuckDB`: it reads the data files, removes deleted rows, and writes the others to Parquet files.
///
/// # Errors
///
/// Fails if the command cannot be run, or fails for another reason than lack of memory or time.
pub fn duckdb(
    files: &Files,
    output: &Path,
    memory_mib: Option<u32>,
    limits: &Limits,
) -> anyhow::Result<Outcome> {
    let paths = |files: &[DataFile]| -> Vec<_> {
        files.iter().map(|file| fixture::local(&file.path).to_owned()).collect()
    };
    let job = json!({
        "data": paths(&files.data), "positions": paths(&files.positions), "equality": paths(&files.equality),
        "keys": Rows::KEYS.map(|(_, name)| name), "output": output, "target-bytes": TARGET_BYTES,
        "memory": memory_mib.map(|mib| format!("{mib}MiB")), "threads": 2,
    });
    let path = limits.scratch.join("job.json");
    fs::write(&path, job.to_string())?;
    let command = ["python".to_owned(), script("bench_duckdb.py"), path.display().to_string()];
    measure::run(&command, limits)
}

/// Copies and syncs all files, which is the cost of the disk alone.
///
/// # Errors
///
/// Fails if the command cannot be run, or fails for another reason than lack of time.
pub fn copy(files: &Files, output: &Path, limits: &Limits) -> anyhow::Result<Outcome> {
    let copy = "cp -r --reflink=never \"$1\" \"$2\" && find \"$2\" -type f -exec sync {} +";
    let paths = [&files.folder, &output.to_owned()].map(|path: &PathBuf| path.display().to_string());
    let command: Vec<_> = ["sh", "-c", copy, "sh"].map(str::to_owned).into_iter().chain(paths).collect();
    measure::run(&command, limits)
}

/// Verifies with `PyIceberg` and `DuckDB` that a table, or the Parquet files of a folder, contain exactly the
/// expected rows and no deletes.
///
/// # Errors
///
/// Fails if the rows differ, deletes are left, or the script `clients/bench_check.py` cannot be run.
pub fn check(firn: &Firn, source: &Source<'_>, rows: Rows, remaining: RowTotals) -> anyhow::Result<()> {
    let mut command =
        std::process::Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/bench-python"));
    command.args(["bench_check.py", rows.summed()]);
    match source {
        Source::Table(table) => command.arg(table.qualified()),
        Source::Folder(folder) => command.arg("--files").arg(folder.join("*.parquet")),
    };
    command.env("FIRN_URI", firn.root()).env("FIRN_WAREHOUSE", "main");
    let result = command.output().context("cannot run clients/bench-python")?;
    ensure!(result.status.success(), "cannot check: {}", String::from_utf8_lossy(&result.stderr));
    let found: Value = serde_json::from_slice(&result.stdout)?;
    let expected = json!({ "rows": remaining.rows, "sum": remaining.sum.to_string() });
    ensure!(found == expected, "the result is {found} instead of {expected}");
    Ok(())
}

/// Location of rows to verify.
pub enum Source<'a> {
    /// Table of the catalog.
    Table(&'a Table),
    /// Folder with Parquet files.
    Folder(&'a Path),
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name).display().to_string()
}
