//! Pages of a plan: the file scan tasks of a range of manifests.

use std::sync::Arc;

use futures::TryStreamExt as _;
use table_core::scan::plan::ScanPage;
use tokio::sync::SemaphorePermit;

use crate::catalog::backend::BackendError;

use super::Scans;
use super::error::PlanError;
use super::parts::Part;
use super::prepared_cache::Prepared;

impl Scans {
    /// Waits for a slot for work that needs memory and a full core.
    pub(super) async fn page_turn(&self) -> Result<SemaphorePermit<'_>, PlanError> {
        self.pages.acquire().await.map_err(|error| BackendError::Internal(error.to_string()).into())
    }

    /// Computes a page of a part of a scan, after acquiring a slot. Only a few manifests are read ahead and
    /// in memory at a time. Returns the parts that did not fit into the page.
    pub(super) async fn page(
        &self,
        prepared: &Arc<Prepared>,
        part: Part,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(ScanPage, Vec<Part>), PlanError> {
        let _turn = match turn {
            Some(turn) => turn,
            None => self.page_turn().await?,
        };
        let listed = prepared.manifests.get(part.manifests.clone()).unwrap_or_default();
        let listed: Vec<_> = listed.iter().map(|(_, file)| file.clone()).collect();
        let mut reading = std::pin::pin!(self.read_ahead(listed));
        let mut page = ScanPage::default();
        let mut index = part.manifests.start;
        while let Some((ahead, file)) = reading.try_next().await? {
            let (manifest, _share) = self.manifest_of(ahead, &file).await?;
            let (shared, entries) = (prepared.clone(), part.entries.clone());
            let next;
            (page, next) = blocking(move || {
                let next = page.add(&shared.scan, &shared.deletes, &manifest, &file, entries)?;
                Ok((page, next))
            })
            .await?;
            index += 1;
            if page.is_satisfied(&prepared.scan) {
                break;
            }
            if let Some(next) = next {
                let rest = Part { manifests: index - 1..index, entries: next..part.entries.end };
                let others = Part { manifests: index..part.manifests.end, entries: part.entries };
                return Ok((
                    page,
                    [rest, others].into_iter().filter(|part| !part.manifests.is_empty()).collect(),
                ));
            }
        }
        Ok((page, Vec::new()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlanError> + Send + 'static,
) -> Result<T, PlanError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PlanError::unexpected(&error))?
}
