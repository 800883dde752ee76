//! Persistent queue of jobs, which outlives the processes that run them. A worker leases a job, extends the
//! lease by heartbeats, and finishes the job. If the worker dies, the lease expires and another worker takes
//! the job over.
//!
//! The attempt number is the fencing token: changes by an earlier attempt are refused. The same action is not
//! queued twice for a table. Of the jobs of maintenance workers, at most one of a table runs at a time, and
//! while a table is paused, none of them is leased; jobs that the server itself runs are subject to neither
//! rule ([`Runner`]).

/// Columns of [`JobRow`].
macro_rules! columns {
    () => {
        "job_id, warehouse_id, tabular_id, table_name, action, runner, state, options, reason, requested_by, priority,
         attempt, worker, cancel_requested, progress, result, error, created_ms, due_ms, lease_until_ms, started_ms,
         finished_ms"
    };
}

pub mod lease;
pub mod outputs;
pub mod prune;
pub mod queue;

use sqlx::query_as;
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::ids::{TabularId, WarehouseId};

/// Job of the queue.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct JobRow {
    /// Id of the job; ascending in the order of creation.
    pub job_id: Uuid,
    /// Warehouse of the table.
    pub warehouse_id: WarehouseId,
    /// Id of the table.
    pub tabular_id: TabularId,
    /// Full name of the table when the job was created.
    pub table_name: String,
    /// Action, such as `compact`.
    pub action: String,
    /// Process that runs the job.
    #[sqlx(try_from = "String")]
    pub runner: Runner,
    /// State of the job.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// Options of the action, as JSON.
    pub options: String,
    /// Reason for the job, for people.
    pub reason: String,
    /// Identity of the caller, or the component, that requested the job.
    pub requested_by: String,
    /// Priority: the expected benefit. Jobs with greater values are leased first.
    pub priority: i64,
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
    /// Time at which the lease expires and the job may be leased by another worker, while it is running, in
    /// milliseconds since 1970.
    pub lease_until_ms: Option<i64>,
    /// Time of the first lease, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// Time at which the job ended, in milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

/// Process that runs a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// Maintenance worker, which leases jobs through the API.
    Worker,
    /// Server, whether it has maintenance workers or not.
    Server,
}

/// Error for a runner in the database that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a runner of jobs")]
pub struct UnknownRunner(String);

impl TryFrom<String> for Runner {
    type Error = UnknownRunner;

    fn try_from(text: String) -> Result<Self, UnknownRunner> {
        let known = [Self::Worker, Self::Server].into_iter().find(|runner| runner.as_str() == text);
        known.ok_or(UnknownRunner(text))
    }
}

impl Runner {
    /// Returns the name of the runner in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Server => "server",
        }
    }
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The job waits for a worker.
    Queued,
    /// The job is leased to a worker.
    Running,
    /// The job is complete.
    Succeeded,
    /// The job failed and is not retried.
    Failed,
    /// The job was cancelled.
    Cancelled,
}

/// Error for a state in the database that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a state of a job")]
pub struct UnknownState(String);

impl TryFrom<String> for JobState {
    type Error = UnknownState;

    fn try_from(text: String) -> Result<Self, UnknownState> {
        let all = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];
        all.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState(text))
    }
}

impl JobState {
    /// Returns the name of the state in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Job to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewJobRow<'a> {
    /// Id of the job; greater than those of earlier jobs.
    pub job_id: Uuid,
    /// Warehouse of the table.
    pub warehouse_id: WarehouseId,
    /// Id of the table.
    pub tabular_id: TabularId,
    /// Current full name of the table.
    pub table_name: &'a str,
    /// Action, such as `compact`.
    pub action: &'a str,
    /// Process that runs the job.
    pub runner: Runner,
    /// Options of the action, as JSON.
    pub options: &'a str,
    /// Reason for the job, for people.
    pub reason: &'a str,
    /// Identity of the caller, or the component, that requests the job.
    pub requested_by: &'a str,
    /// Priority: the expected benefit. Jobs with greater values are leased first.
    pub priority: i64,
    /// Earliest start, in milliseconds since 1970.
    pub due_ms: i64,
}

/// Lease of a job. It identifies the attempt to the functions that change the job.
#[derive(Clone, Copy, Debug)]
pub struct JobLease<'a> {
    /// Process that the job was leased to.
    pub runner: Runner,
    /// Id of the job.
    pub job_id: Uuid,
    /// Name of the worker.
    pub worker: &'a str,
    /// Value of [`JobRow::attempt`] in this lease.
    pub attempt: i64,
}

