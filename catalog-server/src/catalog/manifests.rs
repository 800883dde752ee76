//! Manifest lists and manifests of tables. Their locations were written by clients, so that each is checked
//! before it is read.

use std::sync::Arc;

use table_core::manifest::file::Manifest;
use table_core::manifest::list::ManifestFile;
use table_core::manifest::snapshot_manifests::SnapshotManifests;
use table_core::metadata::error::MetadataError;
use table_core::metadata::snapshot::Snapshot;

use crate::storage::manifests::Manifests;
use crate::store::ids::TabularId;

use super::backend::BackendError;
use super::locations::LocationClaims;
use super::locations::error::OwnershipError;
use super::locations::ownership::Folders;
use super::warehouses::warehouse::Warehouse;

/// Manifests of the tables of all warehouses.
pub(in crate::catalog) struct TableManifests {
    pub(in crate::catalog) locations: Arc<LocationClaims>,
    pub(in crate::catalog) cache: Arc<Manifests>,
}

/// Table whose manifests are read, with its warehouse.
pub(in crate::catalog) struct TableFiles<'a> {
    pub(in crate::catalog) warehouse: &'a Warehouse,
    pub(in crate::catalog) owner: TabularId,
    /// Folders known to belong to the table.
    pub(in crate::catalog) folders: Folders,
}

impl TableManifests {
    /// Returns a manifest of a table. Fails if it is in a folder of another table.
    pub(in crate::catalog) async fn manifest(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Manifest>, OwnershipError> {
        self.check(files, "manifest", location).await?;
        Ok(self.cache.manifest(location).await?)
    }

    /// Returns the manifest file entries of a manifest list of a table. Fails if it is in a folder of another
    /// table.
    pub(in crate::catalog) async fn list(
        &self,
        files: &TableFiles<'_>,
        location: &str,
    ) -> Result<Arc<Vec<ManifestFile>>, OwnershipError> {
        self.check(files, "manifest list", location).await?;
        Ok(self.cache.list(location).await?)
    }

    /// Returns the manifests of a snapshot, in the order of the manifest list.
    pub(in crate::catalog) async fn of_snapshot(
        &self,
        files: &TableFiles<'_>,
        snapshot: &Snapshot,
    ) -> Result<Vec<ManifestFile>, OwnershipError> {
        let damaged = |error: MetadataError| BackendError::Damaged(error.to_string());
        match SnapshotManifests::of(snapshot).map_err(damaged)? {
            SnapshotManifests::List(location) => Ok(self.list(files, &location).await?.to_vec()),
            SnapshotManifests::Embedded(embedded) => {
                let mut manifests = Vec::with_capacity(embedded.paths.len());
                for path in &embedded.paths {
                    let manifest = self.manifest(files, path).await?;
                    manifests.push(embedded.entry(path, &manifest));
                }
                Ok(manifests)
            }
        }
    }

    /// Checks that a file that a table names, `what` in error messages, is in no folder of another table.
    pub(in crate::catalog) async fn check(
        &self,
        files: &TableFiles<'_>,
        what: &str,
        location: &str,
    ) -> Result<(), OwnershipError> {
        let (warehouse, owner) = (files.warehouse, Some(files.owner));
        self.locations.check_file(warehouse, owner, &files.folders, what, location).await
    }
}
