//! Use cases that tables and views share: lookup, listing, renaming, dropping, and the transaction that
//! changes their metadata pointers. The content of their metadata is the matter of tables and views.

pub mod create;
pub mod drop;
pub mod error;
pub mod files;
pub mod pages;
mod rename;
pub mod transaction;

use std::sync::Arc;

use crate::authz::action::Action;
use crate::authz::{Authorizer, Resource};
use crate::clock::Clock;
use crate::request::Request;
use crate::store::catalog::as_of::{self, PageAsOf};
use crate::store::catalog::namespaces::{self, NamespaceRow};
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::commits;
use crate::store::engine::db::Db;

use super::access::authorize;
use super::mutations::audit::AuditRecord;
use super::mutations::idempotency::IdempotentResult;
use super::names::{Identifier, Namespace};
use super::namespaces::Namespaces;
use super::namespaces::error::NamespaceError;
use super::warehouses::warehouse::Warehouse;

use self::error::{TabularError, missing, name_taken};
use self::pages::{ListedNames, NamePage, NamePages};
use self::transaction::{NewPointer, Transaction};

/// Maximum number of attempts to change a table or view because concurrent changes were faster.
pub(in crate::catalog) const ATTEMPTS_MAX: usize = 32;

/// Tables and views of all warehouses, as far as they have the same use cases.
pub struct Tabulars {
    pub(in crate::catalog) db: Db,
    pub(in crate::catalog) clock: Clock,
    pub(in crate::catalog) authorizer: Arc<Authorizer>,
    pub(in crate::catalog) namespaces: Arc<Namespaces>,
    pub(in crate::catalog) pages: NamePages,
}

impl Tabulars {
    /// Returns a table or view of kind `kind` on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the table or view does not exist or the caller may not know of it
    /// ([`TabularError::NoSuchTable`], [`TabularError::NoSuchView`]), or may not do `action` on it
    /// ([`TabularError::Forbidden`]), or if the database fails ([`TabularError::Backend`]).
    pub(in crate::catalog) async fn require(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        action: Action,
    ) -> Result<Tabular, TabularError> {
        let (path, name) = (identifier.namespace.path(), &identifier.name);
        let found = match warehouse.at_ms {
            None => tabulars::find(&self.db, warehouse.id, path, name).await?,
            Some(at_ms) => as_of::find_tabular(&self.db, warehouse.id, path, name, at_ms).await?,
        };
        let missing = || missing(kind, identifier);
        let found = found.filter(|found| found.kind == kind).ok_or_else(missing)?;
        self.authorize(request, &found, action, missing)?;
        Ok(found)
    }

    /// Checks that the caller may do `action` on a table or view.
    ///
    /// # Errors
    ///
    /// Fails if it may not ([`TabularError::Forbidden`]); with the error that `missing` makes if it may not
    /// even know that the table or view exists.
    pub(in crate::catalog) fn authorize(
        &self,
        request: &Request,
        found: &Tabular,
        action: Action,
        missing: impl FnOnce() -> TabularError,
    ) -> Result<(), TabularError> {
        authorize(&self.authorizer, request, action, Resource::Tabular(found.tabular_id), missing)
    }

    /// Returns the current table or view of a name, whichever it is. Access is not checked: the function is
    /// for checks of names that are in use.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`TabularError::Backend`]).
    pub(in crate::catalog) async fn find_unauthorized(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Option<Tabular>, TabularError> {
        let (path, name) = (identifier.namespace.path(), &identifier.name);
        Ok(tabulars::find(&self.db, warehouse.id, path, name).await?)
    }

    /// Returns the namespace of a new object of kind `kind`, in which the caller may do `action`, and in which
    /// the name is free.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist or the caller may not do `action` on it
    /// ([`TabularError::Namespace`]), if the name is in use ([`TabularError::NameTaken`]), or if the database
    /// fails.
    pub(in crate::catalog) async fn require_free_name(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        (kind, action): (TabularKind, Action),
    ) -> Result<NamespaceRow, TabularError> {
        let (path, name) = (identifier.namespace.path(), &identifier.name);
        let missing = || NamespaceError::NoSuchNamespace(identifier.namespace.clone());
        let found = namespaces::find_with_name(&self.db, warehouse.id, path, name).await?;
        let (namespace, holder) = found.ok_or_else(missing)?;
        authorize(&self.authorizer, request, action, Resource::Namespace(namespace.namespace_id), missing)?;
        match holder {
            Some(holder) => Err(name_taken(kind, holder, identifier)),
            None => Ok(namespace),
        }
    }

    /// Returns the error of a creation that failed with `error`: if the name was taken meanwhile, that error,
    /// because all other problems follow from it, for example that the folder belongs to the other table.
    pub(in crate::catalog) async fn unless_name_taken(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        error: TabularError,
    ) -> TabularError {
        if !error.is_invalid() {
            return error;
        }
        match self.find_unauthorized(warehouse, identifier).await {
            Ok(Some(found)) => name_taken(kind, found.kind, identifier),
            Ok(None) | Err(_) => error,
        }
    }

    /// Moves and creates metadata pointers in one transaction, and records the response as `result`.
    pub(in crate::catalog) async fn commit<'a>(
        &self,
        request: &'a Request,
        warehouse: &Warehouse,
        pointers: Vec<NewPointer<'a>>,
        result: IdempotentResult<'a>,
    ) -> Result<(), TabularError> {
        let transaction = Transaction::new(request, warehouse, pointers, result);
        transaction.check(commits::commit(&self.db, self.clock.now_ms(), &transaction.rows()).await?)
    }

    /// Returns the names of up to `limit` tables or views of a namespace, in order, starting after the name
    /// `after`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist, if the caller may not list its contents, or if the database
    /// fails while it is looked up ([`TabularError::Namespace`]); or if the database fails
    /// ([`TabularError::Backend`]).
    pub(in crate::catalog) async fn list(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        kind: TabularKind,
        page: NamePage<'_>,
    ) -> Result<Arc<ListedNames>, TabularError> {
        let action = match kind {
            TabularKind::Table => Action::ListTables,
            TabularKind::View => Action::ListViews,
        };
        let namespace = self.namespaces.require(request, warehouse, namespace, action).await?;
        let (namespace_id, version) = (namespace.namespace_id, namespace.names_version);
        if let Some(at_ms) = warehouse.at_ms {
            let page = PageAsOf { after: page.after, limit: page.limit, at_ms };
            let names = as_of::list_tabulars(&self.db, namespace_id, kind, page).await?;
            return Ok(Arc::new(ListedNames::new(names)));
        }
        if let Some(names) = self.pages.find(namespace_id, kind, page, version) {
            return Ok(names);
        }
        let names = tabulars::list(&self.db, namespace_id, kind, page.after, page.limit).await?;
        let names = Arc::new(ListedNames::new(names));
        self.pages.insert(namespace_id, kind, page, (version, names.clone()));
        Ok(names)
    }
}

/// Creates the audit description of a change to a table or view.
pub(in crate::catalog) fn change<'a>(
    action: Action,
    warehouse: &'a Warehouse,
    identifier: &Identifier,
    found: &Tabular,
    detail: serde_json::Value,
) -> AuditRecord<'a> {
    AuditRecord {
        action,
        kind: found.kind.as_str(),
        name: identifier.to_string(),
        id: found.tabular_id.0,
        warehouse: &warehouse.name,
        detail,
    }
}
