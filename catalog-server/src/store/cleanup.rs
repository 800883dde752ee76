//! Clean-up that outlives a request: a persistent queue. A worker leases a task, says from time to
//! time that it is still at it and how far it got, and finishes it; if it dies, the lease ends and
//! another worker resumes.
//!
//! The attempt number fences: a worker whose lease ended and was given to another can no longer
//! say anything about the task.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::db::{Db, DbKind};
use super::error::StoreError;
use super::ids::WarehouseId;
use super::tx::Tx;

/// A task, as its worker or an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Task {
    /// Its id.
    pub task_id: Uuid,
    /// The warehouse whose storage it cleans.
    pub warehouse_id: WarehouseId,
    /// What to do, for instance `purge`.
    pub kind: String,
    /// What to do it to: JSON.
    pub payload: String,
    /// How far the last worker got: JSON.
    pub progress: Option<String>,
    /// When it was enqueued.
    pub created_ms: i64,
    /// When a worker may take it: its start, its next attempt, or the end of the current lease.
    pub due_ms: i64,
    /// How many times it was leased.
    pub attempts: i64,
    /// The worker that has it.
    pub leased_by: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// A task to be.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// Its id.
    pub task_id: Uuid,
    /// The warehouse whose storage it cleans.
    pub warehouse_id: WarehouseId,
    /// What to do.
    pub kind: &'a str,
    /// What to do it to: JSON.
    pub payload: &'a str,
    /// Not before then.
    pub due_ms: i64,
}

/// What a worker holds, and must show to change anything about the task.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    /// The task.
    pub task_id: Uuid,
    /// The worker.
    pub worker: &'a str,
    /// The [`Task::attempts`] of the lease.
    pub attempt: i64,
}

/// Enqueues a task, created at [`Tx::at_ms`].
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

/// Gives `worker` the task that has been due the longest, for `lease_ms` from [`Tx::at_ms`] on.
/// Nobody else gets it before then.
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

/// Prolongs a lease to `lease_ms` from [`Tx::at_ms`] on, and records how far the worker got.
///
/// Returns `false`, changing nothing, if another worker has the task: stop at once.
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

/// Gives a task back: not before `retry_at_ms`, and with the reason.
///
/// Returns `false`, changing nothing, if another worker has the task.
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

/// Takes every lease back, whoever held it: for a process that is alone and has just started.
pub async fn take_back_all(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str =
        "UPDATE cleanup_tasks SET due_ms = $1, leased_by = NULL WHERE leased_by IS NOT NULL AND due_ms > $1";

    let at_ms = tx.at_ms();
    execute!(tx, query(SQL).bind(at_ms))
}

/// Removes a task that is done.
///
/// Returns `false`, changing nothing, if another worker has the task.
pub async fn finish(tx: &mut Tx, lease: Lease<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "
        DELETE FROM cleanup_tasks WHERE task_id = $1 AND leased_by = $2 AND attempts = $3";

    let removed = execute!(tx, query(SQL).bind(lease.task_id).bind(lease.worker).bind(lease.attempt))?;
    Ok(removed == 1)
}

/// Up to `limit` tasks, oldest first, those enqueued after `after`.
pub async fn list(db: &Db, after: Option<Uuid>, limit: u32) -> Result<Vec<Task>, StoreError> {
    const SQL: &str = "
        SELECT task_id, warehouse_id, kind, payload, progress, created_ms, due_ms, attempts, leased_by,
               last_error
        FROM cleanup_tasks WHERE task_id > $1 ORDER BY task_id LIMIT $2";

    let after = after.unwrap_or(Uuid::nil());
    fetch_all!(db, query_as::<_, Task>(SQL).bind(after).bind(i64::from(limit)))
}
