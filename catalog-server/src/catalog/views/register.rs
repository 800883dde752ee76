//! Registration of views whose metadata was not written by this catalog.

use table_core::commit::foreign;

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::create::NewObject;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::tabular::TabularKind;

use super::{Views, pointer};

impl Views {
    /// Registers a view from an existing metadata file.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`TabularError::Forbidden`]); if the namespace does not
    /// exist or the caller may not register views in it ([`TabularError::Namespace`]); if the name is in use
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
        let action = Action::RegisterView;
        let namespace = self
            .tabulars
            .require_free_name(request, warehouse, identifier, (TabularKind::View, action))
            .await?;
        let checked = self
            .locations
            .check_file(warehouse, None, &Folders::default(), "metadata location", metadata_location)
            .await;
        if let Err(error) = checked {
            return Err(self
                .tabulars
                .unless_name_taken(warehouse, identifier, TabularKind::View, error.into())
                .await);
        }
        let document =
            self.documents.view(metadata_location).await.map_err(BackendError::of_named_document)?;
        let metadata = document.parsed();
        let (checked, json) = (metadata.clone(), document.json());
        let check = move || foreign::check_view(&checked, &json);
        self.turns.run(document.json().len(), check).await.map_err(|error| {
            TabularError::Invalid(format!("the metadata file `{metadata_location}` cannot be used: {error}"))
        })?;
        let folders = Folders::by_view(warehouse, metadata)?;
        let new = NewObject {
            identifier,
            kind: TabularKind::View,
            namespace_id: namespace.namespace_id,
            pointer: pointer(metadata_location, metadata),
            folders: &folders,
            action,
        };
        self.tabulars.create(request, warehouse, &new).await?;
        Ok(MutationResponse::View(document))
    }
}
