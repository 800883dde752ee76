//! Renaming of tables and views.

use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::namespaces::error::NamespaceError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{RenameTabular, TabularKind};
use crate::store::catalog::tabulars;

use super::error::{TabularError, missing};
use super::{ATTEMPTS_MAX, Tabulars, change};

impl Tabulars {
    /// Renames a table or view, within its namespace or to another namespace. A rename to the same name has
    /// no effect.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not rename the object
    /// ([`TabularError::Forbidden`]); if the object does not exist ([`TabularError::NoSuchTable`],
    /// [`TabularError::NoSuchView`]); if the target namespace does not exist or the caller may not create a
    /// object in it ([`TabularError::Namespace`]); if the new name is in use ([`TabularError::NameTaken`]);
    /// if a response was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the
    /// database fails ([`TabularError::Backend`]).
    pub(in crate::catalog) async fn rename(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        kind: TabularKind,
        source: &Identifier,
        destination: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let (rename, create) = match kind {
            TabularKind::Table => (Action::RenameTable, Action::CreateTable),
            TabularKind::View => (Action::RenameView, Action::CreateView),
        };
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let found = self.require(request, warehouse, source, kind, rename).await?;
            if source == destination {
                if request.idempotency.is_some() {
                    let tx = self.db.write(self.clock.now_ms()).await?;
                    conclude(tx, request, IdempotentResult::Nothing).await?;
                }
                return Ok(MutationResponse::Nothing);
            }
            let target = self.namespaces.require(request, warehouse, &destination.namespace, create).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let from = NameInNamespace { namespace_id: found.namespace_id, name: &found.name };
            let to = NameInNamespace { namespace_id: target.namespace_id, name: &destination.name };
            match tabulars::rename(&mut tx, found.tabular_id, from, to).await? {
                RenameTabular::Renamed => {}
                RenameTabular::Missing => return Err(missing(kind, source)),
                RenameTabular::NamespaceMissing => {
                    let missing = NamespaceError::NoSuchNamespace(destination.namespace.clone());
                    return Err(missing.into());
                }
                RenameTabular::NameTaken(holder) => {
                    let what = match holder {
                        TabularKind::Table => "Table",
                        TabularKind::View => "View",
                    };
                    let text = format!("Cannot rename {source} to {destination}. {what} already exists");
                    return Err(TabularError::NameTaken { holder, text });
                }
            }
            let detail = json!({ "to": destination.to_string() });
            record(&mut tx, request, change(rename, warehouse, source, &found, detail)).await?;
            conclude(tx, request, IdempotentResult::Nothing).await?;
            Ok(MutationResponse::Nothing)
        })
    }
}