/// Terms of a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTerms {
    /// Duration of the lease without a heartbeat, in milliseconds.
    pub lease_ms: i64,
    /// Number of attempts that may end with the death of the worker before the job is marked as failed.
    pub attempts_max: i64,
}

/// Outcome of a job, as reported by its worker.
#[derive(Clone, Copy, Debug)]
pub enum JobOutcome<'a> {
    /// The job is complete, with this result as JSON.
    Succeeded(&'a str),
    /// The job failed: the error, and the result up to then, as JSON.
    Failed(&'a str, Option<&'a str>),
    /// The job was cancelled on request: the result up to then, as JSON.
    Cancelled(Option<&'a str>),
}

/// Job that succeeded or failed, with its duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct FinishedJob {
    /// End state: [`JobState::Succeeded`] or [`JobState::Failed`].
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// Number of leases.
    pub attempt: i64,
    /// Time of the first lease, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// Time at which the job ended, in milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

/// Outcome of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelJob {
    /// The job was queued, and is cancelled now.
    Cancelled,
    /// The job is running; its worker receives the request with its next heartbeat.
    Wanted,
    /// The job had ended already.
    Over,
    /// The server itself runs the job, or ran it; such a job cannot be cancelled.
    OfServer,
    /// The job does not exist.
    Missing,
}

/// Selection of jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    /// Only jobs of this table.
    pub tabular_id: Option<TabularId>,
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs with an id less than this one, the last of the previous keyset page.
    pub before: Option<Uuid>,
}

/// Statement of [`list_open`].
pub const LIST_OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs WHERE tabular_id = $1 AND state IN ('queued', 'running') ORDER BY action"
);

/// Statement of [`find_last`].
pub const FIND_LAST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs
      WHERE tabular_id = $1 AND action = $2 AND (CAST($3 AS TEXT) IS NULL OR state = $3)
      ORDER BY job_id DESC LIMIT 1"
);

/// Statement of [`list_finished`].
pub const LIST_FINISHED: &str = "
    SELECT state, attempt, started_ms, finished_ms FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND state IN ('succeeded', 'failed')
    ORDER BY job_id DESC LIMIT $3";

/// Returns the job with this id.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find(db: &Db, job_id: Uuid) -> Result<Option<JobRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM maintenance_jobs WHERE job_id = $1");

    fetch_optional!(db, query_as::<_, JobRow>(SQL).bind(job_id))
}

/// Returns the queued and running jobs of a table in the order of their actions, at most one per action.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list_open(db: &Db, tabular_id: TabularId) -> Result<Vec<JobRow>, StoreError> {
    fetch_all!(db, query_as::<_, JobRow>(LIST_OPEN).bind(tabular_id))
}

/// Returns up to `limit` queued and running jobs of the server, in no particular order.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list_of_server(db: &Db, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM maintenance_jobs WHERE runner = 'server' AND state IN ('queued', 'running') LIMIT $1"
    );

    fetch_all!(db, query_as::<_, JobRow>(SQL).bind(i64::from(limit)))
}

/// Returns the last job of an action of a table, optionally only of those in `state`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find_last(
    db: &Db,
    tabular_id: TabularId,
    action: &str,
    state: Option<JobState>,
) -> Result<Option<JobRow>, StoreError> {
    let state = state.map(JobState::as_str);
    fetch_optional!(db, query_as::<_, JobRow>(FIND_LAST).bind(tabular_id).bind(action).bind(state))
}

/// Returns up to `limit` jobs of an action of a table that succeeded or failed, newest first.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list_finished(
    db: &Db,
    tabular_id: TabularId,
    action: &str,
    limit: u32,
) -> Result<Vec<FinishedJob>, StoreError> {
    fetch_all!(
        db,
        query_as::<_, FinishedJob>(LIST_FINISHED).bind(tabular_id).bind(action).bind(i64::from(limit))
    )
}

/// Returns up to `limit` jobs, newest first.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list(db: &Db, filter: JobFilter, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM maintenance_jobs WHERE job_id < $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
          ORDER BY job_id DESC LIMIT $3"
    );
    const SQL_OF_TABLE: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM maintenance_jobs
          WHERE job_id < $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND tabular_id = $4
          ORDER BY job_id DESC LIMIT $3"
    );

    let before = filter.before.unwrap_or(Uuid::max());
    let state = filter.state.map(JobState::as_str);
    let limit = i64::from(limit);
    match filter.tabular_id {
        None => fetch_all!(db, query_as::<_, JobRow>(SQL).bind(before).bind(state).bind(limit)),
        Some(tabular_id) => fetch_all!(
            db,
            query_as::<_, JobRow>(SQL_OF_TABLE).bind(before).bind(state).bind(limit).bind(tabular_id)
        ),
    }
}
