//! Ownership of locations: tables and views are in the warehouse, and not in the folders of another table or
//! view.
//!
//! A table owns its location and every folder named by its `write.*.path` properties. Folders that it owned
//! before remain its own, because older files are still in them.

use table_core::location::Location;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;
use uuid::Uuid;

use crate::store::catalog::locations::{self, Claim};
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;
use crate::store::maintenance::jobs;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;

/// Maximum number of purges that are examined when the server starts.
const PURGES_MAX: u32 = 10_000;
/// Maximum length of the readable part of a default location, in bytes. The UUID after it makes the location
/// unique.
const READABLE_BYTES_MAX: usize = 64;

/// Folders owned by a table or view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(Vec<Location>);

impl Folders {
    /// Returns the folders of a table with this metadata.
    pub(in crate::catalog) fn by_table(
        warehouse: &Warehouse,
        metadata: &TableMetadata,
    ) -> Result<Self, CatalogError> {
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
    ) -> Result<Self, CatalogError> {
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

/// Returns the folder for the tables of a namespace without a `location` property, in the warehouse at
/// `base`. Namespaces with similar names may share a folder.
pub(in crate::catalog) fn of_namespace(base: &str, namespace: &Namespace) -> String {
    let levels: Vec<_> = namespace.levels().iter().map(|level| readable(level)).collect();
    format!("{}/{}", base.trim_end_matches('/'), levels.join("/"))
}

/// Returns the default location of a new table or view: a readable and unique folder.
pub(in crate::catalog) fn default_location(base: &str, identifier: &Identifier, id: Uuid) -> String {
    own_folder(&of_namespace(base, &identifier.namespace), &identifier.name, id)
}

/// Returns a unique folder for a table or view below `base`.
pub(in crate::catalog) fn own_folder(base: &str, name: &str, id: Uuid) -> String {
    format!("{}/{}-{}", base.trim_end_matches('/'), readable(name), id.simple())
}

/// Parses a location and checks that it is strictly inside the warehouse. `what` is its name in error
/// messages.
pub(in crate::catalog) fn inside(
    warehouse: &Warehouse,
    what: &str,
    text: &str,
) -> Result<Location, CatalogError> {
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
    /// Claims folders for a table or view within its transaction. Fails if another table or view owns one of
    /// them.
    pub(in crate::catalog) async fn claim(
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
            Claim::Overlaps { .. } => Err(overlap(&wanted.join("`, `"))),
        }
    }

    /// Checks, before files are written, that the folders belong to no table or view except `owner` (`None`
    /// for a new one): a purge of another owner would delete the files again.
    pub(in crate::catalog) async fn check_free(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
    ) -> Result<(), CatalogError> {
        let owner = owner.map_or(Uuid::nil(), |owner| owner.0);
        for folder in &folders.0 {
            let holder = locations::find_holder(&self.db, warehouse.id, &folder.prefix(), owner).await?;
            if holder.is_some() {
                return Err(overlap(folder.as_str()));
            }
        }
        Ok(())
    }

    /// Checks that tables can be created below a location: it is in the warehouse and belongs to no table or
    /// view.
    pub(in crate::catalog) async fn check_usable(
        &self,
        warehouse: &Warehouse,
        what: &str,
        text: &str,
    ) -> Result<(), CatalogError> {
        let location = inside(warehouse, what, text)?;
        match locations::find_holder(&self.db, warehouse.id, &location.prefix(), Uuid::nil()).await? {
            None => Ok(()),
            Some(_) => Err(overlap(text)),
        }
    }

    /// Returns all folders of a table: those named by its metadata, and those that it claimed before.
    pub(in crate::catalog) async fn own_folders(
        &self,
        warehouse: &Warehouse,
        owner: TabularId,
        metadata: &TableMetadata,
    ) -> Result<Folders, CatalogError> {
        // A table that was registered in another catalog before may name folders that it never claimed here.
        let mut folders = Folders::by_table(warehouse, metadata).unwrap_or_default();
        folders.0.extend(self.claimed_folders(owner.0).await?.0);
        Ok(folders)
    }

    /// Corrects claims that an older version stored with percent-encoded characters decoded, so that they
    /// name a different folder than the table or the purge has.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`], [`CatalogError::OutcomeUnknown`]).
    pub async fn respell_claims(&self) -> Result<(), CatalogError> {
        let mut wrong = locations::list_encoded(&self.db).await?;
        for job in jobs::list_of_server(&self.db, PURGES_MAX).await? {
            let purge = serde_json::from_str::<serde_json::Value>(&job.options).unwrap_or_default();
            let prefixes = purge["prefixes"].as_array().into_iter().flatten();
            wrong.extend(prefixes.filter_map(|prefix| Some((job.job_id, prefix.as_str()?.to_owned()))));
        }
        for (owner, text) in wrong {
            let Ok(location) = Location::parse_file(&text) else { continue };
            let Some(decoded) = location.decoded_prefix() else { continue };
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            locations::respell(&mut tx, owner, &decoded, &location.prefix()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Returns the folders claimed by a table, a view or a purge.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`]).
    pub async fn claimed_folders(&self, owner: Uuid) -> Result<Folders, CatalogError> {
        let prefixes = locations::list(&self.db, owner).await?;
        Ok(Folders(prefixes.iter().filter_map(|prefix| Location::parse_file(prefix).ok()).collect()))
    }

    /// Returns the largest folder around a file that the table `reader` may read although it does not own it:
    /// a folder in the warehouse without any claim of another table or view on it or inside it. If there is
    /// none, returns the file itself; returns `None` if another table or view owns the file or if it is
    /// outside of the warehouse.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`]).
    pub async fn free_folder(
        &self,
        warehouse: &Warehouse,
        reader: TabularId,
        file: &Location,
    ) -> Result<Option<Location>, CatalogError> {
        let root = &warehouse.location;
        if !root.contains(file)
            || locations::find_holder(&self.db, warehouse.id, &file.prefix(), reader.0).await?.is_some()
        {
            return Ok(None);
        }
        let inside = file.ancestors().into_iter().filter(|above| above.len() > root.prefix().len());
        for above in inside {
            if above == file.prefix() {
                break;
            }
            if !locations::is_shared(&self.db, warehouse.id, &above, reader.0).await? {
                return Ok(Location::parse_file(&above).ok());
            }
        }
        // Every folder around the file contains claims of others, so only the file itself can be read.
        Ok(Some(file.clone()))
    }

    /// Checks that a file is in `folders`, or elsewhere in the warehouse and in no folder of another table or
    /// view.
    pub(in crate::catalog) async fn check_file(
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
            Some(_) => Err(overlap(text)),
        }
    }
}

/// Creates the error for a location of another owner. It does not disclose the other location, which the
/// caller may not be allowed to know.
fn overlap(location: &str) -> CatalogError {
    CatalogError::Invalid(format!(
        "Invalid location `{location}`: it overlaps with a folder that belongs to another table or view; choose a folder \
         of its own, or leave the location away"
    ))
}

/// Replaces all characters except ASCII letters, digits, `-` and `_`, which have the same meaning for every
/// client, by `_`.
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
