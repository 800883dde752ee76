//! Prepared commits: metadata that was computed and is ready to be written, and the pointers to it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use table_core::metadata::table::TableMetadata;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::idempotency::IdempotentResult;
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::tabulars::transaction::{NewPointer, PointerTarget};
use crate::storage::data_folder;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Pointer, Tabular, TabularKind};
use crate::store::ids::{NamespaceId, TabularId};

/// Source of a commit, which determines the error if the table already exists and the recorded response.
#[derive(Clone, Copy)]
pub enum CommitSource {
    /// Commit to one table, which may require that the table does not exist.
    Table,
    /// Commit to several tables, whose response is empty.
    Transaction,
}

/// Change that was computed and is ready to be written.
pub(super) enum PreparedCommit {
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
pub(super) struct NewMetadata {
    pub(super) identifier: Identifier,
    pub(super) document: Arc<Document<TableMetadata>>,
    pub(super) metadata: Arc<TableMetadata>,
    pub(super) table_uuid: Uuid,
    /// Snapshots and schemas that go out of use with it, in the form stored in the history.
    pub(super) superseded: Option<String>,
    /// Folders that the table owns. `claims` is `true` if they have to be claimed.
    pub(super) folders: Folders,
    pub(super) claims: bool,
}

impl PreparedCommit {
    /// Returns the metadata to be written, if there is any.
    pub(super) fn next(&self) -> Option<&NewMetadata> {
        match self {
            Self::Unchanged(_) => None,
            Self::Update { next, .. } | Self::Create { next, .. } => Some(next),
        }
    }

    /// Returns the locations of the folders that some engines expect a new table to have.
    pub(super) fn new_folders(&self) -> Vec<String> {
        match self {
            Self::Create { next, .. } => vec![data_folder(next.metadata.location())],
            Self::Unchanged(_) | Self::Update { .. } => Vec::new(),
        }
    }

    /// Returns the document of the table after the commit.
    pub(super) fn document(&self) -> &Arc<Document<TableMetadata>> {
        match self {
            Self::Unchanged(document) => document,
            Self::Update { next, .. } | Self::Create { next, .. } => &next.document,
        }
    }

    /// Returns the path and content of a file to be written in addition to the metadata file.
    pub(super) fn list(&self) -> Option<&(String, Bytes)> {
        match self {
            Self::Update { list, .. } => list.as_deref(),
            Self::Unchanged(_) | Self::Create { .. } => None,
        }
    }

    /// Returns the new pointer of the table, unless nothing changes.
    pub(super) fn pointer(&self) -> Option<NewPointer<'_>> {
        let (next, target, action, detail) = match self {
            Self::Unchanged(_) => return None,
            Self::Update { found, next, .. } => {
                let detail = json!({
                    "metadata-location": next.document.location(), "previous": found.metadata_location,
                    "snapshot-id": next.metadata.current_snapshot_id(),
                });
                (next, PointerTarget::Existing(found), Action::CommitTable, detail)
            }
            Self::Create { tabular_id, namespace_id, next } => {
                let (tabular_id, namespace_id) = (*tabular_id, *namespace_id);
                let target = PointerTarget::New { tabular_id, kind: TabularKind::Table, namespace_id };
                (next, target, Action::CreateTable, json!({ "metadata-location": next.document.location() }))
            }
        };
        let pointer = Pointer {
            metadata_location: next.document.location(),
            table_uuid: next.table_uuid,
            location: next.metadata.location(),
            superseded: next.superseded.as_deref(),
        };
        let claims = next.claims.then_some(&next.folders);
        Some(NewPointer { identifier: &next.identifier, target, pointer, claims, action, detail })
    }
}

impl CommitSource {
    /// Returns the part of the response that is recorded.
    pub(super) fn result(self, prepared: &[PreparedCommit]) -> IdempotentResult<'_> {
        match (self, prepared) {
            (Self::Table, [prepared]) => IdempotentResult::Location(prepared.document().location()),
            (Self::Table | Self::Transaction, _) => IdempotentResult::Nothing,
        }
    }
}

/// Converts the error of a commit that creates a table: if the table already exists, the requirement that it
/// does not exist failed.
pub(super) fn explain(error: TabularError) -> TabularError {
    match error {
        TabularError::NameTaken { holder: TabularKind::Table, .. } => {
            TabularError::CommitFailed("Requirement failed: table already exists".to_owned())
        }
        error => error,
    }
}

/// Returns the `table-uuid` of metadata. Fails if it has none.
pub(super) fn require_uuid(metadata_location: &str, metadata: &TableMetadata) -> Result<Uuid, TabularError> {
    metadata.uuid().ok_or_else(|| {
        TabularError::Invalid(format!(
            "the metadata `{metadata_location}` has no `table-uuid`; rewrite it with a current engine first"
        ))
    })
}
