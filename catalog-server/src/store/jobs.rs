//! Persistent queue of maintenance jobs, which outlives its workers. A worker leases a job, extends the lease
//! by heartbeats, and finishes the job. If the worker dies, the lease expires and another worker takes the
//! job over.
//!
//! The attempt number is the fencing token: changes by an earlier attempt are refused. At most one job of a
//! table runs at a time, and the same action is not queued twice for a table. While a table is paused, none
//! of its jobs is leased.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::db::{Db, DbKind};
use super::error::StoreError;
use super::ids::{TabularId, WarehouseId};
use super::tx::Tx;

/// Maintenance job.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Job {
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
    pub rank: i64,
    /// Number of leases so far.
    pub attempt: i64,
    /// Name of the worker that has leased the job, or did so last.
    pub worker: Option<String>,
    /// `true` if cancellation was requested.
    pub cancel_wanted: bool,
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

/// State of a maintenance job.
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

/// Maintenance job to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
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
    /// Options of the action, as JSON.
    pub options: &'a str,
    /// Reason for the job, for people.
    pub reason: &'a str,
    /// Identity of the caller, or the component, that requests the job.
    pub requested_by: &'a str,
    /// Priority: the expected benefit. Jobs with greater values are leased first.
    pub rank: i64,
    /// Earliest start, in milliseconds since 1970.
    pub due_ms: i64,
}

/// Lease of a job. It identifies the attempt to the functions that change the job.
#[derive(Clone, Copy, Debug)]
pub struct JobLease<'a> {
    /// Id of the job.
    pub job_id: Uuid,
    /// Name of the worker.
    pub worker: &'a str,
    /// Value of [`Job::attempt`] in this lease.
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
pub enum Outcome<'a> {
    /// The job is complete, with this result as JSON.
    Succeeded(&'a str),
    /// The job failed: the error, and the result up to then, as JSON.
    Failed(&'a str, Option<&'a str>),
    /// The job was cancelled on request: the result up to then, as JSON.
    Cancelled(Option<&'a str>),
}

/// End state and duration of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct End {
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

/// Columns of [`Job`].
macro_rules! columns {
    () => {
        "job_id, warehouse_id, tabular_id, table_name, action, state, options, reason, requested_by, rank, attempt, worker,
         cancel_wanted, progress, result, error, created_ms, due_ms, lease_until_ms, started_ms, finished_ms"
    };
}

/// Statement of [`list_open`].
pub const LIST_OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs WHERE tabular_id = $1 AND state IN ('queued', 'running')"
);

/// Statement of [`find_last`].
pub const FIND_LAST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM maintenance_jobs
      WHERE tabular_id = $1 AND action = $2 AND (CAST($3 AS TEXT) IS NULL OR state = $3)
      ORDER BY job_id DESC LIMIT 1"
);

/// Statement of [`list_ends`].
pub const LIST_ENDS: &str = "
    SELECT state, attempt, started_ms, finished_ms FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND state IN ('succeeded', 'failed')
    ORDER BY job_id DESC LIMIT $3";

/// Statement of [`find_unfinished`].
pub const LAST_BEGUN: &str = "
    SELECT state, progress FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND job_id < $3 AND started_ms IS NOT NULL AND finished_ms IS NOT NULL
    ORDER BY job_id DESC LIMIT 1";

