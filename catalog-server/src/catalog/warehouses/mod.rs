//! Use cases on warehouses.

mod check;
mod create;
mod ensure;
pub mod error;
mod find;
mod list;
mod storage;
pub mod warehouse;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use table_core::location::Location;

use crate::authz::action::Action;
use crate::authz::{Authorizer, Resource};
use crate::catalog::access::authorize;
use crate::catalog::backend::BackendError;
use crate::clock::Clock;
use crate::planning_mode::ScanPlanningMode;
use crate::request::Request;
use crate::secrets::SecretKeys;
use crate::storage::WarehouseFiles;
use crate::store::catalog::warehouses::{self, WarehouseRow};
use crate::store::engine::db::Db;

use self::error::WarehouseError;
use self::warehouse::Warehouse;

/// Warehouses of the catalog.
pub struct Warehouses {
    pub(in crate::catalog) db: Db,
    pub(in crate::catalog) clock: Clock,
    pub(in crate::catalog) authorizer: Arc<Authorizer>,
    pub(in crate::catalog) files: WarehouseFiles,
    pub(in crate::catalog) secrets: SecretKeys,
    /// Warehouses that were read before, by their names.
    pub(in crate::catalog) known: RwLock<HashMap<String, Warehouse>>,
}

impl Warehouses {
    /// Returns `true` if the catalog has no warehouse yet.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`WarehouseError::Backend`]).
    pub async fn are_empty(&self) -> Result<bool, WarehouseError> {
        Ok(warehouses::list(&self.db, None, 1).await?.is_empty())
    }

    /// Returns the warehouse of `name` (its name, or `name@instant`) on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse does not exist or the caller may not know of it
    /// ([`WarehouseError::NoSuchWarehouse`]), or may not do `action` on it ([`WarehouseError::Forbidden`]);
    /// if the instant cannot be read or lies in the future ([`WarehouseError::Invalid`]); or if the database
    /// fails ([`WarehouseError::Backend`]).
    pub async fn require(
        &self,
        request: &Request,
        name: &str,
        action: Action,
    ) -> Result<Warehouse, WarehouseError> {
        let warehouse = self.find_unauthorized(name).await?;
        self.authorize(request, &warehouse, action)?;
        Ok(warehouse)
    }

    /// Checks that the caller may do `action` on a warehouse.
    ///
    /// # Errors
    ///
    /// Fails if it may not ([`WarehouseError::Forbidden`]), or may not even know of the warehouse
    /// ([`WarehouseError::NoSuchWarehouse`]).
    pub fn authorize(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        action: Action,
    ) -> Result<(), WarehouseError> {
        let missing = || WarehouseError::NoSuchWarehouse(warehouse.prefix());
        authorize(&self.authorizer, request, action, Resource::Warehouse(warehouse.id), missing)
    }

    /// Returns the only warehouse, for a client that names none, on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if there is no warehouse, or the caller may not know of it
    /// ([`WarehouseError::NoSuchWarehouse`]); if there is more than one ([`WarehouseError::Invalid`]); if the
    /// caller may not do `action` ([`WarehouseError::Forbidden`]); or if the database fails
    /// ([`WarehouseError::Backend`]).
    pub async fn require_only(&self, request: &Request, action: Action) -> Result<Warehouse, WarehouseError> {
        // Two rows suffice to detect that there is more than one.
        let mut rows = warehouses::list(&self.db, None, 2).await?;
        match rows.len() {
            1 => {
                let warehouse = self.find_live(&rows.remove(0).name).await?;
                self.authorize(request, &warehouse, action)?;
                Ok(warehouse)
            }
            0 => Err(WarehouseError::NoSuchWarehouse("(none was created yet)".to_owned())),
            _ => Err(WarehouseError::Invalid(
                "there is more than one warehouse; select one with the `warehouse` parameter".to_owned(),
            )),
        }
    }

    /// Caches a warehouse. Its id, name and location never change, so they are read once. The first planning
    /// mode is retained: the configured warehouse is cached before any other one.
    async fn insert(
        &self,
        row: WarehouseRow,
        planning: ScanPlanningMode,
    ) -> Result<Warehouse, WarehouseError> {
        let unusable = |error: String| BackendError::Internal(format!("warehouse `{}`: {error}", row.name));
        let location = Location::parse(&row.location).map_err(|error| unusable(error.to_string()))?;
        let credential = self.credential(&row).await?;
        let profile = storage::parse(&row.storage).map_err(unusable)?;
        let bucket = storage::open(&location, &profile, credential.as_ref());
        if let Some(bucket) = bucket.map_err(unusable)? {
            self.files.add_bucket(&location, bucket);
        }
        self.files.add_root(&location);
        let warehouse = Warehouse {
            id: row.warehouse_id,
            name: row.name.clone().into(),
            location: Arc::new(location),
            storage: Arc::new(profile),
            planning,
            at_ms: None,
            instant_ms: None,
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(row.name).or_insert(warehouse).clone())
    }
}

/// Checks that the folder of a new warehouse does not overlap with that of another warehouse: tables claim their
/// folders separately in each warehouse. `others` are names and locations.
fn check_apart(others: &[(String, String)], name: &str, location: &Location) -> Result<(), WarehouseError> {
    // A concurrent replica may have created the same warehouse meanwhile.
    let overlapping = others.iter().find(|(other, place)| {
        other != name && Location::parse(place).is_ok_and(|place| place.overlaps(location))
    });
    match overlapping {
        Some((other, place)) => Err(WarehouseError::Invalid(format!(
            "the folder `{location}` of the new warehouse overlaps with that of warehouse `{other}` at `{place}`; \
             choose another folder"
        ))),
        None => Ok(()),
    }
}
