//! What tables and views have in common: finding, listing, renaming, dropping.

use serde_json::json;

use crate::store::as_of::{self, PageAsOf};
use crate::store::tabulars::{self, Place, RenameTabular, Tabular, TabularKind};
use crate::store::tx::Tx;

use super::Catalog;
use super::conclude::{Answer, Change, Record};
use super::context::Context;
use super::error::CatalogError;
use super::names::{Identifier, Namespace};
use super::warehouses::Warehouse;

impl Catalog {
    /// The table or view of this name, whichever it is.
    pub(super) async fn find_object(
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

    /// The error of a creation that failed with `error`: if its name was taken meanwhile, then that, because everything
    /// else, such as that its folder is another table's, follows from it.
    pub(super) async fn unless_name_taken(
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

    /// The table or view, or the error that there is none of this kind.
    pub async fn require_object(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
    ) -> Result<Tabular, CatalogError> {
        match self.find_object(warehouse, identifier).await? {
            Some(found) if found.kind == kind => Ok(found),
            _ => Err(missing(kind, identifier)),
        }
    }

    /// Lists the names of up to `limit` tables or views of a namespace, after the name `after`.
    pub async fn list_objects(
        &self,
        warehouse: &Warehouse,
        namespace: &Namespace,
        kind: TabularKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, CatalogError> {
        let namespace = self.require_namespace(warehouse, namespace).await?.namespace_id;
        let entries = match warehouse.at_ms {
            None => tabulars::list(&self.db, namespace, kind, after, limit).await?,
            Some(at_ms) => {
                let page = PageAsOf { after, limit, at_ms };
                as_of::list_tabulars(&self.db, namespace, kind, page).await?
            }
        };
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// Gives a table or view another name, in the same namespace or in another one.
    pub async fn rename_object(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        kind: TabularKind,
        source: &Identifier,
        destination: &Identifier,
    ) -> Result<Answer, CatalogError> {
        warehouse.require_writable()?;
        retrying!(async {
            let found = self.require_object(warehouse, source, kind).await?;
            if source == destination {
                if context.idempotency.is_some() {
                    let tx = self.db.write(self.clock.now_ms()).await?;
                    self.conclude(tx, context, Record::Nothing).await?;
                }
                return Ok(Answer::Nothing);
            }
            let target = self.require_namespace(warehouse, &destination.namespace).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let from = Place { namespace_id: found.namespace_id, name: &found.name };
            let to = Place { namespace_id: target.namespace_id, name: &destination.name };
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
            let action = match kind {
                TabularKind::Table => "rename-table",
                TabularKind::View => "rename-view",
            };
            let detail = json!({ "to": destination.to_string() });
            self.record(&mut tx, context, change(action, warehouse, source, &found, detail)).await?;
            self.conclude(tx, context, Record::Nothing).await?;
            Ok(Answer::Nothing)
        })
    }

    /// Takes an object out of the catalog within `tx`; what it owned stays claimed.
    pub(super) async fn remove(
        &self,
        tx: &mut Tx,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        found: &Tabular,
        action: &'static str,
    ) -> Result<(), CatalogError> {
        if !tabulars::drop(tx, found.tabular_id, None).await? {
            return Err(missing(found.kind, identifier));
        }
        let detail = json!({ "metadata-location": found.metadata_location });
        self.record(tx, context, change(action, warehouse, identifier, found, detail)).await
    }
}

/// The error that there is no such table or view.
pub(super) fn missing(kind: TabularKind, identifier: &Identifier) -> CatalogError {
    match kind {
        TabularKind::Table => CatalogError::NoSuchTable(identifier.clone()),
        TabularKind::View => CatalogError::NoSuchView(identifier.clone()),
    }
}

/// The error that the name of a new `wanted` is taken by a `holder`.
pub(super) fn name_taken(wanted: TabularKind, holder: TabularKind, identifier: &Identifier) -> CatalogError {
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

/// What is recorded of a change to a table or view.
pub(super) fn change<'a>(
    action: &'static str,
    warehouse: &'a Warehouse,
    identifier: &Identifier,
    found: &Tabular,
    detail: serde_json::Value,
) -> Change<'a> {
    Change {
        action,
        kind: found.kind.as_str(),
        name: identifier.to_string(),
        id: found.tabular_id.0,
        warehouse: &warehouse.name,
        detail,
    }
}
