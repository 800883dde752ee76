//! Benchmark of compaction and snapshot expiry: `firn maintain` against engines and plain copying, on
//! identical files.

mod cases;
mod contenders;
mod files;
mod history;
mod lines;
mod measure;
mod rows;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use serde_json::json;
use tests::process::{Backend, Firn, Setup};
use tests::reaper;

use self::cases::{Case, SLOW_MS, scaled};
use self::contenders::{Action, Source, check};
use self::files::{Files, RowTotals};
use self::lines::{Extra, heading, print};
use self::measure::{Cost, Limits, Outcome};
use self::rows::Rows;
use self::table::{NAMESPACE, Table, parquet_below};

/// Factor by which `--short` reduces the sizes.
const SHORT: f64 = 0.01;
/// Number of snapshots of the table whose snapshots are expired.
const SNAPSHOTS: u32 = 10_000;
/// Name of the case that expires snapshots.
const HISTORY: &str = "m7";

/// Selection and size of the cases.
#[derive(Args, Clone)]
#[command(after_long_help = HELP)]
pub struct Options {
    /// Cases to run [default: all]
    #[arg(long, value_delimiter = ',', value_parser = ["m1", "m2", "m3", "m6", "m7"])]
    only: Vec<String>,
    /// References to run, in addition to Firn
    #[arg(long, value_delimiter = ',', value_parser = ["spark", "duckdb", "cp"], default_value = "spark,duckdb,cp")]
    against: Vec<String>,
    /// Sizes, as a fraction of the full sizes
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Short run of a few minutes on two cores: a hundredth of the full sizes
    #[arg(long, conflicts_with = "scale")]
    short: bool,
    /// Limit of the memory of each process in m2 and m3, in MiB
    #[arg(long, default_value_t = 4_096)]
    memory_mib: u32,
    /// Heap of Spark, and memory limit of `DuckDB`, in MiB; must be less than the limit of a process
    #[arg(long, default_value_t = 3_072)]
    heap_mib: u32,
    /// Maximum duration of a contender, in seconds
    #[arg(long, default_value_t = 3_600)]
    timeout: u32,
}

const HELP: &str = "\
Cases:
    m1  1,085 data files of 11 MB, 12 GB in total, no deletes
    m2  1,250 data, 1,250 position delete and 1,250 equality delete files, with little memory
    m3  1.25 GB of equality deletes, with little memory
    m6  5 data files of 315 KB in total, compacted again with 50 ms for each request; not scaled
    m7  a table with 10,000 snapshots, all of which are expired except the last one

All contenders get the same files, which a compaction does not delete; in m7 each gets a table of its own. PyIceberg and
DuckDB count the rows of each result and compute the sum of a column; the run fails if one of them is wrong. Files are
stored in the temporary folder (TMPDIR), which needs 25 GB for m1, and are deleted as soon as they are not needed.

Examples:
    bench compaction --short
    bench compaction --only m1 --scale 0.1 --against spark
";

/// Server, options and folder of a run.
struct Bench {
    options: Options,
    firn: Firn,
    folder: PathBuf,
}

/// Runs all selected cases and prints the results.
///
/// # Errors
///
/// Fails if the scale is not positive, files cannot be written, a contender cannot be run or fails for
/// another reason than lack of memory or time, or its result is wrong.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut options = options.clone();
    if options.short {
        options.scale = SHORT;
    }
    ensure!(options.scale > 0.0, "`--scale` must be more than 0");
    // In m7, snapshots expire that were current a moment ago; by default, the retention for time travel would
    // protect them.
    let setup = Setup::new(Backend::Sqlite).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0");
    let firn = Firn::start(setup);
    firn.post("namespaces", &json!({ "namespace": [NAMESPACE] })).await.expect(200);
    let bench = Bench { options, firn, folder: reaper::folder("compaction") };
    println!(
        "The cost of a contender includes all processes that it starts; `×` is its cost divided by Firn's: more than 1 is worse."
    );
    if bench.options.against.iter().any(|name| name == "spark") {
        heading("Spark alone");
        let limits = bench.limits(false);
        let outcome = contenders::spark(&bench.firn, None, bench.options.heap_mib, &limits)?;
        print("start and end of a session", &outcome, &Extra::default(), None);
    }
    for case in Case::all(bench.options.scale) {
        if bench.is_selected(case.id) {
            bench.compact(&case).await?;
        }
    }
    if bench.is_selected(HISTORY) {
        bench.expire().await?;
    }
    Ok(())
}

