//! `firn maintain`: maintenance of one table through any Iceberg REST catalog, or as a worker of a Firn
//! catalog. It is a client only and shares no state with the server in this binary.

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use catalog_server::clock::Clock;
use catalog_server::id;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use maintenance::budget::Budget;
use maintenance::catalog::Catalog;
use maintenance::client::Client;
use maintenance::client::table_name::TableName;
use maintenance::context::{Environment, JobContext};
use maintenance::control::{JobControl, Progress};
use maintenance::error::JobError;
use maintenance::files::{JobFiles, local_store};
use maintenance::jobs::registry;
use maintenance::ownership::NamedFolders;
use maintenance::report::JobReport;
use maintenance::settings::Settings;
use maintenance::worker::daemon;
use openapi::action::JobAction;
use serde_json::{Value, json};
use storage::metered::Pace;
use storage::read_ahead::Concurrency;
use storage::stores::Stores;
use table_core::location::{Location, LocationError};
use table_core::rewrite::policy::MaintenancePolicy;
use tokio_util::sync::CancellationToken;

use super::catalog::CatalogArguments;
use crate::process::{shutdown_signal, start_default_logging};

/// Maintain tables: merge small files, apply deletes, expire old snapshots.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Maintain {
    /// Run the actions that are due for one table, and exit
    #[arg(long, requires = "table")]
    once: bool,
    /// The table as `warehouse.namespace.table`; put a name that contains dots in double quotes
    #[arg(long, value_name = "NAME", requires = "once")]
    table: Option<String>,
    /// Only this action; may be repeated. The order is fixed: expire-snapshots is always the first
    #[arg(long, value_parser = action_parser(), requires = "once")]
    action: Vec<JobAction>,
    /// Print what would be done and why, without changing anything
    #[arg(long, requires = "once")]
    dry_run: bool,
    /// Settings that override the defaults, as JSON such as '{"compact": {"inputs-min": 2}}'
    #[arg(long, value_name = "JSON", requires = "once")]
    policy: Option<String>,
    /// Print complete, machine-readable JSON
    #[arg(long, requires = "once")]
    json: bool,
    /// A folder outside of the table's location that also belongs to this table alone; may be repeated
    #[arg(long, value_name = "DIR", requires = "once", value_parser = folder)]
    own_folder: Vec<Location>,
    /// A folder whose files the table may reference although it is not its own, as after an import; may be
    /// repeated
    #[arg(long, value_name = "DIR", requires = "once", value_parser = folder)]
    read_folder: Vec<Location>,
    #[command(flatten)]
    catalog: CatalogArguments,
    /// Number of jobs to run at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "once",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// Memory for the rows of each job, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Budget::default().memory_bytes,
        value_parser = clap::value_parser!(u64).range(MEMORY_BYTES_MIN..))]
    memory_bytes: u64,
    /// Disk space for rows that do not fit into memory, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Budget::default().spill_bytes)]
    spill_bytes: u64,
    /// Folder for these rows [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
    /// Limit on the number of files, or parts of files, read and written per second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: Option<u32>,
    /// Niceness of the threads that do the work, 0 to 19: higher yields more to other processes
    #[arg(long, value_name = "LEVEL", default_value_t = 10, value_parser = clap::value_parser!(i32).range(0..=19))]
    nice: i32,
}

/// Longest time that a shutdown waits for jobs to stop.
const STOP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// Minimum of `--memory-bytes`: less does not suffice for one batch of rows and its keys.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
    firn maintain --uri http://catalog.example:8181 --workers 4
    firn maintain --once --table main.nyc.flights --dry-run
    firn maintain --once --table main.nyc.flights
    firn maintain --once --table main.nyc.flights --action compact --policy '{\"compact\": {\"inputs-min\": 2}}'
    firn maintain --once --table prod.sales.orders --uri https://catalog.example/iceberg --token \"$TOKEN\"

Without `--once` the command is a worker: it takes jobs from the queue of a Firn catalog until it is stopped. Any number of
workers may run on any number of machines, if they can access the tables' files. On SIGTERM, a worker commits what it has
finished, and another worker continues its jobs.

A snapshot is retained for as long as the `history.expire.*` properties of the table say, by default for five days after it
stopped being the head of a branch. A Firn catalog also retains snapshots for time travel, and those that a table was
registered with until a policy or a `history.expire.*` property is set, or `--action expire-snapshots` is used. The size of new
files is `write.target-file-size-bytes`, and they are sorted if the table has a sort order. Tables must be on local files. The
command is safe beside writers: rows that they delete meanwhile remain deleted, and files that they change are skipped until
the next run. Workers skip partitions in which rows were changed in the last minutes; `--once` does so only if
`compact.settle-minutes` is set.

A Firn catalog reports the folders of the table: files are written and deleted only there, and not read from folders of other
tables. For other catalogs this is only the location of the table: `--own-folder` adds folders such as `write.data.path`, and
`--read-folder` those from which files were imported. Files elsewhere are neither read nor deleted.
";

