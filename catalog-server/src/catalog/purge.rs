//! Purges: deletion of the files of dropped tables, as jobs that the server itself runs, whether it has
//! maintenance workers or not.
//!
//! A table owns its folders exclusively, so everything below them is deleted. The folders remain claimed
//! until they are empty, so that no table can be created or registered there meanwhile.

use std::sync::Arc;

use serde_json::{Value, json};
use table_core::text;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::id;
use crate::request::Request;
use crate::store::catalog::locations;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;
use crate::store::maintenance::jobs::{self, JobLease, JobOutcome, JobRow, NewJobRow, Runner};

use super::backend::{BackendError, with_causes};
use super::locations::LocationClaims;
use super::locations::error::OwnershipError;
use super::names::Identifier;
use super::tabulars::files::MetadataFiles;
use super::warehouses::Warehouses;
use super::warehouses::warehouse::Warehouse;

/// Action of the jobs.
const PURGE: &str = "purge";
/// Member of the progress of a job: number of files deleted so far, by all attempts.
const DELETED: &str = "deleted";
/// Number of files deleted between two renewals of the lease.
const BATCH_FILES: usize = 1_000;
/// Duration of a lease: another server takes over after a server has not renewed its lease for this time.
const LEASE_MS: i64 = 60_000;
/// Interval between two checks of the queue without a notification.
const IDLE_MS: u64 = 30_000;
/// Delay after a failure, doubled with each attempt: two seconds after the first one, and at most 4,096.
const RETRY_MS: i64 = 1_000;

/// Purges of the tables of all warehouses.
pub struct Purges {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) locations: Arc<LocationClaims>,
    pub(super) warehouses: Arc<Warehouses>,
    pub(super) files: MetadataFiles,
    /// Notified when a purge was queued.
    pub(super) queued: tokio::sync::Notify,
}

impl Purges {
    /// Queues the folders of a dropped table for deletion and transfers their claims to the job.
    pub(super) async fn enqueue(
        &self,
        tx: &mut Tx,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        dropped: TabularId,
    ) -> Result<(), BackendError> {
        let job_id = id::ordered();
        let prefixes = locations::transfer(tx, dropped.0, job_id).await?;
        // For information: the folders that are emptied are those claimed by the job.
        let options = json!({ "prefixes": prefixes }).to_string();
        let new = NewJobRow {
            job_id,
            warehouse_id: warehouse.id,
            tabular_id: dropped,
            table_name: &identifier.in_warehouse(&warehouse.name),
            action: PURGE,
            runner: Runner::Server,
            options: &options,
            reason: "the table was dropped with its files",
            requested_by: request.caller.id(),
            priority: 0,
            due_ms: tx.at_ms(),
        };
        if jobs::queue::enqueue(tx, &new).await? {
            Ok(())
        } else {
            Err(BackendError::Internal(format!("a purge of the table {dropped} is queued already")))
        }
    }

    /// Notifies the server that a purge was queued.
    pub(super) fn wake(&self) {
        self.queued.notify_one();
    }

    /// Runs the purges of the queue until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let server = format!("server-{}", id::random());
        if let Err(error) = self.requeue_purges().await {
            tracing::warn!(%error, "cannot release the leases of the last run; they expire");
        }
        while !stop.is_cancelled() {
            match self.purge_next(&server, &stop).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot work on the queued purges; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.queued.notified() => {}
                () = tokio::time::sleep(std::time::Duration::from_millis(IDLE_MS)) => {}
            }
        }
    }

    /// Ends all leases if the database is SQLite: no other process can be working, so they belong to a
    /// process that crashed.
    async fn requeue_purges(&self) -> Result<(), StoreError> {
        if self.db.kind() == DbKind::Sqlite {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            jobs::lease::requeue_of_server(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Runs one purge, if one is due. Returns `true` if there was one.
    async fn purge_next(&self, server: &str, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let job = jobs::lease::lease_for_server(&mut tx, server, LEASE_MS).await?;
        tx.commit().await?;
        let Some(job) = job else {
            return Ok(false);
        };
        let lease =
            JobLease { runner: Runner::Server, job_id: job.job_id, worker: server, attempt: job.attempt };
        let outcome = self.purge(&job, lease, stop).await;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let now_ms = tx.at_ms();
        match outcome {
            Ok(Some(deleted)) => {
                tracing::info!(job.id = %job.job_id, files = deleted, "purged a table's files");
                let result = json!({ "numbers": { "files-deleted": deleted } }).to_string();
                if jobs::lease::finish(&mut tx, lease, JobOutcome::Succeeded(&result)).await? {
                    locations::release(&mut tx, job.job_id).await?;
                }
            }
            // Interrupted: the next server continues.
            Ok(None) => {
                let error = "interrupted; it will be resumed";
                jobs::lease::give_back(&mut tx, lease, now_ms, (error, None)).await?;
            }
            Err(error) => {
                let wait_ms = RETRY_MS << job.attempt.clamp(0, 12);
                tracing::warn!(
                    job.id = %job.job_id,
                    error = with_causes(&error),
                    retry_ms = wait_ms,
                    "cannot purge the files of a table; trying again"
                );
                let due_ms = now_ms + wait_ms;
                jobs::lease::give_back(&mut tx, lease, due_ms, (&error.to_string(), None)).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Empties the folders of a purge. Returns the number of deleted files, or `None` if it was interrupted.
    async fn purge(
        &self,
        job: &JobRow,
        lease: JobLease<'_>,
        stop: &CancellationToken,
    ) -> Result<Option<usize>, OwnershipError> {
        // After a start, nobody may have asked for the warehouse yet, which opens its store.
        let warehouse = job.table_name.split_once('/').map_or("", |(warehouse, _)| warehouse);
        if let Err(error) = self.warehouses.find_unauthorized(warehouse).await {
            return Err(BackendError::Internal(error.to_string()).into());
        }
        // The claimed folders are authoritative, not those in the options.
        let folders = self.locations.claimed_folders(job.job_id).await?;
        let files = self.files.own(&folders);
        let mut deleted = deleted_before(job);
        for folder in folders.as_slice() {
            loop {
                let batch = files.delete_below(folder.normal(), BATCH_FILES).await?;
                deleted += batch;
                if batch < BATCH_FILES {
                    break;
                }
                if stop.is_cancelled() {
                    return Ok(None);
                }
                let activity = format!(
                    "deleted {}",
                    text::count(u64::try_from(deleted).unwrap_or(u64::MAX), "file", "files")
                );
                let progress = json!({ "activity": activity, DELETED: deleted }).to_string();
                let mut tx = self.db.write(self.clock.now_ms()).await?;
                let is_ours = jobs::lease::extend(&mut tx, lease, LEASE_MS, (Some(&progress), None)).await?;
                tx.commit().await?;
                if is_ours.is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(deleted))
    }
}

/// Returns the number of files that earlier attempts of a purge deleted, as far as they reported it.
fn deleted_before(job: &JobRow) -> usize {
    let progress = job.progress.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let deleted = progress.as_ref().and_then(|progress| progress[DELETED].as_u64());
    deleted.and_then(|deleted| usize::try_from(deleted).ok()).unwrap_or(0)
}
