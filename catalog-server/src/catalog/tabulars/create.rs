//! Creation of tables and views whose metadata file exists: written by their subject, or registered.

use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::idempotency::IdempotentResult;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabular::{Pointer, TabularKind};
use crate::store::ids::{NamespaceId, TabularId};

use super::error::TabularError;
use super::transaction::{NewPointer, PointerTarget};
use super::{ATTEMPTS_MAX, Tabulars};

/// Table or view to be created.
pub(in crate::catalog) struct NewObject<'a> {
    /// Name of the table or view.
    pub(in crate::catalog) identifier: &'a Identifier,
    /// Table or view.
    pub(in crate::catalog) kind: TabularKind,
    /// Namespace in which it is created.
    pub(in crate::catalog) namespace_id: NamespaceId,
    /// Pointer to its metadata file.
    pub(in crate::catalog) pointer: Pointer<'a>,
    /// Folders that it claims.
    pub(in crate::catalog) folders: &'a Folders,
    /// Action for the audit trail.
    pub(in crate::catalog) action: Action,
}

impl Tabulars {
    /// Creates a table or view, and records the location of its metadata file as the response.
    pub(in crate::catalog) async fn create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        new: &NewObject<'_>,
    ) -> Result<(), TabularError> {
        let (kind, namespace_id) = (new.kind, new.namespace_id);
        let location = new.pointer.metadata_location;
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let pointer = NewPointer {
                identifier: new.identifier,
                target: PointerTarget::New { tabular_id: TabularId(id::ordered()), kind, namespace_id },
                pointer: new.pointer,
                claims: Some(new.folders),
                action: new.action,
                detail: json!({ "metadata-location": location }),
            };
            self.commit(request, warehouse, vec![pointer], IdempotentResult::Location(location)).await
        })
    }
}