impl Maintain {
    /// Runs the command and prints its result.
    ///
    /// # Errors
    ///
    /// Fails if the arguments are invalid, the catalog does not answer, or a job fails.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let Some(table) = self.table.clone() else {
            let worked = runtime.block_on(self.work());
            runtime.shutdown_background();
            return worked;
        };
        let Done { output, failure } = runtime.block_on(self.once(&table))?;
        // If the reader of the pipe has closed it early, as `head` does, that is not a failure.
        drop(std::io::stdout().write_all(output.as_bytes()));
        failure.map_or(Ok(()), Err)
    }

    /// Runs jobs from the queue of a catalog until SIGTERM.
    async fn work(self) -> anyhow::Result<()> {
        start_default_logging()?;
        let shutdown = shutdown_signal()?;
        let environment = environment();
        let settings = Settings {
            name: format!(
                "{}-{}",
                std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned()),
                id::random()
            ),
            catalog: self.catalog.address(),
            workers: self.workers,
            budget: self.budget(),
            nice: self.nice,
            files: self.files(&environment),
            environment,
        };
        let stop = CancellationToken::new();
        tracing::info!(
            uri = self.catalog.address().uri,
            workers = self.workers,
            "waiting for maintenance jobs"
        );
        let mut daemon = std::pin::pin!(daemon::run(settings, stop.clone()));
        tokio::select! {
            // The workers ended before the signal: they could not start.
            done = &mut daemon => return Ok(done?),
            () = shutdown => {}
        }
        tracing::info!("shutting down: committing finished groups");
        stop.cancel();
        // A job may be blocked by a file system that does not answer; another worker takes it over once its
        // lease expires.
        if let Ok(done) = tokio::time::timeout(STOP_PATIENCE, daemon).await {
            done?;
        } else {
            tracing::warn!("a job did not stop in time; another worker continues it");
        }
        tracing::info!("stopped");
        Ok(())
    }

    async fn once(self, table: &str) -> anyhow::Result<Done> {
        let once = match &self.policy {
            Some(json) => MaintenancePolicy::parse(json.as_bytes()).context("`--policy` cannot be used")?,
            None => MaintenancePolicy::default(),
        };
        let mut once = once.with_inherited();
        if self.action.contains(&JobAction::ExpireSnapshots) {
            // An explicit request to expire snapshots includes those that a table was registered with.
            once.expire_snapshots.inherited.get_or_insert(true);
        }
        let policy = once.over(&MaintenancePolicy::by_hand()).over(&MaintenancePolicy::defaults());
        let actions = JobAction::CHANGES.into_iter().filter(|action| self.includes(*action, &policy));
        let actions: Vec<_> = actions.collect();
        let name = TableName::parse(table)?;
        let client = Client::connect(&self.catalog.address(), &name.warehouse).await?;
        let catalog = Catalog::new(client, name, tokio::runtime::Handle::current(), None);
        let done = tokio::task::spawn_blocking(move || self.do_now(&catalog, &policy, &actions));
        done.await?
    }

    /// Returns `true` if the policy does not disable an action, and the arguments do not exclude it.
    fn includes(&self, action: JobAction, policy: &MaintenancePolicy) -> bool {
        let is_requested = self.action.is_empty() || self.action.contains(&action);
        is_requested && policy.is_enabled(action.as_str()) != Some(false)
    }

    fn do_now(
        &self,
        catalog: &Catalog,
        policy: &MaintenancePolicy,
        actions: &[JobAction],
    ) -> anyhow::Result<Done> {
        let environment = environment();
        let named = NamedFolders { own: self.own_folder.clone(), readable: self.read_folder.clone() };
        let files = self.files(&environment).within(catalog.scope(&named)?);
        let (budget, terminal) = (self.budget(), Terminal::new(self.json, environment.clone()));
        let mut output =
            OnceOutput { plans: self.dry_run.then(serde_json::Map::new), ..OnceOutput::default() };
        for action in actions {
            let files = files.with_new_counts();
            terminal.begin(*action);
            let job = JobContext {
                catalog,
                policy,
                files: &files,
                budget: &budget,
                environment: &environment,
                control: &terminal,
                checkpoint: None,
                unreadable: Vec::new(),
            };
            if self.dry_run {
                let (decision, json) = registry::plan(*action, &job)?;
                output.add_plan(*action, if decision.due { "" } else { NOT_DUE }, &decision.reason, json);
                continue;
            }
            let mut report = JobReport::default();
            let done = registry::run(*action, &job, &mut report);
            report.add_not_own(&files);
            if report.committed {
                report.add_usage(files.usage());
            }
            output.add(*action, &report, done.as_ref().err());
            if let Err(error) = done {
                let failure = anyhow::Error::new(error).context(format!("{}: failed", action.as_str()));
                // The results of the actions before the failure are printed, too.
                return Ok(Done { output: output.finish(self.json)?, failure: Some(failure) });
            }
        }
        Ok(Done { output: output.finish(self.json)?, failure: None })
    }

    fn budget(&self) -> Budget {
        let defaults = Budget::default();
        Budget {
            memory_bytes: self.memory_bytes,
            spill_bytes: self.spill_bytes,
            spill_folder: self.spill_dir.clone().unwrap_or(defaults.spill_folder),
        }
    }

    fn files(&self, environment: &Environment) -> JobFiles {
        let pace = self.requests_per_second.map(|requests| Pace::new(requests, environment.now_ms.clone()));
        let stores = Arc::new(Stores::new(local_store()));
        JobFiles::new(stores, tokio::runtime::Handle::current(), Concurrency::default(), pace)
    }
}

