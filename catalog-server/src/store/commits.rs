//! Commit of new metadata pointers: compare-and-swap of each, or creation; claims on folders, history, audit
//! records, events and the idempotency key, all in one transaction. On PostgreSQL the most frequent commit, to
//! one table without new folders, is a single statement, which saves the round trips of a transaction with
//! several statements.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{PgPool, query_scalar};

use super::catalog::locations::{self, Claim};
use super::catalog::tabular::{CreateTabular, NewTabular, Pointer, TabularKind};
use super::catalog::tabulars;
use super::engine::db::Db;
use super::engine::error::StoreError;
use super::engine::postgres::WRITERS_LOCK;
use super::engine::target::{Target, bounded};
use super::engine::tx::Tx;
use super::events::audit::{self, NewAuditEntry};
use super::events::idempotency::{self, NewAnswer};
use super::ids::{TabularId, WarehouseId};
use super::maintenance::jobs::lease;
use crate::request::JobAttempt;

/// Commit of one or more metadata pointers.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Warehouse of all tables and views.
    pub warehouse_id: WarehouseId,
    /// Attempt at a maintenance job that the commit is made for. It must still have its lease.
    pub job: Option<JobAttempt>,
    /// New pointers, each of another table or view.
    pub changes: Vec<TabularChange<'a>>,
    /// Response to record under the idempotency key of the client, if it sent one.
    pub answer: Option<NewAnswer<'a>>,
}

/// New metadata pointer of a table or view, with the records of it.
#[derive(Clone, Debug)]
pub struct TabularChange<'a> {
    /// Move of the pointer, or new table or view.
    pub pointer: PointerChange<'a>,
    /// Prefixes of folders to claim for the table or view.
    pub claims: Vec<&'a str>,
    /// Audit record of the change.
    pub audit: NewAuditEntry<'a>,
}

/// Change of a metadata pointer.
#[derive(Clone, Copy, Debug)]
pub enum PointerChange<'a> {
    /// Compare-and-swap of the pointer of an existing table or view.
    Move {
        /// Id of the table or view.
        tabular_id: TabularId,
        /// Location of the metadata file that it must point to at present.
        previous: &'a str,
        /// Pointer after the commit.
        next: Pointer<'a>,
    },
    /// New table or view.
    Create(NewTabular<'a>),
}

/// Outcome of a commit. Unless it is [`CommitOutcome::Done`], nothing was changed. `index` is the position of the
/// change that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Every pointer moved, and everything was recorded.
    Done,
    /// The compare-and-swap failed: another commit moved the pointer first, or the table was dropped.
    Lost {
        /// Position of the change.
        index: usize,
    },
    /// The name of a new table or view is in use.
    NameTaken {
        /// Position of the change.
        index: usize,
        /// Kind of the object that has the name.
        holder: TabularKind,
    },
    /// The namespace of a new table or view does not exist.
    NamespaceMissing {
        /// Position of the change.
        index: usize,
    },
    /// A folder overlaps with one of another owner.
    Overlaps {
        /// Position of the change.
        index: usize,
    },
    /// A response is recorded under the idempotency key already, and should be returned.
    Answered,
    /// The attempt at the maintenance job does not have its lease any more.
    JobLost,
}

impl PointerChange<'_> {
    fn tabular_id(&self) -> TabularId {
        match self {
            Self::Move { tabular_id, .. } => *tabular_id,
            Self::Create(new) => new.tabular_id,
        }
    }
}

