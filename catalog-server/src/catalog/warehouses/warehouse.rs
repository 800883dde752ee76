//! Warehouse as requests address it: live, or as it was at an instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use openapi::warehouse::StorageProfile;
use table_core::location::Location;

use crate::catalog::access::Forbidden;
use crate::planning_mode::ScanPlanningMode;
use crate::store::ids::WarehouseId;

use super::storage;

/// Warehouse that a request operates on, or a read-only view of it as of an instant.
#[derive(Clone, Debug)]
pub struct Warehouse {
    /// Id of the warehouse.
    pub id: WarehouseId,
    /// Name of the warehouse.
    pub name: Arc<str>,
    /// Folder that contains all tables of the warehouse.
    pub location: Arc<Location>,
    /// Storage of the location.
    pub storage: Arc<StorageProfile>,
    /// Scan planning mode that is advertised to clients.
    pub planning: ScanPlanningMode,
    /// Instant of the read-only view, in the time of the catalog's history; `None` for the current state.
    pub at_ms: Option<i64>,
    /// Instant of the read-only view as the client named it, in milliseconds since 1970.
    pub(in crate::catalog) instant_ms: Option<i64>,
}

impl Warehouse {
    /// Returns the path segment that identifies the warehouse in URLs: its name, or `name@instant` in
    /// milliseconds.
    pub fn prefix(&self) -> String {
        match self.instant_ms {
            Some(instant_ms) => format!("{}@{instant_ms}", self.name),
            None => self.name.to_string(),
        }
    }

    /// Returns the settings with which clients find the store, under the names that they know.
    pub fn client_settings(&self) -> BTreeMap<String, String> {
        storage::client_settings(&self.storage)
    }

    /// Rejects changes to a read-only view.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view as of an instant ([`Forbidden`]).
    pub fn require_writable(&self) -> Result<(), Forbidden> {
        match self.at_ms {
            None => Ok(()),
            Some(_) => Err(Forbidden(format!(
                "`{}` is a read-only view of warehouse `{}` at an instant; connect to `{}` to change anything",
                self.prefix(),
                self.name,
                self.name
            ))),
        }
    }
}
