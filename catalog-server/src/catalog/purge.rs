//! Deletion of the files of purged tables, by means of a queue that survives crashes.
//!
//! A table owns its folders exclusively, so everything below them is deleted. The folders remain claimed
//! until they are empty, so that no table can be created or registered there meanwhile.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::id;
use crate::store::catalog::locations;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::DbKind;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;
use crate::store::maintenance::cleanup::{self, Lease, NewTask, Task};

use super::Catalog;
use super::error::CatalogError;
use super::names::Identifier;
use super::warehouse::Warehouse;

/// Number of files deleted between two renewals of the lease.
const BATCH_FILES: usize = 1_000;
/// Duration of a lease: another worker takes over after a worker has not renewed its lease for this time.
const LEASE_MS: i64 = 60_000;
/// Interval between two checks of the queue without a notification.
const IDLE_MS: u64 = 30_000;
/// Delay after the first failure; doubled after each further one, up to about an hour.
const RETRY_MS: i64 = 1_000;

/// Payload of a purge task.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Purge {
    /// Name of the table when it was dropped, for information.
    table: String,
    /// Folders of the table, for information: the folders that are emptied are those claimed by the task.
    prefixes: Vec<String>,
}

impl Catalog {
    /// Queues the folders of a dropped table for deletion and transfers their claims to the task.
    pub(super) async fn enqueue_purge(
        &self,
        tx: &mut Tx,
        warehouse: &Warehouse,
        identifier: &Identifier,
        dropped: TabularId,
        prefixes: Vec<String>,
    ) -> Result<(), CatalogError> {
        let task_id = id::ordered();
        locations::transfer(tx, dropped.0, task_id).await?;
        let payload = serde_json::to_string(&Purge { table: identifier.to_string(), prefixes })
            .map_err(|error| CatalogError::Internal(error.to_string()))?;
        let due_ms = tx.at_ms();
        let task = NewTask { task_id, warehouse_id: warehouse.id, kind: "purge", payload: &payload, due_ms };
        Ok(cleanup::enqueue(tx, &task).await?)
    }

    /// Processes the queue until `stop` is cancelled.
    pub async fn run_purges(&self, stop: CancellationToken) {
        let worker = id::random().to_string();
        if let Err(error) = self.take_back_leases().await {
            tracing::warn!(%error, "cannot take back the leases of the last run; they run out by themselves");
        }
        while !stop.is_cancelled() {
            match self.purge_next(&worker, &stop).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot work on the purge queue; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.purge_wanted.notified() => {}
                () = tokio::time::sleep(std::time::Duration::from_millis(IDLE_MS)) => {}
            }
        }
    }

    /// Releases all leases if the database is SQLite: no other process can be working, so they belong to a
    /// process that crashed.
    async fn take_back_leases(&self) -> Result<(), StoreError> {
        if self.db.kind() == DbKind::Sqlite {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            cleanup::take_back_all(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Processes one task, if one is due. Returns `true` if there was one.
    async fn purge_next(&self, worker: &str, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let task = cleanup::lease(&mut tx, worker, LEASE_MS).await?;
        tx.commit().await?;
        let Some(task) = task else {
            return Ok(false);
        };
        let lease = Lease { task_id: task.task_id, worker, attempt: task.attempts };
        let outcome = self.purge(&task, lease, stop).await;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let now_ms = tx.at_ms();
        match outcome {
            Ok(Some(deleted)) => {
                tracing::info!(task.id = %task.task_id, files = deleted, "purged a table's files");
                if cleanup::finish(&mut tx, lease).await? {
                    locations::release(&mut tx, task.task_id).await?;
                }
            }
            // Interrupted: the next worker continues.
            Ok(None) => {
                cleanup::fail(&mut tx, lease, now_ms, "stopped on the way").await?;
            }
            Err(error) => {
                let wait_ms = RETRY_MS << task.attempts.clamp(0, 12);
                tracing::warn!(
                    task.id = %task.task_id,
                    error = error.for_log(),
                    retry_ms = wait_ms,
                    "cannot purge a table's files yet"
                );
                cleanup::fail(&mut tx, lease, now_ms + wait_ms, &error.to_string()).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Empties the folders of a task. Returns the number of deleted files, or `None` if it was interrupted.
    async fn purge(
        &self,
        task: &Task,
        lease: Lease<'_>,
        stop: &CancellationToken,
    ) -> Result<Option<usize>, CatalogError> {
        // The claimed folders are authoritative, not those in the payload.
        let folders = self.claimed_folders(task.task_id).await?;
        let files = self.own_files(&folders);
        let mut deleted = 0;
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
                let mut tx = self.db.write(self.clock.now_ms()).await?;
                let is_ours = cleanup::extend(&mut tx, lease, LEASE_MS, None).await?;
                tx.commit().await?;
                if !is_ours {
                    return Ok(None);
                }
            }
        }
        Ok(Some(deleted))
    }
}
