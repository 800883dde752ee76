//! Where tables may live: inside the warehouse, and inside no other table's location.
//!
//! A table owns its location and every folder that its `write.*.path` properties name. What it once owned it
//! keeps, since older files still lie there.

use table_core::location::Location;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;
use uuid::Uuid;

use crate::store::ids::TabularId;
use crate::store::locations::{self, Claim};
use crate::store::tx::Tx;

use super::Catalog;
use super::error::CatalogError;
use super::names::{Identifier, Namespace};
use super::warehouses::Warehouse;

/// Longest readable part of a default location, in bytes; the UUID behind it makes it unique.
const READABLE_BYTES_MAX: usize = 64;

/// The folders a table or view owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folders(Vec<Location>);

impl Folders {
    /// What a table with this metadata owns.
    pub(super) fn by_table(warehouse: &Warehouse, metadata: &TableMetadata) -> Result<Self, CatalogError> {
        let mut folders = vec![inside(warehouse, "table location", metadata.location())?];
        for path in metadata.path_properties() {
            let location = inside(warehouse, "property `write.*.path`", path)?;
            if !folders.iter().any(|folder| folder.contains(&location)) {
                folders.push(location);
            }
        }
        Ok(Self(folders))
    }

    /// What a view with this metadata owns.
    pub(super) fn by_view(warehouse: &Warehouse, metadata: &ViewMetadata) -> Result<Self, CatalogError> {
        let mut folders = vec![inside(warehouse, "view location", metadata.location())?];
        if let Some(path) = metadata.property("write.metadata.path") {
            let location = inside(warehouse, "property `write.metadata.path`", path)?;
            if !folders.iter().any(|folder| folder.contains(&location)) {
                folders.push(location);
            }
        }
        Ok(Self(folders))
    }

    /// Whether a file lies in one of the folders.
    pub(super) fn contains(&self, location: &Location) -> bool {
        self.0.iter().any(|folder| folder.contains(location))
    }

    /// The folders whose address is not their normal form: `a%20b` is claimed as `a b`, but lies at `a%20b`.
    pub(super) fn spelled_otherwise(&self) -> Vec<String> {
        let others = self.0.iter().filter(|folder| folder.as_str().trim_end_matches('/') != folder.normal());
        others.map(|folder| folder.as_str().to_owned()).collect()
    }

    /// Whether `other` asks for nothing more.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|folder| self.contains(folder))
    }
}

/// The folder for the tables of a namespace that has no `location` property, in the warehouse at `base`. Namespaces with
/// similar names may share one.
pub(super) fn of_namespace(base: &str, namespace: &Namespace) -> String {
    let levels: Vec<_> = namespace.levels().iter().map(|level| readable(level)).collect();
    format!("{}/{}", base.trim_end_matches('/'), levels.join("/"))
}

/// A folder of its own for a new table or view: readable, and never used before.
pub(super) fn default_location(base: &str, identifier: &Identifier, id: Uuid) -> String {
    own_folder(&of_namespace(base, &identifier.namespace), &identifier.name, id)
}

/// A folder of its own below `base`.
pub(super) fn own_folder(base: &str, name: &str, id: Uuid) -> String {
    format!("{}/{}-{}", base.trim_end_matches('/'), readable(name), id.simple())
}

/// Checks that `text` is a location strictly inside the warehouse.
pub(super) fn inside(warehouse: &Warehouse, what: &str, text: &str) -> Result<Location, CatalogError> {
    let location =
        Location::parse(text).map_err(|error| CatalogError::Invalid(format!("Invalid {what}: {error}")))?;
    let root = &warehouse.location;
    if !root.contains(&location) || root.normal() == location.normal() {
        return Err(CatalogError::Invalid(format!(
            "Invalid {what} `{text}`: it must lie inside the warehouse `{}` at `{root}`; leave it away to let the \
             server choose",
            warehouse.name
        )));
    }
    Ok(location)
}

impl Catalog {
    /// Claims folders for an object within its transaction; fails if another one has them.
    pub(super) async fn claim(
        &self,
        tx: &mut Tx,
        warehouse: &Warehouse,
        owner: TabularId,
        folders: &Folders,
    ) -> Result<(), CatalogError> {
        let prefixes: Vec<_> = folders.0.iter().map(Location::prefix).collect();
        let wanted: Vec<_> = prefixes.iter().map(String::as_str).collect();
        match locations::claim(tx, warehouse.id, &wanted, owner.0).await? {
            Claim::Claimed => Ok(()),
            Claim::Overlaps { prefix, .. } => Err(overlap(&wanted.join("`, `"), &prefix)),
        }
    }

    /// Checks, before anything is written there, that nobody holds the folders: a purge would delete it again.
    pub(super) async fn check_free(
        &self,
        warehouse: &Warehouse,
        folders: &Folders,
    ) -> Result<(), CatalogError> {
        for folder in &folders.0 {
            let holder =
                locations::find_holder(&self.db, warehouse.id, &folder.prefix(), Uuid::nil()).await?;
            if let Some(prefix) = holder {
                return Err(overlap(folder.as_str(), &prefix));
            }
        }
        Ok(())
    }

    /// Checks that tables can be made below a location: it is in the warehouse, and no table or view owns it.
    pub(super) async fn check_usable(
        &self,
        warehouse: &Warehouse,
        what: &str,
        text: &str,
    ) -> Result<(), CatalogError> {
        let location = inside(warehouse, what, text)?;
        match locations::find_holder(&self.db, warehouse.id, &location.prefix(), Uuid::nil()).await? {
            None => Ok(()),
            Some(prefix) => Err(overlap(text, &prefix)),
        }
    }

    /// Checks that a file which is not in `folders` is in the warehouse and in nobody else's folder.
    pub(super) async fn check_file(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
        what: &str,
        text: &str,
    ) -> Result<(), CatalogError> {
        let location = inside(warehouse, what, text)?;
        if folders.contains(&location) {
            return Ok(());
        }
        let owner = owner.map_or(Uuid::nil(), |owner| owner.0);
        match locations::find_holder(&self.db, warehouse.id, &location.prefix(), owner).await? {
            None => Ok(()),
            Some(prefix) => Err(overlap(text, &prefix)),
        }
    }
}

fn overlap(location: &str, other: &str) -> CatalogError {
    CatalogError::Invalid(format!(
        "Invalid location `{location}`: it overlaps `{other}`, which belongs to another table or view; choose a \
         folder of its own, or leave the location away"
    ))
}

/// Letters, digits, `-`, `.` and `_` mean the same to every client; the rest becomes `_`.
fn readable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut readable: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    readable.truncate(READABLE_BYTES_MAX);
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_locations_are_plain_whatever_the_name() {
        let namespace = Namespace::new(vec!["a b".to_owned(), "..x".to_owned()]).unwrap();
        let identifier = Identifier::new(namespace, "täble/%2F".to_owned()).unwrap();
        let location = default_location("file:///w/", &identifier, Uuid::from_u128(5));
        assert_eq!(location, "file:///w/a_b/__x/t_ble__2F-00000000000000000000000000000005");
    }
}
