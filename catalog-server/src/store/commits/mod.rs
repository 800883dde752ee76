//! Commit of new metadata pointers: compare-and-swap of each, or creation; claims on folders, history, audit
//! records, events and the idempotency key, all in one transaction. On PostgreSQL the most frequent commits are
//! a single statement; see [`one_statement`].

mod one_statement;

use super::catalog::locations::{self, Claim};
use super::catalog::tabular::{CreateTabular, NewTabular, Pointer, TabularKind};
use super::catalog::tabulars;
use super::engine::db::Db;
use super::engine::error::StoreError;
use super::engine::target::Target;
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
        && let Some(outcome) = one_statement::commit(pool, commit).await?
    {
        return Ok(outcome);
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
