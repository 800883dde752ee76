//! Access to the manifests that scans read: checks of their location, and limits on the memory that they take
//! in addition to the cache. Their content is handled elsewhere.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::ManifestFile;
use table_core::metadata::snapshot::Snapshot;

use crate::store::ids::TabularId;
use crate::work::Share;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::tabulars::locations::Folders;
use crate::catalog::warehouses::warehouse::Warehouse;

/// Maximum memory for the delete manifests of one scan, which are in memory together while they are indexed.
/// The manifests of three thousand equality delete files take about 2 MiB, so a table that exceeds this limit
/// was made to exhaust memory.
const DELETE_MANIFESTS_BYTES_MAX: usize = 512 << 20;

/// Maximum memory for manifests that are read ahead, by all scans together. A manifest of 8 MiB takes about
/// 30 MiB in memory. A manifest that does not fit is read again when it is needed.
pub(in crate::catalog) const AHEAD_BYTES: usize = 512 << 20;

/// Manifest that was read ahead, with its share of the memory for reading ahead.
pub(in crate::catalog) type Ahead = (Arc<Manifest>, Share);

/// Table whose manifests are read, with its warehouse.
pub(in crate::catalog) struct TableFiles<'a> {
    pub(in crate::catalog) warehouse: &'a Warehouse,
    pub(in crate::catalog) owner: TabularId,
    /// Folders known to belong to the table.
    pub(in crate::catalog) folders: Folders,
}

impl Catalog {
    /// Returns a manifest of a table. Its location was written by a client, so the function fails if it is in
    /// a folder of another table.
    pub(in crate::catalog) async fn manifest_in(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Manifest>, CatalogError> {
        self.check_file(files.warehouse, Some(files.owner), &files.folders, "manifest", location).await?;
        Ok(self.scans.manifests.manifest(location).await?)
    }

    /// Returns the manifest file entries of a manifest list of a table; see [`Catalog::manifest_in`].
    pub(in crate::catalog) async fn list_in(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Vec<ManifestFile>>, CatalogError> {
        self.check_file(files.warehouse, Some(files.owner), &files.folders, "manifest list", location)
            .await?;
        Ok(self.scans.manifests.list(location).await?)
    }

    /// Returns the manifests of a snapshot, in the order of the manifest list.
    pub(in crate::catalog) async fn manifests_of(
        &self,
        files: &TableFiles<'_>,
        snapshot: &Snapshot,
    ) -> Result<Vec<ManifestFile>, CatalogError> {
        let damaged =
            |error: table_core::metadata::error::MetadataError| CatalogError::Damaged(error.to_string());
        if let Some(location) = snapshot.manifest_list().map_err(damaged)? {
            return Ok(self.list_in(files, &location).await?.to_vec());
        }
        // Format version 1 permits a list of manifests in the snapshot itself. Their partition spec ids are
        // in the manifest files.
        let mut manifests = Vec::new();
        for path in snapshot.manifests().map_err(damaged)?.unwrap_or_default() {
            let spec_id = self.manifest_in(files, &path).await?.spec_id().unwrap_or(0);
            manifests.push(ManifestFile::embedded(path, spec_id, snapshot.id()));
        }
        Ok(manifests)
    }

    /// Returns decoded delete manifests and the memory that they take, in bytes.
    pub(in crate::catalog) async fn decoded(
        &self,
        deletes: Vec<ManifestFile>,
    ) -> Result<(Vec<(Arc<Manifest>, ManifestFile)>, usize), CatalogError> {
        let mut reading = std::pin::pin!(self.read_ahead(deletes));
        let (mut decoded, mut bytes) = (Vec::new(), 0_usize);
        while let Some((ahead, file)) = reading.try_next().await? {
            let (manifest, _share) = self.manifest_of(ahead, &file).await?;
            bytes = bytes.saturating_add(manifest.memory_bytes());
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

    /// Returns a stream of manifests in order. Some are read ahead as far as the memory permits.
    pub(in crate::catalog) fn read_ahead(
        &self,
        listed: Vec<ManifestFile>,
    ) -> impl Stream<Item = Result<(Option<Ahead>, ManifestFile), CatalogError>> {
        let reading = stream::iter(listed).map(move |file| async move {
            let manifest = self.scans.manifests.manifest(&file.path).await?;
            let share = self.scans.ahead.try_take(manifest.memory_bytes());
            Ok((share.map(|share| (manifest, share)), file))
        });
        reading.buffered(self.scans.settings.parallel_manifests)
    }

    /// Returns a manifest, which is read unless it was read ahead, with its share of the memory for reading
    /// ahead.
    pub(in crate::catalog) async fn manifest_of(
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
