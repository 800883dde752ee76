//! Interface of stores: what they can do with a file or folder that a scope permits to access.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::place::Place;

/// Store of immutable files. Every call is one request, unless it says otherwise.
///
/// All functions fail with [`StorageError::UnsupportedScheme`] for a place of another store, and with
/// [`StorageError::TimedOut`], [`StorageError::Busy`] or [`StorageError::Io`] if the store does not answer or
/// reports an error.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::NotFound`] if there is no file, and with [`StorageError::TooLarge`] if it is
    /// larger.
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError>;

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::NotFound`] if there is no file, and with [`StorageError::Io`] if it ends
    /// before the end of the range.
    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Writes a whole new file durably: it survives a power failure after the function returns.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, which is not changed.
    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError>;

    /// Writes a whole new file, as [`Store::write_new`] does, and creates folders beside it, where the store has
    /// folders. They survive a power failure as well, and together cost little more than the file.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, which is not changed, and if a folder
    /// cannot be created.
    async fn write_new_with_folders(
        &self,
        place: &Place,
        content: Bytes,
        folders: &[Place],
    ) -> Result<(), StorageError> {
        for folder in folders {
            self.create_folder(folder).await?;
        }
        self.write_new(place, content).await
    }

    /// Begins a new file that is written in parts.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, if the store can tell.
    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError>;

    /// Returns the size of the parts of a new file, in bytes. A smaller file is written with one request.
    fn part_bytes(&self, place: &Place) -> usize;

    /// Returns the state of a file, which is not [`FileState::Unknown`].
    ///
    /// # Errors
    ///
    /// Fails if the store does not answer, or cannot tell.
    async fn state(&self, place: &Place) -> Result<FileState, StorageError>;

    /// Returns the state of a file if it is known without waiting for a disk or the network, and otherwise
    /// [`FileState::Unknown`].
    fn state_in_memory(&self, place: &Place) -> FileState;

    /// Deletes a file. A missing file is not an error.
    ///
    /// # Errors
    ///
    /// Fails if the store refuses.
    async fn delete(&self, place: &Place) -> Result<(), StorageError>;

    /// Deletes up to `files_max` files below a folder, and the folders that become empty, with as many requests
    /// as it takes. Returns the number of deleted files; fewer than `files_max` means that none remains.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be deleted.
    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError>;

    /// Lists up to `files_max` files that are directly in a folder. The result is empty if the folder does not
    /// exist.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be listed.
    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError>;

    /// Creates a folder, where the store has folders.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be created.
    async fn create_folder(&self, place: &Place) -> Result<(), StorageError>;

    /// Creates the root folder of a warehouse if it does not exist, and checks that files can be written there.
    ///
    /// # Errors
    ///
    /// Fails if they cannot.
    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError>;

    /// Returns `true` if one of the first `entries_max` entries below a folder is a file whose name ends with
    /// `suffix`, with as many requests as it takes. A missing folder has no entries.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be listed.
    async fn find_below(&self, place: &Place, suffix: &str, entries_max: usize)
    -> Result<bool, StorageError>;
}

/// New file that is being written. If it is dropped before [`Upload::finish`], an incomplete file may remain.
#[async_trait]
pub trait Upload: Send {
    /// Begins to write the next part. Several parts may be in flight at the same time.
    fn write_part(&mut self, part: Bytes) -> PartWritten;

    /// Completes the file, after all parts are written, so that it survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be completed.
    async fn finish(&mut self) -> Result<(), StorageError>;

    /// Gives up the file, after an error. An incomplete file may remain where the store has no other way.
    async fn abort(&mut self);
}

/// Result of writing a part, which has to be awaited.
pub type PartWritten = futures::future::BoxFuture<'static, Result<(), StorageError>>;
