//! Store of files on local file systems, which may be network mounts.
//!
//! Every operation runs on a thread that may be abandoned, because a file system may never answer. Each root has
//! threads of its own, so that a dead mount does not stop the work on others.

pub mod files;
pub mod folders;
pub(crate) mod path;
pub mod threads;
mod tree;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::files::{LocalFiles, NewLocalFile};
use self::threads::{About, Threads};
use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::place::Place;
use crate::store::{PartWritten, Store, Upload};

/// Maximum number of roots that have threads of their own. Further ones share theirs.
const POOLS_MAX: usize = 256;

/// Size of the parts of a new file in bytes: large enough that handing them to a thread costs little.
const PART_BYTES: usize = 1 << 20;

/// Store of local files. Clones share their threads.
#[derive(Debug, Clone)]
pub struct LocalStore {
    files: LocalFiles,
    pools: Arc<Pools>,
}

#[derive(Debug)]
struct Pools {
    threads_max: usize,
    deadline: Duration,
    by_root: Mutex<HashMap<PathBuf, Threads>>,
}

struct LocalUpload {
    store: LocalStore,
    place: Place,
    file: Arc<NewLocalFile>,
    /// Size of the parts so far, in bytes.
    size_bytes: u64,
}

impl LocalStore {
    /// Creates a store. An operation that takes longer than `deadline` is abandoned; at most `threads_max`
    /// threads wait for the file system of one root.
    pub fn new(threads_max: usize, deadline: Duration) -> LocalStore {
        let pools = Pools { threads_max, deadline, by_root: Mutex::default() };
        LocalStore { files: LocalFiles::default(), pools: Arc::new(pools) }
    }

    /// Returns `true` if a file is below a folder, after symbolic links in both paths are resolved.
    pub async fn contains(&self, folder: &Place, file: &Path) -> bool {
        let file = file.to_owned();
        let work = move |_: &LocalFiles, folder: &Place| {
            Ok(folder.local().is_some_and(|folder| LocalFiles::is_below(folder.path(), &file)))
        };
        self.run("look for", folder, work).await.unwrap_or(false)
    }

    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        place: &Place,
        work: impl FnOnce(&LocalFiles, &Place) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let Some(path) = place.local() else {
            return Err(StorageError::UnsupportedScheme(place.as_str().to_owned()));
        };
        let threads = self.pools.threads(path.root());
        let (files, of_work) = (self.files.clone(), place.clone());
        let about = About { action, location: place.as_str() };
        threads.run(about, move || work(&files, &of_work)).await
    }
}

impl Pools {
    /// Returns the threads for a root.
    fn threads(&self, root: &Path) -> Threads {
        // The map is in a valid state even if a thread panicked while it had the lock.
        let mut by_root = self.by_root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = by_root.get(root) {
            return threads.clone();
        }
        // The empty path stands for all roots beyond the limit.
        let root = if by_root.len() < POOLS_MAX { root } else { Path::new("") };
        let new = || Threads::new(self.threads_max, self.deadline);
        by_root.entry(root.to_owned()).or_insert_with(new).clone()
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.run("read", place, move |files, place| files.read(place, limit_bytes)).await
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.run("read", place, move |files, place| files.read_range(place, range)).await
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.write_new_with_folders(place, content, &[]).await
    }

    async fn write_new_with_folders(
        &self,
        place: &Place,
        content: Bytes,
        folders: &[Place],
    ) -> Result<(), StorageError> {
        let folders = folders.to_vec();
        self.run("write", place, move |files, place| files.write_new(place, &content, &folders)).await
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        let file = Arc::new(self.run("write", place, LocalFiles::create).await?);
        Ok(Box::new(LocalUpload { store: self.clone(), place: place.clone(), file, size_bytes: 0 }))
    }

    fn part_bytes(&self, _: &Place) -> usize {
        PART_BYTES
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        self.run("look for", place, LocalFiles::state).await
    }

    fn state_in_memory(&self, place: &Place) -> FileState {
        self.files.state_in_memory(place)
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        self.run("delete", place, LocalFiles::delete).await
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        self.run("delete below", place, move |files, place| files.delete_below(place, files_max)).await
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.run("list", place, move |files, place| files.list(place, files_max)).await
    }

    async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        self.run("create the folders of", place, LocalFiles::create_folder).await
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.run("create the folder", place, LocalFiles::prepare_root).await
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        let suffix = suffix.to_owned();
        let work = move |files: &LocalFiles, place: &Place| files.find_below(place, &suffix, entries_max);
        match self.run("look for tables in", place, work).await {
            Err(StorageError::NotFound(_)) => Ok(false),
            found => found,
        }
    }
}

#[async_trait]
impl Upload for LocalUpload {
    fn write_part(&mut self, part: Bytes) -> PartWritten {
        let (store, place, file) = (self.store.clone(), self.place.clone(), self.file.clone());
        let start = self.size_bytes;
        self.size_bytes += part.len() as u64;
        Box::pin(async move { store.run("write", &place, move |_, _| file.write_at(start, &part)).await })
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        let file = self.file.clone();
        self.store.run("write", &self.place, move |_, _| file.sync()).await
    }

    /// Leaves the incomplete file, which is deleted by those who recorded that they would write it.
    async fn abort(&mut self) {}
}
