//! Commit to a single table, the most frequent change: compare-and-swap of the metadata pointer, history,
//! audit record, event and idempotency key in one transaction. On PostgreSQL it is a single statement, which
//! saves the round trips of a transaction with several statements.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{PgPool, query_scalar};

use super::tabular::Pointer;
use super::tabulars;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::postgres::WRITERS_LOCK;
use crate::store::engine::target::{Target, bounded};
use crate::store::events::audit::{self, NewAuditEntry};
use crate::store::events::idempotency::{self, NewAnswer};
use crate::store::ids::TabularId;

/// Move of a metadata pointer, with the records of it.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Id of the table.
    pub tabular_id: TabularId,
    /// Location of the metadata file that the table must point to at present.
    pub previous: &'a str,
    /// Pointer after the commit.
    pub next: Pointer<'a>,
    /// Audit record of the commit.
    pub audit: NewAuditEntry<'a>,
    /// Response to record under the idempotency key of the client, if it sent one.
    pub answer: Option<NewAnswer<'a>>,
}

/// Outcome of a commit. Unless the pointer moved, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The pointer moved, and everything was recorded.
    PointerMove,
    /// The compare-and-swap failed: another commit moved the pointer first, or the table was dropped.
    Lost,
    /// A response is recorded under the idempotency key already, and should be returned.
    Answered,
}

/// Commits to a table. `now_ms` is the clock of the process, see [`Db::write`].
///
/// # Errors
///
/// Fails as [`Tx::commit`](crate::store::engine::tx::Tx::commit) does: with [`StoreError::OutcomeUnknown`] if
/// it is not known whether the commit took effect, and with [`StoreError::Serialization`] if it certainly did
/// not because of a concurrent transaction. Fails with [`StoreError::Database`] if the database does not
/// answer or fails the statement before the commit.
pub async fn commit(db: &Db, now_ms: i64, commit: &Commit<'_>) -> Result<CommitOutcome, StoreError> {
    match db.target() {
        Target::Sqlite(_) => in_a_transaction(db, now_ms, commit).await,
        Target::Postgres(pool) => in_one_statement(pool, commit).await,
    }
}

async fn in_a_transaction(db: &Db, now_ms: i64, commit: &Commit<'_>) -> Result<CommitOutcome, StoreError> {
    let mut tx = db.write(now_ms).await?;
    if !tabulars::swap_pointer(&mut tx, commit.tabular_id, commit.previous, &commit.next).await? {
        return Ok(CommitOutcome::Lost);
    }
    audit::record(&mut tx, &commit.audit).await?;
    if let Some(answer) = &commit.answer
        && !idempotency::record(&mut tx, answer).await?
    {
        return Ok(CommitOutcome::Answered);
    }
    tx.commit().await?;
    Ok(CommitOutcome::PointerMove)
}

/// Commits as [`in_a_transaction`] does, in one statement. The statement sees the catalog at its start, but
/// an UPDATE that had to wait for a row lock re-evaluates its condition on the newest version of the row, so
/// that the pointer is compared with its current value.
async fn in_one_statement(pool: &PgPool, commit: &Commit<'_>) -> Result<CommitOutcome, StoreError> {
    // The clock is read after the writers' lock is taken, because `settle` waits for this lock.
    const SQL: &str = "
        WITH writer AS MATERIALIZED (
            SELECT pg_advisory_xact_lock_shared($1),
                   floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at_ms
        ), moved AS (
            UPDATE tabulars SET metadata_location = $4, table_uuid = $5, location = $6, superseded = $22,
                                updated_ms = greatest(updated_ms, writer.at_ms)
            FROM writer WHERE tabular_id = $2 AND metadata_location = $3
            RETURNING updated_ms
        ), audited AS (
            INSERT INTO audit (audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id,
                               outcome, detail)
            SELECT $7, updated_ms, $8, $9, $10, $11, $12, $13, $14, $15 FROM moved
        ), answered AS (
            INSERT INTO idempotency (caller, key, fingerprint, status, body, metadata_location, created_ms)
            SELECT $16, $17, $18, $19, $20, $21, updated_ms FROM moved WHERE $16 IS NOT NULL
        )
        SELECT updated_ms FROM moved";

    let (audit, answer) = (&commit.audit, commit.answer.as_ref());
    let statement = query_scalar::<_, i64>(SQL)
        .bind(WRITERS_LOCK)
        .bind(commit.tabular_id)
        .bind(commit.previous)
        .bind(commit.next.metadata_location)
        .bind(commit.next.table_uuid)
        .bind(commit.next.location)
        .bind(audit.audit_id)
        .bind(audit.request_id)
        .bind(audit.caller)
        .bind(audit.action)
        .bind(audit.object_kind)
        .bind(audit.object_name)
        .bind(audit.object_id)
        .bind(audit.outcome)
        .bind(audit.detail)
        .bind(answer.map(|answer| answer.caller))
        .bind(answer.map(|answer| answer.key))
        .bind(answer.map(|answer| answer.fingerprint))
        .bind(answer.map(|answer| i64::from(answer.status)))
        .bind(answer.and_then(|answer| answer.body))
        .bind(answer.and_then(|answer| answer.metadata_location))
        .bind(commit.next.superseded);
    // The connection is acquired separately, because a failure to do so has certainly changed nothing.
    let mut connection = bounded(pool.acquire()).await?;
    match bounded(statement.fetch_optional(&mut *connection)).await {
        Ok(Some(_)) => Ok(CommitOutcome::PointerMove),
        Ok(None) => Ok(CommitOutcome::Lost),
        Err(error) if is_taken_key(&error) => Ok(CommitOutcome::Answered),
        Err(error) if is_refusal(&error) => Err(StoreError::from(error)),
        Err(error) => Err(StoreError::from_commit(error)),
    }
}

fn is_taken_key(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("idempotency_pkey")
}

/// Returns `true` if the server reported that it has rolled back the statement. A FATAL error, such as a
/// shutdown, may also close the connection between the commit of the statement and its answer.
fn is_refusal(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}
