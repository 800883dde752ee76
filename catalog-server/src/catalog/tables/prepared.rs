//! Prepared changes of tables: metadata that was computed and is ready to be written.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use table_core::commit::request::TableCommit;
use table_core::commit::requirement::TableRequirement;
use table_core::metadata::table::TableMetadata;

use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::ids::{NamespaceId, TabularId};

use crate::catalog::error::CatalogError;
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::locations::Folders;

/// Definition of a new table, as sent by a client.
pub struct NewTable {
    /// Base location of the table, an absolute URI; chosen by the server if `None`.
    pub location: Option<String>,
    /// Schema as JSON.
    pub schema: Box<RawValue>,
    /// Partition spec as JSON; unpartitioned if `None`.
    pub partition_spec: Option<Box<RawValue>>,
    /// Sort order as JSON; unsorted if `None`.
    pub write_order: Option<Box<RawValue>>,
    /// Table properties, in the order of the request.
    pub properties: Vec<(String, String)>,
    /// Size of the request body, in bytes.
    pub size_bytes: usize,
}

/// Source of a creation or commit, which determines the error if the table already exists and the recorded
/// response.
#[derive(Clone, Copy)]
pub(in crate::catalog) enum CommitSource {
    /// Request to create a table, `POST …/tables`.
    Request,
    /// Commit to one table, which may require that the table does not exist.
    Commit,
    /// Commit to several tables, whose response is empty.
    Transaction,
}

/// Change that was computed and is ready to be written.
pub(in crate::catalog) enum PreparedCommit {
    /// No change: the updates have no effect.
    Unchanged(Arc<Document<TableMetadata>>),
    /// New metadata for an existing table: `found` is its current row, `expired` are the metadata files that
    /// were removed from the metadata log. `list` is the path and content of the manifest list of a rebased
    /// append or upsert, which is written together with the metadata file.
    Update { found: Tabular, next: NewMetadata, expired: Vec<String>, list: Option<Box<(String, Bytes)>> },
    /// New table.
    Create { tabular_id: TabularId, namespace_id: NamespaceId, next: NewMetadata },
}

/// Metadata to be written.
pub(in crate::catalog) struct NewMetadata {
    pub(in crate::catalog) identifier: Identifier,
    pub(in crate::catalog) document: Arc<Document<TableMetadata>>,
    pub(in crate::catalog) metadata: Arc<TableMetadata>,
    /// Snapshots and schemas that go out of use with it, in the form stored in the history.
    pub(in crate::catalog) superseded: Option<String>,
    /// Folders that the table owns. `claims` is `true` if they have to be claimed.
    pub(in crate::catalog) folders: Folders,
    pub(in crate::catalog) claims: bool,
}

impl PreparedCommit {
    pub(in crate::catalog) fn next(&self) -> Option<&NewMetadata> {
        match self {
            Self::Unchanged(_) => None,
            Self::Update { next, .. } | Self::Create { next, .. } => Some(next),
        }
    }

    /// Returns the path and content of a file to be written in addition to the metadata file.
    pub(in crate::catalog) fn list(&self) -> Option<&(String, Bytes)> {
        match self {
            Self::Update { list, .. } => list.as_deref(),
            Self::Unchanged(_) | Self::Create { .. } => None,
        }
    }

    pub(in crate::catalog) fn updated_id(&self) -> Option<TabularId> {
        match self {
            Self::Update { found, .. } => Some(found.tabular_id),
            Self::Unchanged(_) | Self::Create { .. } => None,
        }
    }
}

impl CommitSource {
    /// Converts an error of a commit: if the table already exists, the requirement that it does not exist
    /// failed.
    pub(in crate::catalog) fn explain(self, error: CatalogError) -> CatalogError {
        match (self, error) {
            (
                Self::Commit | Self::Transaction,
                CatalogError::NameTaken { holder: TabularKind::Table, .. },
            ) => CatalogError::CommitFailed("Requirement failed: table already exists".to_owned()),
            (_, error) => error,
        }
    }
}

/// Returns `true` if a commit creates its table: it has the requirement `assert-create`.
pub(in crate::catalog) fn creates(commit: &TableCommit) -> bool {
    commit.requirements.iter().any(|requirement| matches!(requirement, TableRequirement::AssertCreate))
}
