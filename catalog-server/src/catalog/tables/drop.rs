//! Dropping of tables, with or without their files.

use serde_json::json;
use table_core::metadata::properties;

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::change;
use crate::catalog::tabulars::drop::remove;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::tabular::TabularKind;

use super::Tables;

impl Tables {
    /// Drops a table. Its files are retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the table
    /// ([`TabularError::Forbidden`]); if the table does not exist ([`TabularError::NoSuchTable`]); if a
    /// response was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the
    /// database fails ([`TabularError::Backend`]).
    pub async fn drop_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        let (kind, action) = (TabularKind::Table, Action::DropTable);
        self.tabulars.drop_tabular(request, warehouse, identifier, kind, action).await?;
        Ok(MutationResponse::Nothing)
    }

    /// Drops a table and queues its files for deletion. If the table has `gc.enabled=false`, its files are
    /// retained.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not purge the table
    /// ([`TabularError::Forbidden`]); if the table does not exist ([`TabularError::NoSuchTable`]); if a
    /// response was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if its
    /// metadata file cannot be read or the database fails ([`TabularError::Backend`]).
    pub async fn purge_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let (kind, action) = (TabularKind::Table, Action::PurgeTable);
        let found = self.tabulars.require(request, warehouse, identifier, kind, action).await?;
        if !self.may_delete_files(&found.metadata_location).await? {
            return self.drop_table(request, warehouse, identifier).await;
        }
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            remove(&mut tx, &found, identifier).await?;
            let detail = json!({ "metadata-location": found.metadata_location });
            record(&mut tx, request, change(action, warehouse, identifier, &found, detail)).await?;
            self.purges.enqueue(&mut tx, request, warehouse, identifier, found.tabular_id).await?;
            Ok(conclude(tx, request, IdempotentResult::Nothing).await?)
        })?;
        self.purges.wake();
        Ok(MutationResponse::Nothing)
    }

    /// Returns `true` if the files of a table may be deleted: with `gc.enabled=false` they may belong to
    /// other tables.
    async fn may_delete_files(&self, metadata_location: &str) -> Result<bool, TabularError> {
        let document = match self.documents.table(metadata_location).await.map_err(BackendError::from) {
            // The table's files were partly deleted by hand. Its folders are still its own.
            Err(BackendError::FileMissing(_)) => return Ok(true),
            document => document?,
        };
        Ok(properties::allows_deletion(document.parsed().properties()))
    }
}
