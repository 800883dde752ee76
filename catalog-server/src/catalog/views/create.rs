//! Creation of views.

use std::sync::Arc;

use serde_json::value::RawValue;
use table_core::commit::view::{CreateView, create_view};
use table_core::metadata::file_name;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::names::Identifier;
use crate::catalog::namespaces::properties::base_location;
use crate::catalog::tabulars::create::NewObject;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabular::TabularKind;

use super::{Views, pointer};

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

impl Views {
    /// Creates a view.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`TabularError::Forbidden`]); if the namespace does not
    /// exist or the caller may not create views in it ([`TabularError::Namespace`]); if the name is in use
    /// ([`TabularError::NameTaken`]); if the definition is invalid ([`TabularError::Commit`]); if the
    /// location, that of the namespace or a `write.metadata.path` is outside of the warehouse or belongs to
    /// another table or view ([`TabularError::Ownership`], [`TabularError::Namespace`]); if concurrent
    /// changes were faster too often ([`TabularError::Backend`]); if the lease of the maintenance job was
    /// lost ([`TabularError::JobLost`]); if a response was recorded under its idempotency key meanwhile
    /// ([`TabularError::Mutation`]); or if the file system or the database fails ([`TabularError::Backend`]).
    pub async fn create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewView,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let action = Action::CreateView;
        let namespace = self
            .tabulars
            .require_free_name(request, warehouse, identifier, (TabularKind::View, action))
            .await?;
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
        if let Err(error) = self.locations.check_free(warehouse, None, &folders).await {
            return Err(self
                .tabulars
                .unless_name_taken(warehouse, identifier, TabularKind::View, error.into())
                .await);
        }
        let location = file_name::first_location(metadata.location(), metadata.properties(), id::random());
        let metadata = Arc::new(metadata);
        let document = self.new_document(size_bytes, &location, &metadata).await;
        self.files.write(&document, &folders).await?;
        let new = NewObject {
            identifier,
            kind: TabularKind::View,
            namespace_id: namespace.namespace_id,
            pointer: pointer(&location, &metadata),
            folders: &folders,
            action,
        };
        let created = self.tabulars.create(request, warehouse, &new).await;
        self.finish(document, &folders, created).await
    }
}
