//! `firn jobs` and `firn explain`: reports on maintenance. They are clients of a catalog only and share no
//! state with the server in this binary.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use catalog_server::clock::Clock;
use clap::Args;
use maintenance::client::Client;
use maintenance::client::table_name::TableName;
use maintenance::queue;
use openapi::maintenance::{Explanation, Job};
use serde_json::Value;
use table_core::text;

use super::catalog::CatalogArguments;
use super::table::{TextColumn, TextTable};

/// Interval between two refreshes of `--watch`.
const PAUSE: Duration = Duration::from_secs(1);
/// Escape sequence that clears a terminal and moves the cursor to its top left corner.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// List maintenance jobs: queued ones, running ones with their progress, ended ones with their results
#[derive(Args)]
#[command(after_long_help = JOBS_EXAMPLES)]
pub struct Jobs {
    /// Only jobs of one table, named as `warehouse.namespace.table`
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Only jobs in this state: `queued`, `running`, `succeeded`, `failed` or `cancelled`
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Maximum number of jobs to list, newest first
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Refresh the list once a second until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print complete, machine-readable JSON
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    #[command(flatten)]
    catalog: CatalogArguments,
}

/// Show the health of a table, and why each maintenance action is or is not due
#[derive(Args)]
#[command(after_long_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// The table as `warehouse.namespace.table`; put a name that contains dots in double quotes
    #[arg(long, value_name = "NAME")]
    table: String,
    /// Print complete, machine-readable JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    catalog: CatalogArguments,
}

const JOBS_EXAMPLES: &str = "\
Examples:
    firn jobs
    firn jobs --watch
    firn jobs --state failed --json
    firn jobs --table main.nyc.flights
";

const EXPLAIN_EXAMPLES: &str = "\
Example:
    firn explain --table main.nyc.flights

A healthy table has 100 points. Each fault that reduces them is listed with its measurements, and each action with the reason
for which it is or is not due.
";

impl Jobs {
    /// Prints the list of jobs, once or repeatedly.
    ///
    /// # Errors
    ///
    /// Fails if the catalog does not answer or refuses the request.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let table = self.table.as_deref().map(TableName::parse).transpose()?;
            let client = Client::new(&self.catalog.address())?;
            loop {
                let jobs =
                    queue::list_jobs(&client, table.as_ref(), self.state.as_deref(), self.count).await?;
                let text = if self.json { serde_json::to_string_pretty(&jobs)? + "\n" } else { list(&jobs) };
                let clear = if self.watch && std::io::stdout().is_terminal() { CLEAR } else { "" };
                let written = write!(std::io::stdout(), "{clear}{text}");
                // If the reader of the pipe has closed it early, as `head` does, that is not a failure.
                if written.is_err() || !self.watch {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }
}

impl Explain {
    /// Prints the explanation.
    ///
    /// # Errors
    ///
    /// Fails if the catalog does not answer or has no such table.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = TableName::parse(&self.table)?;
        let client = Client::new(&self.catalog.address())?;
        let explanation = runtime.block_on(queue::explain(&client, &name))?;
        let text = if self.json {
            serde_json::to_string_pretty(&explanation)? + "\n"
        } else {
            explained(&self.table, &explanation)
        };
        drop(std::io::stdout().write_all(text.as_bytes()));
        Ok(())
    }
}

fn list(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let now_ms = Clock::system().now_ms();
    let mut rows = TextTable::new(0, [TextColumn::LEFT; 5]);
    rows.push(["TABLE", "ACTION", "STATE", "WHEN", "PROGRESS"].map(str::to_owned));
    for job in jobs {
        let since_ms = job.finished_ms.or(job.started_ms).unwrap_or(job.created_ms);
        let (name, when) = (table_name(&job.table), ago(now_ms - since_ms));
        rows.push([name, job.action.clone(), job.state.clone(), when, status(job)]);
    }
    rows.to_string()
}

/// Formats the name of a table as `--table` accepts it. The catalog returns it with a slash after the
/// warehouse.
fn table_name(table: &str) -> String {
    let Some((warehouse, name)) = table.split_once('/') else { return table.to_owned() };
    if warehouse.contains(['.', '"']) {
        format!("\"{}\".{name}", warehouse.replace('"', "\"\""))
    } else {
        format!("{warehouse}.{name}")
    }
}

/// Returns the progress of a job, its result, or its error.
fn status(job: &Job) -> String {
    // The error of a running job is that of an earlier attempt.
    if let Some(error) = job.error.as_ref().filter(|_| job.state != "running") {
        let done = job.result.as_ref().filter(|result| result["committed"] == true);
        return done.map_or_else(
            || error.clone(),
            |done| format!("{error}; done before: {}", numbers(&done["numbers"])),
        );
    }
    let result = job.result.as_ref().filter(|_| job.state != "running");
    match (result, &job.progress) {
        (Some(result), _) if result["health"].is_number() => format!("health {} of 100", result["health"]),
        (Some(result), _) => numbers(&result["numbers"]),
        (None, Some(progress)) => {
            let (done, total) =
                (progress["done"].as_u64().unwrap_or(0), progress["total"].as_u64().unwrap_or(0));
            // A worker of the former release stored it as `doing`.
            let activity = progress.get("activity").or_else(|| progress.get("doing"));
            let activity = activity.and_then(Value::as_str).unwrap_or_default();
            let percent = (done.saturating_mul(100)).checked_div(total);
            percent.map_or_else(|| activity.to_owned(), |percent| format!("{activity}: {percent} %"))
        }
        (None, None) => job.reason.clone(),
    }
}

/// Formats the first few non-zero numbers of a result.
fn numbers(numbers: &Value) -> String {
    const SHOWN: usize = 4;
    let all = numbers.as_object().into_iter().flatten().filter(|(_, number)| **number != 0).take(SHOWN);
    let counts: Vec<_> = all.map(|(name, number)| format!("{} {number}", name.replace('-', " "))).collect();
    if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") }
}

fn explained(name: &str, explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    match (&explanation.evaluation, explanation.evaluated_ms) {
        (Some(evaluation), Some(at_ms)) => {
            let ago = ago(Clock::system().now_ms() - at_ms);
            lines.push(format!("{name}: health {} of 100, evaluated {ago}", evaluation.health));
            lines.extend(
                evaluation
                    .deductions
                    .iter()
                    .map(|taken| format!("    -{:<3} {}", taken.points, taken.reason)),
            );
        }
        _ => lines.push(match explanation.maintained_ms {
            Some(at_ms) => {
                let ago = ago(Clock::system().now_ms() - at_ms);
                format!("{name}: maintained {ago}, and not evaluated since")
            }
            None => format!("{name}: not evaluated yet"),
        }),
    }
    if let Some(paused) = &explanation.paused {
        lines.push(format!("paused by {}: {}", paused.paused_by, paused.reason));
    }
    let mut actions = TextTable::new(0, [TextColumn::LEFT; 3]);
    for action in &explanation.actions {
        actions.push([action.action.as_str().to_owned(), action.state.clone(), action.reason.clone()]);
    }
    lines.join("\n") + "\n" + &actions.to_string()
}

fn ago(ms: i64) -> String {
    match ms.max(0) {
        ms if ms < MINUTE_MS => format!("{} s ago", ms / SECOND_MS),
        ms if ms < HOUR_MS => format!("{} min ago", ms / MINUTE_MS),
        ms if ms < DAY_MS => format!("{} h ago", ms / HOUR_MS),
        ms => format!("{} ago", text::count(ms.unsigned_abs() / DAY_MS.unsigned_abs(), "day", "days")),
    }
}
