//! Leases of jobs: a worker takes a job, extends its lease, and ends the job or returns it.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;

use super::{JobLease, JobOutcome, JobRow, JobState, LeaseTerms};

/// Statement of [`find_unfinished`].
pub const LAST_BEGUN: &str = "
    SELECT state, progress FROM maintenance_jobs
    WHERE tabular_id = $1 AND action = $2 AND job_id < $3 AND started_ms IS NOT NULL AND finished_ms IS NOT NULL
    ORDER BY job_id DESC LIMIT 1";

/// Statement that leases the next job of a runner: a running one whose lease has expired, else the first queued
/// one in `$order`. `$silent` and `$queued` are further conditions on either of them.
macro_rules! next {
    ($runner:literal, $silent:literal, $queued:literal, $order:literal, $lock:literal) => {
        concat!(
            "UPDATE maintenance_jobs
             SET state = 'running', attempt = attempt + 1, worker = $1, lease_until_ms = $2 + $3,
                 started_ms = coalesce(started_ms, $2), changed_ms = NULL
             WHERE job_id = coalesce(
                (SELECT job_id FROM maintenance_jobs silent
                 WHERE state = 'running' AND runner = '",
            $runner,
            "' AND lease_until_ms <= $2 ",
            $silent,
            " ORDER BY lease_until_ms LIMIT 1 ",
            $lock,
            "),
                (SELECT job_id FROM maintenance_jobs queued
                 WHERE state = 'queued' AND runner = '",
            $runner,
            "' AND due_ms <= $2 ",
            $queued,
            " ORDER BY ",
            $order,
            " LIMIT 1 ",
            $lock,
            "))
             RETURNING ",
            columns!()
        )
    };
}

/// Statement that leases the next job of a worker. Jobs of paused tables are excluded, and of the queued ones
/// those whose table has a running job.
macro_rules! next_of_worker {
    ($lock:literal) => {
        next!(
            "worker",
            "AND NOT EXISTS (
                SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = silent.tabular_id)",
            "AND NOT EXISTS (
                SELECT 1 FROM maintenance_jobs other
                WHERE other.tabular_id = queued.tabular_id AND other.state = 'running' AND other.runner = 'worker')
             AND NOT EXISTS (
                SELECT 1 FROM maintenance_pauses pauses WHERE pauses.tabular_id = queued.tabular_id)",
            "priority DESC, job_id",
            $lock
        )
    };
}

/// Statement of [`lease_for_server`].
pub const NEXT_OF_SERVER: &str = next!("server", "", "", "due_ms, job_id", "");

/// Leases the next job of a maintenance worker to `worker`, from [`Tx::at_ms`] on.
///
/// Before that, it ends running jobs whose lease has expired: as failed if they had too many attempts, and as
/// cancelled if cancellation was requested.
///
/// # Errors
///
/// Fails with [`StoreError::Serialization`] if two workers on PostgreSQL were about to lease two jobs of the
/// same table; with [`StoreError::Database`] if the database does not answer or fails a statement, or if the
/// job contains a value that this version does not know.
pub async fn lease(tx: &mut Tx, worker: &str, terms: LeaseTerms) -> Result<Option<JobRow>, StoreError> {
    const GIVE_UP: &str = "
        UPDATE maintenance_jobs
        SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END,
            error = CASE WHEN cancel_requested THEN error
                         ELSE 'its workers died ' || CAST(attempt - returned AS TEXT) || ' times, the last one was ' || worker END,
            finished_ms = $1, lease_until_ms = NULL
        WHERE state = 'running' AND runner = 'worker' AND lease_until_ms <= $1
            AND (cancel_requested OR attempt - returned >= $2)";
    const SQL: &str = next_of_worker!("");
    const SQL_POSTGRES: &str = next_of_worker!("FOR UPDATE SKIP LOCKED");

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let at_ms = tx.at_ms();
    execute!(tx, query(GIVE_UP).bind(at_ms).bind(terms.attempts_max))?;
    fetch_optional!(tx, query_as::<_, JobRow>(sql).bind(worker).bind(at_ms).bind(terms.lease_ms))
}

/// Leases the next job of the server to `server`, the name of a process, for `lease_ms` milliseconds from
/// [`Tx::at_ms`] on. Of the queued jobs, the one that has been due for the longest time is leased first, so that
/// one that fails again and again does not delay the others. Such a job is never given up, however often the
/// processes that run it die.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement, or if the job contains a value that this
/// version does not know ([`StoreError::Database`]); or if the transaction conflicts with a concurrent one
/// ([`StoreError::Serialization`]).
pub async fn lease_for_server(
    tx: &mut Tx,
    server: &str,
    lease_ms: i64,
) -> Result<Option<JobRow>, StoreError> {
    const SQL_POSTGRES: &str = next!("server", "", "", "due_ms, job_id", "FOR UPDATE SKIP LOCKED");

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { NEXT_OF_SERVER };
    let at_ms = tx.at_ms();
    fetch_optional!(tx, query_as::<_, JobRow>(sql).bind(server).bind(at_ms).bind(lease_ms))
}

/// Returns all running jobs of the server to the queue and returns their number, for the start of a process
/// that is the only one using the database.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn requeue_of_server(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET state = 'queued', due_ms = $1, lease_until_ms = NULL
        WHERE runner = 'server' AND state = 'running'";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(at_ms))
}

