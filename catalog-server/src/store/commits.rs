//! The commonest change of all, a commit to one table: pointer, history, audit, event and idempotency key at once.
//! On PostgreSQL a single statement, where a transaction of several would wait for as many answers.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{PgPool, query_scalar};

use super::audit::{self, NewAuditEntry};
use super::db::{Db, Target, bounded};
use super::error::StoreError;
use super::idempotency::{self, NewAnswer};
use super::ids::TabularId;
use super::postgres::WRITERS_LOCK;
use super::tabulars::{self, Pointer};

/// A pointer to be moved, and what is recorded of it.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Whose pointer.
    pub tabular_id: TabularId,
    /// The metadata file it must point to now.
    pub previous: &'a str,
    /// What it points to afterwards.
    pub next: Pointer<'a>,
    /// The line for the audit trail.
    pub audit: NewAuditEntry<'a>,
    /// The answer to be recorded under the client's key, if it sent one.
    pub answer: Option<NewAnswer<'a>>,
}

/// What came of a commit. Unless the pointer moved, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The pointer moved, and everything is recorded.
    Moved,
    /// Another commit moved the pointer first, or the table is gone.
    Lost,
    /// There is an answer under the client's key already: give that one.
    Answered,
}

/// Commits. `now_ms` is the process' clock, see [`Db::write`].
///
/// Fails as [`super::tx::Tx::commit`] does: with [`StoreError::OutcomeUnknown`] if nobody knows whether it took effect.
pub async fn commit(db: &Db, now_ms: i64, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    match db.target() {
        Target::Sqlite(_) => in_a_transaction(db, now_ms, commit).await,
        Target::Postgres(pool) => in_one_statement(pool, commit).await,
    }
}

async fn in_a_transaction(db: &Db, now_ms: i64, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    let mut tx = db.write(now_ms).await?;
    if !tabulars::swap_pointer(&mut tx, commit.tabular_id, commit.previous, &commit.next).await? {
        return Ok(Committed::Lost);
    }
    audit::record(&mut tx, &commit.audit).await?;
    if let Some(answer) = &commit.answer
        && !idempotency::record(&mut tx, answer).await?
    {
        return Ok(Committed::Answered);
    }
    tx.commit().await?;
    Ok(Committed::Moved)
}

/// The same as [`in_a_transaction`]. The statement sees the catalog as of its start, but an UPDATE that had to wait
/// looks again at what it waited for, so the pointer is compared with its newest value.
async fn in_one_statement(pool: &PgPool, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    // Whoever settles waits for the writers' lock, so the clock is read once it is held.
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
    // On its own, because a failure to get a connection has certainly changed nothing.
    let mut connection = bounded(pool.acquire()).await?;
    match bounded(statement.fetch_optional(&mut *connection)).await {
        Ok(Some(_)) => Ok(Committed::Moved),
        Ok(None) => Ok(Committed::Lost),
        Err(error) if is_taken_key(&error) => Ok(Committed::Answered),
        Err(error) if is_refusal(&error) => Err(StoreError::from(error)),
        Err(error) => Err(StoreError::from_commit(error)),
    }
}

fn is_taken_key(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("idempotency_pkey")
}

/// Whether the server said that it has undone the statement. A FATAL error, such as that the server is shutting
/// down, may also end a connection between the statement's commit and its answer.
fn is_refusal(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}
