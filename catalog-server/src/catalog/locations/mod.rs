//! Ownership of locations: tables and views are in the warehouse, and not in the folders of another table or
//! view. The files in these folders are not accessed.

pub mod default;
pub mod error;
pub mod ownership;
mod respell;

use table_core::location::Location;
use table_core::metadata::table::TableMetadata;
use uuid::Uuid;

use crate::catalog::warehouses::warehouse::Warehouse;
use crate::clock::Clock;
use crate::store::catalog::locations;
use crate::store::engine::db::Db;
use crate::store::ids::TabularId;

use self::error::{OwnershipError, overlap};
use self::ownership::{Folders, inside};

/// Claims on the locations of the tables and views of all warehouses.
pub struct LocationClaims {
    pub(in crate::catalog) db: Db,
    pub(in crate::catalog) clock: Clock,
}

impl LocationClaims {
    /// Checks, before files are written, that the folders belong to no table or view except `owner` (`None`
    /// for a new one): a purge of another owner would delete the files again.
    pub(in crate::catalog) async fn check_free(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
    ) -> Result<(), OwnershipError> {
        let owner = owner.map_or(Uuid::nil(), |owner| owner.0);
        for folder in folders.as_slice() {
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
    ) -> Result<(), OwnershipError> {
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
    ) -> Result<Folders, OwnershipError> {
        // A table that was registered in another catalog before may name folders that it never claimed here.
        let named = Folders::by_table(warehouse, metadata).unwrap_or_default();
        Ok(named.with(self.claimed_folders(owner.0).await?))
    }

    /// Returns the folders claimed by a table, a view or a purge.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`OwnershipError::Backend`]).
    pub async fn claimed_folders(&self, owner: Uuid) -> Result<Folders, OwnershipError> {
        let prefixes = locations::list(&self.db, owner).await?;
        Ok(Folders::new(prefixes.iter().filter_map(|prefix| Location::parse_file(prefix).ok()).collect()))
    }

    /// Returns the largest folder around a file that the table `reader` may read although it does not own it:
    /// a folder in the warehouse without any claim of another table or view on it or inside it. If there is
    /// none, returns the file itself; returns `None` if another table or view owns the file or if it is
    /// outside of the warehouse.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`OwnershipError::Backend`]).
    pub async fn free_folder(
        &self,
        warehouse: &Warehouse,
        reader: TabularId,
        file: &Location,
    ) -> Result<Option<Location>, OwnershipError> {
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
    ) -> Result<(), OwnershipError> {
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