/// Returns the progress reported by the previous job of the same action and table, as JSON, if that job did
/// not succeed.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn find_unfinished(tx: &mut Tx, job: &JobRow) -> Result<Option<String>, StoreError> {
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

/// Extends a lease to `lease_ms` milliseconds from [`Tx::at_ms`] on, and stores the progress of the worker and
/// the result up to now, as JSON. `None` retains what is stored.
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
    (progress, result): (Option<&str>, Option<&str>),
) -> Result<Option<bool>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET lease_until_ms = $4, progress = coalesce(CAST($5 AS TEXT), progress),
            result = coalesce(CAST($7 AS TEXT), result)
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND runner = $6 AND state = 'running'
        RETURNING cancel_requested";

    let until_ms = tx.at_ms() + lease_ms;
    fetch_optional!(
        tx,
        query_scalar::<_, bool>(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(until_ms)
            .bind(progress)
            .bind(lease.runner.as_str())
            .bind(result)
    )
}

/// Returns a job to the queue, with its earliest start, the error, and the result up to now. Without a result,
/// the stored one is retained.
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
        SET state = 'queued', due_ms = $4, error = $5, result = coalesce(CAST($6 AS TEXT), result),
            lease_until_ms = NULL, returned = returned + 1
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND runner = $7 AND state = 'running'";

    let changed = execute!(
        tx,
        query(SQL)
            .bind(lease.job_id)
            .bind(lease.worker)
            .bind(lease.attempt)
            .bind(due_ms)
            .bind(error)
            .bind(result)
            .bind(lease.runner.as_str())
    )?;
    Ok(changed == 1)
}

/// Ends a job, with the time [`Tx::at_ms`]. Without a result, the stored one is retained. A job of the server
/// can only succeed.
///
/// Returns `false`, changing nothing, if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer, or fails the statement, as it does if a job of the server is to end
/// otherwise than with success ([`StoreError::Database`]); or if the transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn finish(tx: &mut Tx, lease: JobLease<'_>, outcome: JobOutcome<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET state = $4, result = coalesce(CAST($5 AS TEXT), result), error = CAST($6 AS TEXT),
            finished_ms = $7, lease_until_ms = NULL
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND runner = $8 AND state = 'running'";

    let (state, result, error) = match outcome {
        JobOutcome::Succeeded(result) => (JobState::Succeeded, Some(result), None),
        JobOutcome::Failed(error, result) => (JobState::Failed, result, Some(error)),
        JobOutcome::Cancelled(result) => (JobState::Cancelled, result, None),
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
            .bind(lease.runner.as_str())
    )?;
    Ok(changed == 1)
}

/// Locks a job of a maintenance worker, so that no other worker can lease it before the transaction ends.
///
/// Returns `false` if the job is no longer leased to this attempt.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn fence_attempt(tx: &mut Tx, job_id: Uuid, attempt: i64) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET attempt = attempt
        WHERE job_id = $1 AND attempt = $2 AND runner = 'worker' AND state = 'running'";

    Ok(execute!(tx, query(SQL).bind(job_id).bind(attempt))? == 1)
}
