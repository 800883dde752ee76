//! Descriptions of warehouses for administrators.

use openapi::warehouse::WarehouseDescription;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::catalog::access::authorize;
use crate::catalog::backend::BackendError;
use crate::request::Request;
use crate::store::catalog::warehouses::{self, WarehouseRow};

use super::error::WarehouseError;
use super::{Warehouses, storage};

impl Warehouses {
    /// Returns up to `limit` warehouses in the order of their names, starting after the name `after`.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not list warehouses ([`WarehouseError::Forbidden`]), or if the database fails
    /// ([`WarehouseError::Backend`]).
    pub async fn list(
        &self,
        request: &Request,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<WarehouseDescription>, WarehouseError> {
        let missing = || WarehouseError::Invalid("there is no server".to_owned());
        authorize(&self.authorizer, request, Action::ListWarehouses, Resource::Server, missing)?;
        let rows = warehouses::list(&self.db, after, limit).await?;
        rows.into_iter().map(described).collect()
    }

    /// Returns the warehouse of `name`.
    ///
    /// # Errors
    ///
    /// Fails if it does not exist or the caller may not know of it ([`WarehouseError::NoSuchWarehouse`]), if the caller
    /// may not read its settings ([`WarehouseError::Forbidden`]), or if the database fails
    /// ([`WarehouseError::Backend`]).
    pub async fn describe(
        &self,
        request: &Request,
        name: &str,
    ) -> Result<WarehouseDescription, WarehouseError> {
        let warehouse = self.require(request, name, Action::LoadWarehouse).await?;
        let row = warehouses::find(&self.db, &warehouse.name).await?;
        row.map_or_else(|| Err(WarehouseError::NoSuchWarehouse(name.to_owned())), described)
    }
}

/// Returns the description of a warehouse, without its secret.
pub(super) fn described(row: WarehouseRow) -> Result<WarehouseDescription, WarehouseError> {
    let storage = storage::parse(&row.storage);
    let storage =
        storage.map_err(|error| BackendError::Internal(format!("warehouse `{}`: {error}", row.name)))?;
    Ok(WarehouseDescription {
        warehouse_id: row.warehouse_id.0,
        name: row.name,
        location: row.location,
        storage,
        has_credential: row.credential.is_some(),
        created_ms: row.created_ms,
    })
}
