//! The catalog as a job sees it: one table, one call at a time. A job runs on a thread of its own and waits for each answer.

use table_core::metadata::table::TableMetadata;
use tokio::runtime::Handle;

use crate::client::{Client, Committed, Fence, TableName};
use crate::error::JobError;

/// A table of a catalog.
pub struct Catalog {
    client: Client,
    name: TableName,
    runtime: Handle,
    /// Lets the catalog refuse commits of a job that is another worker's by now.
    fence: Option<Fence>,
}

/// The table as it is now.
pub struct Table {
    /// Its metadata.
    pub metadata: TableMetadata,
    /// In which file that is, if the catalog says so.
    pub location: Option<String>,
    /// How long it is.
    pub document_bytes: u64,
}

impl Catalog {
    /// A table, spoken of over a client that `runtime` drives.
    pub fn new(client: Client, name: TableName, runtime: Handle, fence: Option<Fence>) -> Catalog {
        Catalog { client, name, runtime, fence }
    }

    /// Loads the table.
    pub fn load(&self) -> Result<Table, JobError> {
        let loaded = self.runtime.block_on(self.client.load(&self.name))?;
        let document = loaded.metadata.get().as_bytes();
        Ok(Table {
            metadata: TableMetadata::parse(document)?,
            location: loaded.metadata_location,
            document_bytes: document.len() as u64,
        })
    }

    /// Commits to the table.
    ///
    /// Fails only if the commit was certainly not made, for another reason than that others were faster.
    pub fn commit(&self, body: &str) -> Result<Committed, JobError> {
        let committed = self.client.commit(&self.name, body.to_owned(), self.fence.as_ref());
        Ok(self.runtime.block_on(committed)?)
    }
}