/// Statement that leases the next job: a running one whose lease has expired, else the queued one with the
/// highest priority whose table has no running job. Jobs of paused tables are excluded.
macro_rules! next {
    ($lock:literal) => {
        concat!(
            "UPDATE maintenance_jobs
             SET state = 'running', attempt = attempt + 1, worker = $1, lease_until_ms = $2 + $3,
                 started_ms = coalesce(started_ms, $2), changed_ms = NULL
             WHERE job_id = coalesce(
                (SELECT job_id FROM maintenance_jobs silent
                 WHERE state = 'running' AND lease_until_ms <= $2 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = silent.tabular_id)
                 ORDER BY lease_until_ms LIMIT 1 ",
            $lock,
            "),
                (SELECT job_id FROM maintenance_jobs queued
                 WHERE state = 'queued' AND due_ms <= $2 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_jobs other
                    WHERE other.tabular_id = queued.tabular_id AND other.state = 'running')
                 AND NOT EXISTS (
                    SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = queued.tabular_id)
                 ORDER BY rank DESC, job_id LIMIT 1 ",
            $lock,
            "))
             RETURNING ",
            columns!()
        )
    };
}

/// Adds a job to the queue, with the time of creation [`Tx::at_ms`].
///
/// Returns `false`, changing nothing, if a job of the same action is queued or running for the table.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn enqueue(tx: &mut Tx, new: &NewJob<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, rank, attempt, cancel_wanted, created_ms, due_ms)
        VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

/// Adds a job to the queue as [`enqueue`] does, unless the table is paused.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn enqueue_unless_paused(tx: &mut Tx, new: &NewJob<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, rank, attempt, cancel_wanted, created_ms, due_ms)
        SELECT $1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11
        WHERE NOT EXISTS (SELECT 1 FROM maintenance_pauses WHERE tabular_id = $3)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

async fn insert(tx: &mut Tx, sql: &'static str, new: &NewJob<'_>) -> Result<bool, StoreError> {
    let at_ms = tx.at_ms();
    let inserted = execute!(
        tx,
        query(sql)
            .bind(new.job_id)
            .bind(new.warehouse_id)
            .bind(new.tabular_id)
            .bind(new.table_name)
            .bind(new.action)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.requested_by)
            .bind(new.rank)
            .bind(at_ms)
            .bind(new.due_ms)
    )?;
    Ok(inserted == 1)
}

/// Replaces the settings of a queued job of the same action and table that was requested by `requested_by`
/// with those of `new`, and returns its id, which does not change. Returns `None` if there is no such job.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn take_over(
    tx: &mut Tx,
    new: &NewJob<'_>,
    requested_by: &str,
) -> Result<Option<Uuid>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET table_name = $4, options = $5, reason = $6, requested_by = $7, rank = $8, due_ms = $9
        WHERE tabular_id = $1 AND action = $2 AND requested_by = $3 AND state = 'queued'
        RETURNING job_id";

    fetch_optional!(
        tx,
        query_scalar::<_, Uuid>(SQL)
            .bind(new.tabular_id)
            .bind(new.action)
            .bind(requested_by)
            .bind(new.table_name)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.requested_by)
            .bind(new.rank)
            .bind(new.due_ms)
    )
}

/// Updates options and reason of a queued job of the same action and table that was requested by
/// `requested_by`, and advances its earliest start to that of `new` if that is earlier. Does nothing if there
/// is no such job.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn renew(tx: &mut Tx, new: &NewJob<'_>, requested_by: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET options = $4, reason = $5, due_ms = CASE WHEN due_ms > $6 THEN $6 ELSE due_ms END
        WHERE tabular_id = $1 AND action = $2 AND requested_by = $3 AND state = 'queued'";

    execute!(
        tx,
        query(SQL)
            .bind(new.tabular_id)
            .bind(new.action)
            .bind(requested_by)
            .bind(new.options)
            .bind(new.reason)
            .bind(new.due_ms)
    )?;
    Ok(())
}

