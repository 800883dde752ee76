//! All stores of a process, chosen by the location.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use table_core::location::Location;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::local::LocalStore;
use crate::objects::Bucket;
use crate::objects::memory::MemoryBuckets;
use crate::place::{MEMORY_SCHEME, Place};
use crate::store::{Store, Upload};

/// Stores by location: `file:` locations are local files, and objects are in the bucket that was added with the
/// longest location that contains them. In tests, `memory:` locations are in the memory of the process. Clones share
/// their content.
#[derive(Debug, Clone)]
pub struct Stores {
    local: Arc<LocalStore>,
    /// `None` in a real process, whose tables would be lost with it.
    memory: Option<MemoryBuckets>,
    /// Buckets with the locations of warehouses in them, the longest ones first.
    buckets: Arc<RwLock<Buckets>>,
}

/// Buckets with the locations that they were added for.
type Buckets = Vec<(Location, Arc<Bucket>)>;

impl Stores {
    /// Creates the stores of a process, which has only local files so far.
    pub fn new(local: LocalStore) -> Stores {
        Stores { local: Arc::new(local), memory: None, buckets: Arc::default() }
    }

    /// Returns the same stores with an empty store in memory in addition, for tests.
    #[must_use]
    pub fn with_memory(self) -> Stores {
        Stores { memory: Some(MemoryBuckets::default()), ..self }
    }

    /// Returns the same stores with other threads and another deadline for local files.
    #[must_use]
    pub fn with_local(&self, local: LocalStore) -> Stores {
        Stores { local: Arc::new(local), ..self.clone() }
    }

    /// Adds a bucket for everything below a location, or replaces the one that was added for the same location.
    pub fn add_bucket(&self, location: &Location, bucket: Bucket) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|(known, _)| known != location);
        buckets.push((location.clone(), Arc::new(bucket)));
        buckets.sort_by_key(|(location, _)| std::cmp::Reverse(location.normal().len()));
    }

    /// Removes the bucket of a location.
    pub fn remove_bucket(&self, location: &Location) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|(known, _)| known != location);
    }

    /// Returns `true` if a local file is below a folder, after symbolic links in both paths are resolved.
    pub async fn contains(&self, folder: &Place, file: &Path) -> bool {
        folder.local().is_some() && self.local.contains(folder, file).await
    }

    fn of(&self, place: &Place) -> Result<Arc<dyn Store>, StorageError> {
        if place.local().is_some() {
            return Ok(self.local.clone());
        }
        if let Some(memory) = &self.memory
            && place.location().normal().starts_with(MEMORY_SCHEME)
        {
            return Ok(Arc::new(memory.of(place)?));
        }
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let found = buckets.iter().find(|(location, _)| location.contains(place.location()));
        match found {
            Some((_, bucket)) => Ok(bucket.clone()),
            None => Err(StorageError::UnsupportedScheme(place.as_str().to_owned())),
        }
    }
}

#[async_trait]
impl Store for Stores {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.of(place)?.read(place, limit_bytes).await
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.of(place)?.read_range(place, range).await
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.of(place)?.write_new(place, content).await
    }

    async fn write_new_with_folders(
        &self,
        place: &Place,
        content: Bytes,
        folders: &[Place],
    ) -> Result<(), StorageError> {
        self.of(place)?.write_new_with_folders(place, content, folders).await
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        self.of(place)?.create(place).await
    }

    fn part_bytes(&self, place: &Place) -> usize {
        self.of(place).map_or(1 << 20, |store| store.part_bytes(place))
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        self.of(place)?.state(place).await
    }

    fn state_in_memory(&self, place: &Place) -> FileState {
        self.of(place).map_or(FileState::Unknown, |store| store.state_in_memory(place))
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place)?.delete(place).await
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        self.of(place)?.delete_below(place, files_max).await
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.of(place)?.list(place, files_max).await
    }

    async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place)?.create_folder(place).await
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place)?.prepare_root(place).await
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        self.of(place)?.find_below(place, suffix, entries_max).await
    }
}
