//! Benchmarks of Firn against references that are measured in the same run, with the subcommands `catalog`,
//! `planning` and `compaction`: `cargo run --release -p tests --bin bench -- catalog`.
//!
//! Machines differ and are noisy, so the relevant numbers are ratios: Firn's rate divided by the rate of the
//! minimal work that any server would have to do, measured alternately. Absolute numbers are printed beside
//! them, and should be interpreted with care.

mod catalog;
mod commits;
mod compaction;
mod creation;
mod floor;
mod load;
mod pages;
mod planning;
mod report;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tests::process::Backend;

/// Measures Firn against references in the same run
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Loads, commits, creations, pages, memory and start of the catalog
    Catalog(Options),
    /// Scan planning for a large table: time compared with Iceberg's libraries, and memory
    Planning(planning::Options),
    /// Compaction and snapshot expiry: CPU time, memory and time compared with engines and copying
    Compaction(compaction::Options),
    /// Reference server; started by the measurements themselves
    #[command(hide = true)]
    Floor(floor::Options),
}

/// Selection and size of the measurements of the catalog.
#[derive(Args, Clone)]
struct Options {
    /// Duration of one turn of a measurement, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Number of turns for each side of a measurement
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Number of tables in the large namespace whose pages are read
    #[arg(long, default_value_t = 1_000_000)]
    tables: u32,
    /// Number of snapshots of the table with a long history
    #[arg(long, default_value_t = 10_000)]
    snapshots: u32,
    /// Database to measure: sqlite or postgres [default: both]
    #[arg(long, value_parser = parse_backend)]
    database: Option<Backend>,
    /// Part of the names of the measurements to run: load, commit, creation, page or start
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn is_selected(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

fn parse_backend(text: &str) -> Result<Backend, String> {
    match text {
        "sqlite" => Ok(Backend::Sqlite),
        "postgres" => Ok(Backend::Postgres),
        other => Err(format!("`{other}` is neither `sqlite` nor `postgres`")),
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Cli::parse().command {
        Command::Catalog(options) => runtime.block_on(catalog::run(&options)),
        Command::Planning(options) => runtime.block_on(planning::run(&options)),
        Command::Compaction(options) => runtime.block_on(compaction::run(&options)),
        Command::Floor(options) => runtime.block_on(floor::serve(options)),
    }
}
