//! `firn inspect`: description of a table, obtained from any Iceberg REST catalog. It is a client only and
//! shares no state with the server in this binary.

mod files;
mod report;
mod text;

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use maintenance::client::Client;
use maintenance::client::table_name::TableName;

use super::catalog::CatalogArguments;

/// Show the contents of any Iceberg REST catalog
#[derive(Args)]
pub struct Inspect {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show a table: schema, partition specs, sort orders, snapshots, branches and tags, and its files by
    /// partition
    Table(Table),
}

#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
struct Table {
    /// The table as `warehouse.namespace.table`; put a name that contains dots in double quotes
    name: String,
    #[command(flatten)]
    catalog: CatalogArguments,
    /// Count the files of this snapshot instead of the current one
    #[arg(long, value_name = "ID")]
    snapshot_id: Option<i64>,
    /// Print complete, machine-readable JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
    firn inspect table main.flights.year2013
    firn inspect table 'main.sales.\"2026.orders\"' --json | jq .files.partitions
    firn inspect table prod.sales.orders --uri https://catalog.example/iceberg --token \"$TOKEN\"

Files are counted by a scan that the catalog plans, or, if it plans none, from manifests on local files.
";

impl Inspect {
    /// Requests the table from the catalog and prints the report.
    ///
    /// # Errors
    ///
    /// Fails if the catalog does not answer or has no such table, or the manifests cannot be read.
    pub fn run(&self) -> anyhow::Result<()> {
        let What::Table(table) = &self.what;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(table.ask())?;
        let out = if table.json { serde_json::to_string_pretty(&report)? + "\n" } else { text::of(&report)? };
        // If the reader of the pipe has closed it early, as `head` does, that is not a failure.
        drop(std::io::stdout().write_all(out.as_bytes()));
        Ok(())
    }
}

impl Table {
    async fn ask(&self) -> anyhow::Result<report::TableReport> {
        let name = TableName::parse(&self.name)?;
        let client = Client::connect(&self.catalog.address(), &name.warehouse).await?;
        let loaded = client.load(&name).await?;
        let metadata = table_core::metadata::table::TableMetadata::parse(loaded.metadata.get().as_bytes())
            .with_context(|| format!("the metadata of `{}` cannot be read", self.name))?;
        if let Some(id) = self.snapshot_id
            && metadata.snapshot(id).is_none()
        {
            anyhow::bail!(
                "`{}` has no snapshot {id}; remove `--snapshot-id` to see the snapshots of the table",
                self.name
            );
        }
        let snapshot_id = self.snapshot_id.or(metadata.current_snapshot_id());
        let files = match snapshot_id {
            Some(id) => Some(files::count(&client, &name, &metadata, id).await?),
            None => None,
        };
        report::TableReport::new(&self.name, &loaded, &metadata, snapshot_id, files)
    }
}
