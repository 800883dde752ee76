//! Job of a lease: carried out with its settings and permissions, after the outputs of earlier attempts were
//! deleted. Its heartbeats are in `lease`.

use std::collections::HashSet;

use openapi::action::JobAction;
use openapi::maintenance::Job;
use openapi::worker::{FinishOutcome, TableFolders, UnreadableFile};
use storage::scope::Scope;
use table_core::rewrite::policy::MaintenancePolicy;
use tokio::runtime::Handle;

use super::lease::{Lease, LeaseControl};
use crate::catalog::Catalog;
use crate::client::Client;
use crate::client::error::ClientError;
use crate::client::fence::Fence;
use crate::client::table_name::TableName;
use crate::context::JobContext;
use crate::control::{JobControl, Progress};
use crate::error::JobError;
use crate::files::JobFiles;
use crate::jobs::registry;
use crate::output_ledger::delete_file;
use crate::ownership;
use crate::report::JobReport;
use crate::settings::Settings;
use crate::table;

/// Delay before a job is retried if the catalog did not answer or the outcome of a commit is unknown, in
/// milliseconds.
const SOON_MS: u64 = 10_000;
/// Delay before a job is retried after lost races, and if a file system did not answer or the machine is short
/// of resources, in milliseconds.
pub(crate) const LATER_MS: u64 = 60_000;
/// Number of attempts after which a job is not retried.
const ATTEMPTS_MAX: i64 = 20;

/// End of a leased job.
pub(crate) enum JobEnd {
    /// The job ended with an outcome for the catalog.
    Outcome(FinishOutcome),
    /// The lease is lost, so that no outcome is reported.
    LeaseLost(String),
}

impl JobEnd {
    /// Returns the end of a job that failed with the error `why` and changed nothing.
    pub(crate) fn failed(reason: &str) -> JobEnd {
        JobEnd::Outcome(FinishOutcome::Failed { error: reason.to_owned(), result: None })
    }
}

/// Leased job, with everything that its thread needs.
pub(crate) struct LeasedJob {
    pub(crate) settings: Settings,
    pub(crate) job: Job,
    /// Current name of the table.
    pub(crate) table: TableName,
    /// Output files of earlier attempts, committed or not.
    pub(crate) leftovers: Vec<String>,
    /// Files of the table that its last compaction could not read.
    pub(crate) unreadable: Vec<UnreadableFile>,
    /// Folders that the job may access.
    pub(crate) folders: Option<TableFolders>,
    pub(crate) lease: Lease,
    pub(crate) control: LeaseControl,
    pub(crate) runtime: Handle,
}

impl LeasedJob {
    /// Carries out the job on the current thread.
    pub(crate) fn run(self) -> JobEnd {
        let mut report = self.job.result.as_ref().map(JobReport::resume).unwrap_or_default();
        let done = self.execute(&mut report);
        // Changes that a job has committed are reported however it ends. A report that is stored may contain
        // a commit that was not made, and is replaced.
        let result = || (!report.is_empty() || self.lease.has_report()).then(|| report.to_json());
        match done {
            Ok(outcome) => JobEnd::Outcome(outcome),
            Err(JobError::LeaseLost(reason)) => JobEnd::LeaseLost(reason),
            Err(JobError::Cancelled) => JobEnd::Outcome(FinishOutcome::Cancelled { result: result() }),
            Err(error) => JobEnd::Outcome(match self.retry_ms(&error) {
                Some(after_ms) => {
                    FinishOutcome::Retry { error: error.to_string(), after_ms, result: result() }
                }
                None => FinishOutcome::Failed { error: error.to_string(), result: result() },
            }),
        }
    }

    /// Returns the delay, in milliseconds, after which the job should be retried; `None` if it should not.
    fn retry_ms(&self, error: &JobError) -> Option<u64> {
        let after_ms = match error {
            // A missing table was renamed or dropped; the catalog knows which.
            JobError::Stopped
            | JobError::Replaced
            | JobError::Catalog(ClientError::Refused { status: 404, .. }) => 0,
            JobError::OutcomeUnknown(_) => SOON_MS,
            JobError::LostRaces(_) => LATER_MS,
            error if error.is_passing() => LATER_MS,
            JobError::Catalog(ClientError::Unreachable(_) | ClientError::Refused { status: 500.., .. }) => {
                SOON_MS
            }
            _ => return None,
        };
        let is_worth_it = matches!(error, JobError::Stopped) || self.job.attempt < ATTEMPTS_MAX;
        is_worth_it.then_some(after_ms)
    }

