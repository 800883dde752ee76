//! Server-side scan planning: inline for small tables, as plan tasks for large ones, asynchronous if it takes
//! long.
//!
//! A plan is a pure function of a metadata file and a request, so any replica can compute any part of it
//! repeatedly. The state in memory is only a cache.

pub mod error;
mod pages;
mod parts;
pub mod plan;
mod plan_id;
mod plan_task;
mod prepared;
mod prepared_cache;
mod read_ahead;
mod running;
mod scan_text;
mod submitted;
mod tasks;

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};

use crate::authz::action::Action;
use crate::clock::Clock;
use crate::config::Planning;
use crate::id;
use crate::request::Request;
use crate::storage::documents::Documents;
use crate::store::catalog::plans;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::engine::db::Db;
use crate::store::ids::TabularId;
use crate::work::{Allowance, CpuSlots, Share};

use super::locations::LocationClaims;
use super::manifests::TableManifests;
use super::names::Identifier;
use super::tabulars::Tabulars;
use super::warehouses::warehouse::Warehouse;

use self::error::PlanError;
use self::prepared_cache::PreparedScans;
use self::running::RunningPlans;
use self::scan_text::ScanText;

/// Name of the key in the database with which plan tasks and plan ids are signed.
const KEY_NAME: &str = "plan-tasks";

/// Maximum memory for manifests that are read ahead, by all scans together. A manifest of 8 MiB takes about
/// 30 MiB in memory. A manifest that does not fit is read again when it is needed.
const AHEAD_BYTES: usize = 512 << 20;

/// Scan planning for the tables of all warehouses.
pub struct Scans {
    db: Db,
    clock: Clock,
    tabulars: Arc<Tabulars>,
    locations: Arc<LocationClaims>,
    documents: Arc<Documents>,
    manifests: Arc<TableManifests>,
    settings: Planning,
    prepared: PreparedScans,
    key: OnceCell<Vec<u8>>,
    /// Slots for work on requests.
    turns: CpuSlots,
    /// Memory for scans in progress.
    memory: Allowance,
    /// Slots for indexing deletes and computing a page, which need memory and a full core.
    pages: Semaphore,
    /// Memory for manifests that are read ahead.
    ahead: Allowance,
    running: RunningPlans,
}

/// Parts of the catalog that scan planning needs.
pub(super) struct ScanParts {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) tabulars: Arc<Tabulars>,
    pub(super) locations: Arc<LocationClaims>,
    pub(super) documents: Arc<Documents>,
    pub(super) manifests: Arc<TableManifests>,
    pub(super) turns: CpuSlots,
}

/// Scan of one version of a table, to be planned for one caller.
struct TableScan {
    warehouse: Warehouse,
    table: TabularId,
    caller: String,
    /// Time at which plan tasks of the scan expire, in milliseconds since 1970.
    expires_ms: i64,
    text: ScanText,
    /// Memory reserved while the scan is in progress.
    _memory: Share,
}

impl Scans {
    /// Creates scan planning with empty caches.
    pub(super) fn new(parts: ScanParts, settings: Planning) -> Self {
        let ScanParts { db, clock, tabulars, locations, documents, manifests, turns } = parts;
        Self {
            db,
            clock,
            tabulars,
            locations,
            documents,
            manifests,
            prepared: PreparedScans::new(),
            key: OnceCell::new(),
            turns,
            memory: Allowance::new(settings.memory_bytes),
            pages: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            ahead: Allowance::new(AHEAD_BYTES),
            running: RunningPlans::default(),
            settings,
        }
    }

    /// Returns the time after which plans and plan tasks expire, in milliseconds.
    pub fn expiry_ms(&self) -> i64 {
        1000 * i64::from(self.settings.expiry_seconds)
    }

    /// Returns a table whose scans the caller may plan.
    async fn require_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Tabular, PlanError> {
        let (kind, action) = (TabularKind::Table, Action::PlanScan);
        Ok(self.tabulars.require(request, warehouse, identifier, kind, action).await?)
    }

    /// Returns the key with which plan tasks and plan ids are signed.
    async fn plan_key(&self) -> Result<&[u8], PlanError> {
        let key = self.key.get_or_try_init(|| async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let key = plans::signing_key(&mut tx, KEY_NAME, &id::secret()).await?;
            tx.commit().await?;
            Ok::<_, PlanError>(key)
        });
        Ok(key.await?)
    }
}