/// Leases the next job to `worker`, from [`Tx::at_ms`] on.
///
/// Before that, it ends running jobs whose lease has expired: as failed if they had too many attempts, and as
/// cancelled if cancellation was requested.
///
/// # Errors
///
/// Fails with [`StoreError::Serialization`] if two workers on PostgreSQL were about to lease two jobs of the
/// same table; with [`StoreError::Database`] if the database does not answer or fails a statement, or if the
/// job contains a value that this version does not know.
pub async fn lease(tx: &mut Tx, worker: &str, terms: LeaseTerms) -> Result<Option<Job>, StoreError> {
    const GIVE_UP: &str = "
        UPDATE maintenance_jobs
        SET state = CASE WHEN cancel_wanted THEN 'cancelled' ELSE 'failed' END,
            error = CASE WHEN cancel_wanted THEN error
                         ELSE 'its workers died ' || CAST(attempt AS TEXT) || ' times, the last one was ' || worker END,
            finished_ms = $1, lease_until_ms = NULL
        WHERE state = 'running' AND lease_until_ms <= $1 AND (cancel_wanted OR attempt >= $2)";
    const SQL: &str = next!("");
    const SQL_POSTGRES: &str = next!("FOR UPDATE SKIP LOCKED");

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let at_ms = tx.at_ms();
    execute!(tx, query(GIVE_UP).bind(at_ms).bind(terms.attempts_max))?;
    fetch_optional!(tx, query_as::<_, Job>(sql).bind(worker).bind(at_ms).bind(terms.lease_ms))
}

/// Returns the progress reported by the previous job of the same action and table, as JSON, if that job did
/// not succeed.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn find_unfinished(tx: &mut Tx, job: &Job) -> Result<Option<String>, StoreError> {
    let last = fetch_optional!(
        tx,
        query_as::<_, (String, Option<String>)>(LAST_BEGUN)
            .bind(job.tabular_id)
            .bind(&job.action)
            .bind(job.job_id)
    )?;
    let unfinished = last.filter(|(state, _)| state != JobState::Succeeded.as_str());
    Ok(unfinished.and_then(|(_, progress)| progress))
}

/// Extends a lease to `lease_ms` milliseconds from [`Tx::at_ms`] on, and stores the progress of the worker.
///
/// Returns whether cancellation was requested; `None`, changing nothing, if the job is no longer leased to
/// this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn extend(
    tx: &mut Tx,
    lease: JobLease<'_>,
    lease_ms: i64,
    progress: Option<&str>,
) -> Result<Option<bool>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET lease_until_ms = $4, progress = coalesce(CAST($5 AS TEXT), progress)
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
        RETURNING cancel_wanted";

    let until_ms = tx.at_ms() + lease_ms;
    fetch_optional!(
        tx,
        query_scalar::<_, bool>(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(until_ms)
            .bind(progress)
    )
}

/// Returns a job to the queue, with its earliest start, the error, and the result up to now.
///
/// Returns `false`, changing nothing, if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn give_back(
    tx: &mut Tx,
    lease: JobLease<'_>,
    due_ms: i64,
    (error, result): (&str, Option<&str>),
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = 'queued', due_ms = $4, error = $5, result = CAST($6 AS TEXT), lease_until_ms = NULL
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";

    let changed = execute!(
        tx,
        query(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(due_ms)
            .bind(error)
            .bind(result)
    )?;
    Ok(changed == 1)
}

/// Ends a job, with the time [`Tx::at_ms`].
///
/// Returns `false`, changing nothing, if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn finish(tx: &mut Tx, lease: JobLease<'_>, outcome: Outcome<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = $4, result = $5, error = CAST($6 AS TEXT), finished_ms = $7, lease_until_ms = NULL
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";

    let (state, result, error) = match outcome {
        Outcome::Succeeded(result) => (JobState::Succeeded, Some(result), None),
        Outcome::Failed(error, result) => (JobState::Failed, result, Some(error)),
        Outcome::Cancelled(result) => (JobState::Cancelled, result, None),
    };
    let at_ms = tx.at_ms();
    let changed = execute!(
        tx,
        query(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(state.as_str())
            .bind(result)
            .bind(error)
            .bind(at_ms)
    )?;
    Ok(changed == 1)
}

/// Marks all queued jobs of a table as failed, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn fail_queued(tx: &mut Tx, tabular_id: TabularId, error: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET state = 'failed', error = $2, finished_ms = $3
        WHERE tabular_id = $1 AND state = 'queued'";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(tabular_id).bind(error).bind(at_ms)).map(drop)
}

