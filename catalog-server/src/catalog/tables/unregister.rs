//! Removal of tables from the catalog, with all of their files left as they are.

use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::change;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::locations;
use crate::store::catalog::tabular::TabularKind;
use crate::store::catalog::tabulars;

use super::Tables;

impl Tables {
    /// Removes a table from the catalog and returns its last metadata. All files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not unregister the table
    /// ([`TabularError::Forbidden`]); if the table does not exist ([`TabularError::NoSuchTable`]); if
    /// concurrent commits were faster too often ([`TabularError::LostRace`]); if a response was recorded
    /// under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the metadata file cannot be
    /// read or the database fails ([`TabularError::Backend`]).
    pub async fn unregister(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let (kind, action) = (TabularKind::Table, Action::UnregisterTable);
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let found = self.tabulars.require(request, warehouse, identifier, kind, action).await?;
            let document = self.documents.table(&found.metadata_location).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            // The version must still be the one that is returned: otherwise, a commit after it would be lost.
            if !tabulars::drop(&mut tx, found.tabular_id, Some(&found.metadata_location)).await? {
                return Err(TabularError::LostRace(identifier.clone()));
            }
            let detail = json!({ "metadata-location": found.metadata_location });
            record(&mut tx, request, change(action, warehouse, identifier, &found, detail)).await?;
            locations::release(&mut tx, found.tabular_id.0).await?;
            conclude(tx, request, IdempotentResult::Location(&found.metadata_location)).await?;
            Ok(MutationResponse::Table(document))
        })
    }
}
