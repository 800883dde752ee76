//! Deletion of expired records: idempotency keys, published events and scan plans.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::catalog::plans;
use crate::store::engine::error::StoreError;
use crate::store::events::{idempotency, outbox};

use crate::clock::Clock;
use crate::config::Retention;
use crate::store::engine::db::Db;

/// Interval between two runs.
const INTERVAL: Duration = Duration::from_mins(1);
/// Maximum number of rows deleted in one transaction, so that other writers wait for the write lock only
/// briefly.
const BATCH_ROWS: u32 = 1_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Deletion of expired records of all warehouses.
pub struct Housekeeping {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) retention: Retention,
    /// Time after which scan plans expire, in milliseconds.
    pub(super) plan_expiry_ms: i64,
}

impl Housekeeping {
    /// Deletes expired records periodically, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.forget_old_records().await {
                tracing::warn!(%error, "cannot delete old records; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn forget_old_records(&self) -> Result<(), StoreError> {
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        // Twice the advertised lifetime, because clocks differ and a client may send its last retry late.
        let keys_before_ms = now_ms - 2 * MINUTE_MS * i64::from(self.retention.idempotency_minutes);
        let events_before_ms = now_ms - DAY_MS * i64::from(self.retention.outbox_days);
        let plans_before_ms = now_ms - self.plan_expiry_ms;
        loop {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let keys = idempotency::prune(&mut tx, keys_before_ms, BATCH_ROWS).await?;
            let events = outbox::prune_older(&mut tx, events_before_ms, BATCH_ROWS).await?;
            let plans = plans::prune(&mut tx, plans_before_ms, BATCH_ROWS).await?;
            tx.commit().await?;
            if [keys, events, plans].iter().all(|deleted| *deleted < u64::from(BATCH_ROWS)) {
                return self.db.reclaim().await;
            }
        }
    }
}
