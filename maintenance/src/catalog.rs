//! Access of a job to one table of a catalog. Calls are synchronous: a job runs on a thread of its own, which
//! waits for each response.

use std::sync::OnceLock;

use storage::scope::Scope;
use table_core::metadata::table::TableMetadata;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::client::fence::Fence;
use crate::client::table_name::TableName;
use crate::client::{Client, Committed};
use crate::error::JobError;
use crate::history::History;
use crate::ownership::{self, NamedFolders};

/// Table of a catalog.
pub struct Catalog {
    client: Client,
    name: TableName,
    runtime: Handle,
    /// Identity of the job's attempt, sent with commits so that the catalog refuses them once the job was
    /// leased again.
    fence: Option<Fence>,
    /// UUID of the table when it was first loaded.
    uuid: OnceLock<Option<Uuid>>,
}

/// Current state of a table.
pub struct Table {
    /// Metadata of the table.
    pub metadata: TableMetadata,
    /// Location of the metadata file; `None` if the catalog does not return it.
    pub location: Option<String>,
    /// Size of the metadata document in bytes, uncompressed.
    pub document_bytes: u64,
}

impl Catalog {
    /// Creates the access to a table. `runtime` runs the requests of `client`.
    pub fn new(client: Client, name: TableName, runtime: Handle, fence: Option<Fence>) -> Catalog {
        Catalog { client, name, runtime, fence, uuid: OnceLock::new() }
    }

    /// Loads the table.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Catalog`] if the catalog does not return the table, with [`JobError::Metadata`]
    /// if its metadata is malformed, and with [`JobError::Replaced`] if its UUID differs from that of the
    /// first load.
    pub fn load(&self) -> Result<Table, JobError> {
        let loaded = self.runtime.block_on(self.client.load(&self.name))?;
        let document = loaded.metadata.get().as_bytes();
        let metadata = TableMetadata::parse(document)?;
        if *self.uuid.get_or_init(|| metadata.uuid()) != metadata.uuid() {
            return Err(JobError::Replaced);
        }
        Ok(Table { metadata, location: loaded.metadata_location, document_bytes: document.len() as u64 })
    }

    /// Returns the permissions of a job on the table: the folders that the catalog reports. A catalog other
    /// than Firn reports none; then they are the table's location and the folders in `named`.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::FoldersReported`] if `named` is not empty although the catalog reports folders,
    /// with [`JobError::Catalog`] if the catalog does not answer, and with [`JobError::Folders`] if a folder
    /// is not a valid location.
    pub fn scope(&self, named: &NamedFolders) -> Result<Scope, JobError> {
        let folders = match self.runtime.block_on(ownership::of(&self.client, &self.name)) {
            Err(error) if error.is_unsupported() => {
                return ownership::by_location(&self.load()?.metadata, named);
            }
            folders => folders?,
        };
        if !named.own.is_empty() || !named.readable.is_empty() {
            return Err(JobError::FoldersReported);
        }
        let (client, name, runtime) = (self.client.clone(), self.name.clone(), self.runtime.clone());
        ownership::scope(&folders, move |file| runtime.block_on(ownership::readable(&client, &name, file)))
    }

    /// Returns the history of the table for the last `age_ms` milliseconds, or for the period in which the
    /// catalog can be read as of a point in time if that is longer. `None` if the catalog records no history,
    /// which is impossible for a job that was leased from a Firn.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Catalog`] if the catalog does not answer, and with [`JobError::Replaced`] if
    /// the name belongs to another table now.
    pub fn history(&self, metadata: &TableMetadata, age_ms: u64) -> Result<Option<History>, JobError> {
        match self.runtime.block_on(History::load(&self.client, &self.name, metadata, age_ms)) {
            Ok(history) if Some(history.table_uuid) != metadata.uuid() => Err(JobError::Replaced),
            Ok(history) => Ok(Some(history)),
            Err(error) if error.is_unsupported() && self.fence.is_none() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a commit of the table. A lost race is not an error but [`Committed::Lost`].
    ///
    /// # Errors
    ///
    /// Fails only if the catalog refused the commit, so that it certainly was not made, for another reason
    /// than a conflict with a concurrent commit.
    pub fn commit(&self, body: &str) -> Result<Committed, JobError> {
        let committed = self.client.commit(&self.name, body.to_owned(), self.fence.as_ref());
        Ok(self.runtime.block_on(committed)?)
    }
}
