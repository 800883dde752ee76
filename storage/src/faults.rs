//! Injection of faults and delays into a store, for tests.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::place::Place;
use crate::store::{PartWritten, Store, Upload};

/// Operation on a store, as far as faults distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A file or a range of it is read.
    Read,
    /// A file is created; its content follows.
    Create,
    /// A part of the content of a new file is written.
    WritePart,
    /// A new file is completed.
    Finish,
    /// The state of a file is looked up.
    State,
    /// A file, or everything below a folder, is deleted.
    Delete,
    /// A folder is listed, searched, created or checked.
    Folder,
}

/// Faults of a store.
#[async_trait]
pub trait Faults: fmt::Debug + Send + Sync {
    /// Called before an operation.
    ///
    /// # Errors
    ///
    /// The operation fails with the error, without reaching the store.
    async fn before(&self, operation: Operation, place: &Place) -> Result<(), StorageError>;

    /// Called after an operation that succeeded.
    ///
    /// # Errors
    ///
    /// The operation fails with the error, although the store has carried it out.
    async fn after(&self, _operation: Operation, _place: &Place) -> Result<(), StorageError> {
        Ok(())
    }

    /// Returns the number of bytes after which writing of a new file fails; `None` if it succeeds.
    fn torn_after_bytes(&self, _place: &Place) -> Option<usize> {
        None
    }

    /// Returns the size of the parts of new files, in bytes; `None` for that of the store. With small parts,
    /// faults also occur in the middle of small files.
    fn part_bytes(&self) -> Option<usize> {
        None
    }
}

/// Store with faults.
#[derive(Debug, Clone)]
pub struct Faulty {
    store: Arc<dyn Store>,
    faults: Arc<dyn Faults>,
}

/// Delay of every operation, as if the store were far away.
#[derive(Debug, Clone, Copy)]
pub struct Latency(pub Duration);

struct FaultyUpload {
    upload: Box<dyn Upload>,
    faults: Arc<dyn Faults>,
    place: Place,
    /// Number of bytes after which writing fails; `None` for no fault.
    remaining_bytes: Option<usize>,
}

#[async_trait]
impl Faults for Latency {
    async fn before(&self, _: Operation, _: &Place) -> Result<(), StorageError> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
}

impl Faulty {
    /// Adds faults to a store.
    pub fn new(store: Arc<dyn Store>, faults: Arc<dyn Faults>) -> Faulty {
        Faulty { store, faults }
    }

    async fn meet<T: Send>(
        &self,
        operation: Operation,
        place: &Place,
        work: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        self.faults.before(operation, place).await?;
        let done = work.await?;
        self.faults.after(operation, place).await?;
        Ok(done)
    }
}

/// Returns the error of a fault.
pub fn injected(place: &Place) -> StorageError {
    StorageError::io("use", place.as_str(), std::io::Error::other("a fault was injected"))
}

#[async_trait]
impl Store for Faulty {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.meet(Operation::Read, place, self.store.read(place, limit_bytes)).await
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.meet(Operation::Read, place, self.store.read_range(place, range)).await
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.faults.before(Operation::Create, place).await?;
        if let Some(torn_bytes) = self.faults.torn_after_bytes(place) {
            let mut upload = self.store.create(place).await?;
            self.faults.after(Operation::Create, place).await?;
            upload.write_part(content.slice(..torn_bytes.min(content.len()))).await?;
            return Err(injected(place));
        }
        self.store.write_new(place, content).await?;
        self.faults.after(Operation::Create, place).await?;
        self.faults.after(Operation::Finish, place).await
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        self.faults.before(Operation::Create, place).await?;
        let remaining_bytes = self.faults.torn_after_bytes(place);
        let upload = self.store.create(place).await?;
        self.faults.after(Operation::Create, place).await?;
        let (faults, place) = (self.faults.clone(), place.clone());
        Ok(Box::new(FaultyUpload { upload, faults, place, remaining_bytes }))
    }

    fn part_bytes(&self, place: &Place) -> usize {
        self.faults.part_bytes().unwrap_or_else(|| self.store.part_bytes(place))
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        self.meet(Operation::State, place, self.store.state(place)).await
    }

    fn state_in_memory(&self, place: &Place) -> FileState {
        self.store.state_in_memory(place)
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        self.meet(Operation::Delete, place, self.store.delete(place)).await
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        self.meet(Operation::Delete, place, self.store.delete_below(place, files_max)).await
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.meet(Operation::Folder, place, self.store.list(place, files_max)).await
    }

    async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        self.meet(Operation::Folder, place, self.store.create_folder(place)).await
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.meet(Operation::Folder, place, self.store.prepare_root(place)).await
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        self.meet(Operation::Folder, place, self.store.find_below(place, suffix, entries_max)).await
    }
}

#[async_trait]
impl Upload for FaultyUpload {
    fn write_part(&mut self, part: Bytes) -> PartWritten {
        let (faults, place) = (self.faults.clone(), self.place.clone());
        let is_torn = self.remaining_bytes.is_some_and(|remaining| remaining < part.len());
        let part = match &mut self.remaining_bytes {
            Some(remaining) => {
                let fitting = part.slice(..part.len().min(*remaining));
                *remaining -= fitting.len();
                fitting
            }
            None => part,
        };
        let written = self.upload.write_part(part);
        Box::pin(async move {
            faults.before(Operation::WritePart, &place).await?;
            written.await?;
            if is_torn { Err(injected(&place)) } else { faults.after(Operation::WritePart, &place).await }
        })
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        self.faults.before(Operation::Finish, &self.place).await?;
        if self.remaining_bytes.is_some() {
            return Err(injected(&self.place));
        }
        self.upload.finish().await?;
        self.faults.after(Operation::Finish, &self.place).await
    }

    async fn abort(&mut self) {
        self.upload.abort().await;
    }
}
