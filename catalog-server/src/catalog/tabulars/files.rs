//! Metadata files of tables and views: written before the transaction that points to them, and deleted again
//! if it certainly failed.

use std::sync::Arc;

use storage::files::Files;

use crate::catalog::backend::BackendError;
use crate::catalog::locations::ownership::Folders;
use crate::storage::WarehouseFiles;
use crate::storage::documents::{Content, Document};

use super::error::TabularError;

/// Metadata files of the tables and views of all warehouses.
#[derive(Clone)]
pub(in crate::catalog) struct MetadataFiles {
    pub(in crate::catalog) files: WarehouseFiles,
}

impl MetadataFiles {
    /// Returns access to the files in the folders of a table or view.
    pub(in crate::catalog) fn own(&self, folders: &Folders) -> Files {
        self.files.own(folders.as_slice())
    }

    /// Writes the file of a document.
    pub(in crate::catalog) async fn write<T: Content>(
        &self,
        document: &Arc<Document<T>>,
        folders: &Folders,
    ) -> Result<(), BackendError> {
        Ok(self.own(folders).write_new(document.location(), document.file_content()?).await?)
    }

    /// Writes the file of a document, and creates the folders of its table or view.
    pub(in crate::catalog) async fn write_with_folders<T: Content>(
        &self,
        document: &Arc<Document<T>>,
        folders: &Folders,
        created: Vec<String>,
    ) -> Result<(), BackendError> {
        let (location, content) = (document.location(), document.file_content()?);
        Ok(self.own(folders).write_new_with_folders(location, content, &created).await?)
    }

    /// Deletes a written file after its change failed, unless the change may have been made.
    pub(in crate::catalog) async fn discard(
        &self,
        location: &str,
        folders: &Folders,
        because: &TabularError,
    ) {
        if because.leaves_files() {
            return;
        }
        if let Err(error) = self.own(folders).delete(location).await {
            tracing::warn!(location, %error, "cannot delete an unused metadata file");
        }
    }
}
