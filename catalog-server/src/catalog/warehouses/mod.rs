//! Warehouses, and read-only views of them as of an instant.

pub mod warehouse;

use std::sync::{Arc, PoisonError};

use table_core::location::Location;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::config::{self, ScanPlanningMode};
use crate::id;
use crate::request::Request;
use crate::store::catalog::warehouses::{self, NewWarehouse, WarehouseRow};
use crate::store::ids::WarehouseId;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::warehouses::warehouse::Warehouse;

/// Age in milliseconds below which an instant may still be written to by a transaction in progress, or may be
/// in the future by the clock of the database.
const SETTLED_AFTER_MS: i64 = 60_000;

/// Maximum number of existing warehouses that a new one is compared with. Each was configured by hand.
const COMPARED_MAX: u32 = 10_000;

impl Catalog {
    /// Creates the configured warehouse if it does not exist, and checks that files can be written in its
    /// folder.
    ///
    /// # Errors
    ///
    /// Fails if the configured location is invalid, differs from that of the existing warehouse, or overlaps
    /// with that of another one ([`CatalogError::Invalid`]), or if the file system or the database fails.
    pub async fn ensure_warehouse(
        &self,
        wanted: &config::WarehouseConfig,
        default_location: &str,
    ) -> Result<Warehouse, CatalogError> {
        if let Some(row) = warehouses::find(&self.db, &wanted.name).await? {
            let warehouse = self.remember(row, wanted.scan_planning_mode)?;
            check_configured(&warehouse, wanted)?;
            self.files.prepare_root(&warehouse.location).await?;
            return Ok(warehouse);
        }
        let location = wanted.location.as_deref().unwrap_or(default_location);
        let location = Location::parse(location).map_err(|error| CatalogError::Invalid(error.to_string()))?;
        self.check_apart(&wanted.name, &location).await?;
        self.files.add_root(&location);
        self.files.prepare_root(&location).await?;
        let now_ms = self.clock.now_ms();
        let text = location.to_string();
        let new = NewWarehouse {
            warehouse_id: WarehouseId(id::ordered()),
            name: &wanted.name,
            location: &text,
            properties: "{}",
        };
        let mut tx = self.db.write(now_ms).await?;
        // A concurrent replica may have created the warehouse; its row is equivalent.
        warehouses::create(&mut tx, &new).await?;
        tx.commit().await?;
        match warehouses::find(&self.db, &wanted.name).await? {
            Some(row) => self.remember(row, wanted.scan_planning_mode),
            None => Err(CatalogError::Internal(format!("warehouse `{}` was not created", wanted.name))),
        }
    }

    /// Checks that the folder of a new warehouse does not overlap with that of another warehouse: tables
    /// claim their folders separately in each warehouse.
    async fn check_apart(&self, name: &str, location: &Location) -> Result<(), CatalogError> {
        for row in warehouses::list(&self.db, None, COMPARED_MAX).await? {
            // A concurrent replica may have created this warehouse meanwhile.
            let is_other = row.name != name;
            if is_other && Location::parse(&row.location).is_ok_and(|other| other.overlaps(location)) {
                return Err(CatalogError::Invalid(format!(
                    "the folder `{location}` of the new warehouse overlaps with that of warehouse `{}` at `{}`; set \
                     `warehouse.location` to a folder of its own",
                    row.name, row.location
                )));
            }
        }
        Ok(())
    }

    /// Returns `true` if the catalog has no warehouse yet.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`]).
    pub async fn has_no_warehouse(&self) -> Result<bool, CatalogError> {
        Ok(warehouses::list(&self.db, None, 1).await?.is_empty())
    }

    /// Returns the warehouse of `name` (its name, or `name@instant`) on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse does not exist or the caller may not know of it
    /// ([`CatalogError::NoSuchWarehouse`]), if the instant cannot be read or lies in the future
    /// ([`CatalogError::Invalid`]), or if the database fails.
    pub async fn require_warehouse(
        &self,
        request: &Request,
        name: &str,
        action: Action,
    ) -> Result<Warehouse, CatalogError> {
        let warehouse = self.find_warehouse(name).await?;
        self.authorize_warehouse(request, &warehouse, action)?;
        Ok(warehouse)
    }

    /// Checks that the caller may do `action` on a warehouse.
    ///
    /// # Errors
    ///
    /// Fails if it may not ([`CatalogError::Forbidden`], [`CatalogError::NoSuchWarehouse`]).
    pub fn authorize_warehouse(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        action: Action,
    ) -> Result<(), CatalogError> {
        let missing = || CatalogError::NoSuchWarehouse(warehouse.prefix());
        self.authorize(request, action, Resource::Warehouse(warehouse.id), missing)
    }

