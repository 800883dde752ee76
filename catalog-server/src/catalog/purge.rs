//! Deleting the files of purged tables, from a queue that survives a crash.
//!
//! A table's folders are its own, so everything below them goes. They stay claimed until they are empty: nobody
//! can register or create a table there meanwhile.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::id;
use crate::store::cleanup::{self, Lease, NewTask, Task};
use crate::store::db::DbKind;
use crate::store::error::StoreError;
use crate::store::ids::TabularId;
use crate::store::locations;
use crate::store::tx::Tx;

use super::Catalog;
use super::error::CatalogError;
use super::names::Identifier;
use super::warehouses::Warehouse;

/// Files deleted between two looks at the lease.
const BATCH_FILES: usize = 1_000;
/// How long a worker may be silent before another one takes over.
const LEASE_MS: i64 = 60_000;
/// How often the queue is looked at when nobody says that there is work.
const IDLE_MS: u64 = 30_000;
/// The first wait after a failure; doubled each time, up to an hour.
const RETRY_MS: i64 = 1_000;

/// What is to be deleted.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Purge {
    /// The table's name when it was dropped, for people.
    table: String,
    /// The folders to empty, for people: those that are claimed for the task count.
    prefixes: Vec<String>,
}

impl Catalog {
    /// Queues a dropped table's folders for deletion, and passes their claim to the task.
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

    /// Works on the queue until `stop`.
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

    /// On SQLite nobody else can be at work: what is leased was leased by a process that has crashed.
    async fn take_back_leases(&self) -> Result<(), StoreError> {
        if self.db.kind() == DbKind::Sqlite {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            cleanup::take_back_all(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Works on one task, if one is due. Returns whether there was one.
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
            // Stopped on the way: whoever comes next goes on.
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

    /// Empties the task's folders. Returns how many files went, or `None` if it was stopped on the way.
    async fn purge(
        &self,
        task: &Task,
        lease: Lease<'_>,
        stop: &CancellationToken,
    ) -> Result<Option<usize>, CatalogError> {
        // What is deleted is what the task has claimed, and not what it says.
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
