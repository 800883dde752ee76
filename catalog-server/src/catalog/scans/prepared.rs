//! Preparation of scans: the manifests that a scan has to read, and the index of its delete files. The plan
//! tasks of one plan share a prepared scan.

use std::collections::HashSet;
use std::sync::Arc;

use table_core::manifest::list::ManifestContent;
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::table_scan::{Scan, ScanSource};
use tokio::sync::SemaphorePermit;

use crate::catalog::manifests::TableFiles;

use super::error::PlanError;
use super::prepared_cache::Prepared;
use super::{Scans, TableScan};

/// Starting point for preparing a scan.
pub(super) enum Start {
    /// Scan in the cache that was prepared before.
    Prepared(Arc<Prepared>),
    /// Scan bound to the table, not prepared yet.
    Bound(Box<(Scan, ScanSource)>),
}

impl Scans {
    /// Returns the starting point of a scan: the prepared one from the cache, or the scan bound to the table.
    pub(super) async fn start(&self, scan: &Arc<TableScan>) -> Result<Start, PlanError> {
        if let Some(prepared) = self.prepared.find(scan.text.key()).await {
            return Ok(Start::Prepared(prepared));
        }
        Ok(Start::Bound(Box::new(self.bind(scan).await?)))
    }

    /// Prepares a scan: selects its manifests and indexes its delete files. The tasks of one plan share the
    /// result. If there are delete files, it acquires a slot (`turn`), which the caller must not release while
    /// the index takes more memory than the cache accounts for.
    pub(super) async fn prepare<'a>(
        &'a self,
        table: &TableScan,
        start: Start,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Arc<Prepared>, PlanError> {
        let (scan, source) = match start {
            Start::Prepared(prepared) => return Ok(prepared),
            Start::Bound(bound) => *bound,
        };
        let prepared = Arc::new(self.prepare_anew(table, scan, source, turn).await?);
        self.prepared.insert(table.text.key(), prepared.clone()).await;
        Ok(prepared)
    }

    async fn prepare_anew<'a>(
        &'a self,
        table: &TableScan,
        scan: Scan,
        source: ScanSource,
        turn: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Prepared, PlanError> {
        let metadata = self.documents.table(&table.text.metadata_location).await?.parsed().clone();
        let (warehouse, owner) = (&table.warehouse, table.table);
        let folders = self.locations.own_folders(warehouse, owner, &metadata).await?;
        let files = TableFiles { warehouse, owner, folders };
        // Successive snapshots list the same manifests, which are then read once. A manifest that one
        // snapshot lists twice contributes its files twice.
        let is_of_several = matches!(source, ScanSource::Appends(_));
        let mut listed = match source {
            ScanSource::Nothing => Vec::new(),
            ScanSource::Snapshot(snapshot) => self.manifests.of_snapshot(&files, &snapshot).await?,
            ScanSource::Appends(snapshots) => {
                let mut all = Vec::new();
                for snapshot in &snapshots {
                    all.extend(self.manifests.of_snapshot(&files, snapshot).await?);
                }
                all
            }
        };
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for (number, file) in listed.drain(..).enumerate() {
            if scan.needs_manifest(&file)? && (!is_of_several || seen.insert(file.path.clone())) {
                // Checked before anything of the plan is cached: its tasks read the manifests without another
                // check.
                self.manifests.check(&files, "manifest", &file.path).await?;
                kept.push((number, file));
            }
        }
        let (manifests, deletes): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(_, file)| file.content == ManifestContent::Data);
        if deletes.is_empty() {
            return Ok(Prepared { scan, manifests, deletes: DeleteIndex::default() });
        }
        *turn = Some(self.page_turn().await?);
        let (decoded, bytes) = self.decoded(deletes.into_iter().map(|(_, file)| file).collect()).await?;
        let indexed = self.turns.run(bytes, move || {
            let deletes = DeleteIndex::build(&scan, decoded)?;
            Ok::<_, PlanError>((scan, deletes))
        });
        let (scan, deletes) = indexed.await?;
        Ok(Prepared { scan, manifests, deletes })
    }

    /// Parses the request of a scan and binds the scan to the table.
    async fn bind(&self, scan: &Arc<TableScan>) -> Result<(Scan, ScanSource), PlanError> {
        let document = self.documents.table(&scan.text.metadata_location).await?;
        let bytes = document.json().len() + scan.text.request.text().len();
        let scan = scan.clone();
        let bound = self.turns.run(bytes, move || Scan::new(document.parsed(), scan.text.request.parse()?));
        Ok(bound.await?)
    }
}
