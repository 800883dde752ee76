//! The command line of `firn`. Every command but `serve` is a client of any catalog, which shares no state with
//! the server in this binary.

use clap::{Parser, Subcommand};

use inspect::Inspect;
use jobs::{Explain, Jobs};
use maintain::Maintain;
use serve::Serve;
use warehouse::WarehouseCommands;

pub mod banner;
mod catalog;
pub mod inspect;
pub mod jobs;
pub mod maintain;
pub mod serve;
mod table;
pub mod warehouse;

/// An Apache Iceberg REST catalog in one binary.
#[derive(Parser)]
#[command(
    name = "firn",
    version,
    about,
    after_help = "Without a command, firn serves with its defaults: try `firn serve --help`."
)]
pub struct CommandLine {
    /// Chosen command; `None` to serve with the defaults.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Command of `firn`.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the catalog
    Serve(Serve),
    /// Show the contents of any Iceberg REST catalog
    Inspect(Inspect),
    /// Maintain one table of any Iceberg REST catalog, or run jobs from the queue of a Firn catalog
    Maintain(Maintain),
    /// List maintenance jobs: queued ones, running ones with their progress, ended ones with their results
    Jobs(Jobs),
    /// Show the health of a table, and why each maintenance action is or is not due
    Explain(Explain),
    /// List, create and check the warehouses of a Firn catalog
    Warehouse(WarehouseCommands),
}
