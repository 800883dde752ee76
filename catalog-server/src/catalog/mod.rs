//! Use cases on warehouses, namespaces, tables and views, independent of the protocol.
//!
//! The module knows neither HTTP nor SQL. Files are written before a transaction is opened; between the start
//! of a write transaction and its commit, only the database is awaited.

/// Computes a change again, from its first read, while concurrent changes are faster. (A function would need
/// an async closure, whose futures cannot be shown to be `Send` yet.)
macro_rules! retrying {
    ($attempt:expr) => {{
        let mut attempts = 0;
        loop {
            attempts += 1;
            match $attempt.await {
                Err(error) if error.is_lost_race() && attempts < $crate::catalog::ATTEMPTS_MAX => {}
                result => break result,
            }
        }
    }};
}

pub mod error;
mod housekeeping;
mod locks;
pub mod mutation;
pub mod names;
pub mod namespaces;
mod purge;
pub mod scans;
pub mod tables;
pub mod tabulars;
pub mod views;
pub mod warehouses;

use std::collections::HashMap;
use std::sync::RwLock;

use self::warehouses::warehouse::Warehouse;
use crate::authz::Authorizer;
use crate::clock::Clock;
use crate::config::Retention;
use crate::storage::WarehouseFiles;
use crate::storage::documents::Documents;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::work::CpuSlots;

/// Maximum number of attempts to compute a change because concurrent changes were faster.
const ATTEMPTS_MAX: usize = 32;

/// Catalog: every use case is a method of it.
pub struct Catalog {
    db: Db,
    files: WarehouseFiles,
    documents: Documents,
    authorizer: Authorizer,
    clock: Clock,
    retention: Retention,
    scans: scans::Scans,
    turns: CpuSlots,
    locks: locks::Locks,
    warehouses: RwLock<HashMap<String, Warehouse>>,
    purge_wanted: tokio::sync::Notify,
}

impl Catalog {
    /// Creates a catalog from an open database and its files.
    pub fn new(
        db: Db,
        files: WarehouseFiles,
        documents: Documents,
        scans: scans::Scans,
        turns: CpuSlots,
        clock: Clock,
        retention: Retention,
    ) -> Self {
        Self {
            db,
            files,
            documents,
            authorizer: Authorizer::new(),
            clock,
            retention,
            scans,
            turns,
            locks: locks::Locks::default(),
            warehouses: RwLock::default(),
            purge_wanted: tokio::sync::Notify::new(),
        }
    }

    /// Checks that the database responds.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be reached.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await
    }

    /// Records the metrics that have no event: sizes of caches and of the connection pool.
    pub fn record_gauges(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        metrics::gauge!("firn_metadata_cache_bytes").set(self.documents.memory_bytes() as f64);
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        metrics::gauge!("firn_manifest_cache_bytes").set(self.scans.memory_bytes() as f64);
        let pool = self.db.pool_stats();
        metrics::gauge!("firn_database_connections", "state" => "open").set(f64::from(pool.open));
        metrics::gauge!("firn_database_connections", "state" => "idle").set(f64::from(pool.idle));
    }
}
