//! Use cases on namespaces: lookup, listing and loading. Changes are in a file each.

mod create;
mod drop;
pub mod error;
pub mod properties;
mod update;

use std::sync::Arc;

use serde_json::Value;

use crate::authz::action::Action;
use crate::authz::{Authorizer, Resource};
use crate::clock::Clock;
use crate::request::Request;
use crate::store::catalog::as_of::{self, PageAsOf};
use crate::store::catalog::namespaces::{self, NamespaceRow};
use crate::store::engine::db::Db;
use crate::store::ids::NamespaceId;

use super::access::authorize;
use super::locations::LocationClaims;
use super::mutations::audit::AuditRecord;
use super::names::Namespace;
use super::warehouses::Warehouses;
use super::warehouses::warehouse::Warehouse;

use self::error::NamespaceError;
use self::properties::{Properties, decode, report_location};

/// Namespaces of all warehouses.
pub struct Namespaces {
    pub(in crate::catalog) db: Db,
    pub(in crate::catalog) clock: Clock,
    pub(in crate::catalog) authorizer: Arc<Authorizer>,
    pub(in crate::catalog) warehouses: Arc<Warehouses>,
    pub(in crate::catalog) locations: Arc<LocationClaims>,
}

impl Namespaces {
    /// Returns a namespace on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist or the caller may not know of it
    /// ([`NamespaceError::NoSuchNamespace`]), or may not do `action` on it ([`NamespaceError::Forbidden`]),
    /// or if the database fails ([`NamespaceError::Backend`]).
    pub async fn require(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        action: Action,
    ) -> Result<NamespaceRow, NamespaceError> {
        let missing = || NamespaceError::NoSuchNamespace(namespace.clone());
        let found = self.find_unauthorized(warehouse, namespace).await?.ok_or_else(missing)?;
        authorize(&self.authorizer, request, action, Resource::Namespace(found.namespace_id), missing)?;
        Ok(found)
    }

    /// Returns a namespace, if it exists. Access is not checked.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`NamespaceError::Backend`]).
    pub async fn find_unauthorized(
        &self,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<Option<NamespaceRow>, NamespaceError> {
        let found = match warehouse.at_ms {
            None => namespaces::find(&self.db, warehouse.id, namespace.path()).await?,
            Some(at_ms) => as_of::find_namespace(&self.db, warehouse.id, namespace.path(), at_ms).await?,
        };
        Ok(found)
    }

    /// Checks that the caller may do `action` on `parent`, or on the warehouse if it is `None`.
    async fn authorize_below(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        parent: Option<&Namespace>,
        action: Action,
    ) -> Result<(), NamespaceError> {
        match parent {
            Some(parent) => self.require(request, warehouse, parent, action).await.map(drop),
            None => Ok(self.warehouses.authorize(request, warehouse, action)?),
        }
    }

    /// Returns the paths of up to `limit` namespaces directly below `parent`, in order, starting after the
    /// path `after`.
    ///
    /// # Errors
    ///
    /// Fails if the parent does not exist ([`NamespaceError::NoSuchNamespace`]); if the caller may not list
    /// the namespaces of the parent ([`NamespaceError::Forbidden`]) or of the warehouse
    /// ([`NamespaceError::Warehouse`]); or if the database fails ([`NamespaceError::Backend`]).
    pub async fn list(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        parent: Option<&Namespace>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, NamespaceError> {
        self.authorize_below(request, warehouse, parent, Action::ListNamespaces).await?;
        let parent = parent.map(Namespace::path);
        let rows = match warehouse.at_ms {
            None => namespaces::list_children(&self.db, warehouse.id, parent, after, limit).await?,
            Some(at_ms) => {
                let page = PageAsOf { after, limit, at_ms };
                as_of::list_children(&self.db, warehouse.id, parent, page).await?
            }
        };
        Ok(rows.into_iter().map(|row| row.path).collect())
    }

    /// Returns the properties of a namespace. They include `location`; if it is not set, it is the default
    /// folder for tables of the namespace.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist ([`NamespaceError::NoSuchNamespace`]), if the caller may not
    /// load it ([`NamespaceError::Forbidden`]), or if the database fails or its properties are damaged
    /// ([`NamespaceError::Backend`]).
    pub async fn load(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<Properties, NamespaceError> {
        let row = self.require(request, warehouse, namespace, Action::LoadNamespace).await?;
        let mut properties = decode(namespace, &row.properties)?;
        report_location(warehouse, namespace, &mut properties);
        Ok(properties)
    }
}

/// Returns the audit record of a change of a namespace.
pub(super) fn change<'a>(
    action: Action,
    warehouse: &'a Warehouse,
    namespace: &Namespace,
    id: NamespaceId,
    detail: Value,
) -> AuditRecord<'a> {
    AuditRecord {
        action,
        kind: "namespace",
        name: namespace.to_string(),
        id: id.0,
        warehouse: &warehouse.name,
        detail,
    }
}
