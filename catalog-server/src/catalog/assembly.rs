//! Assembly of the subjects from the parts that they share. No subject knows of it.

use std::sync::{Arc, RwLock};

use tokio::sync::Notify;

use crate::authz::Authorizer;
use crate::clock::Clock;
use crate::config::{Planning, Retention};
use crate::secrets::SecretKeys;
use crate::storage::WarehouseFiles;
use crate::storage::documents::Documents;
use crate::storage::manifests::Manifests;
use crate::store::engine::db::Db;
use crate::work::CpuSlots;

use super::housekeeping::Housekeeping;
use super::locations::LocationClaims;
use super::locks::Locks;
use super::manifests::TableManifests;
use super::mutations::idempotency::RecordedResponses;
use super::namespaces::Namespaces;
use super::purge::Purges;
use super::reports::Reports;
use super::scans::{ScanParts, Scans};
use super::tables::Tables;
use super::tabulars::Tabulars;
use super::tabulars::files::MetadataFiles;
use super::tabulars::pages::NamePages;
use super::views::Views;
use super::warehouses::Warehouses;

const MINUTE_MS: i64 = 60_000;

/// Parts that a catalog is put together from.
pub struct CatalogParts {
    /// Open database.
    pub db: Db,
    /// Clock of the process.
    pub clock: Clock,
    /// Files of all warehouses.
    pub files: WarehouseFiles,
    /// Keys of the secrets in the database.
    pub secrets: SecretKeys,
    /// Metadata files, cached.
    pub documents: Documents,
    /// Manifests, cached.
    pub manifests: Manifests,
    /// Slots for work on large requests.
    pub turns: CpuSlots,
    /// Limits of scan plans.
    pub planning: Planning,
    /// Retention times.
    pub retention: Retention,
}

/// Parts that several subjects have in common.
pub(super) struct SharedParts {
    db: Db,
    clock: Clock,
    turns: CpuSlots,
    locks: Arc<Locks>,
    files: MetadataFiles,
    tabulars: Arc<Tabulars>,
    table_manifests: Arc<TableManifests>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) documents: Arc<Documents>,
    pub(super) manifests: Arc<Manifests>,
    pub(super) locations: Arc<LocationClaims>,
    pub(super) warehouses: Arc<Warehouses>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) purges: Arc<Purges>,
}

impl SharedParts {
    /// Creates the parts, with empty caches.
    pub(super) fn new(parts: CatalogParts) -> Self {
        let CatalogParts { db, clock, files, secrets, documents, manifests, turns, .. } = parts;
        let db_and_clock = || (db.clone(), clock.clone());
        let authorizer = Arc::new(Authorizer::new());
        let metadata_files = MetadataFiles { files: files.clone() };

        let (of, at) = db_and_clock();
        let locations = Arc::new(LocationClaims { db: of, clock: at });
        let manifests = Arc::new(manifests);
        let table_manifests =
            Arc::new(TableManifests { locations: locations.clone(), cache: manifests.clone() });

        let (of, at) = db_and_clock();
        let known = RwLock::default();
        let authorizer_of = authorizer.clone();
        let warehouses =
            Arc::new(Warehouses { db: of, clock: at, authorizer: authorizer_of, files, secrets, known });

        let (of, at) = db_and_clock();
        let namespaces = Arc::new(Namespaces {
            db: of,
            clock: at,
            authorizer: authorizer.clone(),
            warehouses: warehouses.clone(),
            locations: locations.clone(),
        });

        let (of, at) = db_and_clock();
        let tabulars = Arc::new(Tabulars {
            db: of,
            clock: at,
            authorizer: authorizer.clone(),
            namespaces: namespaces.clone(),
            pages: NamePages::new(),
        });

        let (of, at) = db_and_clock();
        let purges = Arc::new(Purges {
            db: of,
            clock: at,
            locations: locations.clone(),
            warehouses: warehouses.clone(),
            files: metadata_files.clone(),
            queued: Notify::new(),
        });
        Self {
            locks: Arc::new(Locks::default()),
            files: metadata_files,
            documents: Arc::new(documents),
            db,
            clock,
            turns,
            tabulars,
            table_manifests,
            authorizer,
            manifests,
            locations,
            warehouses,
            namespaces,
            purges,
        }
    }

    pub(super) fn tables(&self, retention: &Retention) -> Tables {
        Tables {
            db: self.db.clone(),
            clock: self.clock.clone(),
            namespaces: self.namespaces.clone(),
            tabulars: self.tabulars.clone(),
            locations: self.locations.clone(),
            purges: self.purges.clone(),
            locks: self.locks.clone(),
            documents: self.documents.clone(),
            manifests: self.table_manifests.clone(),
            files: self.files.clone(),
            turns: self.turns.clone(),
            time_travel_ms: MINUTE_MS * i64::from(retention.time_travel_minutes),
        }
    }

    pub(super) fn views(&self) -> Views {
        Views {
            db: self.db.clone(),
            clock: self.clock.clone(),
            tabulars: self.tabulars.clone(),
            locations: self.locations.clone(),
            locks: self.locks.clone(),
            documents: self.documents.clone(),
            files: self.files.clone(),
            turns: self.turns.clone(),
        }
    }

    pub(super) fn scans(&self, planning: Planning) -> Scans {
        let parts = ScanParts {
            db: self.db.clone(),
            clock: self.clock.clone(),
            tabulars: self.tabulars.clone(),
            locations: self.locations.clone(),
            documents: self.documents.clone(),
            manifests: self.table_manifests.clone(),
            turns: self.turns.clone(),
        };
        Scans::new(parts, planning)
    }

    pub(super) fn reports(&self, retention: &Retention) -> Reports {
        Reports {
            db: self.db.clone(),
            clock: self.clock.clone(),
            tabulars: self.tabulars.clone(),
            per_table: retention.reports_per_table,
        }
    }

    pub(super) fn responses(&self) -> RecordedResponses {
        RecordedResponses {
            db: self.db.clone(),
            clock: self.clock.clone(),
            documents: self.documents.clone(),
        }
    }

    pub(super) fn housekeeping(&self, retention: Retention, plan_expiry_ms: i64) -> Housekeeping {
        Housekeeping { db: self.db.clone(), clock: self.clock.clone(), retention, plan_expiry_ms }
    }
}
