//! Queue of jobs: jobs enter it, change while they wait, and are cancelled.

use sqlx::{query, query_scalar};
use uuid::Uuid;

use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;

use super::{CancelJob, NewJobRow, Runner};

/// Adds a job to the queue, with the time of creation [`Tx::at_ms`].
///
/// Returns `false`, changing nothing, if a job of the same action is queued or running for the table.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn enqueue(tx: &mut Tx, new: &NewJobRow<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, priority, attempt, cancel_requested, created_ms, due_ms, runner)
        VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11, $12)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

/// Adds a job to the queue as [`enqueue`] does, unless the table is paused.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn enqueue_unless_paused(tx: &mut Tx, new: &NewJobRow<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason,
                                      requested_by, priority, attempt, cancel_requested, created_ms, due_ms, runner)
        SELECT $1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, 0, FALSE, $10, $11, $12
        WHERE NOT EXISTS (SELECT 1 FROM maintenance_pauses WHERE tabular_id = $3)
        ON CONFLICT (tabular_id, action) WHERE state IN ('queued', 'running') DO NOTHING";

    insert(tx, SQL, new).await
}

async fn insert(tx: &mut Tx, sql: &'static str, new: &NewJobRow<'_>) -> Result<bool, StoreError> {
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
            .bind(new.priority)
            .bind(at_ms)
            .bind(new.due_ms)
            .bind(new.runner.as_str())
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
    new: &NewJobRow<'_>,
    requested_by: &str,
) -> Result<Option<Uuid>, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs
        SET table_name = $4, options = $5, reason = $6, requested_by = $7, priority = $8, due_ms = $9
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
            .bind(new.priority)
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
pub async fn renew(tx: &mut Tx, new: &NewJobRow<'_>, requested_by: &str) -> Result<(), StoreError> {
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

/// Marks the queued jobs of maintenance workers of a table as failed, with the time [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn fail_queued(tx: &mut Tx, tabular_id: TabularId, error: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        UPDATE maintenance_jobs SET state = 'failed', error = $2, finished_ms = $3
        WHERE tabular_id = $1 AND runner = 'worker' AND state = 'queued'";

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

/// Cancels a queued job of a maintenance worker, or requests the cancellation of a running one. Jobs that the
/// server itself runs cannot be cancelled.
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
            cancel_requested = TRUE
        WHERE job_id = $1 AND runner = 'worker' AND state IN ('queued', 'running')
        RETURNING state";
    const RUNNER: &str = "SELECT runner FROM maintenance_jobs WHERE job_id = $1";

    let at_ms = tx.at_ms();
    let state = fetch_optional!(tx, query_scalar::<_, String>(SQL).bind(job_id).bind(at_ms))?;
    match state.as_deref() {
        Some("cancelled") => Ok(CancelJob::Cancelled),
        Some(_) => Ok(CancelJob::Wanted),
        None => {
            let runner = fetch_optional!(tx, query_scalar::<_, String>(RUNNER).bind(job_id))?;
            Ok(match runner {
                None => CancelJob::Missing,
                Some(runner) if runner == Runner::Server.as_str() => CancelJob::OfServer,
                Some(_) => CancelJob::Over,
            })
        }
    }
}
