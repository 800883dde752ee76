//! Commits that lost only the race for their branch: to rewrites, or to anything on tables that ask for it; see
//! [`table_core::snapshot::rebase`].

use std::sync::Arc;

use table_core::commit::request::TableCommit;
use table_core::file::position_deletes::PositionDeletes;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::rebase::{OwnFiles, Rebase, Rebased};

use crate::id;
use crate::store::ids::TabularId;

use super::Catalog;
use super::error::CatalogError;
use super::locations::Folders;
use super::scan_manifests::TableFiles;
use super::warehouses::Warehouse;

/// Position delete files of one commit that are looked into: a writer brings one for each partition that it had open.
const LOOKED_INTO_MAX: usize = 100;
/// Their size each. Those of a sink tell of rows that it was sent twice between two commits.
const DELETE_FILE_BYTES_MAX: usize = 4 << 20;
/// Their deletes each.
const DELETES_MAX: usize = 1_000_000;

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
                tracing::warn!(error = error.for_log(), "an append cannot be put on top of others");
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
        let Some(own) = fresh.look(&seen) else { return Ok(None) };
        if !self.delete_from_own_alone(&files, own).await? {
            return Ok(None);
        }
        let rebased = fresh.finish(id::random()).map_err(damaged)?;
        if rebased.is_some() {
            metrics::counter!("firn_appends_rebased_total").increment(1);
        }
        Ok(rebased)
    }
}

impl Catalog {
    /// Looks into position delete files of which their manifest does not tell what they are for: whether that is nothing but
    /// files of the same commit.
    async fn delete_from_own_alone(
        &self,
        files: &TableFiles<'_>,
        own: OwnFiles,
    ) -> Result<bool, CatalogError> {
        if own.unclear_deletes.len() > LOOKED_INTO_MAX {
            return Ok(false);
        }
        let data = Arc::new(own.data);
        for path in &own.unclear_deletes {
            let (warehouse, owner, folders) = (files.warehouse, Some(files.owner), &files.folders);
            self.check_file(warehouse, owner, folders, "position delete file", path).await?;
            let data = data.clone();
            let look =
                move |bytes| PositionDeletes::are_all_for(&bytes, |path| data.contains(path), DELETES_MAX);
            let is_own = self.files.read_as(path, DELETE_FILE_BYTES_MAX, look).await?;
            if !is_own.map_err(|error| CatalogError::Damaged(format!("`{path}` cannot be read: {error}")))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps errors")]
fn damaged(error: SnapshotError) -> CatalogError {
    CatalogError::Damaged(error.to_string())
}