/// Records in the running job of an action that its table was changed at `changed_ms`, unless an earlier
/// change since its lease is recorded. A queued job needs no record: it will see the change.
///
/// Returns `false`, changing nothing, if no job of the action is queued or running for the table.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn note_change(
    tx: &mut Tx,
    tabular_id: TabularId,
    action: &str,
    changed_ms: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET changed_ms = $3
        WHERE tabular_id = $1 AND action = $2 AND state = 'running' AND changed_ms IS NULL";
    const IS_OPEN: &str = "
        SELECT 1 FROM maintenance_jobs
        WHERE tabular_id = $1 AND action = $2 AND state IN ('queued', 'running')";

    if execute!(tx, query(SQL).bind(tabular_id).bind(action).bind(changed_ms))? == 1 {
        return Ok(true);
    }
    Ok(fetch_optional!(tx, query_scalar::<_, i32>(IS_OPEN).bind(tabular_id).bind(action))?.is_some())
}

/// Returns the time of the first change of the table since the job was leased, as recorded by
/// [`note_change`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn find_change(tx: &mut Tx, job_id: Uuid) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT changed_ms FROM maintenance_jobs WHERE job_id = $1";

    Ok(fetch_optional!(tx, query_scalar::<_, Option<i64>>(SQL).bind(job_id))?.flatten())
}

/// Cancels a queued job, or requests the cancellation of a running one.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn cancel(tx: &mut Tx, job_id: Uuid) -> Result<CancelJob, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
            finished_ms = CASE WHEN state = 'queued' THEN $2 ELSE finished_ms END,
            cancel_wanted = TRUE
        WHERE job_id = $1 AND state IN ('queued', 'running')
        RETURNING state";
    const STATE: &str = "SELECT state FROM maintenance_jobs WHERE job_id = $1";

    let at_ms = tx.at_ms();
    let state = fetch_optional!(tx, query_scalar::<_, String>(SQL).bind(job_id).bind(at_ms))?;
    match state.as_deref() {
        Some("cancelled") => Ok(CancelJob::Cancelled),
        Some(_) => Ok(CancelJob::Wanted),
        None => {
            let known = fetch_optional!(tx, query_scalar::<_, String>(STATE).bind(job_id))?.is_some();
            Ok(if known { CancelJob::Over } else { CancelJob::Missing })
        }
    }
}

/// Returns the job with this id.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn find(db: &Db, job_id: Uuid) -> Result<Option<Job>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM maintenance_jobs WHERE job_id = $1");

    fetch_optional!(db, query_as::<_, Job>(SQL).bind(job_id))
}

/// Returns the queued and running jobs of a table, at most one per action.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list_open(db: &Db, tabular_id: TabularId) -> Result<Vec<Job>, StoreError> {
    fetch_all!(db, query_as::<_, Job>(LIST_OPEN).bind(tabular_id))
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
) -> Result<Option<Job>, StoreError> {
    let state = state.map(JobState::as_str);
    fetch_optional!(db, query_as::<_, Job>(FIND_LAST).bind(tabular_id).bind(action).bind(state))
}

/// Returns the ends of up to `limit` jobs of an action of a table, newest first, without cancelled jobs.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list_ends(
    db: &Db,
    tabular_id: TabularId,
    action: &str,
    limit: u32,
) -> Result<Vec<End>, StoreError> {
    fetch_all!(db, query_as::<_, End>(LIST_ENDS).bind(tabular_id).bind(action).bind(i64::from(limit)))
}

/// Returns up to `limit` jobs, newest first.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query, or if a row contains a value that this version
/// does not know ([`StoreError::Database`]).
pub async fn list(db: &Db, filter: JobFilter, limit: u32) -> Result<Vec<Job>, StoreError> {
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
        None => fetch_all!(db, query_as::<_, Job>(SQL).bind(before).bind(state).bind(limit)),
        Some(tabular_id) => fetch_all!(
            db,
            query_as::<_, Job>(SQL_OF_TABLE).bind(before).bind(state).bind(limit).bind(tabular_id)
        ),
    }
}

