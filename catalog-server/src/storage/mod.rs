//! Access to files in the warehouses: reads below their roots, writes and deletions in the folders of one
//! table, and the caches of metadata.
//!
//! Every operation has a deadline, and those on one warehouse use a bounded number of threads.

pub mod documents;
pub mod manifests;
mod turns;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use storage::error::StorageError;
use storage::local::{FileState, Listed, LocalFiles};
use storage::place::Place;
use storage::scope::{Reads, Scope};
use storage::threads::{About, Threads};
use table_core::location::Location;

/// Memory that a cache needs for an entry in addition to key and value, in bytes: counters, queue positions,
/// hash table.
const ENTRY_BYTES: usize = 320;
/// Maximum duration of one file system operation on a metadata file.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Suffix of the names of metadata files.
const METADATA_SUFFIX: &str = ".metadata.json";
/// Maximum number of folders and files that are examined to find out if there are tables.
const LOOKED_AT_MAX: usize = 20_000;
/// Number of threads that wait for the file system of one warehouse: the number of commits that can be synced
/// concurrently.
const THREADS_MAX: usize = 128;

/// Read access to the files below the roots of warehouses. Clones share their state.
#[derive(Clone, Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

/// Write access to the files of one table or view.
#[derive(Clone, Debug)]
pub struct OwnFiles {
    files: Files,
    scope: Scope,
}

#[derive(Debug)]
struct Shared {
    local: LocalFiles,
    deadline: Duration,
    roots: RwLock<Roots>,
}

#[derive(Debug, Default)]
struct Roots {
    locations: Vec<Location>,
    /// Scope of permitted reads: everything below the roots.
    scope: Arc<Scope>,
    threads: HashMap<PathBuf, Threads>,
}

impl Files {
    /// Creates the access without any root. An operation that takes longer than `deadline` fails.
    pub fn new(deadline: Duration) -> Files {
        let shared = Shared { local: LocalFiles::default(), deadline, roots: RwLock::default() };
        Files { shared: Arc::new(shared) }
    }

    /// Creates the access to all files that this process may read, for commands that a user runs with their
    /// own rights.
    pub fn of_process(deadline: Duration) -> Files {
        let files = Files::new(deadline);
        files.roots_mut().scope = Arc::new(Scope::new(Vec::new(), Vec::new(), Reads::Anywhere));
        files
    }

    /// Permits reads of everything below the location of a warehouse.
    pub fn add_root(&self, root: &Location) {
        let mut roots = self.roots_mut();
        if !roots.locations.contains(root) {
            roots.locations.push(root.clone());
            roots.scope = Arc::new(Scope::new(roots.locations.clone(), Vec::new(), Reads::BelowRoots));
        }
    }

    /// Creates the folder of a root and checks that files can be written there.
    ///
    /// # Errors
    ///
    /// Fails if the location is not in the local file system ([`StorageError::UnsupportedScheme`]), if the
    /// folder cannot be created or written, or if the deadline passes.
    pub async fn prepare_root(&self, root: &Location) -> Result<(), StorageError> {
        let (local, location) = (self.shared.local.clone(), root.to_string());
        if root.local_path().is_none() {
            return Err(StorageError::UnsupportedScheme(location));
        }
        let path = root_path(root);
        let about = About { action: "create the folder", location: &location };
        let told = location.clone();
        let work = move || {
            local.prepare_root(&path).map_err(|error| StorageError::io("create the folder", &told, error))
        };
        self.threads(root_path(root)).run(about, work).await
    }

    /// Returns `true` if there are metadata files of tables below a root. Only the first 20,000
    /// folders and files are examined.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read or the deadline passes. A folder that does not exist is no error.
    pub async fn has_tables(&self, root: &Location) -> Result<bool, StorageError> {
        let (local, path) = (self.shared.local.clone(), root_path(root));
        let (location, told) = (root.to_string(), root.to_string());
        let about = About { action: "look for tables in", location: &location };
        let work = move || {
            local
                .find_below(&path, METADATA_SUFFIX, LOOKED_AT_MAX)
                .map_err(|error| StorageError::io("look for tables in", &told, error))
        };
        match self.threads(root_path(root)).run(about, work).await {
            Err(StorageError::NotFound(_)) => Ok(false),
            found => found,
        }
    }

    /// Returns `true` if a file is below a root, after symbolic links in both paths are resolved.
    pub async fn holds(&self, root: &Location, file: Option<&Path>) -> bool {
        let (Some(file), path) = (file.map(Path::to_owned), root_path(root)) else { return false };
        let about = About { action: "look for", location: root.as_str() };
        let work = move || Ok(LocalFiles::is_below(&path, &file));
        self.threads(root_path(root)).run(about, work).await.unwrap_or(false)
    }

    /// Returns write access to some folders, all of them of one owner.
    pub fn own(&self, folders: &[Location]) -> OwnFiles {
        let scope = Scope::new(self.roots().locations.clone(), folders.to_vec(), Reads::Own);
        OwnFiles { files: self.clone(), scope }
    }

    /// Reads the file at `location`, which may have at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails if the file is not below a root ([`StorageError::NotReadable`]), does not exist
    /// ([`StorageError::NotFound`]), is too large ([`StorageError::TooLarge`]) or cannot be read, or if the
    /// deadline passes.
    pub async fn read(&self, location: &str, limit_bytes: usize) -> Result<Bytes, StorageError> {
        let place = self.readable(location)?;
        self.run("read", place, move |local, place| local.read(place, limit_bytes)).await
    }

