//! Creation of namespaces.

use bytes::Bytes;
use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Namespace;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::namespaces::{self, CreateNamespace, NewNamespace};
use crate::store::ids::NamespaceId;

use super::error::NamespaceError;
use super::properties::{Properties, encode, report_location};
use super::{Namespaces, change};

impl Namespaces {
    /// Creates a namespace. Its parent must exist.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`NamespaceError::Forbidden`]); if the caller may not
    /// create namespaces there ([`NamespaceError::Warehouse`]) or below the parent
    /// ([`NamespaceError::Forbidden`]); if the parent does not exist ([`NamespaceError::NoSuchNamespace`]);
    /// if the namespace already exists ([`NamespaceError::NamespaceExists`]); if the properties are too large
    /// or contain 0x00 ([`NamespaceError::Invalid`]) or have an unusable location
    /// ([`NamespaceError::Ownership`]); if a response was recorded under its idempotency key meanwhile
    /// ([`NamespaceError::Mutation`]); or if the database fails ([`NamespaceError::Backend`]).
    pub async fn create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        mut properties: Properties,
    ) -> Result<MutationResponse, NamespaceError> {
        warehouse.require_writable()?;
        let parent = namespace.parent_path().map(Namespace::from_path).transpose()?;
        self.authorize_below(request, warehouse, parent.as_ref(), Action::CreateNamespace).await?;
        self.check_location(warehouse, &properties).await?;
        let text = encode(&properties)?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let new = NewNamespace {
            namespace_id: NamespaceId(id::ordered()),
            warehouse_id: warehouse.id,
            path: namespace.path(),
            properties: &text,
        };
        match namespaces::create(&mut tx, &new).await? {
            CreateNamespace::Created => {}
            CreateNamespace::AlreadyExists => return Err(NamespaceError::NamespaceExists(namespace.clone())),
            CreateNamespace::ParentMissing => {
                let parent = Namespace::from_path(namespace.parent_path().unwrap_or_default())?;
                return Err(NamespaceError::NoSuchNamespace(parent));
            }
        }
        let change = change(
            Action::CreateNamespace,
            warehouse,
            namespace,
            new.namespace_id,
            json!({ "properties": properties }),
        );
        record(&mut tx, request, change).await?;
        report_location(warehouse, namespace, &mut properties);
        let body = json!({ "namespace": namespace.levels(), "properties": properties });
        let body = Bytes::from(body.to_string());
        conclude(tx, request, IdempotentResult::Body(&body)).await?;
        Ok(MutationResponse::Body(body))
    }

    /// Checks that tables can be created below the `location` property of a namespace, if it is set.
    pub(super) async fn check_location(
        &self,
        warehouse: &Warehouse,
        properties: &Properties,
    ) -> Result<(), NamespaceError> {
        match properties.get("location") {
            Some(location) => {
                Ok(self.locations.check_usable(warehouse, "namespace property `location`", location).await?)
            }
            None => Ok(()),
        }
    }
}
