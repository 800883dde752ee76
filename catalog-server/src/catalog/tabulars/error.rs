//! Errors of the use cases on tables and views.

use storage::error::StorageError;
use table_core::commit::error::CommitError;
use uuid::Uuid;

use crate::catalog::access::Forbidden;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::error::OwnershipError;
use crate::catalog::mutations::error::MutationError;
use crate::catalog::names::{Identifier, NameError};
use crate::catalog::namespaces::error::NamespaceError;
use crate::store::catalog::tabular::TabularKind;

/// Error of a use case on a table or view, or on several tables.
#[derive(Debug, thiserror::Error)]
pub enum TabularError {
    /// The table does not exist, or the caller may not know of it.
    #[error("Table does not exist: {0}")]
    NoSuchTable(Identifier),
    /// The view does not exist, or the caller may not know of it.
    #[error("View does not exist: {0}")]
    NoSuchView(Identifier),
    /// The name is in use by another table or view.
    #[error("{text}")]
    NameTaken {
        /// Kind of the object that has the name.
        holder: TabularKind,
        /// Error message.
        text: String,
    },
    /// The request is well-formed but cannot be executed.
    #[error("{0}")]
    Invalid(String),
    /// The updates or requirements of the request are malformed or cannot be applied.
    #[error(transparent)]
    Commit(CommitError),
    /// A commit requirement is not met, or concurrent changes were faster too often.
    #[error("{0}")]
    CommitFailed(String),
    /// A concurrent change was faster, so the change has to be computed again.
    #[error("Commit failed: {0} was changed concurrently; try again")]
    LostRace(Identifier),
    /// A worker committed for a maintenance job whose lease it no longer has, or that has ended.
    #[error(
        "Nothing was committed: maintenance job {job_id} is not attempt {attempt} any more; stop, and delete the files that were written for it"
    )]
    JobLost {
        /// Id of the job.
        job_id: Uuid,
        /// Number of the attempt that the worker committed for.
        attempt: i64,
    },
    /// A name in the request cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The namespace does not exist or cannot be used.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A location is outside of the warehouse or belongs to another table or view.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The caller may not do the operation, or the warehouse is a read-only view.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The change could not be recorded.
    #[error(transparent)]
    Mutation(#[from] MutationError),
    /// The database, the file system or a file failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(TabularError);

impl TabularError {
    /// Returns `true` if the request itself cannot be executed, whatever the state of the catalog.
    pub(in crate::catalog) fn is_invalid(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::Name(_)
            | Self::Commit(CommitError::Invalid(_) | CommitError::Unsupported(_))
            | Self::Ownership(OwnershipError::Invalid(_))
            | Self::Namespace(
                NamespaceError::Invalid(_)
                | NamespaceError::Name(_)
                | NamespaceError::Ownership(OwnershipError::Invalid(_)),
            ) => true,
            _ => matches!(self.backend(), Some(BackendError::UnusableFile(_))),
        }
    }

    /// Returns `true` if a commit was rejected because of the current version of the table.
    pub(in crate::catalog) fn is_refusal(&self) -> bool {
        match self {
            Self::CommitFailed(_) | Self::Commit(CommitError::RequirementFailed(_)) => true,
            other => other.is_invalid(),
        }
    }

    /// Returns `true` if the change may succeed at once when it is computed again, starting with its first
    /// read.
    pub(in crate::catalog) fn is_lost_race(&self) -> bool {
        match self {
            Self::LostRace(_) => true,
            other => other.backend().is_some_and(BackendError::is_lost_race),
        }
    }

    /// Returns `true` if a file that was written for the change must not be deleted: the change may have been
    /// made, the file belongs to another writer, or the file system does not respond, so that another
    /// operation would only wait, too, and a later snapshot expiry finds the file.
    pub(in crate::catalog) fn leaves_files(&self) -> bool {
        self.backend().is_some_and(|error| {
            error.is_file_system_silent()
                || matches!(
                    error,
                    BackendError::OutcomeUnknown(_) | BackendError::File(StorageError::AlreadyExists(_))
                )
        })
    }

    fn backend(&self) -> Option<&BackendError> {
        match self {
            Self::Backend(error)
            | Self::Mutation(MutationError::Backend(error))
            | Self::Ownership(OwnershipError::Backend(error))
            | Self::Namespace(
                NamespaceError::Backend(error) | NamespaceError::Ownership(OwnershipError::Backend(error)),
            ) => Some(error),
            _ => None,
        }
    }
}

impl From<CommitError> for TabularError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale(_) => Self::CommitFailed(format!("Commit failed: {error}")),
            error => Self::Commit(error),
        }
    }
}

/// Creates the error for a table or view that does not exist.
pub(in crate::catalog) fn missing(kind: TabularKind, identifier: &Identifier) -> TabularError {
    match kind {
        TabularKind::Table => TabularError::NoSuchTable(identifier.clone()),
        TabularKind::View => TabularError::NoSuchView(identifier.clone()),
    }
}

/// Creates the error for a new object of kind `kind` whose name is in use by a `holder`.
pub(in crate::catalog) fn name_taken(
    kind: TabularKind,
    holder: TabularKind,
    identifier: &Identifier,
) -> TabularError {
    let text = match (kind, holder) {
        (TabularKind::Table, TabularKind::Table) => format!("Table already exists: {identifier}"),
        (TabularKind::View, TabularKind::View) => format!("View already exists: {identifier}"),
        (TabularKind::Table, TabularKind::View) => {
            format!("View with same name already exists: {identifier}")
        }
        (TabularKind::View, TabularKind::Table) => {
            format!("Table with same name already exists: {identifier}")
        }
    };
    TabularError::NameTaken { holder, text }
}
