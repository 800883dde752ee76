//! `firn maintain`: maintenance of a table through any Iceberg REST catalog. It knows nothing of the server here.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use catalog_server::clock::Clock;
use catalog_server::id;
use clap::{Args, ValueEnum};
use maintenance::client::{Client, TableName};
use maintenance::jobs::{Outside, Report};
use maintenance::once::{self, Action};
use serde_json::{Value, json};
use table_core::rewrite::policy::Policy;

/// Keep a table fast: merge small files, apply deletes, forget old snapshots
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Maintain {
    /// Do what is due for one table, and end
    #[arg(long)]
    once: bool,
    /// The table as `warehouse.namespace.table`; put a name that contains dots in double quotes
    #[arg(long, value_name = "NAME")]
    table: String,
    /// Only this; may be given more than once. In any case old snapshots go first
    #[arg(long, value_enum)]
    action: Vec<Job>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Settings over the defaults, as JSON such as '{"compact": {"inputs-min": 2}}'
    #[arg(long, value_name = "JSON")]
    policy: Option<String>,
    /// Print JSON, complete and for programs
    #[arg(long)]
    json: bool,
    /// The catalog: the `uri` that engines use
    #[arg(long, env = "FIRN_URI", value_name = "URL", default_value = "http://127.0.0.1:8181")]
    uri: String,
    /// Bearer token, where the catalog asks for one
    #[arg(long, env = "FIRN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    /// Forget old snapshots, and delete files that only they needed
    ExpireSnapshots,
    /// Merge small files, and apply deletes
    Compact,
}

const EXAMPLES: &str = "\
Examples:
    firn maintain --once --table main.nyc.flights --dry-run
    firn maintain --once --table main.nyc.flights
    firn maintain --once --table main.nyc.flights --action compact --policy '{\"compact\": {\"inputs-min\": 2}}'
    firn maintain --once --table prod.sales.orders --uri https://catalog.example/iceberg --token \"$TOKEN\"

Snapshots are kept as the table's `history.expire.*` properties say, else for five days; files are made as large as
`write.target-file-size-bytes` says. The command reads and writes tables on local files only. It is safe beside writers:
what they change meanwhile is noticed, and what it cannot do then is left for the next time.
";

impl Maintain {
    /// Does it, and prints what was done.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = runtime.block_on(self.maintain())?;
        // Whoever pipes this into `head` closes the pipe early, which is no failure.
        drop(std::io::stdout().write_all(told.as_bytes()));
        Ok(())
    }

    async fn maintain(&self) -> anyhow::Result<String> {
        if !self.once {
            bail!("there is no daemon yet; use `--once`");
        }
        let policy = match &self.policy {
            Some(json) => Policy::parse(json.as_bytes()).context("`--policy` cannot be used")?,
            None => Policy::default(),
        };
        let policy = policy.over(&Policy::defaults());
        let wanted = |action: &Action| {
            let job = match action {
                Action::ExpireSnapshots => Job::ExpireSnapshots,
                Action::Compact => Job::Compact,
            };
            let is_enabled = match action {
                Action::ExpireSnapshots => policy.expire_snapshots.enabled,
                Action::Compact => policy.compact.enabled,
            };
            is_enabled != Some(false) && (self.action.is_empty() || self.action.contains(&job))
        };
        let actions: Vec<_> = Action::ALL.into_iter().filter(wanted).collect();
        let name = TableName::parse(&self.table)?;
        let client = Client::connect(&self.uri, self.token.as_deref(), &name.warehouse).await?;
        let outside = Outside { now_ms: || Clock::system().now_ms(), uuid: id::random };
        if self.dry_run {
            let plan = once::dry_run(&client, &name, &policy, &actions, outside).await?;
            return Ok(serde_json::to_string_pretty(&plan)? + "\n");
        }
        let tell = |text: &str| {
            if !self.json {
                // Whoever does not listen is told at the end.
                drop(writeln!(std::io::stderr(), "{text}"));
            }
        };
        let reports = once::run(&client, &name, &policy, &actions, outside, tell).await?;
        if self.json {
            let all: Vec<Value> = reports.iter().map(|(action, report)| as_json(*action, report)).collect();
            return Ok(serde_json::to_string_pretty(&all)? + "\n");
        }
        Ok(reports.iter().map(|(action, report)| as_text(*action, report)).collect())
    }
}

fn as_json(action: Action, report: &Report) -> Value {
    let numbers: serde_json::Map<String, Value> =
        report.numbers.iter().map(|(name, number)| ((*name).to_owned(), json!(number))).collect();
    json!({
        "action": action.as_str(), "committed": report.committed, "snapshot-ids": report.snapshot_ids,
        "numbers": numbers, "left": report.left,
    })
}

fn as_text(action: Action, report: &Report) -> String {
    let outcome = if report.committed { "done" } else { "nothing to do" };
    let mut lines = vec![format!("{}: {outcome}", action.as_str())];
    if report.committed {
        let line = |(name, number): &(&str, i64)| format!("    {:<22} {number}", name.replace('-', " "));
        lines.extend(report.numbers.iter().map(line));
    }
    lines.extend(report.left.iter().map(|left| format!("    left: {left}")));
    lines.join("\n") + "\n"
}
