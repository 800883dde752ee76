//! Use cases on views: lookup, loading, dropping. Other changes are in a file each.

mod commit;
pub mod create;
mod register;

use std::sync::Arc;

use table_core::metadata::view::ViewMetadata;

use crate::authz::action::Action;
use crate::clock::Clock;
use crate::request::Request;
use crate::storage::documents::{Document, Documents};
use crate::store::catalog::tabular::{Pointer, TabularKind};
use crate::store::engine::db::Db;
use crate::work::CpuSlots;

use super::locations::LocationClaims;
use super::locations::ownership::Folders;
use super::locks::Locks;
use super::mutations::MutationResponse;
use super::names::{Identifier, Namespace};
use super::tabulars::Tabulars;
use super::tabulars::error::TabularError;
use super::tabulars::files::MetadataFiles;
use super::tabulars::pages::{ListedNames, NamePage};
use super::warehouses::warehouse::Warehouse;

/// Views of all warehouses.
pub struct Views {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) tabulars: Arc<Tabulars>,
    pub(super) locations: Arc<LocationClaims>,
    pub(super) locks: Arc<Locks>,
    pub(super) documents: Arc<Documents>,
    pub(super) files: MetadataFiles,
    pub(super) turns: CpuSlots,
}

impl Views {
    /// Checks that a view exists and the caller may do `action` on it.
    ///
    /// # Errors
    ///
    /// Fails if the view does not exist or the caller may not know of it ([`TabularError::NoSuchView`]), or
    /// may not do `action` on it ([`TabularError::Forbidden`]), or if the database fails
    /// ([`TabularError::Backend`]).
    pub async fn require(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: Action,
    ) -> Result<(), TabularError> {
        let kind = TabularKind::View;
        self.tabulars.require(request, warehouse, identifier, kind, action).await.map(drop)
    }

    /// Loads the metadata of a view.
    ///
    /// # Errors
    ///
    /// Fails if the view does not exist ([`TabularError::NoSuchView`]), if the caller may not load it
    /// ([`TabularError::Forbidden`]), or if the metadata file cannot be read or the database fails
    /// ([`TabularError::Backend`]).
    pub async fn load(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Arc<Document<ViewMetadata>>, TabularError> {
        let found = self
            .tabulars
            .require(request, warehouse, identifier, TabularKind::View, Action::LoadView)
            .await?;
        Ok(self.documents.view(&found.metadata_location).await?)
    }

    /// Returns the names of up to `limit` views of a namespace, in order, starting after the name `after`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist, if the caller may not list its contents, or if the database
    /// fails while it is looked up ([`TabularError::Namespace`]); or if the database fails
    /// ([`TabularError::Backend`]).
    pub async fn list(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        page: NamePage<'_>,
    ) -> Result<Arc<ListedNames>, TabularError> {
        self.tabulars.list(request, warehouse, namespace, TabularKind::View, page).await
    }

    /// Renames a view, within its namespace or to another namespace. A rename to the same name has no effect.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not rename the view
    /// ([`TabularError::Forbidden`]); if the view does not exist ([`TabularError::NoSuchView`]); if the
    /// target namespace does not exist or the caller may not create a view in it
    /// ([`TabularError::Namespace`]); if the new name is in use ([`TabularError::NameTaken`]); if a response
    /// was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the database
    /// fails ([`TabularError::Backend`]).
    pub async fn rename(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        source: &Identifier,
        destination: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        self.tabulars.rename(request, warehouse, TabularKind::View, source, destination).await
    }

    /// Drops a view. Its files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the view
    /// ([`TabularError::Forbidden`]); if the view does not exist ([`TabularError::NoSuchView`]); if a
    /// response was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the
    /// database fails ([`TabularError::Backend`]).
    pub async fn drop_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        let (kind, action) = (TabularKind::View, Action::DropView);
        self.tabulars.drop_tabular(request, warehouse, identifier, kind, action).await?;
        Ok(MutationResponse::Nothing)
    }

    /// Creates the document of a view that is to be written. `size_bytes` is its approximate size.
    async fn new_document(
        &self,
        size_bytes: usize,
        location: &str,
        metadata: &Arc<ViewMetadata>,
    ) -> Arc<Document<ViewMetadata>> {
        let (location, metadata) = (location.to_owned(), metadata.clone());
        let make = move || Document::new_unwritten(&location, &metadata.to_bytes(), metadata.clone());
        self.turns.run(size_bytes, make).await
    }

    /// Ends a change: caches its document, or deletes the file that was written if the change certainly
    /// failed.
    async fn finish(
        &self,
        document: Arc<Document<ViewMetadata>>,
        folders: &Folders,
        committed: Result<(), TabularError>,
    ) -> Result<MutationResponse, TabularError> {
        if let Err(error) = committed {
            self.files.discard(document.location(), folders, &error).await;
            return Err(error);
        }
        self.documents.insert_view(document.clone()).await;
        Ok(MutationResponse::View(document))
    }
}

/// Creates the pointer of a view.
fn pointer<'a>(metadata_location: &'a str, metadata: &'a ViewMetadata) -> Pointer<'a> {
    Pointer {
        metadata_location,
        table_uuid: metadata.uuid(),
        location: metadata.location(),
        superseded: None,
    }
}
