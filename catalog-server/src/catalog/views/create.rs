//! Creation of views.

use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;
use table_core::commit::view::{CreateView, create_view};
use table_core::metadata::file_name;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::idempotency::IdempotentResult;
use crate::catalog::names::Identifier;
use crate::catalog::namespaces::properties::base_location;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::tabulars::transaction::{NewPointer, PointerTarget};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabular::{Pointer, TabularKind};
use crate::store::ids::{NamespaceId, TabularId};

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
    /// Fails if the warehouse is a read-only view or the caller may not create views
    /// ([`TabularError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`TabularError::NameTaken`]), if the definition is invalid or the location is outside of the
    /// warehouse or belongs to another table or view ([`TabularError::Invalid`]), or if the file system or
    /// the database fails.
    pub async fn create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewView,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let action = Action::CreateView;
        let namespace = self.namespaces.require(request, warehouse, &identifier.namespace, action).await?;
        self.tabulars.check_name(warehouse, identifier, TabularKind::View).await?;
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
        let committed = retrying!(TabularError, ATTEMPTS_MAX, async {
            let new = new_view(identifier, namespace.namespace_id, pointer(&location, &metadata), &folders);
            let new = NewPointer { action, ..new };
            self.tabulars.commit(request, warehouse, vec![new], IdempotentResult::Location(&location)).await
        });
        self.finish(document, &folders, committed).await
    }
}

/// Returns the pointer of a new view, with the action of a creation.
pub(super) fn new_view<'a>(
    identifier: &'a Identifier,
    namespace_id: NamespaceId,
    pointer: Pointer<'a>,
    folders: &'a Folders,
) -> NewPointer<'a> {
    let tabular_id = TabularId(id::ordered());
    NewPointer {
        identifier,
        target: PointerTarget::New { tabular_id, kind: TabularKind::View, namespace_id },
        pointer,
        claims: Some(folders),
        action: Action::CreateView,
        detail: json!({ "metadata-location": pointer.metadata_location }),
    }
}
