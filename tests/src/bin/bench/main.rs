//! Measures Firn against references in the same run: `cargo run --release -p tests --bin bench -- catalog`, `planning` or `compaction`.
//!
//! Machines differ and are noisy, so every number that counts is a ratio: Firn's rate over the rate of the least
//! that any server would have to do, measured in turns. Absolute numbers stand beside it to be read with care.

mod catalog;
mod commits;
mod compaction;
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
    /// Loads, commits, pages, memory and start of the catalog
    Catalog(Options),
    /// Plans of scans of a large table: time against Iceberg's libraries, and memory
    Planning(planning::Options),
    /// Compaction and expiry of tables: CPU time, memory and time against engines and copying
    Compaction(compaction::Options),
    /// A reference server; started by the measurements themselves
    #[command(hide = true)]
    Floor(floor::Options),
}

/// How long and how much.
#[derive(Args, Clone)]
struct Options {
    /// Length of one turn of a measurement, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Turns that each side of a measurement gets
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Tables in the large namespace that a page is read from
    #[arg(long, default_value_t = 1_000_000)]
    tables: u32,
    /// Snapshots of the table with a long history
    #[arg(long, default_value_t = 10_000)]
    snapshots: u32,
    /// Only this database: sqlite or postgres
    #[arg(long, value_parser = parse_backend)]
    database: Option<Backend>,
    /// Only measurements whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn wants(&self, name: &str) -> bool {
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
