//! The catalog as a job sees it: one table, one call at a time. A job runs on a thread of its own and waits for each answer.

use std::sync::OnceLock;

use storage::scope::Scope;
use table_core::metadata::table::TableMetadata;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::client::{Client, ClientError, Committed, Fence, TableName};
use crate::error::JobError;
use crate::history::History;
use crate::ownership::{self, NamedFolders};

/// A table of a catalog.
pub struct Catalog {
    client: Client,
    name: TableName,
    runtime: Handle,
    /// Lets the catalog refuse commits of a job that is another worker's by now.
    fence: Option<Fence>,
    /// Which table it was when it was loaded first.
    uuid: OnceLock<Option<Uuid>>,
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
        Catalog { client, name, runtime, fence, uuid: OnceLock::new() }
    }

    /// Loads the table. Fails if it is not the one that was loaded before.
    pub fn load(&self) -> Result<Table, JobError> {
        let loaded = self.runtime.block_on(self.client.load(&self.name))?;
        let document = loaded.metadata.get().as_bytes();
        let metadata = TableMetadata::parse(document)?;
        if *self.uuid.get_or_init(|| metadata.uuid()) != metadata.uuid() {
            return Err(JobError::Replaced);
        }
        Ok(Table { metadata, location: loaded.metadata_location, document_bytes: document.len() as u64 })
    }

    /// What a job on the table may touch: what the catalog says. If it says nothing of that, as only Firn does, the table's location
    /// and what is `named`.
    ///
    /// Fails if folders are named although the catalog says which there are.
    pub fn scope(&self, named: &NamedFolders) -> Result<Scope, JobError> {
        let told = match self.runtime.block_on(ownership::of(&self.client, &self.name)) {
            Err(ClientError::Refused { status: 400..=499 | 501, .. }) => {
                return ownership::by_location(&self.load()?.metadata, named);
            }
            told => told?,
        };
        if !named.own.is_empty() || !named.readable.is_empty() {
            return Err(JobError::FoldersTold);
        }
        let (client, name, runtime) = (self.client.clone(), self.name.clone(), self.runtime.clone());
        ownership::told(&told, move |file| runtime.block_on(ownership::readable(&client, &name, file)))
    }

    /// What the catalog recorded of the table in the last `age_ms`, or for as long as readers of the past are promised. `None` of a
    /// catalog that keeps no such record, which a job that a Firn handed out never meets.
    ///
    /// Fails if the catalog does not answer, or the name is another table's by now.
    pub fn history(&self, metadata: &TableMetadata, age_ms: u64) -> Result<Option<History>, JobError> {
        match self.runtime.block_on(History::load(&self.client, &self.name, metadata, age_ms)) {
            Ok(history) if Some(history.table_uuid) != metadata.uuid() => Err(JobError::Replaced),
            Ok(history) => Ok(Some(history)),
            Err(ClientError::Refused { status: 400..=499, .. }) if self.fence.is_none() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Commits to the table.
    ///
    /// Fails only if the commit was certainly not made, for another reason than that others were faster.
    pub fn commit(&self, body: &str) -> Result<Committed, JobError> {
        let committed = self.client.commit(&self.name, body.to_owned(), self.fence.as_ref());
        Ok(self.runtime.block_on(committed)?)
    }
}
