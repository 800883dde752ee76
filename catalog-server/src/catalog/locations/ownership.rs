//! Folders of tables and views. Who owns them is in the database.
//!
//! A table owns its location and every folder named by its `write.*.path` properties. Folders that it owned
//! before remain its own, because older files are still in them.

use table_core::location::Location;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::catalog::warehouses::warehouse::Warehouse;

use super::error::OwnershipError;

/// Folders owned by a table or view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(Vec<Location>);

impl Folders {
    /// Creates a set of folders.
    pub(super) fn new(folders: Vec<Location>) -> Self {
        Self(folders)
    }

    /// Returns these folders and `others`.
    pub(super) fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns the prefixes of the folders, as they are claimed in the database.
    pub(in crate::catalog) fn prefixes(&self) -> Vec<String> {
        self.0.iter().map(Location::prefix).collect()
    }

    /// Returns the folders of a table with this metadata.
    pub(in crate::catalog) fn by_table(
        warehouse: &Warehouse,
        metadata: &TableMetadata,
    ) -> Result<Self, OwnershipError> {
        let mut folders = vec![inside(warehouse, "table location", metadata.location())?];
        for path in metadata.path_properties() {
            let location = inside(warehouse, "property `write.*.path`", path)?;
            if !folders.iter().any(|folder| folder.contains(&location)) {
                folders.push(location);
            }
        }
        Ok(Self(folders))
    }

    /// Returns the folders of a view with this metadata.
    pub(in crate::catalog) fn by_view(
        warehouse: &Warehouse,
        metadata: &ViewMetadata,
    ) -> Result<Self, OwnershipError> {
        let mut folders = vec![inside(warehouse, "view location", metadata.location())?];
        if let Some(path) = metadata.property("write.metadata.path") {
            let location = inside(warehouse, "property `write.metadata.path`", path)?;
            if !folders.iter().any(|folder| folder.contains(&location)) {
                folders.push(location);
            }
        }
        Ok(Self(folders))
    }

    /// Returns `true` if a file or folder is in one of the folders.
    pub fn contains(&self, location: &Location) -> bool {
        self.0.iter().any(|folder| folder.contains(location))
    }

    /// Returns the folders.
    pub fn as_slice(&self) -> &[Location] {
        &self.0
    }

    /// Returns `true` if all folders of `other` are in these folders.
    pub(in crate::catalog) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|folder| self.contains(folder))
    }
}

/// Parses a location and checks that it is strictly inside the warehouse. `what` is its name in error
/// messages.
pub(in crate::catalog) fn inside(
    warehouse: &Warehouse,
    what: &str,
    text: &str,
) -> Result<Location, OwnershipError> {
    let location =
        Location::parse(text).map_err(|error| OwnershipError::Invalid(format!("Invalid {what}: {error}")))?;
    let root = &warehouse.location;
    if !root.contains(&location) || root.normal() == location.normal() {
        return Err(OwnershipError::Invalid(format!(
            "Invalid {what} `{text}`: it must be inside the warehouse `{}` at `{root}`; omit it to let the server choose",
            warehouse.name
        )));
    }
    Ok(location)
}