impl Bench {
    fn is_selected(&self, id: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|name| name == id)
    }

    fn is_against(&self, name: &str) -> bool {
        self.options.against.iter().any(|reference| reference == name)
    }

    fn limits(&self, is_memory_limited: bool) -> Limits {
        Limits {
            memory_bytes: is_memory_limited.then(|| u64::from(self.options.memory_mib) << 20),
            timeout_seconds: self.options.timeout,
            scratch: self.folder.clone(),
        }
    }

    async fn compact(&self, case: &Case) -> anyhow::Result<()> {
        // In the warehouse, but in no table's folder: maintenance of all tables may read there, and deletes nothing.
        let folder = self.firn.warehouse().join("imported").join(case.id);
        let files = Files::write(case, folder.clone())?;
        let limit = if case.is_memory_limited {
            format!(", with {} MiB of memory (RLIMIT_DATA)", self.options.memory_mib)
        } else {
            String::new()
        };
        heading(&format!("{}: {}, {:.1} MB{limit}", case.id, case.title, megabytes(files.bytes())));
        let limits = self.limits(case.is_memory_limited);

        let table = Table::of_files(&self.firn, &format!("{}_firn", case.id), case.rows, &files).await?;
        let outcome = contenders::firn(&self.firn, &table, Action::Compact, None, &limits)?;
        let extra = Self::extra_of_firn(&outcome, &table)?;
        self.check_done(&outcome, &Source::Table(&table), case.rows, files.remaining)?;
        table.remove(&self.firn).await?;
        let ours = cost_of(&outcome);
        print("Firn", &outcome, &extra, ours);

        if case.is_rate_limited {
            let table = Table::of_files(&self.firn, &format!("{}_slow", case.id), case.rows, &files).await?;
            let pace = Some(1_000 / SLOW_MS);
            let outcome = contenders::firn(&self.firn, &table, Action::Compact, pace, &limits)?;
            let extra = Self::extra_of_firn(&outcome, &table)?;
            self.check_done(&outcome, &Source::Table(&table), case.rows, files.remaining)?;
            table.remove(&self.firn).await?;
            print(&format!("Firn, {SLOW_MS} ms a request"), &outcome, &extra, ours);
        }

        if self.is_against("spark") {
            let table = Table::of_files(&self.firn, &format!("{}_spark", case.id), case.rows, &files).await?;
            let work = Some((&table, Action::Compact));
            let outcome = contenders::spark(&self.firn, work, self.options.heap_mib, &limits)?;
            let extra = written(&table.folder.join("data"), &outcome)?;
            self.check_done(&outcome, &Source::Table(&table), case.rows, files.remaining)?;
            table.remove(&self.firn).await?;
            print("Spark, with its start", &outcome, &extra, ours);
        }
        if self.is_against("duckdb") {
            let output = self.folder.join("duckdb");
            let memory_mib = case.is_memory_limited.then_some(self.options.heap_mib);
            let outcome = contenders::duckdb(&files, &output, memory_mib, &limits)?;
            let extra = written(&output, &outcome)?;
            self.check_done(&outcome, &Source::Folder(&output), case.rows, files.remaining)?;
            remove(&output)?;
            print("DuckDB, COPY", &outcome, &extra, ours);
        }
        if self.is_against("cp") {
            let output = self.folder.join("copy");
            let outcome = contenders::copy(&files, &output, &limits)?;
            let extra = written(&output, &outcome)?;
            remove(&output)?;
            print("cp and sync", &outcome, &extra, ours);
        }
        remove(&folder)
    }

    async fn expire(&self) -> anyhow::Result<()> {
        let snapshots = scaled(SNAPSHOTS, self.options.scale, 100);
        heading(&format!("{HISTORY}: {snapshots} snapshots, the last one kept"));
        let limits = self.limits(false);
        let (table, remaining, live) = history::create(&self.firn, "m7_firn", snapshots).await?;
        let outcome = contenders::firn(&self.firn, &table, Action::Expire, None, &limits)?;
        self.check_expired(&outcome, &table, remaining, live).await?;
        table.remove(&self.firn).await?;
        let ours = cost_of(&outcome);
        print("Firn", &outcome, &Extra::default(), ours);
        if self.is_against("spark") {
            let (table, remaining, live) = history::create(&self.firn, "m7_spark", snapshots).await?;
            let work = Some((&table, Action::Expire));
            let outcome = contenders::spark(&self.firn, work, self.options.heap_mib, &limits)?;
            self.check_expired(&outcome, &table, remaining, live).await?;
            table.remove(&self.firn).await?;
            print("Spark, with its start", &outcome, &Extra::default(), ours);
        }
        Ok(())
    }

    /// Verifies that one snapshot with all of its rows is left, and only the data files that it needs.
    async fn check_expired(
        &self,
        outcome: &Outcome,
        table: &Table,
        remaining: RowTotals,
        live: u64,
    ) -> anyhow::Result<()> {
        if cost_of(outcome).is_none() {
            return Ok(());
        }
        let metadata = table.metadata(&self.firn).await;
        let snapshots = metadata["snapshots"].as_array().map_or(0, Vec::len);
        ensure!(snapshots == 1, "{snapshots} snapshots are left of {}", table.name);
        let (files, _) = parquet_below(&table.folder.join("data"))?;
        ensure!(
            files == live,
            "{files} data files are left of {}, but the snapshot needs {live}",
            table.name
        );
        check(&self.firn, &Source::Table(table), Rows::Keyed, remaining)
    }

    fn check_done(
        &self,
        outcome: &Outcome,
        source: &Source<'_>,
        rows: Rows,
        remaining: RowTotals,
    ) -> anyhow::Result<()> {
        match outcome {
            Outcome::Done(_) => check(&self.firn, source, rows, remaining),
            Outcome::OutOfMemory | Outcome::Late => Ok(()),
        }
    }

    fn extra_of_firn(outcome: &Outcome, table: &Table) -> anyhow::Result<Extra> {
        let mut extra = written(&table.folder.join("data"), outcome)?;
        if let Some(cost) = cost_of(outcome) {
            extra.requests = contenders::reported(cost, "requests");
            extra.read = contenders::reported(cost, "bytes-read");
            extra.written = contenders::reported(cost, "bytes-written").or(extra.written);
        }
        Ok(extra)
    }
}

fn cost_of(outcome: &Outcome) -> Option<&Cost> {
    match outcome {
        Outcome::Done(cost) => Some(cost),
        Outcome::OutOfMemory | Outcome::Late => None,
    }
}

/// Returns the number and size of the Parquet files in the folder that a contender wrote to.
fn written(folder: &Path, outcome: &Outcome) -> anyhow::Result<Extra> {
    if cost_of(outcome).is_none() {
        return Ok(Extra::default());
    }
    let (files, bytes) = parquet_below(folder)?;
    Ok(Extra { files: Some(files), written: Some(bytes), ..Extra::default() })
}

/// Removes a folder if it exists; a contender that ran out of memory may not have created it.
fn remove(folder: &Path) -> anyhow::Result<()> {
    for folder in [folder.to_owned(), folder.with_extension("spill")] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a measurement")]
fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / 1e6
}
