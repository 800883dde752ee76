//! Commits of jobs: the loop that loads the table, plans, commits, and starts again if a concurrent commit was
//! faster. What is committed is planned by the jobs.

use table_core::metadata::snapshot::MAIN_BRANCH;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::publish::Unpublished;
use table_core::snapshot::change::FileChange;
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::plan::SnapshotPlan;
use uuid::Uuid;

use crate::catalog::Table;
use crate::client::error::ClientError;
use crate::client::{Committed, Loaded};
use crate::context::JobContext;
use crate::error::JobError;
use crate::output_ledger::OutputLedger;
use crate::report::{CommitRecord, Evidence, JobReport};
use crate::table::{Fetched, feed};

/// Maximum number of attempts to commit in spite of concurrent commits.
pub const ATTEMPTS_MAX: u32 = 16;

/// Outcome of an attempt to commit.
pub enum Attempt<T> {
    /// The commit was made.
    Committed(T),
    /// Concurrent commits prevented it.
    Lost,
    /// The plan got smaller because of a conflict, and has to be made again. This does not count as an attempt.
    Reduced,
    /// There is nothing to commit.
    Nothing,
}

/// Commit of a job.
pub struct JobCommit {
    /// Requirements and updates, as the body of a request.
    pub body: String,
    /// Files that were written for this attempt alone. They are deleted if the commit is not made.
    pub attempt_files: Vec<String>,
    /// Files that a later attempt commits if this commit is not made.
    pub result_files: Vec<String>,
    /// Change of the table, for the report.
    pub record: CommitRecord,
}

/// Commit of a job that adds a snapshot.
pub struct SnapshotCommit<'a> {
    /// Planned snapshot, whose files are not written yet.
    pub snapshot: &'a NewSnapshot,
    /// Files that were written for this attempt alone, in addition to those of the snapshot.
    pub attempt_files: Vec<String>,
    /// Files that a later attempt commits if this commit is not made.
    pub result_files: Vec<String>,
    /// Counts by name, for the report.
    pub counts: Vec<(&'static str, i64)>,
}