    /// Returns the warehouse of `name` (its name, or `name@instant`). Access is not checked.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse does not exist ([`CatalogError::NoSuchWarehouse`]), if the instant cannot be
    /// parsed or is in the future ([`CatalogError::Invalid`]), or if the database fails.
    pub async fn find_warehouse(&self, name: &str) -> Result<Warehouse, CatalogError> {
        let Some((base, instant)) = name.split_once('@') else {
            return self.find_live(name).await;
        };
        let warehouse = self.find_live(base).await?;
        let instant_ms = parse_instant(instant)?;
        let at_ms = self.db.history_ms(instant_ms);
        if instant_ms > self.clock.now_ms() - SETTLED_AFTER_MS {
            self.require_settled(name, at_ms).await?;
        }
        Ok(Warehouse { at_ms: Some(at_ms), instant_ms: Some(instant_ms), ..warehouse })
    }

    /// Returns the only warehouse, for a client that names none, on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if there is no warehouse ([`CatalogError::NoSuchWarehouse`]), if there is more than one
    /// ([`CatalogError::Invalid`]), if the caller may not do `action` ([`CatalogError::Forbidden`]), or if
    /// the database fails.
    pub async fn only_warehouse(&self, request: &Request, action: Action) -> Result<Warehouse, CatalogError> {
        // Two rows suffice to detect that there is more than one.
        let mut rows = warehouses::list(&self.db, None, 2).await?;
        match rows.len() {
            1 => {
                let warehouse = self.remember(rows.remove(0), ScanPlanningMode::Unset)?;
                self.authorize_warehouse(request, &warehouse, action)?;
                Ok(warehouse)
            }
            0 => Err(CatalogError::NoSuchWarehouse("(none was created yet)".to_owned())),
            _ => Err(CatalogError::Invalid(
                "there is more than one warehouse; name one of them by the `warehouse` parameter".to_owned(),
            )),
        }
    }

    /// Ensures that nothing can be written to the history at the instant any more.
    async fn require_settled(&self, name: &str, at_ms: i64) -> Result<(), CatalogError> {
        let settled_ms = self.db.settle(self.clock.now_ms()).await?;
        if at_ms < settled_ms {
            return Ok(());
        }
        if at_ms == settled_ms {
            // For the current instant, waiting until the millisecond has passed is acceptable.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            if at_ms < self.db.settle(self.clock.now_ms()).await? {
                return Ok(());
            }
        }
        Err(CatalogError::Invalid(format!(
            "Invalid warehouse `{name}`: the instant lies in the future; nobody knows the catalog of then"
        )))
    }

    async fn find_live(&self, name: &str) -> Result<Warehouse, CatalogError> {
        let known = self.warehouses.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(warehouse) = known {
            return Ok(warehouse);
        }
        // PostgreSQL's text type cannot store this character.
        if name.contains('\0') {
            return Err(CatalogError::NoSuchWarehouse(name.to_owned()));
        }
        match warehouses::find(&self.db, name).await? {
            Some(row) => self.remember(row, ScanPlanningMode::Unset),
            None => Err(CatalogError::NoSuchWarehouse(name.to_owned())),
        }
    }

    /// Caches a warehouse. Its id, name and location never change, so they are read once. The first planning
    /// mode is retained: the configured warehouse is cached before any other one.
    fn remember(&self, row: WarehouseRow, planning: ScanPlanningMode) -> Result<Warehouse, CatalogError> {
        let location = Location::parse(&row.location)
            .map_err(|error| CatalogError::Internal(format!("warehouse `{}`: {error}", row.name)))?;
        self.files.add_root(&location);
        let warehouse = Warehouse {
            id: row.warehouse_id,
            name: row.name.clone().into(),
            location: Arc::new(location),
            planning,
            at_ms: None,
            instant_ms: None,
        };
        let mut known = self.warehouses.write().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(row.name).or_insert(warehouse).clone())
    }
}

fn check_configured(warehouse: &Warehouse, wanted: &config::WarehouseConfig) -> Result<(), CatalogError> {
    let Some(location) = &wanted.location else {
        return Ok(());
    };
    let location = Location::parse(location).map_err(|error| CatalogError::Invalid(error.to_string()))?;
    if location.normal() == warehouse.location.normal() {
        return Ok(());
    }
    Err(CatalogError::Invalid(format!(
        "warehouse `{}` lives at `{}`, but the configuration says `{location}`; a warehouse cannot move: \
         restore the old location or configure a new warehouse name",
        warehouse.name, warehouse.location
    )))
}

fn parse_instant(text: &str) -> Result<i64, CatalogError> {
    if let Ok(at_ms) = text.parse::<i64>() {
        return Ok(at_ms);
    }
    // A `+` that a client did not escape arrives as a space.
    match text.replace(' ', "+").parse::<jiff::Timestamp>() {
        Ok(instant) => Ok(instant.as_millisecond()),
        Err(error) => Err(CatalogError::Invalid(format!(
            "Invalid instant `{text}`: write an RFC 3339 timestamp as in `main@2026-11-20T10:00:00Z` ({error})"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339_or_milliseconds() {
        let expected = 1_795_168_800_000;
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20T11:00:00+01:00",
            "2026-11-20T11:00:00 01:00",
            "1795168800000",
        ] {
            assert_eq!(parse_instant(text).unwrap(), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-11-20", "2026-11-20T10:00:00"] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }
}
