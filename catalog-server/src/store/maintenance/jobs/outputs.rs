//! Output files of maintenance jobs: files that a job writes and that no snapshot refers to yet.

use sqlx::{query, query_scalar};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;

use super::JobLease;

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
        WHERE job_id = $1 AND worker = $2 AND attempt = $3 AND runner = $4 AND state = 'running'";
    const SQL: &str = "
        INSERT INTO maintenance_outputs (job_id, path, attempt) VALUES ($1, $2, $3)
        ON CONFLICT (job_id, path) DO NOTHING";

    let held = execute!(
        tx,
        query(IS_HELD).bind(lease.job_id).bind(lease.worker).bind(lease.attempt).bind(lease.runner.as_str())
    )? == 1;
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
