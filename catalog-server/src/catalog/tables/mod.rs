//! Use cases on tables: load, drop, purge, register, unregister. Creation and commits are in
//! [`crate::catalog::tables::commit`].

pub mod commit;
pub mod former;
pub mod prepare;
pub mod prepared;
mod rebase;
mod reports;
mod unused;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use table_core::commit::foreign;
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::catalog::locations as store_locations;
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{NewTabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::ids::TabularId;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{IdempotentResult, MutationResponse};
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::locations::Folders;
use crate::catalog::tabulars::{change, missing, name_taken};
use crate::catalog::warehouses::warehouse::Warehouse;

/// Version of a table, on which access was checked.
#[derive(Debug)]
pub struct TableVersion {
    metadata_location: String,
}

/// Loaded table.
pub struct LoadedTable {
    /// Metadata of the table.
    pub document: Arc<Document<TableMetadata>>,
    /// Snapshots included in `json`.
    pub snapshots: Snapshots,
    /// Table metadata as JSON, with these snapshots.
    pub json: Bytes,
}

impl LoadedTable {
    /// Creates a loaded table with all of its snapshots.
    pub fn whole(document: Arc<Document<TableMetadata>>) -> Self {
        let json = document.json();
        Self { document, snapshots: Snapshots::All, json }
    }
}

impl TableVersion {
    /// Returns the location of the metadata file.
    pub fn metadata_location(&self) -> &str {
        &self.metadata_location
    }
}

/// Selection of the snapshots that a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// All snapshots.
    All,
    /// Snapshots referenced by branches and tags.
    Refs,
}

impl Catalog {
    /// Returns the current version of a table, which the caller may load.
    ///
    /// # Errors
    ///
    /// Fails like [`Catalog::require_table`].
    pub async fn current_version(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<TableVersion, CatalogError> {
        let found = self.require_table(request, warehouse, identifier, Action::LoadTable).await?;
        Ok(TableVersion { metadata_location: found.metadata_location })
    }

    /// Loads a version of a table.
    ///
    /// # Errors
    ///
    /// Fails if the metadata file cannot be read or decoded.
    pub async fn load_version(
        &self,
        version: &TableVersion,
        snapshots: Snapshots,
    ) -> Result<LoadedTable, CatalogError> {
        let document = self.documents.table(&version.metadata_location).await?;
        let json = match snapshots {
            Snapshots::All => document.json(),
            Snapshots::Refs => {
                let of = document.clone();
                self.turns.run(document.json().len(), move || of.json_refs_only()).await
            }
        };
        Ok(LoadedTable { document, snapshots, json })
    }

    /// Drops a table. Its files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the table
    /// ([`CatalogError::Forbidden`]), if the table does not exist ([`CatalogError::NoSuchTable`]), or if the
    /// database fails.
    pub async fn drop_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, CatalogError> {
        self.take_out(request, warehouse, identifier, TabularKind::Table, Action::DropTable).await?;
        Ok(MutationResponse::Nothing)
    }

    /// Drops a table or view and releases its claims on folders.
    pub(in crate::catalog) async fn take_out(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        action: Action,
    ) -> Result<(), CatalogError> {
        warehouse.require_writable()?;
        retrying!(async {
            let found = self.require_tabular(request, warehouse, identifier, kind, action).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.remove(&mut tx, request, warehouse, identifier, &found, action).await?;
            store_locations::release(&mut tx, found.tabular_id.0).await?;
            self.conclude(tx, request, IdempotentResult::Nothing).await
        })
    }

    /// Removes a table from the catalog and returns its last metadata. All files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not unregister the table
    /// ([`CatalogError::Forbidden`]), if the table does not exist ([`CatalogError::NoSuchTable`]), if
    /// concurrent commits were faster too often ([`CatalogError::LostRace`]), or if the metadata file cannot
    /// be read or the database fails.
    pub async fn unregister_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        retrying!(async {
            let found = self.require_table(request, warehouse, identifier, Action::UnregisterTable).await?;
            let document = self.documents.table(&found.metadata_location).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            // The version must still be the one that is returned: otherwise, a commit after it would be lost.
            if !tabulars::drop(&mut tx, found.tabular_id, Some(&found.metadata_location)).await? {
                return Err(CatalogError::LostRace(identifier.clone()));
            }
            let detail = json!({ "metadata-location": found.metadata_location });
            let change = change(Action::UnregisterTable, warehouse, identifier, &found, detail);
            self.record(&mut tx, request, change).await?;
            store_locations::release(&mut tx, found.tabular_id.0).await?;
            self.conclude(tx, request, IdempotentResult::Location(&found.metadata_location)).await?;
            Ok(MutationResponse::Table(document))
        })
    }

