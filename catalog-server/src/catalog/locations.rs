//! Where tables may live: inside the warehouse, and inside no other table's location.
//!
//! A table owns its location and every folder that its `write.*.path` properties name. What it once owned it
//! keeps, since older files still lie there.

use table_core::location::Location;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;
use uuid::Uuid;

use crate::store::cleanup;
use crate::store::ids::TabularId;
use crate::store::locations::{self, Claim};
use crate::store::tx::Tx;

use super::Catalog;
use super::error::CatalogError;
use super::names::{Identifier, Namespace};
use super::warehouses::Warehouse;

/// Purges that are looked at when the server starts.
const TASKS_MAX: u32 = 10_000;
/// Longest readable part of a default location, in bytes; the UUID behind it makes it unique.
const READABLE_BYTES_MAX: usize = 64;

/// The folders a table or view owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders(Vec<Location>);

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
    pub fn contains(&self, location: &Location) -> bool {
        self.0.iter().any(|folder| folder.contains(location))
    }

    /// The folders themselves.
    pub fn as_slice(&self) -> &[Location] {
        &self.0
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
            Claim::Overlaps { .. } => Err(overlap(&wanted.join("`, `"))),
        }
    }

    /// Checks, before anything is written there, that nobody but the owner, if there is one yet, holds the folders: they are
    /// others', and a purge would delete it again.
    pub(super) async fn check_free(
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
            Some(_) => Err(overlap(text)),
        }
    }

    /// Everything a table owns: what its metadata names, and what it owned before.
    pub(super) async fn own_folders(
        &self,
        warehouse: &Warehouse,
        owner: TabularId,
        metadata: &TableMetadata,
    ) -> Result<Folders, CatalogError> {
        // A table that was registered elsewhere before may name what it never claimed here.
        let mut folders = Folders::by_table(warehouse, metadata).unwrap_or_default();
        folders.0.extend(self.claimed_folders(owner.0).await?.0);
        Ok(folders)
    }

    /// Makes claims right that an older version kept with percent signs decoded, so that they name another folder than the one that
    /// the table or the purge has.
    pub async fn respell_claims(&self) -> Result<(), CatalogError> {
        let mut wrong = locations::list_encoded(&self.db).await?;
        for task in cleanup::list(&self.db, None, TASKS_MAX).await? {
            let purge = serde_json::from_str::<serde_json::Value>(&task.payload).unwrap_or_default();
            let prefixes = purge["prefixes"].as_array().into_iter().flatten();
            wrong.extend(prefixes.filter_map(|prefix| Some((task.task_id, prefix.as_str()?.to_owned()))));
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

    /// The folders that a table, a view or a purge has claimed.
    pub async fn claimed_folders(&self, owner: Uuid) -> Result<Folders, CatalogError> {
        let prefixes = locations::list(&self.db, owner).await?;
        Ok(Folders(prefixes.iter().filter_map(|prefix| Location::parse_file(prefix).ok()).collect()))
    }

    /// The largest folder around a file that a table may read although it is not its own: one in the warehouse that no other
    /// table or view has claimed, nor anything in it. `None` if another one owns the file, or it lies outside of the warehouse.
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
        // Others own folders beside it: the file alone.
        Ok(Some(file.clone()))
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
            Some(_) => Err(overlap(text)),
        }
    }
}

/// Says nothing of where the other one lies: whoever asks may not be allowed to see it.
fn overlap(location: &str) -> CatalogError {
    CatalogError::Invalid(format!(
        "Invalid location `{location}`: it overlaps with a folder that belongs to another table or view; choose a folder \
         of its own, or leave the location away"
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
