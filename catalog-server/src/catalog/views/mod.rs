//! Use cases on views: create, load, replace, drop, register.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use table_core::commit::foreign;
use table_core::commit::request::ViewCommit;
use table_core::commit::requirement::check_view_requirements;
use table_core::commit::view::{CreateView, apply_view, create_view};
use table_core::metadata::file_name;
use table_core::metadata::view::ViewMetadata;

use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{NewTabular, Pointer, Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::ids::TabularId;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{IdempotentResult, MutationResponse};
use crate::catalog::names::Identifier;
use crate::catalog::tables::prepare::base_location;
use crate::catalog::tabulars::locations::Folders;
use crate::catalog::tabulars::{change, name_taken};
use crate::catalog::warehouses::warehouse::Warehouse;

/// Definition of a new view, as sent by a client.
pub struct NewView {
    /// Base location of the view, an absolute URI; chosen by the server if `None`.
    pub location: Option<String>,
    /// Schema of the view's result as JSON.
    pub schema: Box<RawValue>,
    /// First version of the view as JSON.
    pub version: Box<RawValue>,
    /// View properties, in the order of the request.
    pub properties: Vec<(String, String)>,
    /// Size of the request body, in bytes.
    pub size_bytes: usize,
}

impl Catalog {
    /// Loads the metadata of a view.
    ///
    /// # Errors
    ///
    /// Fails if the view does not exist ([`CatalogError::NoSuchView`]), if the caller may not load it
    /// ([`CatalogError::Forbidden`]), or if the metadata file cannot be read or the database fails.
    pub async fn load_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Arc<Document<ViewMetadata>>, CatalogError> {
        let found = self.require_view(request, warehouse, identifier, Action::LoadView).await?;
        Ok(self.documents.view(&found.metadata_location).await?)
    }

    /// Creates a view.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not create views
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`CatalogError::NameTaken`]), if the definition is invalid or the location is outside of the
    /// warehouse or belongs to another table or view ([`CatalogError::Invalid`]), or if the file system or
    /// the database fails.
    pub async fn create_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewView,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let action = Action::CreateView;
        let namespace = self.require_namespace(request, warehouse, &identifier.namespace, action).await?;
        if let Some(found) = self.find_object(warehouse, identifier).await? {
            return Err(name_taken(TabularKind::View, found.kind, identifier));
        }
        let location = match new.location {
            Some(location) => location,
            None => base_location(warehouse, &namespace, identifier)?,
        };
        let (size_bytes, uuid, now_ms) = (new.size_bytes, id::random(), self.clock.now_ms());
        let metadata = self.turns.run(size_bytes, move || {
            let request = CreateView {
                schema: &new.schema,
                view_version: &new.version,
                location,
                properties: new.properties,
            };
            create_view(&request, uuid, now_ms)
        });
        let metadata = metadata.await?;
        let folders = Folders::by_view(warehouse, &metadata)?;
        if let Err(error) = self.check_free(warehouse, None, &folders).await {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::View, error).await);
        }
        let location = file_name::first_location(metadata.location(), metadata.properties(), id::random());
        let metadata = Arc::new(metadata);
        let document = self.made_view(size_bytes, &location, &metadata).await;
        self.write_file(&document, &folders).await?;
        let place = NameInNamespace { namespace_id: namespace.namespace_id, name: &identifier.name };
        let inserted = self
            .insert_view(request, warehouse, identifier, place, &location, &metadata, &folders, action)
            .await;
        self.keep_written(document, &folders, inserted).await
    }

    /// Registers a view from an existing metadata file.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not register views
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`CatalogError::NameTaken`]), if the metadata file is invalid or one of its locations is outside of
    /// the warehouse or belongs to another table or view ([`CatalogError::Invalid`]), if the metadata file
    /// does not exist ([`CatalogError::FileMissing`]), or if the file system or the database fails.
    pub async fn register_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let action = Action::RegisterView;
        let namespace = self.require_namespace(request, warehouse, &identifier.namespace, action).await?;
        if let Some(found) = self.find_object(warehouse, identifier).await? {
            return Err(name_taken(TabularKind::View, found.kind, identifier));
        }
        let checked = self
            .check_file(warehouse, None, &Folders::default(), "metadata location", metadata_location)
            .await;
        if let Err(error) = checked {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::View, error).await);
        }
        let document = self.documents.view(metadata_location).await.map_err(CatalogError::foreign)?;
        let metadata = document.parsed();
        let (checked, json) = (metadata.clone(), document.json());
        let check = move || foreign::check_view(&checked, &json);
        self.turns.run(document.json().len(), check).await.map_err(|error| {
            CatalogError::Invalid(format!("the metadata file `{metadata_location}` cannot be used: {error}"))
        })?;
        let folders = Folders::by_view(warehouse, metadata)?;
        let place = NameInNamespace { namespace_id: namespace.namespace_id, name: &identifier.name };
        self.insert_view(
            request,
            warehouse,
            identifier,
            place,
            metadata_location,
            metadata,
            &folders,
            action,
        )
        .await?;
        Ok(MutationResponse::View(document))
    }

    /// Commits updates to a view. `body` is the JSON of the request. The result of a concurrent commit is
    /// replaced, unless it violates a requirement of this commit.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not commit to the view
    /// ([`CatalogError::Forbidden`]), if the view does not exist ([`CatalogError::NoSuchView`]), if the body
    /// is malformed ([`CatalogError::Malformed`]) or has invalid updates ([`CatalogError::Invalid`]), if a
    /// requirement is not met ([`CatalogError::CommitFailed`]), if concurrent commits were faster too often
    /// ([`CatalogError::LostRace`]), or if the file system or the database fails.
    pub async fn commit_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let size_bytes = body.len();
        let commit = Arc::new(self.turns.run(size_bytes, move || ViewCommit::parse(&body)).await?);
        let commit = (commit, size_bytes);
        retrying!(async {
            let found = self.require_view(request, warehouse, identifier, Action::CommitView).await?;
            let turns = self.locks.take(vec![found.tabular_id.0]).await;
            if turns.waited {
                // The row that was read before waiting may be outdated.
                let found = self.require_view(request, warehouse, identifier, Action::CommitView).await?;
                return self.try_commit_view(request, warehouse, identifier, &commit, found).await;
            }
            self.try_commit_view(request, warehouse, identifier, &commit, found).await
        })
    }

    async fn try_commit_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        (commit, size_bytes): &(Arc<ViewCommit>, usize),
        found: Tabular,
    ) -> Result<MutationResponse, CatalogError> {
        let document = self.documents.view(&found.metadata_location).await?;
        let base = document.parsed().clone();
        check_view_requirements(&base, &commit.requirements)?;
        let former = Folders::by_view(warehouse, &base).ok();
        let size_bytes = size_bytes + document.json().len();
        let (commit, now_ms) = (commit.clone(), self.clock.now_ms());
        let applied = self.turns.run(size_bytes, move || apply_view(&base, &commit.updates, now_ms)).await?;
        if !applied.changed {
            let tx = self.db.write(self.clock.now_ms()).await?;
            self.conclude(tx, request, IdempotentResult::Location(&found.metadata_location)).await?;
            return Ok(MutationResponse::View(document));
        }
        let metadata = applied.metadata;
        let folders = Folders::by_view(warehouse, &metadata)?;
        if former.is_none_or(|former| !former.covers(&folders)) {
            self.check_free(warehouse, Some(found.tabular_id), &folders).await?;
        }
        let location = file_name::next_location(
            &found.metadata_location,
            metadata.location(),
            metadata.properties(),
            id::random(),
        );
        let metadata = Arc::new(metadata);
        let document = self.made_view(size_bytes, &location, &metadata).await;
        self.write_file(&document, &folders).await?;
        let swapped =
            self.swap_view(request, warehouse, identifier, &found, &location, &metadata, &folders).await;
        self.keep_written(document, &folders, swapped).await
    }

    #[expect(clippy::too_many_arguments, reason = "one transaction, told everything it records")]
    async fn swap_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        found: &Tabular,
        location: &str,
        metadata: &ViewMetadata,
        folders: &Folders,
    ) -> Result<(), CatalogError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let pointer = pointer(location, metadata);
        if !tabulars::swap_pointer(&mut tx, found.tabular_id, &found.metadata_location, &pointer).await? {
            return Err(CatalogError::LostRace(identifier.clone()));
        }
        self.claim(&mut tx, warehouse, found.tabular_id, folders).await?;
        let detail = json!({ "metadata-location": location, "previous": found.metadata_location });
        let change = change(Action::CommitView, warehouse, identifier, found, detail);
        self.record(&mut tx, request, change).await?;
        self.conclude(tx, request, IdempotentResult::Location(location)).await
    }

    #[expect(clippy::too_many_arguments, reason = "one transaction, told everything it records")]
    async fn insert_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        place: NameInNamespace<'_>,
        location: &str,
        metadata: &ViewMetadata,
        folders: &Folders,
        action: Action,
    ) -> Result<(), CatalogError> {
        retrying!(async {
            let tabular_id = TabularId(id::ordered());
            let pointer = pointer(location, metadata);
            let new = NewTabular { tabular_id, kind: TabularKind::View, place, pointer };
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.insert(&mut tx, request, warehouse, identifier, &new, folders, action).await?;
            self.conclude(tx, request, IdempotentResult::Location(location)).await
        })
    }

    /// Drops a view. Its files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the view
    /// ([`CatalogError::Forbidden`]), if the view does not exist ([`CatalogError::NoSuchView`]), or if the
    /// database fails.
    pub async fn drop_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, CatalogError> {
        self.take_out(request, warehouse, identifier, TabularKind::View, Action::DropView).await?;
        Ok(MutationResponse::Nothing)
    }

    /// Creates the document of a view that is to be written. `size_bytes` is its approximate size.
    async fn made_view(
        &self,
        size_bytes: usize,
        location: &str,
        metadata: &Arc<ViewMetadata>,
    ) -> Arc<Document<ViewMetadata>> {
        let (location, metadata) = (location.to_owned(), metadata.clone());
        let make = move || Document::new_unwritten(&location, &metadata.to_bytes(), metadata.clone());
        self.turns.run(size_bytes, make).await
    }

    async fn keep_written(
        &self,
        document: Arc<Document<ViewMetadata>>,
        folders: &Folders,
        outcome: Result<(), CatalogError>,
    ) -> Result<MutationResponse, CatalogError> {
        if let Err(error) = outcome {
            self.discard_file(document.location(), folders, &error).await;
            return Err(error);
        }
        self.documents.insert_view(document.clone()).await;
        Ok(MutationResponse::View(document))
    }
}

fn pointer<'a>(metadata_location: &'a str, metadata: &'a ViewMetadata) -> Pointer<'a> {
    Pointer {
        metadata_location,
        table_uuid: metadata.uuid(),
        location: metadata.location(),
        superseded: None,
    }
}
