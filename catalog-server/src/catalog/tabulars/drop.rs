//! Dropping of tables and views.

use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::locations;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::engine::tx::Tx;

use super::error::{TabularError, missing};
use super::{ATTEMPTS_MAX, Tabulars, change};

impl Tabulars {
    /// Drops a table or view and releases its claims on folders. Its files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the object
    /// ([`TabularError::Forbidden`]); if it does not exist ([`TabularError::NoSuchTable`],
    /// [`TabularError::NoSuchView`]); if a response was recorded under its idempotency key meanwhile
    /// ([`TabularError::Mutation`]); or if the database fails ([`TabularError::Backend`]).
    pub(in crate::catalog) async fn drop_tabular(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        action: Action,
    ) -> Result<(), TabularError> {
        warehouse.require_writable()?;
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let found = self.require(request, warehouse, identifier, kind, action).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            remove(&mut tx, &found, identifier).await?;
            let detail = json!({ "metadata-location": found.metadata_location });
            record(&mut tx, request, change(action, warehouse, identifier, &found, detail)).await?;
            locations::release(&mut tx, found.tabular_id.0).await?;
            Ok(conclude(tx, request, IdempotentResult::Nothing).await?)
        })
    }
}

/// Removes a table or view from the catalog within `tx`. Its folders remain claimed.
pub(in crate::catalog) async fn remove(
    tx: &mut Tx,
    found: &Tabular,
    identifier: &Identifier,
) -> Result<(), TabularError> {
    if !tabulars::drop(tx, found.tabular_id, None).await? {
        return Err(missing(found.kind, identifier));
    }
    Ok(())
}