    /// Reads the file at `location` like [`Files::read`] and converts its content with `make`, both outside
    /// of the request threads. The deadline applies to the read only.
    ///
    /// # Errors
    ///
    /// Fails like [`Files::read`], and if `make` panics.
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

    /// Returns the state of the file at a place; `Unknown` if the file system does not respond.
    ///
    /// Usually the kernel knows the state without disk access, which takes a microsecond.
    pub async fn state_at(&self, place: &Place) -> FileState {
        match self.shared.local.state_in_memory(place) {
            FileState::Unknown => {
                let asked = self.run("look for", place.clone(), |local, place| Ok(local.state(place))).await;
                asked.unwrap_or(FileState::Unknown)
            }
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

    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        place: Place,
        work: impl FnOnce(&LocalFiles, &Place) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let local = self.shared.local.clone();
        let location = place.as_str().to_owned();
        let about = About { action, location: &location };
        self.threads(place.root().to_owned()).run(about, move || work(&local, &place)).await
    }

    /// Returns the threads for a root.
    fn threads(&self, root: PathBuf) -> Threads {
        if let Some(threads) = self.roots().threads.get(&root) {
            return threads.clone();
        }
        let deadline = self.shared.deadline;
        let mut roots = self.roots_mut();
        if !roots
            .locations
            .iter()
            .any(|known| known.local_path().is_some_and(|path| root.as_os_str() == path))
        {
            // The folder is read with the rights of a user: there is no limit on the number of such folders,
            // so they share threads.
            return roots
                .threads
                .entry(PathBuf::new())
                .or_insert_with(|| Threads::new(THREADS_MAX, deadline))
                .clone();
        }
        roots.threads.entry(root).or_insert_with(|| Threads::new(THREADS_MAX, deadline)).clone()
    }

    /// Returns the roots. The data remains valid if a thread panicked while it had the lock.
    fn roots(&self) -> std::sync::RwLockReadGuard<'_, Roots> {
        self.shared.roots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn roots_mut(&self) -> std::sync::RwLockWriteGuard<'_, Roots> {
        self.shared.roots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnFiles {
    /// Writes a new file durably: it survives a power failure after the function returns.
    ///
    /// # Errors
    ///
    /// Fails if the location is not in the own folders ([`StorageError::NotOwn`]), if the file already
    /// exists, which then remains unchanged ([`StorageError::AlreadyExists`]), if it cannot be written, or if
    /// the deadline passes.
    pub async fn write_new(&self, location: &str, content: Bytes) -> Result<(), StorageError> {
        let place = self.scope.write(location)?;
        self.files.run("write", place, move |local, place| local.write_new(place, &content)).await
    }

    /// Deletes a file. A file that does not exist is no error.
    ///
    /// # Errors
    ///
    /// Fails if the location is not in the own folders ([`StorageError::NotOwn`]), if the file cannot be
    /// deleted, or if the deadline passes.
    pub async fn delete(&self, location: &str) -> Result<(), StorageError> {
        let place = self.scope.write(location)?;
        self.files.run("delete", place, LocalFiles::delete).await
    }

    /// Deletes up to `files_max` files below the folder `prefix`, and the folders that become empty.
    ///
    /// Returns the number of deleted files. If it is less than `files_max`, none is left.
    ///
    /// # Errors
    ///
    /// Fails if the folder is not in the own folders ([`StorageError::NotOwn`]), if a file cannot be deleted,
    /// or if the deadline passes.
    pub async fn delete_below(&self, prefix: &str, files_max: usize) -> Result<usize, StorageError> {
        let place = self.scope.folder(prefix)?;
        self.files.run("delete below", place, move |local, place| local.delete_below(place, files_max)).await
    }

    /// Lists up to `files_max` files in the folder at `location`, without subfolders.
    ///
    /// # Errors
    ///
    /// Fails if the folder is not in the own folders ([`StorageError::NotOwn`]), if it cannot be read, or if
    /// the deadline passes.
    pub async fn list(&self, location: &str, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        let place = self.scope.folder(location)?;
        self.files.run("list", place, move |local, place| local.list(place, files_max)).await
    }

    /// Creates the `metadata` and `data` folders of a new table.
    ///
    /// Object stores have no folders, but in file systems some engines (`DuckDB`) expect them to exist.
    ///
    /// # Errors
    ///
    /// Fails if the table location is not in the own folders ([`StorageError::NotOwn`]), if a folder cannot
    /// be created, or if the deadline passes.
    pub async fn create_table_folders(&self, table_location: &str) -> Result<(), StorageError> {
        for name in ["metadata", "data"] {
            let place = self.scope.folder(&format!("{}/{name}", table_location.trim_end_matches('/')))?;
            self.files.run("create the folders of", place, LocalFiles::create_folder).await?;
        }
        Ok(())
    }
}

/// Returns the path of a root in the local file system.
fn root_path(root: &Location) -> PathBuf {
    match root.local_path() {
        None | Some("") => PathBuf::from("/"),
        Some(path) => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_read_outside_of_the_roots_or_written_outside_of_own_folders() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let at = |name: &str| format!("file://{}/{name}", folder.path().display());
        let location = |name: &str| Location::parse(&at(name)).unwrap();
        let files = Files::new(Duration::from_secs(60));
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