    fn execute(&self, report: &mut JobReport) -> Result<FinishOutcome, JobError> {
        let Ok(action) = self.job.action.parse::<JobAction>() else {
            let name = &self.job.action;
            let error =
                format!("this worker does not know the action `{name}`; is it older than the catalog?");
            return Ok(FinishOutcome::Failed { error, result: None });
        };
        let Settings { files, budget, environment, catalog, .. } = &self.settings;
        let files = files.within(self.scope()?);
        let runtime = self.runtime.clone();
        let client = Client::new(catalog)?;
        let client = runtime.block_on(client.of_warehouse(&self.table.warehouse))?;
        let fence = Fence::new(self.job.job_id, self.job.attempt);
        let catalog = Catalog::new(client, self.table.clone(), runtime, Some(fence));
        // Settings from several policies may contradict each other. The actions that use them report it.
        let policy: MaintenancePolicy = serde_json::from_value(self.job.policy.clone())
            .map_err(|error| JobError::Internal(format!("the job's policy cannot be used: {error}")))?;
        if report.has_pending_commit() {
            // An earlier attempt ended before it knew the outcome of a commit.
            if report.is_made(&catalog.load()?.metadata) {
                report.end_commit();
            } else {
                report.abort_commit();
            }
            self.control.correct_report(report);
        }
        self.clear_up(&catalog, &files)?;
        let context = JobContext {
            catalog: &catalog,
            policy: &policy,
            files: &files,
            budget,
            environment,
            control: &self.control,
            checkpoint: self.lease.last_checkpoint(),
            unreadable: self.unreadable.clone(),
        };
        let done = registry::run(action, &context, report);
        report.add_not_own(&files);
        report.add_usage(files.usage());
        Ok(match done? {
            Some(found) => {
                let result = serde_json::to_value(&found.evaluation).unwrap_or_default();
                FinishOutcome::Succeeded { result, next: found.next }
            }
            None => FinishOutcome::Succeeded { result: report.to_json(), next: Vec::new() },
        })
    }

    /// Returns the permissions of the job. Without folders in the lease, the job fails.
    fn scope(&self) -> Result<Scope, JobError> {
        let Some(folders) = &self.folders else {
            let reason =
                "the catalog does not report the folders of the table; is it older than this worker?";
            return Err(JobError::Internal(reason.to_owned()));
        };
        let (lease, runtime) = (self.lease.clone(), self.runtime.clone());
        ownership::scope(folders, move |file| runtime.block_on(lease.readable(file)))
    }

    /// Deletes output files of earlier attempts, except those that have become part of the table.
    fn clear_up(&self, catalog: &Catalog, files: &JobFiles) -> Result<(), JobError> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        self.control.progress(Progress {
            activity: "deleting files of an earlier attempt".to_owned(),
            ..Progress::default()
        });
        let mut unneeded: HashSet<String> = self.leftovers.iter().cloned().collect();
        let metadata = catalog.load()?.metadata;
        // Readers of earlier versions may be directed to a snapshot that a client has removed since.
        let history = catalog.history(&metadata, 0)?;
        let served = history.map(|history| history.served(files, &metadata, &metadata)).transpose()?;
        table::retain_unreferenced(files, &metadata, &served.unwrap_or_default(), &mut unneeded)?;
        let mut released = Vec::new();
        for location in &self.leftovers {
            if !unneeded.contains(location) || delete_file(files, location)? {
                released.push(location.clone());
            }
        }
        self.control.release_outputs(&released)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use storage::read_ahead::Concurrency;
    use storage::stores::Stores;
    use tokio::runtime::Runtime;
    use uuid::Uuid;

    use super::*;
    use crate::budget::Budget;
    use crate::client::address::CatalogAddress;
    use crate::context::Environment;
    use crate::files::local_store;
    use crate::worker::lease::tests::{job, queue};

    /// Runs a job that fails before it does anything. Returns the report that it ends with.
    fn failing(earlier: Option<&serde_json::Value>) -> Option<serde_json::Value> {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        let (queue, _requests) = queue("200 OK");
        let stores = Arc::new(Stores::new(local_store()));
        let job = job(earlier);
        let lease = Lease::new(&queue, &job);
        let leased = LeasedJob {
            settings: Settings {
                catalog: CatalogAddress::default(),
                name: "me".to_owned(),
                workers: 1,
                budget: Budget::default(),
                nice: 0,
                files: JobFiles::new(stores, handle.clone(), Concurrency::SEQUENTIAL, None),
                environment: Environment { now_ms: Arc::new(|| 0), uuid: Arc::new(Uuid::nil) },
            },
            job,
            table: TableName::parse("main.a.t").unwrap(),
            leftovers: Vec::new(),
            unreadable: Vec::new(),
            folders: None,
            lease: lease.clone(),
            control: LeaseControl::new(lease, handle.clone()),
            runtime: handle,
        };
        match leased.run() {
            JobEnd::Outcome(FinishOutcome::Failed { result, .. }) => result,
            _ => panic!("a job without folders does not fail"),
        }
    }

    #[test]
    fn the_end_of_a_job_replaces_the_report_that_is_stored() {
        assert_eq!(failing(None), None);
        // Nothing is known of a commit that was begun: it stays in the report.
        let pending = json!({ "pending": { "added-snapshot-id": 7, "numbers": {} } });
        assert_eq!(failing(Some(&pending)).unwrap()["pending"], pending["pending"]);
        let told = failing(Some(&json!({ "committed": false }))).unwrap();
        assert_eq!(told, JobReport::default().to_json());
    }
}
