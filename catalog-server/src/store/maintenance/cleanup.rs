//! Persistent queue of clean-up tasks, which outlive the request that caused them.
//!
//! A worker leases a task, extends the lease with its progress from time to time, and finishes the task. If
//! the worker dies, the lease expires and another worker resumes the task.
//!
//! The attempt number is the fencing token: a worker whose lease expired and was taken by another one can no
//! longer change the task.

use sqlx::{query, query_as};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::WarehouseId;

/// Clean-up task.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Task {
    /// Id of the task; ascending in the order of creation.
    pub task_id: Uuid,
    /// Warehouse whose storage is cleaned.
    pub warehouse_id: WarehouseId,
    /// Kind of the task, such as `purge`.
    pub kind: String,
    /// Parameters of the task, as JSON.
    pub payload: String,
    /// Progress of the last worker, as JSON.
    pub progress: Option<String>,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: i64,
    /// Time from which a worker may lease the task, in milliseconds since 1970: its start, its next attempt,
    /// or the end of the current lease.
    pub due_ms: i64,
    /// Number of leases so far.
    pub attempts: i64,
    /// Name of the worker that has leased the task.
    pub leased_by: Option<String>,
    /// Error of the last failed attempt.
    pub last_error: Option<String>,
}

/// Clean-up task to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// Id of the task; later tasks must have greater ids.
    pub task_id: Uuid,
    /// Warehouse whose storage is cleaned.
    pub warehouse_id: WarehouseId,
    /// Kind of the task, such as `purge`.
    pub kind: &'a str,
    /// Parameters of the task, as JSON.
    pub payload: &'a str,
    /// Earliest start, in milliseconds since 1970.
    pub due_ms: i64,
}

/// Lease of a task. It identifies the attempt to the functions that change the task.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    /// Id of the task.
    pub task_id: Uuid,
    /// Name of the worker.
    pub worker: &'a str,
    /// Value of [`Task::attempts`] in this lease.
    pub attempt: i64,
}

/// Adds a task, with the time of creation [`Tx::at_ms`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn enqueue(tx: &mut Tx, new: &NewTask<'_>) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO cleanup_tasks (task_id, warehouse_id, kind, payload, created_ms, due_ms, attempts)
        VALUES ($1, $2, $3, $4, $5, $6, 0)";

    let at_ms = tx.at_ms();
    execute!(
        tx,
        query(SQL)
            .bind(new.task_id)
            .bind(new.warehouse_id)
            .bind(new.kind)
            .bind(new.payload)
            .bind(at_ms)
            .bind(new.due_ms)
    )
    .map(drop)
}

/// Leases to `worker` the task that has been due for the longest time, for `lease_ms` milliseconds from
/// [`Tx::at_ms`] on. No other worker can lease it before the lease expires.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn lease(tx: &mut Tx, worker: &str, lease_ms: i64) -> Result<Option<Task>, StoreError> {
    const SQL: &str = "
        UPDATE cleanup_tasks SET attempts = attempts + 1, leased_by = $1, due_ms = $2 + $3
        WHERE task_id = (
            SELECT task_id FROM cleanup_tasks WHERE due_ms <= $2 ORDER BY due_ms, task_id LIMIT 1)
        RETURNING task_id, warehouse_id, kind, payload, progress, created_ms, due_ms, attempts, leased_by,
                  last_error";
    const SQL_POSTGRES: &str = "
        UPDATE cleanup_tasks SET attempts = attempts + 1, leased_by = $1, due_ms = $2 + $3
        WHERE task_id = (
            SELECT task_id FROM cleanup_tasks WHERE due_ms <= $2 ORDER BY due_ms, task_id LIMIT 1
            FOR UPDATE SKIP LOCKED)
        RETURNING task_id, warehouse_id, kind, payload, progress, created_ms, due_ms, attempts, leased_by,
                  last_error";

    let sql = if tx.kind() == DbKind::Postgres { SQL_POSTGRES } else { SQL };
    let at_ms = tx.at_ms();
    fetch_optional!(tx, query_as::<_, Task>(sql).bind(worker).bind(at_ms).bind(lease_ms))
}

/// Extends a lease to `lease_ms` milliseconds from [`Tx::at_ms`] on, and records the progress.
///
/// Returns `false`, changing nothing, if another worker has leased the task; the caller must stop
/// immediately.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn extend(
    tx: &mut Tx,
    lease: Lease<'_>,
    lease_ms: i64,
    progress: Option<&str>,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE cleanup_tasks SET due_ms = $4, progress = coalesce(CAST($5 AS TEXT), progress)
        WHERE task_id = $1 AND leased_by = $2 AND attempts = $3";

    let until_ms = tx.at_ms() + lease_ms;
    let changed = execute!(
        tx,
        query(SQL).bind(lease.task_id).bind(lease.worker).bind(lease.attempt).bind(until_ms).bind(progress)
    )?;
    Ok(changed == 1)
}

/// Returns a task to the queue after a failed attempt, with the time of the next attempt and the error.
///
/// Returns `false`, changing nothing, if another worker has leased the task.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn fail(tx: &mut Tx, lease: Lease<'_>, retry_at_ms: i64, error: &str) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE cleanup_tasks SET due_ms = $4, last_error = $5, leased_by = NULL
        WHERE task_id = $1 AND leased_by = $2 AND attempts = $3";

    let changed = execute!(
        tx,
        query(SQL).bind(lease.task_id).bind(lease.worker).bind(lease.attempt).bind(retry_at_ms).bind(error)
    )?;
    Ok(changed == 1)
}

/// Ends all leases and returns their number, for the start of a process that is the only one using the
/// database.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn take_back_all(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str =
        "UPDATE cleanup_tasks SET due_ms = $1, leased_by = NULL WHERE leased_by IS NOT NULL AND due_ms > $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(at_ms))
}

/// Deletes a task that is complete.
///
/// Returns `false`, changing nothing, if another worker has leased the task.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn finish(tx: &mut Tx, lease: Lease<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        DELETE FROM cleanup_tasks WHERE task_id = $1 AND leased_by = $2 AND attempts = $3";

    let removed = execute!(tx, query(SQL).bind(lease.task_id).bind(lease.worker).bind(lease.attempt))?;
    Ok(removed == 1)
}

/// Returns up to `limit` tasks in the order of their creation, those with an id greater than `after`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(db: &Db, after: Option<Uuid>, limit: u32) -> Result<Vec<Task>, StoreError> {
    const SQL: &str = "
        SELECT task_id, warehouse_id, kind, payload, progress, created_ms, due_ms, attempts, leased_by,
               last_error
        FROM cleanup_tasks WHERE task_id > $1 ORDER BY task_id LIMIT $2";

    let after = after.unwrap_or(Uuid::nil());
    fetch_all!(db, query_as::<_, Task>(SQL).bind(after).bind(i64::from(limit)))
}