/// Attempts to commit until the commit is made or there is nothing to commit; returns `None` in the latter
/// case. `attempt` gets the current state of the table, and the number of the attempt from 1 on.
///
/// # Errors
///
/// Fails with the errors of `attempt`, if the table cannot be loaded, and with [`JobError::LostRaces`] if
/// concurrent commits prevented every attempt.
pub fn commit_until_settled<T>(
    job: &JobContext<'_>,
    mut attempt: impl FnMut(Table, u32) -> Result<Attempt<T>, JobError>,
) -> Result<Option<T>, JobError> {
    let mut number = 1;
    while number <= ATTEMPTS_MAX {
        match attempt(job.catalog.load()?, number)? {
            Attempt::Committed(committed) => return Ok(Some(committed)),
            Attempt::Nothing => return Ok(None),
            Attempt::Lost => number += 1,
            Attempt::Reduced => {}
        }
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

impl JobContext<'_> {
    /// Returns the unpublished commits because of which `main` must not be rewritten at the moment; `None` if
    /// there are none.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Metadata`] if the summary of a snapshot cannot be parsed.
    pub fn unpublished(&self, metadata: &TableMetadata) -> Result<Option<Unpublished>, JobError> {
        Ok(self.policy.unpublished(metadata, (self.environment.now_ms)())?)
    }

    /// Returns the external data of a new snapshot of `main`.
    pub(crate) fn snapshot_context(&self, commit_uuid: Uuid, attempt: u32) -> Context {
        Context {
            branch: MAIN_BRANCH.to_owned(),
            snapshot_id: snapshot_id((self.environment.uuid)()),
            commit_uuid,
            attempt,
            now_ms: (self.environment.now_ms)(),
        }
    }

    /// Plans a snapshot that applies a change to the current state of the table.
    pub(crate) fn plan_snapshot(
        &self,
        metadata: &TableMetadata,
        change: &FileChange,
        context: Context,
    ) -> Result<NewSnapshot, JobError> {
        let mut plan = SnapshotPlan::new(metadata, change, context)?;
        feed(self.files, &mut plan, SnapshotPlan::needs, |plan, shown| {
            match shown {
                Fetched::List(path, lines) => plan.supply_list(path, lines?)?,
                Fetched::Manifest(path, manifest) => plan.supply_manifest(path, &manifest?)?,
            }
            Ok(())
        })?;
        Ok(plan.finish()?)
    }

    /// Writes the files of a snapshot and commits it, as [`JobContext::commit`] does.
    pub(crate) fn commit_snapshot(
        &self,
        outputs: &OutputLedger<'_>,
        report: &mut JobReport,
        commit: SnapshotCommit<'_>,
    ) -> Result<Attempt<()>, JobError> {
        let SnapshotCommit { snapshot: new, mut attempt_files, result_files, counts } = commit;
        let locations: Vec<String> = new.files.iter().map(|(location, _)| location.clone()).collect();
        outputs.register(&locations)?;
        for (location, content) in &new.files {
            self.files.write(location, content)?;
        }
        attempt_files.extend(locations);
        let record = CommitRecord::new(Some(Evidence::Added(new.snapshot.id())), &counts);
        let body = new.body.as_str().to_owned();
        let commit = JobCommit { body, attempt_files, result_files, record };
        Ok(match self.commit(outputs, report, commit)? {
            Attempt::Committed(_) => Attempt::Committed(()),
            Attempt::Lost => Attempt::Lost,
            Attempt::Reduced => Attempt::Reduced,
            Attempt::Nothing => Attempt::Nothing,
        })
    }

    /// Sends a commit and adds it to the report. Returns the response of the catalog; `None` if it did not
    /// arrive, but the table shows that the commit was made.
    ///
    /// The report is stored before and after the commit, so that a worker that continues the job knows what
    /// was committed, even if this one dies while it waits for the response. If the commit is not made, the
    /// stored report is corrected.
    pub(crate) fn commit(
        &self,
        outputs: &OutputLedger<'_>,
        report: &mut JobReport,
        commit: JobCommit,
    ) -> Result<Attempt<Option<Loaded>>, JobError> {
        report.begin_commit(commit.record);
        if let Err(error) = self.control.save_report(report) {
            // The report may have been stored nevertheless, if only the response was lost.
            self.abort_commit(report);
            return Err(error);
        }
        let response = match self.catalog.commit(&commit.body) {
            Ok(Committed::Done(response)) => Some(response),
            Ok(Committed::Unknown(error)) => {
                // The response was lost. The outcome is unknown unless the table shows that the commit was made.
                let table = self.catalog.load();
                if !table.is_ok_and(|table| report.is_made(&table.metadata)) {
                    outputs.unknown(commit.attempt_files.iter().chain(&commit.result_files));
                    return Err(JobError::OutcomeUnknown(error));
                }
                None
            }
            Ok(Committed::Lost(_)) => {
                self.abort_commit(report);
                outputs.delete(&commit.attempt_files);
                return Ok(Attempt::Lost);
            }
            Err(error) => {
                self.abort_commit(report);
                return Err(match error {
                    JobError::Catalog(ClientError::Refused { status: 412, message }) => {
                        JobError::LeaseLost(message)
                    }
                    other => other,
                });
            }
        };
        outputs.committed(commit.attempt_files.iter().chain(&commit.result_files));
        report.end_commit();
        if let Err(error) = self.control.save_report(report) {
            tracing::debug!(%error, "cannot store the report after a commit; it is sent with the next heartbeat");
        }
        Ok(Attempt::Committed(response))
    }

    /// Removes a commit that was not made from the report, also from the one that is stored.
    fn abort_commit(&self, report: &mut JobReport) {
        report.abort_commit();
        self.control.correct_report(report);
    }
}

/// Returns a positive snapshot id that is unlikely to exist in the table.
fn snapshot_id(uuid: Uuid) -> i64 {
    let (high, low) = uuid.as_u64_pair();
    i64::try_from((high ^ low) & (i64::MAX as u64)).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use storage::read_ahead::Concurrency;
    use storage::stores::Stores;
    use table_core::rewrite::policy::MaintenancePolicy;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::budget::Budget;
    use crate::catalog::Catalog;
    use crate::client::Client;
    use crate::client::address::CatalogAddress;
    use crate::client::table_name::TableName;
    use crate::client::tests::{answering, response};
    use crate::context::Environment;
    use crate::control::{JobControl, Progress};
    use crate::files::{JobFiles, local_store};

    /// Requester that remembers whether the reports that it was given contain a pending commit.
    #[derive(Default)]
    struct Requester {
        is_away: bool,
        log: RefCell<Vec<String>>,
    }

    impl Requester {
        fn note(&self, what: &str, report: &JobReport) {
            let pending = if report.has_pending_commit() { ", pending" } else { "" };
            self.log.borrow_mut().push(format!("{what}{pending}"));
        }
    }

    impl JobControl for Requester {
        fn progress(&self, _: Progress) {}

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
            true
        }

        fn save_report(&self, report: &JobReport) -> Result<(), JobError> {
            self.note("saved", report);
            if self.is_away { Err(JobError::LeaseLost(String::new())) } else { Ok(()) }
        }

        fn correct_report(&self, report: &JobReport) {
            self.note("corrected", report);
        }

        fn checkpoint(&self, _: &serde_json::Value) -> Result<(), JobError> {
            Ok(())
        }
    }

    /// Makes a commit that the catalog answers with `status`. Returns the outcome, and what the requester was
    /// told.
    fn commit(status: &str, control: &Requester) -> (String, String) {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        let (address, _requests) = answering(response(status, "", b"{\"metadata\":{}}"));
        let client = Client::new(&CatalogAddress::new(format!("http://{address}"))).unwrap();
        let catalog = Catalog::new(client, TableName::parse("main.a.t").unwrap(), handle.clone(), None);
        let stores = Arc::new(Stores::new(local_store()));
        let files = JobFiles::new(stores, handle, Concurrency::SEQUENTIAL, None);
        let job = JobContext {
            catalog: &catalog,
            policy: &MaintenancePolicy::default(),
            files: &files,
            budget: &Budget::default(),
            environment: &Environment { now_ms: Arc::new(|| 0), uuid: Arc::new(Uuid::nil) },
            control,
            checkpoint: None,
            unreadable: Vec::new(),
        };
        let commit = JobCommit {
            body: "{}".to_owned(),
            attempt_files: Vec::new(),
            result_files: Vec::new(),
            record: CommitRecord::new(Some(Evidence::Added(7)), &[("files-rewritten", 2)]),
        };
        let mut report = JobReport::default();
        let outcome = match job.commit(&OutputLedger::new(control, &files), &mut report, commit) {
            Ok(Attempt::Committed(_)) => "committed".to_owned(),
            Ok(Attempt::Lost) => "lost".to_owned(),
            Ok(_) => "other".to_owned(),
            Err(JobError::OutcomeUnknown(_)) => "unknown".to_owned(),
            Err(error) => error.to_string(),
        };
        (outcome, control.log.take().join("; "))
    }

    #[test]
    fn a_stored_report_has_no_commit_that_was_not_made() {
        for (status, outcome, told) in [
            ("200 OK", "committed", "saved, pending; saved"),
            ("409 Conflict", "lost", "saved, pending; corrected"),
            ("403 Forbidden", "without a reason (403)", "saved, pending; corrected"),
            ("412 Precondition Failed", "taken over", "saved, pending; corrected"),
            ("503 Service Unavailable", "unknown", "saved, pending"),
        ] {
            let found = commit(status, &Requester::default());
            assert!(found.0.contains(outcome) && found.1 == told, "{status}: {found:?}");
        }
        // Although the requester did not answer, it may have stored the report.
        let found = commit("200 OK", &Requester { is_away: true, ..Requester::default() });
        assert!(found.0.contains("taken over") && found.1 == "saved, pending; corrected", "{found:?}");
    }
}
