//! Files in the warehouses: reads below their roots, writes and deletions in the folders of one table, and the
//! caches of metadata. The files themselves are in the stores of the `storage` crate.

pub mod documents;
pub mod manifests;
mod turns;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use storage::check::{AbilityCheck, check};
use storage::error::StorageError;
use storage::file::FileState;
use storage::files::Files;
use storage::local::LocalStore;
use storage::objects::Bucket;
use storage::place::Place;
use storage::scope::{Reads, Scope};
use storage::store::Store;
use storage::stores::Stores;
use table_core::location::Location;

/// Memory that a cache needs for an entry in addition to key and value, in bytes: counters, queue positions,
/// hash table.
const ENTRY_BYTES: usize = 320;
/// Maximum duration of one file system operation on a metadata file.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Number of threads that wait for the file system of one warehouse: the number of commits that can be synced
/// concurrently.
const THREADS_MAX: usize = 128;
/// Suffix of the names of metadata files.
const METADATA_SUFFIX: &str = ".metadata.json";
/// Maximum number of folders and files that are examined to find out if there are tables.
const EXAMINED_MAX: usize = 20_000;

/// Read access to everything below the roots of warehouses, and write access to the folders of single tables.
/// Clones share their state.
#[derive(Clone, Debug)]
pub struct WarehouseFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stores: Stores,
    roots: RwLock<Roots>,
}

#[derive(Debug)]
struct Roots {
    locations: Vec<Location>,
    /// Scope of permitted reads: everything below the roots.
    scope: Arc<Scope>,
}

/// Returns the store of local files for metadata, with operations that take at most [`DEADLINE`].
pub fn local_store() -> LocalStore {
    LocalStore::new(THREADS_MAX, DEADLINE)
}

impl WarehouseFiles {
    /// Creates the access without any root.
    pub fn new(stores: Stores) -> WarehouseFiles {
        let roots = Roots { locations: Vec::new(), scope: Arc::default() };
        WarehouseFiles { shared: Arc::new(Shared { stores, roots: RwLock::new(roots) }) }
    }

    /// Permits reads of everything below the location of a warehouse.
    pub fn add_root(&self, root: &Location) {
        let mut roots = self.shared.roots.write().unwrap_or_else(PoisonError::into_inner);
        if !roots.locations.contains(root) {
            roots.locations.push(root.clone());
            roots.scope = Arc::new(Scope::new(roots.locations.clone(), Vec::new(), Reads::BelowRoots));
        }
    }

    /// Adds the bucket of an object store for everything below a location, or replaces it.
    pub fn add_bucket(&self, location: &Location, bucket: Bucket) {
        self.shared.stores.add_bucket(location, bucket);
    }

    /// Checks what can be done with the files below a root; see [`storage::check`].
    pub async fn check(&self, root: &Location, may_overwrite: bool) -> Vec<AbilityCheck> {
        check(&self.shared.stores, root, may_overwrite).await
    }

    /// Creates the folder of a root and checks that files can be written there.
    ///
    /// # Errors
    ///
    /// Fails if no store has such locations ([`StorageError::UnsupportedScheme`]), if the folder cannot be
    /// created or written, or if the deadline passes.
    pub async fn prepare_root(&self, root: &Location) -> Result<(), StorageError> {
        self.shared.stores.prepare_root(&root_place(root)?).await
    }

    /// Returns `true` if there are metadata files of tables below a root. Only the first 20,000
    /// folders and files are examined.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read or the deadline passes. A folder that does not exist is no error.
    pub async fn has_tables(&self, root: &Location) -> Result<bool, StorageError> {
        self.shared.stores.find_below(&root_place(root)?, METADATA_SUFFIX, EXAMINED_MAX).await
    }

    /// Returns `true` if a local file is below a root, after symbolic links in both paths are resolved.
    pub async fn contains(&self, root: &Location, file: Option<&Path>) -> bool {
        match (root_place(root), file) {
            (Ok(root), Some(file)) => self.shared.stores.contains(&root, file).await,
            _ => false,
        }
    }

    /// Returns write access to some folders, all of them of one owner.
    pub fn own(&self, folders: &[Location]) -> Files {
        let roots = self.roots().locations.clone();
        Files::new(Arc::new(self.shared.stores.clone()), Scope::new(roots, folders.to_vec(), Reads::Own))
    }

    /// Reads the file at `location`, which may have at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails if the file is not below a root ([`StorageError::NotReadable`]), does not exist
    /// ([`StorageError::NotFound`]), is too large ([`StorageError::TooLarge`]) or cannot be read, or if the
    /// deadline passes.
    pub async fn read(&self, location: &str, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.shared.stores.read(&self.readable(location)?, limit_bytes).await
    }

