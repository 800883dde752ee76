//! The manifests that scans read: whose they are, and how much memory they may take beside the cache. Not what is in them.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::ManifestFile;
use table_core::metadata::snapshot::Snapshot;

use crate::store::ids::TabularId;
use crate::work::Share;

use super::Catalog;
use super::error::CatalogError;
use super::locations::Folders;
use super::warehouses::Warehouse;

/// The delete manifests of a scan are held together while they are indexed. Three thousand files of equality deletes take about
/// 2 MiB, so whoever has more than this has made them to take memory.
const DELETE_MANIFESTS_BYTES_MAX: usize = 512 << 20;

/// Memory for manifests that are read ahead, by all scans together. A manifest of 8 MiB becomes some 30 MiB. What does not fit is
/// read again when it is its turn.
pub(super) const AHEAD_BYTES: usize = 512 << 20;

/// A manifest that was read ahead, with its share of the memory for that.
pub(super) type Ahead = (Arc<Manifest>, Share);

/// Whose manifests are read.
pub(super) struct TableFiles<'a> {
    pub(super) warehouse: &'a Warehouse,
    pub(super) owner: TabularId,
    /// What is known to be the table's own.
    pub(super) folders: Folders,
}

impl Catalog {
    /// A manifest of a table. Clients write their locations: what lies in the folder of another table is not read.
    pub(super) async fn manifest_in(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Manifest>, CatalogError> {
        self.check_file(files.warehouse, Some(files.owner), &files.folders, "manifest", location).await?;
        Ok(self.scans.manifests.manifest(location).await?)
    }

    /// The lines of a manifest list of a table; see [`Catalog::manifest_in`].
    pub(super) async fn list_in(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Vec<ManifestFile>>, CatalogError> {
        self.check_file(files.warehouse, Some(files.owner), &files.folders, "manifest list", location)
            .await?;
        Ok(self.scans.manifests.list(location).await?)
    }

    /// The manifests of a snapshot, in the order of its list.
    pub(super) async fn manifests_of(
        &self,
        files: &TableFiles<'_>,
        snapshot: &Snapshot,
    ) -> Result<Vec<ManifestFile>, CatalogError> {
        let damaged =
            |error: table_core::metadata::error::MetadataError| CatalogError::Damaged(error.to_string());
        if let Some(location) = snapshot.manifest_list().map_err(damaged)? {
            return Ok(self.list_in(files, &location).await?.to_vec());
        }
        // Format version 1 may list the manifests in the snapshot itself. Their partition specs stand in their files.
        let mut manifests = Vec::new();
        for path in snapshot.manifests().map_err(damaged)?.unwrap_or_default() {
            let spec_id = self.manifest_in(files, &path).await?.spec_id().unwrap_or(0);
            manifests.push(ManifestFile::embedded(path, spec_id, snapshot.id()));
        }
        Ok(manifests)
    }

    /// Delete manifests, decoded, and how much memory they take.
    pub(super) async fn decoded(
        &self,
        deletes: Vec<ManifestFile>,
    ) -> Result<(Vec<(Arc<Manifest>, ManifestFile)>, usize), CatalogError> {
        let mut reading = std::pin::pin!(self.read_ahead(deletes));
        let (mut decoded, mut bytes) = (Vec::new(), 0_usize);
        while let Some((ahead, file)) = reading.try_next().await? {
            let (manifest, _share) = self.manifest_of(ahead, &file).await?;
            bytes = bytes.saturating_add(manifest.held_bytes());
            if bytes > DELETE_MANIFESTS_BYTES_MAX {
                return Err(CatalogError::Invalid(format!(
                    "the manifests of the table's deletes take more than {} MiB of memory; compact the table",
                    DELETE_MANIFESTS_BYTES_MAX >> 20
                )));
            }
            decoded.push((manifest, file));
        }
        Ok((decoded, bytes))
    }

    /// Manifests in their order, some of them read ahead, as far as there is memory for it.
    pub(super) fn read_ahead(
        &self,
        listed: Vec<ManifestFile>,
    ) -> impl Stream<Item = Result<(Option<Ahead>, ManifestFile), CatalogError>> {
        let reading = stream::iter(listed).map(move |file| async move {
            let manifest = self.scans.manifests.manifest(&file.path).await?;
            let share = self.scans.ahead.try_take(manifest.held_bytes());
            Ok((share.map(|share| (manifest, share)), file))
        });
        reading.buffered(self.scans.settings.parallel_manifests)
    }

    /// A manifest that is needed now, with its share of the memory for reading ahead.
    pub(super) async fn manifest_of(
        &self,
        ahead: Option<Ahead>,
        file: &ManifestFile,
    ) -> Result<(Arc<Manifest>, Share), CatalogError> {
        match ahead {
            Some(ahead) => Ok(ahead),
            None => Ok((self.scans.manifests.manifest(&file.path).await?, Share::none())),
        }
    }
}
