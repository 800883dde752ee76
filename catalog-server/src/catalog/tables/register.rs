//! Registration of tables whose metadata was not written by this catalog.

use std::sync::Arc;

use serde_json::json;
use table_core::commit::foreign;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::idempotency::IdempotentResult;
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::create::NewObject;
use crate::catalog::tabulars::error::{TabularError, missing, name_taken};
use crate::catalog::tabulars::transaction::{NewPointer, PointerTarget};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Pointer, TabularKind};
use crate::store::ids::TabularId;

use super::Tables;
use super::former::kept;
use super::prepared::require_uuid;

impl Tables {
    /// Registers a new table from an existing metadata file.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`TabularError::Forbidden`]); if the namespace does not
    /// exist or the caller may not register tables in it ([`TabularError::Namespace`]); if the name is in use
    /// ([`TabularError::NameTaken`]); if the metadata file is malformed, too large or not usable
    /// ([`TabularError::Invalid`], [`BackendError::UnusableFile`]) or does not exist
    /// ([`BackendError::FileMissing`]); if one of its locations is outside of the warehouse or belongs to
    /// another table or view ([`TabularError::Ownership`]); if concurrent changes were faster too often
    /// ([`TabularError::LostRace`], [`TabularError::Backend`]); if the lease of the maintenance job was lost
    /// ([`TabularError::JobLost`]); if a response was recorded under its idempotency key meanwhile
    /// ([`TabularError::Mutation`]); or if the file system or the database fails ([`TabularError::Backend`]).
    pub async fn register(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let action = Action::RegisterTable;
        let namespace = self
            .tabulars
            .require_free_name(request, warehouse, identifier, (TabularKind::Table, action))
            .await?;
        let foreign = self.read_foreign(warehouse, None, metadata_location).await;
        let document = match foreign {
            Err(error) if error.is_invalid() => {
                return Err(self
                    .tabulars
                    .unless_name_taken(warehouse, identifier, TabularKind::Table, error)
                    .await);
            }
            foreign => foreign?,
        };
        let metadata = document.parsed().clone();
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.check_files(warehouse, None, &folders, metadata_location, &metadata).await {
            return Err(self
                .tabulars
                .unless_name_taken(warehouse, identifier, TabularKind::Table, error)
                .await);
        }
        let superseded = Superseded::by_registration(&metadata).to_json();
        let new = NewObject {
            identifier,
            kind: TabularKind::Table,
            namespace_id: namespace.namespace_id,
            pointer: pointer(metadata_location, &metadata, Some(&superseded))?,
            folders: &folders,
            action,
        };
        self.tabulars.create(request, warehouse, &new).await?;
        Ok(MutationResponse::Table(document))
    }

    /// Replaces the metadata of a table by another metadata file. The table is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails like [`Tables::register`], except that an existing table of this name is no error; a view of
    /// this name is ([`TabularError::NameTaken`]). Fails, too, if the caller may not register over the
    /// existing table ([`TabularError::Forbidden`]), or must not know of it or it was dropped meanwhile
    /// ([`TabularError::NoSuchTable`]).
    pub async fn overwrite(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let (kind, action) = (TabularKind::Table, Action::RegisterTable);
        let found = match self.tabulars.find_unauthorized(warehouse, identifier).await? {
            Some(found) if found.kind == kind => {
                self.tabulars.authorize(request, &found, action, || missing(kind, identifier))?;
                found
            }
            Some(found) => return Err(name_taken(kind, found.kind, identifier)),
            None => return self.register(request, warehouse, identifier, metadata_location).await,
        };
        let document = self.read_foreign(warehouse, Some(found.tabular_id), metadata_location).await?;
        let metadata = document.parsed().clone();
        let folders = Folders::by_table(warehouse, &metadata)?;
        self.check_files(warehouse, Some(found.tabular_id), &folders, metadata_location, &metadata).await?;
        let _turns = self.locks.take(vec![found.tabular_id.0]).await;
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let Some(current) = self.tabulars.find_unauthorized(warehouse, identifier).await? else {
                return Err(missing(kind, identifier));
            };
            if current.tabular_id != found.tabular_id {
                return Err(TabularError::LostRace(identifier.clone()));
            }
            let superseded = self.superseded_by(&current.metadata_location, &metadata).await;
            let detail =
                json!({ "metadata-location": metadata_location, "previous": current.metadata_location });
            let new = NewPointer {
                identifier,
                target: PointerTarget::Existing(&current),
                pointer: pointer(metadata_location, &metadata, superseded.as_deref())?,
                claims: Some(&folders),
                action,
                detail,
            };
            let result = IdempotentResult::Location(metadata_location);
            self.tabulars.commit(request, warehouse, vec![new], result).await
        })?;
        Ok(MutationResponse::Table(document))
    }

    /// Returns the snapshots and schemas that go out of use when the metadata of a table is replaced; `None`
    /// if the former metadata file cannot be read, which may be the reason for the replacement.
    async fn superseded_by(&self, former: &str, metadata: &TableMetadata) -> Option<String> {
        let former = self.documents.table(former).await.ok()?;
        kept(&Superseded::between(former.parsed(), metadata))
    }

    /// Reads and validates a metadata file that was not written by this catalog.
    async fn read_foreign(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        metadata_location: &str,
    ) -> Result<Arc<Document<TableMetadata>>, TabularError> {
        // Checked before reading: the error must not disclose the content of another table's metadata file.
        self.locations
            .check_file(warehouse, owner, &Folders::default(), "metadata location", metadata_location)
            .await?;
        let document =
            self.documents.table(metadata_location).await.map_err(BackendError::of_named_document)?;
        let metadata = document.parsed().clone();
        let (checked, json) = (metadata.clone(), document.json());
        let check = move || foreign::check_table(&checked, &json);
        self.turns.run(document.json().len(), check).await.map_err(|error| {
            TabularError::Invalid(format!("the metadata file `{metadata_location}` cannot be used: {error}"))
        })?;
        if metadata.uuid().is_none() {
            return Err(TabularError::Invalid(format!(
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
    ) -> Result<(), TabularError> {
        self.locations.check_file(warehouse, owner, folders, "metadata location", metadata_location).await?;
        for manifest_list in metadata.manifest_lists() {
            let manifest_list = manifest_list.map_err(|error| TabularError::Invalid(error.to_string()))?;
            self.locations.check_file(warehouse, owner, folders, "manifest list", &manifest_list).await?;
        }
        Ok(())
    }
}

/// Creates the pointer of a table, with the snapshots and schemas that go out of use with it. Fails if the
/// metadata has no `table-uuid`.
fn pointer<'a>(
    metadata_location: &'a str,
    metadata: &'a TableMetadata,
    superseded: Option<&'a str>,
) -> Result<Pointer<'a>, TabularError> {
    let table_uuid = require_uuid(metadata_location, metadata)?;
    Ok(Pointer { metadata_location, table_uuid, location: metadata.location(), superseded })
}