    /// Reads the file at `location` like [`WarehouseFiles::read`] and converts its content with `make`, both
    /// outside of the request threads. The deadline applies to the read only.
    ///
    /// # Errors
    ///
    /// Fails like [`WarehouseFiles::read`], and if `make` panics.
    pub async fn read_as<T: Send + 'static>(
        &self,
        location: &str,
        limit_bytes: usize,
        make: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let content = self.read(location, limit_bytes).await?;
        let result = tokio::task::spawn_blocking(move || make(content)).await;
        result.map_err(|error| StorageError::io("read", location, std::io::Error::other(error)))
    }

    /// Returns `true` if the file is known not to exist any more.
    pub async fn is_gone(&self, location: &str) -> bool {
        self.state(location).await == FileState::Gone
    }

    /// Returns the state of the file at a location; `Unknown` if it may not be read.
    pub async fn state(&self, location: &str) -> FileState {
        match self.readable(location) {
            Ok(place) => self.state_at(&place).await,
            Err(_) => FileState::Unknown,
        }
    }

    /// Returns the state of the file at a place; `Unknown` if the store does not respond.
    ///
    /// Usually the kernel knows the state of a local file without disk access, which takes a microsecond.
    pub async fn state_at(&self, place: &Place) -> FileState {
        match self.shared.stores.state_in_memory(place) {
            FileState::Unknown => self.shared.stores.state(place).await.unwrap_or(FileState::Unknown),
            known => known,
        }
    }

    /// Returns the place of a file that may be read.
    ///
    /// # Errors
    ///
    /// Fails if the location is invalid or not below a root ([`StorageError::NotReadable`]).
    pub fn readable(&self, location: &str) -> Result<Place, StorageError> {
        let scope = self.roots().scope.clone();
        scope.read(location)
    }

    /// Returns the roots. The data remains valid if a thread panicked while it had the lock.
    fn roots(&self) -> std::sync::RwLockReadGuard<'_, Roots> {
        self.shared.roots.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates the `metadata` and `data` folders of a new table.
///
/// Object stores have no folders, but in file systems some engines (`DuckDB`) expect them to exist.
///
/// # Errors
///
/// Fails if the table location is not in the own folders ([`StorageError::NotOwn`]), if a folder cannot be
/// created, or if the deadline passes.
pub async fn create_table_folders(files: &Files, table_location: &str) -> Result<(), StorageError> {
    files.create_folder(&format!("{}/metadata", table_location.trim_end_matches('/'))).await?;
    files.create_folder(&data_folder(table_location)).await
}

/// Returns the location of the data folder of a table.
pub fn data_folder(table_location: &str) -> String {
    format!("{}/data", table_location.trim_end_matches('/'))
}

/// Returns the place of the root of a warehouse, which the operator has named.
fn root_place(root: &Location) -> Result<Place, StorageError> {
    Scope::new(Vec::new(), vec![root.clone()], Reads::Own).folder(root.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_warehouse_is_not_in_the_memory_of_the_server() {
        let files = WarehouseFiles::new(Stores::new(local_store()));
        let refused = files.prepare_root(&Location::parse("memory://w").unwrap()).await;
        assert!(matches!(refused, Err(StorageError::UnsupportedScheme(_))));
    }

    #[tokio::test]
    async fn nothing_is_read_outside_of_the_roots_or_written_outside_of_own_folders() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let at = |name: &str| format!("file://{}/{name}", folder.path().display());
        let location = |name: &str| Location::parse(&at(name)).unwrap();
        let files = WarehouseFiles::new(Stores::new(local_store()));
        let own = files.own(&[location("w/t")]);
        assert!(matches!(files.read(&at("w/t/x"), 9).await, Err(StorageError::NotReadable(_))));
        files.add_root(&location("w"));
        files.prepare_root(&location("w")).await.unwrap();
        let own_now = files.own(&[location("w/t")]);
        own_now.write_new(&at("w/t/x"), Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(files.read(&at("w/t/x"), 9).await.unwrap(), "x");
        assert!(!files.is_gone(&at("w/t/x")).await && files.is_gone(&at("w/t/y")).await);
        assert!(matches!(files.read(&at("secret"), 9).await, Err(StorageError::NotReadable(_))));
        for other in ["w/u/x", "secret", "w/x"] {
            let written = own_now.write_new(&at(other), Bytes::new()).await;
            assert!(matches!(written, Err(StorageError::NotOwn(_))), "{other}");
            assert!(matches!(own.delete(&at(other)).await, Err(StorageError::NotOwn(_))), "{other}");
        }
    }
}
