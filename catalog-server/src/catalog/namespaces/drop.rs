//! Dropping of namespaces.

use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Namespace;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::namespaces::{self, DropNamespace};

use super::error::NamespaceError;
use super::{Namespaces, change};

impl Namespaces {
    /// Drops an empty namespace.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the namespace
    /// ([`NamespaceError::Forbidden`]); if the namespace does not exist ([`NamespaceError::NoSuchNamespace`])
    /// or is not empty ([`NamespaceError::NamespaceNotEmpty`]); if a response was recorded under its
    /// idempotency key meanwhile ([`NamespaceError::Mutation`]); or if the database fails
    /// ([`NamespaceError::Backend`]).
    pub async fn drop_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<MutationResponse, NamespaceError> {
        warehouse.require_writable()?;
        let row = self.require(request, warehouse, namespace, Action::DropNamespace).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        match namespaces::drop(&mut tx, row.namespace_id).await? {
            DropNamespace::Dropped => {}
            DropNamespace::NotEmpty => return Err(NamespaceError::NamespaceNotEmpty(namespace.clone())),
            DropNamespace::Missing => return Err(NamespaceError::NoSuchNamespace(namespace.clone())),
        }
        let change = change(Action::DropNamespace, warehouse, namespace, row.namespace_id, json!({}));
        record(&mut tx, request, change).await?;
        conclude(tx, request, IdempotentResult::Nothing).await?;
        Ok(MutationResponse::Nothing)
    }
}
