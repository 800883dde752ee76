//! Rebase of appends and upserts whose only conflict is that the branch was changed: by rewrites or, for
//! tables that allow it, by any commit. See [`table_core::snapshot::rebase`].

use std::sync::Arc;

use table_core::commit::request::TableCommit;
use table_core::file::position_deletes::PositionDeletes;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::rebase::{AddedFiles, Rebase, Rebased};

use crate::id;
use crate::store::ids::TabularId;

use crate::catalog::backend::{BackendError, with_causes};
use crate::catalog::locations::ownership::Folders;
use crate::catalog::manifests::TableFiles;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;

use super::Tables;

/// Maximum number of position delete files of one commit that are read. A writer adds one for each partition
/// that it had open.
const LOOKED_INTO_MAX: usize = 100;
/// Maximum size of each of these files, in bytes. The delete files of a sink only contain rows that it
/// received twice between two commits.
const DELETE_FILE_BYTES_MAX: usize = 4 << 20;
/// Maximum number of deletes in each of these files.
const DELETES_MAX: usize = 1_000_000;

impl Tables {
    /// Returns the commit rebased onto the current snapshot, if it is an append or upsert that permits this.
    /// If the files cannot be read, it returns `None`, and the commit is rejected as usual.
    pub(in crate::catalog) async fn rebase(
        &self,
        warehouse: &Warehouse,
        owner: TabularId,
        base: &TableMetadata,
        commit: &TableCommit,
    ) -> Option<Rebased> {
        match self.try_rebase(warehouse, owner, base, commit).await {
            Ok(rebased) => rebased,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "cannot rebase an append");
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
    ) -> Result<Option<Rebased>, TabularError> {
        let table = base;
        let Some(rebase) = Rebase::of(table, commit) else { return Ok(None) };
        let Some((own, head, base)) = rebase.lists().map_err(damaged)? else { return Ok(None) };
        let files = TableFiles { warehouse, owner, folders: Folders::by_table(warehouse, table)? };
        let own = self.manifests.list(&files, &own).await?;
        let head = self.manifests.list(&files, &head).await?;
        let base = match base {
            Some(base) => self.manifests.list(&files, &base).await?,
            None => Arc::default(),
        };
        let Some(fresh) = rebase.fresh(&own, &head, &base) else { return Ok(None) };
        let mut manifests = Vec::with_capacity(fresh.manifests.len());
        for line in &fresh.manifests {
            manifests.push((self.manifests.manifest(&files, &line.path).await?, line.clone()));
        }
        let seen: Vec<_> = manifests.iter().map(|(manifest, line)| (&**manifest, line)).collect();
        let Some(own) = fresh.check_files(&seen) else { return Ok(None) };
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

impl Tables {
    /// Reads position delete files whose manifest does not state the data files they refer to. Returns `true`
    /// if they only refer to data files of the same commit.
    async fn delete_from_own_alone(
        &self,
        files: &TableFiles<'_>,
        own: AddedFiles,
    ) -> Result<bool, TabularError> {
        if own.unclear_deletes.len() > LOOKED_INTO_MAX {
            return Ok(false);
        }
        let data = Arc::new(own.data);
        for path in &own.unclear_deletes {
            let (warehouse, owner, folders) = (files.warehouse, Some(files.owner), &files.folders);
            self.locations.check_file(warehouse, owner, folders, "position delete file", path).await?;
            let data = data.clone();
            let look =
                move |bytes| PositionDeletes::are_all_for(&bytes, |path| data.contains(path), DELETES_MAX);
            let is_own = self.files.files.read_as(path, DELETE_FILE_BYTES_MAX, look).await?;
            if !is_own.map_err(|error| BackendError::Damaged(format!("`{path}` cannot be read: {error}")))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps errors")]
fn damaged(error: SnapshotError) -> BackendError {
    BackendError::Damaged(error.to_string())
}
