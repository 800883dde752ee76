//! Use cases that tables and views have in common: find, list, rename, drop.

pub mod locations;

use serde_json::json;

use crate::authz::action::Action;
use crate::authz::{Decision, Resource};
use crate::request::Request;
use crate::store::catalog::as_of::{self, PageAsOf};
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{RenameTabular, Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::engine::tx::Tx;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{AuditRecord, IdempotentResult, MutationResponse};
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;

impl Catalog {
    /// Returns the table or view of a name, whichever it is. Access is not checked: the function is for
    /// checks of names that are in use.
    ///
    /// # Errors
    ///
    /// Fails if the database fails.
    pub(in crate::catalog) async fn find_object(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Option<Tabular>, CatalogError> {
        let (path, name) = (identifier.namespace.path(), &identifier.name);
        Ok(match warehouse.at_ms {
            None => tabulars::find(&self.db, warehouse.id, path, name).await?,
            Some(at_ms) => as_of::find_tabular(&self.db, warehouse.id, path, name, at_ms).await?,
        })
    }

    /// Returns the error of a creation that failed with `error`: if the name was taken meanwhile, that error,
    /// because all other problems follow from it, for example that the folder belongs to the other table.
    pub(in crate::catalog) async fn unless_name_taken(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        error: CatalogError,
    ) -> CatalogError {
        if !matches!(error, CatalogError::Invalid(_)) {
            return error;
        }
        match self.find_object(warehouse, identifier).await {
            Ok(Some(found)) => name_taken(kind, found.kind, identifier),
            Ok(None) | Err(_) => error,
        }
    }

    /// Returns a table on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not know of it ([`CatalogError::NoSuchTable`]), or
    /// may not do `action` on it ([`CatalogError::Forbidden`]), or if the database fails.
    pub async fn require_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: Action,
    ) -> Result<Tabular, CatalogError> {
        self.require_tabular(request, warehouse, identifier, TabularKind::Table, action).await
    }

    /// Returns a view on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails like [`Catalog::require_table`], with [`CatalogError::NoSuchView`].
    pub async fn require_view(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: Action,
    ) -> Result<Tabular, CatalogError> {
        self.require_tabular(request, warehouse, identifier, TabularKind::View, action).await
    }

    /// Returns a table or view of kind `kind` on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails like [`Catalog::require_table`] and [`Catalog::require_view`].
    pub(in crate::catalog) async fn require_tabular(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        action: Action,
    ) -> Result<Tabular, CatalogError> {
        match self.find_object(warehouse, identifier).await? {
            Some(found) if found.kind == kind => {
                let resource = Resource::Tabular(found.tabular_id);
                self.authorize(request, action, resource, || missing(kind, identifier))?;
                Ok(found)
            }
            _ => Err(missing(kind, identifier)),
        }
    }

    /// Checks that the caller may do `action` on an object that was loaded.
    ///
    /// # Errors
    ///
    /// Fails with [`CatalogError::Forbidden`] if it may not; with the error that `missing` makes if it may
    /// not even know that the object exists.
    pub fn authorize(
        &self,
        request: &Request,
        action: Action,
        resource: Resource,
        missing: impl FnOnce() -> CatalogError,
    ) -> Result<(), CatalogError> {
        match self.authorizer.check(&request.caller, action, resource) {
            Decision::Allowed => Ok(()),
            Decision::Forbidden => Err(CatalogError::Forbidden(format!(
                "`{}` has no right to `{}` here; ask an administrator for a grant",
                request.caller.id(),
                action.as_str()
            ))),
            Decision::Invisible => Err(missing()),
        }
    }

    /// Returns the names of up to `limit` tables or views of a namespace, in order, starting after the name
    /// `after`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist ([`CatalogError::NoSuchNamespace`]), if the caller may not list
    /// its contents ([`CatalogError::Forbidden`]), or if the database fails.
    pub async fn list_objects(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        kind: TabularKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, CatalogError> {
        let action = match kind {
            TabularKind::Table => Action::ListTables,
            TabularKind::View => Action::ListViews,
        };
        let namespace = self.require_namespace(request, warehouse, namespace, action).await?.namespace_id;
        let entries = match warehouse.at_ms {
            None => tabulars::list(&self.db, namespace, kind, after, limit).await?,
            Some(at_ms) => {
                let page = PageAsOf { after, limit, at_ms };
                as_of::list_tabulars(&self.db, namespace, kind, page).await?
            }
        };
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// Renames a table or view, within its namespace or to another namespace. A rename to the same name has
    /// no effect.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not rename the object or create one in
    /// the target namespace ([`CatalogError::Forbidden`]), if the object or the target namespace does not
    /// exist, if the new name is in use ([`CatalogError::NameTaken`]), or if the database fails.
    pub async fn rename_object(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        kind: TabularKind,
        source: &Identifier,
        destination: &Identifier,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let (rename, create) = match kind {
            TabularKind::Table => (Action::RenameTable, Action::CreateTable),
            TabularKind::View => (Action::RenameView, Action::CreateView),
        };
        retrying!(async {
            let found = self.require_tabular(request, warehouse, source, kind, rename).await?;
            if source == destination {
                if request.idempotency.is_some() {
                    let tx = self.db.write(self.clock.now_ms()).await?;
                    self.conclude(tx, request, IdempotentResult::Nothing).await?;
                }
                return Ok(MutationResponse::Nothing);
            }
            let target = self.require_namespace(request, warehouse, &destination.namespace, create).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let from = NameInNamespace { namespace_id: found.namespace_id, name: &found.name };
            let to = NameInNamespace { namespace_id: target.namespace_id, name: &destination.name };
            match tabulars::rename(&mut tx, found.tabular_id, from, to).await? {
                RenameTabular::Renamed => {}
                RenameTabular::Missing => return Err(missing(kind, source)),
                RenameTabular::NamespaceMissing => {
                    return Err(CatalogError::NoSuchNamespace(destination.namespace.clone()));
                }
                RenameTabular::NameTaken(holder) => {
                    let what = match holder {
                        TabularKind::Table => "Table",
                        TabularKind::View => "View",
                    };
                    let text = format!("Cannot rename {source} to {destination}. {what} already exists");
                    return Err(CatalogError::NameTaken { holder, text });
                }
            }
            let detail = json!({ "to": destination.to_string() });
            self.record(&mut tx, request, change(rename, warehouse, source, &found, detail)).await?;
            self.conclude(tx, request, IdempotentResult::Nothing).await?;
            Ok(MutationResponse::Nothing)
        })
    }

    /// Removes a table or view from the catalog within `tx`. Its folders remain claimed.
    pub(in crate::catalog) async fn remove(
        &self,
        tx: &mut Tx,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        found: &Tabular,
        action: Action,
    ) -> Result<(), CatalogError> {
        if !tabulars::drop(tx, found.tabular_id, None).await? {
            return Err(missing(found.kind, identifier));
        }
        let detail = json!({ "metadata-location": found.metadata_location });
        self.record(tx, request, change(action, warehouse, identifier, found, detail)).await
    }
}

/// Creates the error for a table or view that does not exist.
pub(in crate::catalog) fn missing(kind: TabularKind, identifier: &Identifier) -> CatalogError {
    match kind {
        TabularKind::Table => CatalogError::NoSuchTable(identifier.clone()),
        TabularKind::View => CatalogError::NoSuchView(identifier.clone()),
    }
}

/// Creates the error for a new `wanted` whose name is in use by a `holder`.
pub(in crate::catalog) fn name_taken(
    wanted: TabularKind,
    holder: TabularKind,
    identifier: &Identifier,
) -> CatalogError {
    let text = match (wanted, holder) {
        (TabularKind::Table, TabularKind::Table) => format!("Table already exists: {identifier}"),
        (TabularKind::View, TabularKind::View) => format!("View already exists: {identifier}"),
        (TabularKind::Table, TabularKind::View) => {
            format!("View with same name already exists: {identifier}")
        }
        (TabularKind::View, TabularKind::Table) => {
            format!("Table with same name already exists: {identifier}")
        }
    };
    CatalogError::NameTaken { holder, text }
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
