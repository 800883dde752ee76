//! Use cases on warehouses, namespaces, tables and views, independent of the protocol: a struct for each
//! subject, with the parts that it needs.
//!
//! The module knows neither HTTP nor SQL. Files are written before a transaction is opened; between the start
//! of a write transaction and its commit, only the database is awaited.

#[macro_use]
pub mod backend;

pub mod access;
pub mod assembly;
pub mod housekeeping;
pub mod locations;
mod locks;
mod manifests;
pub mod mutations;
pub mod names;
pub mod namespaces;
pub mod purge;
pub mod reports;
pub mod scans;
pub mod tables;
pub mod tabulars;
pub mod views;
pub mod warehouses;

use std::sync::Arc;

use crate::authz::Authorizer;
use crate::storage::documents::Documents;
use crate::storage::manifests::Manifests;
use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;

use self::assembly::{CatalogParts, SharedParts};
use self::housekeeping::Housekeeping;
use self::locations::LocationClaims;
use self::mutations::idempotency::RecordedResponses;
use self::namespaces::Namespaces;
use self::purge::Purges;
use self::reports::Reports;
use self::scans::Scans;
use self::tables::Tables;
use self::views::Views;
use self::warehouses::Warehouses;

/// Catalog: the use cases of each subject.
pub struct Catalog {
    /// Warehouses.
    pub warehouses: Arc<Warehouses>,
    /// Namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Tables, and transactions over several of them.
    pub tables: Tables,
    /// Views.
    pub views: Views,
    /// Scan planning.
    pub scans: Arc<Scans>,
    /// Metrics reports.
    pub reports: Reports,
    /// Ownership of folders.
    pub locations: Arc<LocationClaims>,
    /// Responses recorded under idempotency keys.
    pub responses: RecordedResponses,
    /// Deletion of the files of purged tables.
    pub purges: Arc<Purges>,
    /// Deletion of expired records.
    pub housekeeping: Arc<Housekeeping>,
    /// Decisions about access.
    pub authorizer: Arc<Authorizer>,
    db: Db,
    documents: Arc<Documents>,
    manifests: Arc<Manifests>,
}

impl Catalog {
    /// Puts a catalog together.
    pub fn new(parts: CatalogParts) -> Self {
        let (db, retention, planning) = (parts.db.clone(), parts.retention.clone(), parts.planning.clone());
        let shared = SharedParts::new(parts);
        let scans = Arc::new(shared.scans(planning));
        Self {
            tables: shared.tables(&retention),
            views: shared.views(),
            reports: shared.reports(&retention),
            responses: shared.responses(),
            housekeeping: Arc::new(shared.housekeeping(retention, scans.expiry_ms())),
            scans,
            warehouses: shared.warehouses,
            namespaces: shared.namespaces,
            locations: shared.locations,
            purges: shared.purges,
            authorizer: shared.authorizer,
            db,
            documents: shared.documents,
            manifests: shared.manifests,
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

    /// Returns the time for which the catalog can be read as of an instant, in milliseconds.
    pub fn time_travel_ms(&self) -> i64 {
        self.tables.time_travel_ms
    }

    /// Records the metrics that have no event: sizes of caches and of the connection pool.
    pub fn record_gauges(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        metrics::gauge!("firn_metadata_cache_bytes").set(self.documents.memory_bytes() as f64);
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        metrics::gauge!("firn_manifest_cache_bytes").set(self.manifests.memory_bytes() as f64);
        let pool = self.db.pool_stats();
        metrics::gauge!("firn_database_connections", "state" => "open").set(f64::from(pool.open));
        metrics::gauge!("firn_database_connections", "state" => "idle").set(f64::from(pool.idle));
    }
}
