//! All stores of a process, chosen by the scheme of the location.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::local::LocalStore;
use crate::objects::MemoryStore;
use crate::place::Place;
use crate::store::{Store, Upload};

/// Stores by scheme: `file:` locations are local files. In tests, `memory:` locations are in the memory of
/// the process. Clones share their content.
#[derive(Debug, Clone)]
pub struct Stores {
    local: LocalStore,
    /// `None` in a real process, whose tables would be lost with it.
    memory: Option<MemoryStore>,
}

impl Stores {
    /// Creates the stores of a process. A location that is not a local file is refused.
    pub fn new(local: LocalStore) -> Stores {
        Stores { local, memory: None }
    }

    /// Returns the same stores with an empty store in memory in addition, for tests.
    #[must_use]
    pub fn with_memory(self) -> Stores {
        Stores { memory: Some(MemoryStore::default()), ..self }
    }

    /// Returns the same stores with other threads and another deadline for local files.
    #[must_use]
    pub fn with_local(&self, local: LocalStore) -> Stores {
        Stores { local, memory: self.memory.clone() }
    }

    /// Returns `true` if a local file is below a folder, after symbolic links in both paths are resolved.
    pub async fn contains(&self, folder: &Place, file: &Path) -> bool {
        folder.local().is_some() && self.local.contains(folder, file).await
    }

    fn of(&self, place: &Place) -> &dyn Store {
        match &self.memory {
            Some(memory) if place.local().is_none() => memory,
            // The store of local files refuses all other places.
            _ => &self.local,
        }
    }
}

#[async_trait]
impl Store for Stores {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.of(place).read(place, limit_bytes).await
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.of(place).read_range(place, range).await
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.of(place).write_new(place, content).await
    }

    async fn write_new_with_folders(
        &self,
        place: &Place,
        content: Bytes,
        folders: &[Place],
    ) -> Result<(), StorageError> {
        self.of(place).write_new_with_folders(place, content, folders).await
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        self.of(place).create(place).await
    }

    fn part_bytes(&self, place: &Place) -> usize {
        self.of(place).part_bytes(place)
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        self.of(place).state(place).await
    }

    fn state_in_memory(&self, place: &Place) -> FileState {
        self.of(place).state_in_memory(place)
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place).delete(place).await
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        self.of(place).delete_below(place, files_max).await
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.of(place).list(place, files_max).await
    }

    async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place).create_folder(place).await
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.of(place).prepare_root(place).await
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        self.of(place).find_below(place, suffix, entries_max).await
    }
}