/// Records the paths of files that a worker is about to write, so that they can be deleted if it dies.
///
/// Returns `false`, changing nothing, if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn add_outputs(tx: &mut Tx, lease: JobLease<'_>, paths: &[String]) -> Result<bool, StoreError> {
    const IS_HELD: &str = "
        UPDATE maintenance_jobs SET attempt = attempt
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'";
    const SQL: &str = "
        INSERT INTO maintenance_outputs (job_id, path, attempt) VALUES ($1, $2, $3)
        ON CONFLICT (job_id, path) DO NOTHING";

    let held = execute!(tx, query(IS_HELD).bind(lease.job_id).bind(lease.worker).bind(lease.attempt))? == 1;
    if held {
        for path in paths {
            execute!(tx, query(SQL).bind(lease.job_id).bind(path).bind(lease.attempt))?;
        }
    }
    Ok(held)
}

/// Returns the number of files of a job that were announced and are not settled yet.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn count_outputs(tx: &mut Tx, job_id: Uuid) -> Result<i64, StoreError> {
    const SQL: &str = "SELECT count(*) FROM maintenance_outputs WHERE job_id = $1";

    Ok(fetch_optional!(tx, query_scalar::<_, i64>(SQL).bind(job_id))?.unwrap_or_default())
}

/// Locks a job, so that no other worker can lease it before the transaction ends.
///
/// Returns `false` if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn hold(tx: &mut Tx, job_id: Uuid, attempt: i64) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET attempt = attempt
        WHERE job_id = $1 AND attempt = $2 AND state = 'running'";

    Ok(execute!(tx, query(SQL).bind(job_id).bind(attempt))? == 1)
}

/// Returns up to `limit` files that attempts before `attempt` were about to write, in the order of their
/// paths, those after `after`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_outputs(
    db: &Db,
    job_id: Uuid,
    attempt: i64,
    after: &str,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        SELECT path FROM maintenance_outputs WHERE job_id = $1 AND attempt < $2 AND path > $3
        ORDER BY path LIMIT $4";

    fetch_all!(
        db,
        query_scalar::<_, String>(SQL).bind(job_id).bind(attempt).bind(after).bind(i64::from(limit))
    )
}

/// Deletes the records of files that are part of the table by now, or deleted.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn forget_outputs(tx: &mut Tx, job_id: Uuid, paths: &[String]) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM maintenance_outputs WHERE job_id = $1 AND path = $2";

    for path in paths {
        execute!(tx, query(SQL).bind(job_id).bind(path))?;
    }
    Ok(())
}

/// Deletes up to `limit` jobs that ended before `before_ms` and have no announced files left, and returns
/// their number.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn prune(tx: &mut Tx, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
    const SQL: &str = "
        DELETE FROM maintenance_jobs WHERE job_id IN (
            SELECT job_id FROM maintenance_jobs jobs
            WHERE finished_ms < $1 AND NOT EXISTS (
                SELECT 1 FROM maintenance_outputs outputs WHERE outputs.job_id = jobs.job_id)
            ORDER BY finished_ms LIMIT $2)";

    execute!(tx, query(SQL).bind(before_ms).bind(i64::from(limit)))
}

/// Deletes succeeded jobs of an action of a table that have no announced files left, except for the last
/// `keep` of them, at most 100 per call.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn prune_succeeded(
    tx: &mut Tx,
    tabular_id: TabularId,
    action: &str,
    keep: u32,
) -> Result<(), StoreError> {
    const SQL: &str = "
        DELETE FROM maintenance_jobs WHERE job_id IN (
            SELECT job_id FROM maintenance_jobs jobs
            WHERE tabular_id = $1 AND action = $2 AND state = 'succeeded' AND NOT EXISTS (
                SELECT 1 FROM maintenance_outputs outputs WHERE outputs.job_id = jobs.job_id)
            ORDER BY job_id DESC LIMIT 100 OFFSET $3)";

    execute!(tx, query(SQL).bind(tabular_id).bind(action).bind(i64::from(keep))).map(drop)
}
