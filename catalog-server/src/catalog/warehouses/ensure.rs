//! Creation of the configured warehouse.

use table_core::location::Location;

use crate::catalog::backend::BackendError;
use crate::config;
use crate::id;
use crate::store::catalog::warehouses::{self, NewWarehouse};
use crate::store::ids::WarehouseId;

use super::error::WarehouseError;
use super::warehouse::Warehouse;
use super::{Warehouses, check_apart, storage};

impl Warehouses {
    /// Creates the configured warehouse if it does not exist, and checks that files can be written in its
    /// folder.
    ///
    /// # Errors
    ///
    /// Fails if the configured location is invalid, differs from that of the existing warehouse, or overlaps
    /// with that of another one ([`WarehouseError::Invalid`]), or if the file system or the database fails
    /// ([`WarehouseError::Backend`]).
    pub async fn ensure(
        &self,
        wanted: &config::WarehouseConfig,
        default_location: &str,
    ) -> Result<Warehouse, WarehouseError> {
        if let Some(row) = warehouses::find(&self.db, &wanted.name).await? {
            let warehouse = self.insert(row, wanted.scan_planning_mode).await?;
            check_configured(&warehouse, wanted)?;
            self.files.prepare_root(&warehouse.location).await?;
            return Ok(warehouse);
        }
        let location = wanted.location.as_deref().unwrap_or(default_location);
        let location =
            Location::parse(location).map_err(|error| WarehouseError::Invalid(error.to_string()))?;
        self.files.add_root(&location);
        self.files.prepare_root(&location).await?;
        let now_ms = self.clock.now_ms();
        let text = location.to_string();
        let new = NewWarehouse {
            warehouse_id: WarehouseId(id::ordered()),
            name: &wanted.name,
            location: &text,
            properties: "{}",
            storage: storage::FILE,
            credential: None,
        };
        let mut tx = self.db.write(now_ms).await?;
        check_apart(&warehouses::lock_and_list(&mut tx).await?, &wanted.name, &location)?;
        // A concurrent replica may have created the warehouse; its row is equivalent.
        warehouses::create(&mut tx, &new).await?;
        tx.commit().await?;
        match warehouses::find(&self.db, &wanted.name).await? {
            Some(row) => self.insert(row, wanted.scan_planning_mode).await,
            None => {
                Err(BackendError::Internal(format!("warehouse `{}` was not created", wanted.name)).into())
            }
        }
    }
}

fn check_configured(warehouse: &Warehouse, wanted: &config::WarehouseConfig) -> Result<(), WarehouseError> {
    let Some(location) = &wanted.location else {
        return Ok(());
    };
    let location = Location::parse(location).map_err(|error| WarehouseError::Invalid(error.to_string()))?;
    if location.normal() == warehouse.location.normal() {
        return Ok(());
    }
    Err(WarehouseError::Invalid(format!(
        "warehouse `{}` is at `{}`, but the configuration says `{location}`; a warehouse cannot move: \
         restore the old location or configure a new warehouse name",
        warehouse.name, warehouse.location
    )))
}