fn environment() -> Environment {
    let clock = Clock::system();
    Environment { now_ms: Arc::new(move || clock.now_ms()), uuid: Arc::new(id::random) }
}

/// Prefix of the explanation of an action that is not due.
const NOT_DUE: &str = "nothing to do: ";

/// Control of a job that was started from a terminal: prints progress to standard error, unless it is quiet.
struct Terminal {
    is_quiet: bool,
    environment: Environment,
    action: Cell<&'static str>,
    activity: RefCell<String>,
    printed_ms: Cell<i64>,
}

/// Minimum time, in milliseconds, between two progress messages about the same step.
const PROGRESS_INTERVAL_MS: i64 = 1_000;

impl Terminal {
    fn new(is_quiet: bool, environment: Environment) -> Terminal {
        Terminal {
            is_quiet,
            environment,
            action: Cell::new(""),
            activity: RefCell::default(),
            printed_ms: Cell::new(0),
        }
    }

    fn begin(&self, action: JobAction) {
        self.action.set(action.as_str());
    }
}

impl JobControl for Terminal {
    fn progress(&self, progress: Progress) {
        let now_ms = (self.environment.now_ms)();
        let is_new = *self.activity.borrow() != progress.activity;
        if self.is_quiet || (!is_new && now_ms - self.printed_ms.get() < PROGRESS_INTERVAL_MS) {
            return;
        }
        let counts = match progress.describe() {
            counts if counts.is_empty() => counts,
            counts => format!(" ({counts})"),
        };
        drop(writeln!(std::io::stderr(), "{}: {}{counts}", self.action.get(), progress.activity));
        self.printed_ms.set(now_ms);
        *self.activity.borrow_mut() = progress.activity;
    }

    fn check(&self) -> Result<(), JobError> {
        Ok(())
    }

    fn register_outputs(&self, _: &[String]) -> Result<(), JobError> {
        Ok(())
    }

    fn release_outputs(&self, _: &[String]) -> Result<(), JobError> {
        Ok(())
    }

    fn is_resumable(&self) -> bool {
        false
    }

    fn save_report(&self, _: &JobReport) -> Result<(), JobError> {
        Ok(())
    }

    fn correct_report(&self, _: &JobReport) {}

    fn checkpoint(&self, _: &Value) -> Result<(), JobError> {
        Ok(())
    }
}

/// Output of `--once`, and the error of the action that failed, if one did.
struct Done {
    output: String,
    failure: Option<anyhow::Error>,
}

/// Output on all actions, as text and as JSON.
#[derive(Default)]
struct OnceOutput {
    text: String,
    reports: Vec<Value>,
    /// Plans by action, in a dry run.
    plans: Option<serde_json::Map<String, Value>>,
}

impl OnceOutput {
    fn add_plan(&mut self, action: JobAction, prefix: &str, reason: &str, json: Value) {
        self.text += &[action.as_str(), ": ", prefix, reason, "\n"].concat();
        self.plans.get_or_insert_default().insert(action.as_str().to_owned(), json);
    }

    fn add(&mut self, action: JobAction, report: &JobReport, error: Option<&JobError>) {
        self.text += &as_text(action, report, error.is_some());
        let mut json = report.to_json();
        json["action"] = json!(action.as_str());
        if let Some(error) = error {
            json["error"] = json!(error.to_string());
        }
        self.reports.push(json);
    }

    fn finish(self, as_json: bool) -> serde_json::Result<String> {
        if !as_json {
            return Ok(self.text);
        }
        let all = self.plans.map_or(Value::Array(self.reports), Value::Object);
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }
}

fn as_text(action: JobAction, report: &JobReport, has_failed: bool) -> String {
    let outcome = match (report.committed, has_failed) {
        (true, false) => "done",
        (true, true) => "partly done, then failed",
        (false, false) => "nothing to do",
        (false, true) => "failed, nothing was done",
    };
    let mut lines = vec![format!("{}: {outcome}", action.as_str())];
    let line = |(name, number): &(String, i64)| format!("    {:<24} {number}", name.replace('-', " "));
    lines.extend(report.numbers.iter().filter(|(_, number)| *number != 0).map(line));
    lines.extend(report.skipped().map(|skipped| format!("    skipped: {skipped}")));
    lines.join("\n") + "\n"
}

/// Parses the name of an action that changes tables.
fn action_parser() -> impl TypedValueParser<Value = JobAction> {
    let value = |action: JobAction| PossibleValue::new(action.as_str()).help(action.summary());
    PossibleValuesParser::new(JobAction::CHANGES.map(value)).try_map(|name| name.parse::<JobAction>())
}

/// Parses the value of an option that names a folder.
fn folder(text: &str) -> Result<Location, LocationError> {
    Location::parse(text)
}