/// Commits new metadata pointers. `now_ms` is the clock of the process, see [`Db::write`]. A commit that
/// neither changes nor records anything does not access the database.
///
/// # Errors
///
/// Fails as [`Tx::commit`] does: with [`StoreError::OutcomeUnknown`] if it is not known whether the commit
/// took effect, and with [`StoreError::Serialization`] if it certainly did not because of a concurrent
/// transaction. Fails with [`StoreError::Database`] if the database does not answer or fails a statement
/// before the commit.
pub async fn commit(db: &Db, now_ms: i64, commit: &Commit<'_>) -> Result<CommitOutcome, StoreError> {
    if commit.changes.is_empty() && commit.answer.is_none() {
        return Ok(CommitOutcome::Done);
    }
    if let Target::Postgres(pool) = db.target()
        && let [TabularChange { pointer: PointerChange::Move { tabular_id, previous, next }, claims, audit }] =
            commit.changes.as_slice()
        && claims.is_empty()
        && commit.job.is_none()
    {
        let moved = (*tabular_id, *previous, next);
        return in_one_statement(pool, moved, audit, commit.answer.as_ref()).await;
    }
    let mut tx = db.write(now_ms).await?;
    if let Some(JobAttempt { job_id, attempt }) = commit.job
        && !lease::fence_attempt(&mut tx, job_id, attempt).await?
    {
        return Ok(CommitOutcome::JobLost);
    }
    if commit.changes.len() > 1 {
        let moved = commit.changes.iter().filter_map(|change| match change.pointer {
            PointerChange::Move { tabular_id, .. } => Some(tabular_id),
            PointerChange::Create(_) => None,
        });
        let ids: Vec<_> = moved.collect();
        tabulars::lock(&mut tx, &ids).await?;
    }
    for (index, change) in commit.changes.iter().enumerate() {
        if let Some(refused) = change_in(&mut tx, commit.warehouse_id, change, index).await? {
            return Ok(refused);
        }
    }
    if let Some(answer) = &commit.answer
        && !idempotency::record(&mut tx, answer).await?
    {
        return Ok(CommitOutcome::Answered);
    }
    tx.commit().await?;
    Ok(CommitOutcome::Done)
}

/// Makes and records one change. Returns the outcome of the commit if it cannot be made.
async fn change_in(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    change: &TabularChange<'_>,
    index: usize,
) -> Result<Option<CommitOutcome>, StoreError> {
    match &change.pointer {
        PointerChange::Move { tabular_id, previous, next } => {
            if !tabulars::swap_pointer(tx, *tabular_id, previous, next).await? {
                return Ok(Some(CommitOutcome::Lost { index }));
            }
        }
        PointerChange::Create(new) => match tabulars::create(tx, new).await? {
            CreateTabular::Created => {}
            CreateTabular::NameTaken(holder) => return Ok(Some(CommitOutcome::NameTaken { index, holder })),
            CreateTabular::NamespaceMissing => return Ok(Some(CommitOutcome::NamespaceMissing { index })),
        },
    }
    let owner = change.pointer.tabular_id().0;
    if !change.claims.is_empty()
        && locations::claim(tx, warehouse_id, &change.claims, owner).await? != Claim::Claimed
    {
        return Ok(Some(CommitOutcome::Overlaps { index }));
    }
    audit::record(tx, &change.audit).await?;
    Ok(None)
}

/// Moves one pointer and records it, in one statement. The statement sees the catalog at its start, but
/// an UPDATE that had to wait for a row lock re-evaluates its condition on the newest version of the row, so
/// that the pointer is compared with its current value.
async fn in_one_statement(
    pool: &PgPool,
    (tabular_id, previous, next): (TabularId, &str, &Pointer<'_>),
    audit: &NewAuditEntry<'_>,
    answer: Option<&NewAnswer<'_>>,
) -> Result<CommitOutcome, StoreError> {
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

    let statement = query_scalar::<_, i64>(SQL)
        .bind(WRITERS_LOCK)
        .bind(tabular_id)
        .bind(previous)
        .bind(next.metadata_location)
        .bind(next.table_uuid)
        .bind(next.location)
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
        .bind(next.superseded);
    // The connection is acquired separately, because a failure to do so has certainly changed nothing.
    let mut connection = bounded(pool.acquire()).await?;
    match bounded(statement.fetch_optional(&mut *connection)).await {
        Ok(Some(_)) => Ok(CommitOutcome::Done),
        Ok(None) => Ok(CommitOutcome::Lost { index: 0 }),
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
