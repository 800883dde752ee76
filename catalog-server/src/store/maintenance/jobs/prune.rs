//! Deletion of ended maintenance jobs.

use sqlx::query;

use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;

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
