//! Commits that lost only the race for their branch: to rewrites, or to anything on tables that ask for it; see
//! [`table_core::snapshot::rebase`].

use std::sync::Arc;

use table_core::commit::request::TableCommit;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::rebase::{Rebase, Rebased};

use crate::id;
use crate::store::ids::TabularId;

use super::Catalog;
use super::error::CatalogError;
use super::locations::Folders;
use super::scans::TableFiles;
use super::warehouses::Warehouse;

impl Catalog {
    /// The commit on top of what others have committed since, if it is an append that may be put there. If its files cannot be
    /// looked at, it is refused as it would be otherwise.
    pub(super) async fn rebase(
        &self,
        warehouse: &Warehouse,
        owner: TabularId,
        base: &TableMetadata,
        commit: &TableCommit,
    ) -> Option<Rebased> {
        match self.try_rebase(warehouse, owner, base, commit).await {
            Ok(rebased) => rebased,
            Err(error) => {
                tracing::warn!(%error, "an append cannot be put on top of others");
                None
            }
        }
    }

    async fn try_rebase(
        &self,
        warehouse: &Warehouse,
        owner: TabularId,
        base: &TableMetadata,
        commit: &TableCommit,
    ) -> Result<Option<Rebased>, CatalogError> {
        let table = base;
        let Some(rebase) = Rebase::of(table, commit) else { return Ok(None) };
        let Some((own, head, base)) = rebase.lists().map_err(damaged)? else { return Ok(None) };
        let files = TableFiles { warehouse, owner, folders: Folders::by_table(warehouse, table)? };
        let own = self.list_in(&files, &own).await?;
        let head = self.list_in(&files, &head).await?;
        let base = match base {
            Some(base) => self.list_in(&files, &base).await?,
            None => Arc::default(),
        };
        let Some(fresh) = rebase.fresh(&own, &head, &base) else { return Ok(None) };
        let mut manifests = Vec::with_capacity(fresh.manifests.len());
        for line in &fresh.manifests {
            manifests.push((self.manifest_in(&files, &line.path).await?, line.clone()));
        }
        let seen: Vec<_> = manifests.iter().map(|(manifest, line)| (&**manifest, line)).collect();
        let rebased = fresh.finish(&seen, id::random()).map_err(damaged)?;
        if rebased.is_some() {
            metrics::counter!("firn_appends_rebased_total").increment(1);
        }
        Ok(rebased)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps errors")]
fn damaged(error: SnapshotError) -> CatalogError {
    CatalogError::Damaged(error.to_string())
}
