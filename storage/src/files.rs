//! Access of one caller to stored files: a store, and the scope of what the caller may read and write.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::scope::Scope;
use crate::store::Store;

/// Files that a caller may access. All functions take locations as text, which may come from clients, and fail
/// before the store is reached if the scope does not permit the access: with [`StorageError::NotReadable`],
/// [`StorageError::NotOwn`], [`StorageError::Location`] or [`StorageError::UnsupportedScheme`]. Clones are cheap.
///
/// ```text
/// let scope = Scope::new(vec![warehouse], vec![table_folder], Reads::Own);
/// let files = Files::new(store, scope);
/// files.write_new("file:///srv/warehouse/t/data/1.parquet", content).await?;
/// files.delete("file:///srv/warehouse/other/1.parquet").await  ->  StorageError::NotOwn
/// ```
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn Store>,
    scope: Arc<Scope>,
}

impl Files {
    /// Restricts a store to a scope.
    pub fn new(store: Arc<dyn Store>, scope: Scope) -> Files {
        Files { store, scope: Arc::new(scope) }
    }

    /// Returns the scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::read`].
    pub async fn read(&self, location: &str, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.store.read(&self.scope.read(location)?, limit_bytes).await
    }

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::read_range`].
    pub async fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.store.read_range(&self.scope.read(location)?, range).await
    }

    /// Writes a whole new file durably: it survives a power failure after the function returns.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::write_new`].
    pub async fn write_new(&self, location: &str, content: Bytes) -> Result<(), StorageError> {
        self.store.write_new(&self.scope.write(location)?, content).await
    }

    /// Writes a whole new file durably, and creates folders.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::write_new_with_folders`].
    pub async fn write_new_with_folders(
        &self,
        location: &str,
        content: Bytes,
        folders: &[String],
    ) -> Result<(), StorageError> {
        let folders =
            folders.iter().map(|folder| self.scope.folder(folder)).collect::<Result<Vec<_>, _>>()?;
        self.store.write_new_with_folders(&self.scope.write(location)?, content, &folders).await
    }

    /// Returns the state of a file; [`FileState::Unknown`] if the scope does not permit to read it, or if the
    /// store does not answer or cannot tell.
    pub async fn state(&self, location: &str) -> FileState {
        match self.scope.read(location) {
            Ok(place) => self.store.state(&place).await.unwrap_or(FileState::Unknown),
            Err(_) => FileState::Unknown,
        }
    }

    /// Deletes a file. A missing file is not an error.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::delete`].
    pub async fn delete(&self, location: &str) -> Result<(), StorageError> {
        self.store.delete(&self.scope.write(location)?).await
    }

    /// Deletes up to `files_max` files below a folder, and the folders that become empty. Returns the number of
    /// deleted files; fewer than `files_max` means that none remains.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::delete_below`].
    pub async fn delete_below(&self, folder: &str, files_max: usize) -> Result<usize, StorageError> {
        self.store.delete_below(&self.scope.folder(folder)?, files_max).await
    }

    /// Lists up to `files_max` files that are directly in a folder.
    ///
    /// # Errors
    ///
    /// Fails if the folder is not the caller's own, and for the reasons of [`Store::list`].
    pub async fn list(&self, folder: &str, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.store.list(&self.scope.folder(folder)?, files_max).await
    }

    /// Creates a folder, where the store has folders.
    ///
    /// # Errors
    ///
    /// Fails if the scope does not permit it, and for the reasons of [`Store::create_folder`].
    pub async fn create_folder(&self, folder: &str) -> Result<(), StorageError> {
        self.store.create_folder(&self.scope.folder(folder)?).await
    }
}