    /// Registers a new table from an existing metadata file.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not register tables
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`CatalogError::NameTaken`]), if the metadata file is invalid or one of its locations is outside of
    /// the warehouse or belongs to another table or view ([`CatalogError::Invalid`]), if the metadata file
    /// does not exist ([`CatalogError::FileMissing`]), or if the file system or the database fails.
    pub async fn register_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let action = Action::RegisterTable;
        let namespace = self.require_namespace(request, warehouse, &identifier.namespace, action).await?;
        if let Some(found) = self.find_object(warehouse, identifier).await? {
            return Err(name_taken(TabularKind::Table, found.kind, identifier));
        }
        let foreign = self.read_foreign(warehouse, None, metadata_location).await;
        let document = match foreign {
            Err(error @ CatalogError::Invalid(_)) => {
                return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
            }
            foreign => foreign?,
        };
        let metadata = document.parsed().clone();
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.check_files(warehouse, None, &folders, metadata_location, &metadata).await {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
        }
        let superseded = Superseded::by_registration(&metadata).to_json();
        retrying!(async {
            let place = NameInNamespace { namespace_id: namespace.namespace_id, name: &identifier.name };
            let pointer = write::pointer(metadata_location, &metadata, Some(&superseded))?;
            let tabular_id = TabularId(id::ordered());
            let new = NewTabular { tabular_id, kind: TabularKind::Table, place, pointer };
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.insert(&mut tx, request, warehouse, identifier, &new, &folders, action).await?;
            self.conclude(tx, request, IdempotentResult::Location(metadata_location)).await
        })?;
        Ok(MutationResponse::Table(document))
    }

    /// Replaces the metadata of a table by another metadata file. The table is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails like [`Catalog::register_table`], except that an existing table of this name is no error; a view
    /// of this name is ([`CatalogError::NameTaken`]).
    pub async fn overwrite_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let found = match self.find_object(warehouse, identifier).await? {
            Some(found) if found.kind == TabularKind::Table => {
                let resource = Resource::Tabular(found.tabular_id);
                let hidden = || missing(TabularKind::Table, identifier);
                self.authorize(request, Action::RegisterTable, resource, hidden)?;
                found
            }
            Some(found) => return Err(name_taken(TabularKind::Table, found.kind, identifier)),
            None => return self.register_table(request, warehouse, identifier, metadata_location).await,
        };
        let document = self.read_foreign(warehouse, Some(found.tabular_id), metadata_location).await?;
        let metadata = document.parsed().clone();
        let folders = Folders::by_table(warehouse, &metadata)?;
        self.check_files(warehouse, Some(found.tabular_id), &folders, metadata_location, &metadata).await?;
        let _turns = self.locks.take(vec![found.tabular_id.0]).await;
        retrying!(async {
            let Some(current) = self.find_object(warehouse, identifier).await? else {
                return Err(missing(TabularKind::Table, identifier));
            };
            let superseded = self.superseded_by(&current.metadata_location, &metadata).await;
            let pointer = write::pointer(metadata_location, &metadata, superseded.as_deref())?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            if !tabulars::swap_pointer(&mut tx, found.tabular_id, &current.metadata_location, &pointer)
                .await?
            {
                return Err(CatalogError::LostRace(identifier.clone()));
            }
            self.claim(&mut tx, warehouse, found.tabular_id, &folders).await?;
            let detail =
                json!({ "metadata-location": metadata_location, "previous": current.metadata_location });
            let change = change(Action::RegisterTable, warehouse, identifier, &found, detail);
            self.record(&mut tx, request, change).await?;
            self.conclude(tx, request, IdempotentResult::Location(metadata_location)).await
        })?;
        Ok(MutationResponse::Table(document))
    }

    /// Returns the snapshots and schemas that go out of use when the metadata of a table is replaced; `None`
    /// if the former metadata file cannot be read, which may be the reason for the replacement.
    async fn superseded_by(&self, former: &str, metadata: &TableMetadata) -> Option<String> {
        let former = self.documents.table(former).await.ok()?;
        former::kept(&Superseded::between(former.parsed(), metadata))
    }

    /// Reads and validates a metadata file that was not written by this catalog.
    async fn read_foreign(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        metadata_location: &str,
    ) -> Result<Arc<Document<TableMetadata>>, CatalogError> {
        // Checked before reading: the error must not disclose the content of another table's metadata file.
        self.check_file(warehouse, owner, &Folders::default(), "metadata location", metadata_location)
            .await?;
        let document = self.documents.table(metadata_location).await.map_err(CatalogError::foreign)?;
        let metadata = document.parsed().clone();
        let (checked, json) = (metadata.clone(), document.json());
        let check = move || foreign::check_table(&checked, &json);
        self.turns.run(document.json().len(), check).await.map_err(|error| {
            CatalogError::Invalid(format!("the metadata file `{metadata_location}` cannot be used: {error}"))
        })?;
        if metadata.uuid().is_none() {
            return Err(CatalogError::Invalid(format!(
                "the metadata file `{metadata_location}` has no `table-uuid`; rewrite it with a current engine first"
            )));
        }
        Ok(document)
    }

    /// Checks that the metadata file and every manifest list are in locations where the table may have files.
    async fn check_files(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
        metadata_location: &str,
        metadata: &TableMetadata,
    ) -> Result<(), CatalogError> {
        self.check_file(warehouse, owner, folders, "metadata location", metadata_location).await?;
        for manifest_list in metadata.manifest_lists() {
            let manifest_list = manifest_list.map_err(|error| CatalogError::Invalid(error.to_string()))?;
            self.check_file(warehouse, owner, folders, "manifest list", &manifest_list).await?;
        }
        Ok(())
    }

    /// Drops a table and queues its files for deletion. If the table has `gc.enabled=false`, its files are
    /// retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not purge the table
    /// ([`CatalogError::Forbidden`]), if the table does not exist ([`CatalogError::NoSuchTable`]), if its
    /// metadata file cannot be read, or if the database fails.
    pub async fn purge_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let found = self.require_table(request, warehouse, identifier, Action::PurgeTable).await?;
        if !self.may_delete_files(&found.metadata_location).await? {
            return self.drop_table(request, warehouse, identifier).await;
        }
        retrying!(async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.remove(&mut tx, request, warehouse, identifier, &found, Action::PurgeTable).await?;
            self.enqueue_purge(&mut tx, request, warehouse, identifier, found.tabular_id).await?;
            self.conclude(tx, request, IdempotentResult::Nothing).await
        })?;
        self.purge_wanted.notify_one();
        Ok(MutationResponse::Nothing)
    }

    /// Returns `true` if the files of a table may be deleted: with `gc.enabled=false` they may belong to
    /// other tables.
    async fn may_delete_files(&self, metadata_location: &str) -> Result<bool, CatalogError> {
        let document = match self.documents.table(metadata_location).await.map_err(CatalogError::from) {
            // The table's files were partly deleted by hand. Its folders are still its own.
            Err(CatalogError::FileMissing(_)) => return Ok(true),
            document => document?,
        };
        Ok(properties::allows_deletion(document.parsed().properties()))
    }
}
