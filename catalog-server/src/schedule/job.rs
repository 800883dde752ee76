//! Jobs as callers and workers see them. The rows of the queue are known to the scheduler only.

use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::maintenance::jobs::{JobLease, JobRow, JobState, Runner, UnknownState};

use super::error::ScheduleError;

/// Job of the queue. Its times are those of the clock, not those of the catalog's history.
#[derive(Clone, Debug)]
pub struct MaintenanceJob {
    /// Id of the job; ascending in the order of creation.
    pub job_id: Uuid,
    /// Full name of the table when the job was created.
    pub table_name: String,
    /// Action, such as `compact`.
    pub action: String,
    /// State of the job.
    pub state: JobState,
    /// Options of the action, as JSON.
    pub options: String,
    /// Reason for the job, for people.
    pub reason: String,
    /// Identity of the caller, or the component, that requested the job.
    pub requested_by: String,
    /// Number of leases so far.
    pub attempt: i64,
    /// Name of the worker that has leased the job, or did so last.
    pub worker: Option<String>,
    /// `true` if cancellation was requested.
    pub cancel_requested: bool,
    /// Progress reported by the worker, as JSON.
    pub progress: Option<String>,
    /// Result of the job, as JSON.
    pub result: Option<String>,
    /// Error of the last failed attempt.
    pub error: Option<String>,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: i64,
    /// Earliest start, in milliseconds since 1970.
    pub due_ms: i64,
    /// Time at which the lease expires while the job is running, in milliseconds since 1970.
    pub lease_until_ms: Option<i64>,
    /// Time of the first lease, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// Time at which the job ended, in milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

impl MaintenanceJob {
    /// Creates the job of a row, whose times are those of the catalog's history in `db`.
    pub(super) fn new(db: &Db, row: JobRow) -> Self {
        let clock_ms = |at_ms| db.clock_ms(at_ms);
        Self {
            job_id: row.job_id,
            table_name: row.table_name,
            action: row.action,
            state: row.state,
            options: row.options,
            reason: row.reason,
            requested_by: row.requested_by,
            attempt: row.attempt,
            worker: row.worker,
            cancel_requested: row.cancel_requested,
            progress: row.progress,
            result: row.result,
            error: row.error,
            created_ms: clock_ms(row.created_ms),
            due_ms: clock_ms(row.due_ms),
            lease_until_ms: row.lease_until_ms.map(clock_ms),
            started_ms: row.started_ms.map(clock_ms),
            finished_ms: row.finished_ms.map(clock_ms),
        }
    }
}

/// Lease of a job to a maintenance worker, as the worker names it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLease<'a> {
    /// Id of the job.
    pub job_id: Uuid,
    /// Name of the worker.
    pub worker: &'a str,
    /// Number of the attempt.
    pub attempt: i64,
}

impl<'a> WorkerLease<'a> {
    /// Creates the lease of a job that was just leased to `worker`.
    pub(super) fn of(job: &JobRow, worker: &'a str) -> Self {
        Self { job_id: job.job_id, worker, attempt: job.attempt }
    }

    /// Returns the lease in the form in which the store compares it: jobs of the server are not leased to
    /// workers.
    pub(super) fn stored(self) -> JobLease<'a> {
        let Self { job_id, worker, attempt } = self;
        JobLease { runner: Runner::Worker, job_id, worker, attempt }
    }

    /// Returns `true` if a job is leased to this attempt.
    pub(super) fn holds(&self, job: &JobRow) -> bool {
        job.state == JobState::Running
            && job.runner == Runner::Worker
            && job.attempt == self.attempt
            && job.worker.as_deref() == Some(self.worker)
    }

    /// Returns the error of a worker that does not hold the lease of its job any more.
    pub(super) fn lost(&self) -> ScheduleError {
        ScheduleError::Conflict(format!(
            "job {} is not attempt {} of worker `{}` any more; stop, and delete the files that were written for it",
            self.job_id, self.attempt, self.worker
        ))
    }
}

/// Returns the state of a job with this name.
///
/// # Errors
///
/// Fails if there is no such state ([`UnknownState`]).
pub fn parse_state(name: String) -> Result<JobState, UnknownState> {
    JobState::try_from(name)
}
